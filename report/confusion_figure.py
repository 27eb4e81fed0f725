"""A confusion matrix, drawn with matplotlib."""

import numpy
from matplotlib import colors, pyplot

from report.figures import STYLE, plain

NUMBERED = 20  # classes up to which every cell has its number
NAMED = 120  # classes up to which every row and column is named
LONGEST = 22  # letters of a name
DARK = 0.45  # share of a class above which a number is written in white


def draw(matrix, names, title):
    """Return the figure: a row for each true class, a column for each predicted class.

    The colour is the share of the true class, on a scale of square roots, so that few mistakes can
    be seen beside many right answers. Up to 20 classes the cells have the numbers of images.
    """
    count = len(matrix)
    share = matrix / numpy.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with pyplot.rc_context({**STYLE, 'axes.grid': False}):
        side = 2 + (0.33 * count if count <= NUMBERED else min(0.075 * count, 8))
        figure, axis = pyplot.subplots(figsize=(side + 0.9, side), constrained_layout=True)
        image = axis.imshow(100 * share, cmap='Blues', norm=colors.PowerNorm(0.5, 0, 100))
        bar = figure.colorbar(image, ax=axis, shrink=0.7)
        bar.set_label('share of the true class (%)')
        bar.set_ticks([0, 1, 5, 10, 25, 50, 100])
        bar.outline.set_visible(False)
        _name(axis, names)
        axis.set_xlabel('predicted class')
        axis.set_ylabel('true class')
        axis.set_title(plain(title))
        if count <= NUMBERED:
            for row, column in zip(*matrix.nonzero()):
                colour = 'white' if share[row, column] > DARK else 'black'
                number = f'{matrix[row, column]}'
                axis.text(column, row, number, ha='center', va='center', color=colour, size=6)
    return figure


def _name(axis, names):
    """Name every row and column, or where there are too many number some of them."""
    count = len(names)
    if count > NAMED:
        return  # matplotlib numbers some
    short = [name if len(name) <= LONGEST else name[: LONGEST - 1] + '…' for name in names]
    size = 7 if count <= NUMBERED else 4.5
    axis.set_xticks(range(count), [plain(name) for name in short], rotation=90, size=size)
    axis.set_yticks(range(count), [plain(name) for name in short], size=size)
    axis.tick_params(length=2 if count <= NUMBERED else 1, width=0.4)
