"""Figures 8 and 12 of the paper, drawn with matplotlib, and how all figures are saved."""

import io
import os

import matplotlib
from matplotlib import pyplot

from report import run_setting
from report.curves import panels
from system import files
from system.errors import UserError, printable

# Okabe and Ito's colours, which people with any colour vision can tell apart. The paper's pair,
# ResNet and DFN-MR, differ in lightness too and so can be told apart in grey print.
COLOURS = {
    'plain': '#000000',
    'resnet': '#D55E00',
    'il': '#009E73',
    'mr': '#0072B2',
    'mr-late': '#0072B2',
    'mr-relu': '#0072B2',
    'side': '#CC79A7',
    'fuse3': '#56B4E9',
    'fuse6': '#E69F00',
}
OTHERS = ('#56B4E9', '#E69F00', '#CC79A7', '#000000', '#009E73', '#F0E442')
STYLE = {
    'font.size': 8,
    'axes.titlesize': 8,
    'legend.fontsize': 7,
    'lines.linewidth': 1.1,
    'axes.grid': True,
    'grid.alpha': 0.3,
    'grid.linewidth': 0.5,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'pdf.fonttype': 42,  # embedded TrueType fonts, so that text in a PDF can be selected
    'svg.fonttype': 'path',
    'savefig.dpi': 300,
}
COLUMN = 3.3  # the width of a column of text, in inches
FORMATS = ('.png', '.pdf', '.svg')
MARKERS = 9  # number of markers on a curve, approximately


def figure12(found, most_error=None):
    """Return Figure 12: training loss above test error, a column for each data set and d1/d2.

    Parameters
    ----------
    found : list of curves.Curves
    most_error : float, optional
        The upper end of the axis of errors, in %; by default all errors are inside.
    """
    columns = panels(found)
    with pyplot.rc_context(STYLE):
        # One panel is as wide as a column of text; several fill the width of a page.
        width = COLUMN if len(columns) == 1 else max(2 * COLUMN, 1.7 * len(columns))
        figure, axes = pyplot.subplots(
            2,
            len(columns),
            squeeze=False,
            sharex='col',
            sharey='row',
            figsize=(width, 3.8),
            constrained_layout=True,
        )
        for (key, members), (loss, error) in zip(columns.items(), axes.T):
            for curves, colour, label in zip(members, colours(members), labels(members)):
                _curve(loss, curves, 'train_loss', color=colour, label=label)
                _curve(error, curves, 'test_error', color=colour)
            loss.set_title(_title(*key, members))
            loss.legend(frameon=False)
            error.set_xlabel('epoch')
        axes[0, 0].set_ylabel('training loss')
        axes[1, 0].set_ylabel('test error (%)')
        # From 0, so that the heights of curves can be compared.
        axes[0, 0].set_ylim(bottom=0)
        axes[1, 0].set_ylim(0, most_error)
    return figure


def figure8(found, top5=False, most_error=None):
    """Return Figure 8: top-1 error, dotted for training and with markers for validation.

    The legend has the final error of each curve in %, as (top-1, top-5) if the logs have both.

    Parameters
    ----------
    found : list of curves.Curves
    top5 : bool
        Draw top-5 errors too, in a paler colour.
    most_error : float, optional
        As of ``figure12``.

    Raises
    ------
    UserError
        ``top5`` is set, and a log has no top-5 errors.
    """
    for curves in found:
        if top5 and not {'train_top5', 'test_top5'} <= set(curves.curves):
            raise UserError(
                f'{curves.title} has no top-5 error in its log (logs have it for photographs, and '
                'for other images of 100 classes and more): leave --top5 out'
            )
    with pyplot.rc_context(STYLE):
        figure, axis = pyplot.subplots(
            figsize=(COLUMN, 2.6 + 0.28 * len(found)), constrained_layout=True
        )
        for curves, colour, label in zip(found, colours(found), labels(found)):
            _draw_errors(axis, curves, colour, label, top5)
        axis.set_xlabel('epoch')
        axis.set_ylabel('top-1 and top-5 error (%)' if top5 else 'top-1 error (%)')
        axis.set_ylim(0, most_error)
        axis.set_title(', '.join(dict.fromkeys(map(_dataset, found))))
        both = any('test_top5' in curves.curves for curves in found)
        title = f'final {"(top-1, top-5)" if both else "top-1"} in %'
        figure.legend(
            *axis.get_legend_handles_labels(),
            frameon=False,
            title_fontsize=7,
            title=title + (', paler: top-5' if top5 else ''),
            loc='outside lower center',
        )
    return figure


def _draw_errors(axis, curves, colour, label, top5):
    """Draw the errors of one network in training and in validation for Figure 8."""
    for split, word, style in (
        ('train', 'training', {'linestyle': ':'}),
        ('test', 'validation', _markers(curves)),
    ):
        legend = f'{label} {word} {_final(curves, split)}'
        _curve(axis, curves, f'{split}_error', color=colour, **style, label=legend)
        if top5:
            _curve(axis, curves, f'{split}_top5', color=colour, alpha=0.5, **style)


def _final(curves, split):
    """Return the errors after the last epoch as a text, (top-1, top-5) or (top-1).

    ``split`` is 'train' or 'test'.
    """
    keys = [key for key in (f'{split}_error', f'{split}_top5') if key in curves.curves]
    return f'({", ".join(format(curves.curves[key][0][-1], ".2f") for key in keys)})'


def _markers(curves):
    return {'marker': 'o', 'markersize': 3, 'markevery': max(1, len(curves.epochs) // MARKERS)}


def _curve(axis, curves, key, **style):
    """Draw the mean of a key of the logs, and the range if there are several runs."""
    mean, low, high = curves.curves[key]
    if len(curves.epochs) == 1:  # a line of one point is invisible
        style.update(marker='o', markersize=3)
    axis.plot(curves.epochs, mean, **style)
    if curves.runs > 1:
        axis.fill_between(curves.epochs, low, high, color=style['color'], alpha=0.2, linewidth=0)
    axis.margins(x=0.02)
    axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))


def colours(found):
    """Return a colour for each curve: its network's, or another if that is taken."""
    taken = []
    for curves in found:
        own = COLOURS.get(curves.network, OTHERS[0])
        taken.append(own if own not in taken else next((c for c in OTHERS if c not in taken), own))
    return taken


def labels(members):
    """Return a label for each curve of a panel, which says how it differs from others."""
    return [
        _label(curves, [other for other in members if other.network == curves.network])
        for curves in members
    ]


def _label(curves, same):
    """Return the label of a curve; ``same`` are all curves of its network."""
    differ = run_setting.differences([each.setting for each in same])
    deep = run_setting.is_photographs(curves.setting) or 'depth' in differ
    parts = [curves.deep_name if deep else curves.name]
    for name in differ:
        if name == 'dataset':
            parts.append(_dataset(curves))
        elif name != 'depth':
            parts.append(run_setting.brief(name, curves.setting.get(name)))
    return plain(', '.join(parts))


def _dataset(curves):
    return plain(run_setting.title(curves.setting))


def plain(text):
    """Return a text as matplotlib can draw it: dollar signs, which begin formulas, are escaped."""
    return printable(text).replace('$', r'\$')


def _title(dataset, d1, members):
    """Return the title of a panel: its data set and the depths of its networks."""
    if d1 is None:
        return plain(dataset)
    return f'{plain(dataset)}\n{depths(d1, members)}'


def depths(d1, members):
    """Return the depths of a panel's networks as a text, such as "d1/d2 = 26/14"."""
    own = sorted({curves.depth for curves in members} | {d1}, reverse=True)
    return 'd1/d2 = ' + '/'.join(map(str, own)) if len(own) > 1 else f'depth {d1}'


def save(figure, path, overwrite=False):
    """Write a figure to ``path``, in the format that its ending names: .png, .pdf or .svg.

    ``files.write_outputs`` says what happens to an existing file.
    """
    ending = os.path.splitext(path)[1]
    if ending not in FORMATS:
        raise UserError(f'--out {path}: the name ends in .png, .pdf or .svg')
    files.write_output(path, content_of(figure, ending), overwrite)


def content_of(figure, ending):
    """Return the bytes of a figure in the format of an ending in ``FORMATS``, and close it."""
    content = io.BytesIO()
    with pyplot.rc_context(STYLE):
        figure.savefig(content, format=ending[1:])
    pyplot.close(figure)
    return content.getvalue()
