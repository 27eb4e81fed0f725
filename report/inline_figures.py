"""Figures 8 and 12 as SVG inside a page, with what a script needs to show values on them."""

import io
import re
import warnings
from typing import NamedTuple
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import pyplot

from report import curves, figures

SVG = 'http://www.w3.org/2000/svg'
XLINK = 'http://www.w3.org/1999/xlink'
NOT_IN_XML = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
LONG = re.compile(r'\d+\.\d{3,}')  # a coordinate that is more exact than the eye, in points
# The keys of the logs that each axis of a figure shows.
AXES = {8: [('train_error', 'test_error')], 12: [('train_loss',), ('test_error',)]}
WORDS = {'train_loss': 'training loss', 'train_error': 'training error', 'test_error': 'test error'}
DIGITS = 5  # significant digits of a value on the page


class Figure(NamedTuple):
    """One figure of a panel."""

    number: int  # in the paper
    svg: Markup
    description: str  # in words, for those who do not see it
    axes: list  # of {'keys', 'box', 'x', 'y'}: what is drawn where, see ``_axis``


class Panel(NamedTuple):
    """The networks of one size on one data set."""

    title: str
    epochs: int  # of the longest curve
    curves: list  # of {'label', 'colour', 'runs', 'values': {key: [mean, lowest, highest]}}
    figures: list  # of Figure


def panels(found):
    """Return the ``Panel`` of each pair of depths and data set of ``curves.Curves``."""
    return [
        _panel(number, *key, members)
        for number, (key, members) in enumerate(curves.panels(found).items(), 1)
    ]


def _panel(number, dataset, d1, members):
    labels = [label.replace(r'\$', '$') for label in figures.labels(members)]
    shown = [
        {
            'label': label,
            'colour': _themed(colour),
            'runs': each.runs,
            'values': {key: _rounded(each, key) for key in WORDS},
        }
        for each, label, colour in zip(members, labels, figures.colours(members))
    ]
    title = dataset if d1 is None else f'{dataset}, {figures.depths(d1, members)}'
    return Panel(
        title,
        max(len(each.epochs) for each in members),
        shown,
        [
            _figure(8, f'panel{number}-8-', figures.figure8(members), shown),
            _figure(12, f'panel{number}-12-', figures.figure12(members), shown),
        ],
    )


def _rounded(each, key):
    """Return mean, lowest and highest of a curve over the epochs; of one run the mean alone."""
    arrays = each.curves[key] if each.runs > 1 else each.curves[key][:1]
    return [[float(f'{value:.{DIGITS}g}') for value in array] for array in arrays]


def _figure(number, prefix, figure, shown):
    content = io.StringIO()
    # As text, which a reader can select and a dark page can turn white.
    style = {**figures.STYLE, 'svg.fonttype': 'none', 'svg.hashsalt': prefix}
    with pyplot.rc_context(style), warnings.catch_warnings():
        # The browser has glyphs that matplotlib lacks. Very long names leave no room for the axes.
        warnings.simplefilter('ignore', UserWarning)
        figure.savefig(content, format='svg', transparent=True)
    axes = [_axis(axis, keys) for axis, keys in zip(figure.axes, AXES[number])]
    pyplot.close(figure)
    return Figure(number, _inline(content.getvalue(), prefix), _description(number, shown), axes)


def _axis(axis, keys):
    """Return where an axis is in the units of the SVG, points from the top left, and its limits."""
    width, height = axis.figure.get_size_inches() * 72
    place = axis.get_position()
    box = [place.x0 * width, place.x1 * width, (1 - place.y0) * height, (1 - place.y1) * height]
    return {
        'keys': list(keys),
        'box': [round(float(edge), 2) for edge in box],  # left, right, bottom, top
        'x': [float(limit) for limit in axis.get_xlim()],
        'y': [float(limit) for limit in axis.get_ylim()],
    }


def _inline(text, prefix):
    """Return matplotlib's SVG for a page: its ids begin with ``prefix``, colours follow the page.

    Several drawings of matplotlib in one page would have the same ids.
    """
    root = ElementTree.fromstring(NOT_IN_XML.sub('\ufffd', text))
    for metadata in root.findall(f'{{{SVG}}}metadata'):
        root.remove(metadata)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == 'id':
                value = prefix + value
            elif name == f'{{{XLINK}}}href':
                value = value.replace('#', '#' + prefix, 1)
            elif name == 'd':
                value = LONG.sub(lambda found: f'{float(found.group()):.2f}', value)
            else:
                value = value.replace('url(#', 'url(#' + prefix)
                value = re.sub('#[0-9a-fA-F]{6}', lambda found: _themed(found.group()), value)
                value = re.sub('font-family:[^;]*;?', '', value)  # that of the page
            element.set(name, value)
    for name in ('width', 'height'):  # the page decides; viewBox has the proportions
        del root.attrib[name]
    root.attrib.update({'aria-hidden': 'true', 'focusable': 'false'})
    ElementTree.register_namespace('', SVG)
    ElementTree.register_namespace('xlink', XLINK)
    return Markup(ElementTree.tostring(root, encoding='unicode'))


def _themed(colour):
    """Return a colour of a figure as the page's, which has others for light and dark."""
    colour = colour.lower()
    if colour == '#000000':
        return 'currentColor'
    return f'var(--c{colour[1:]}, {colour})'


def _description(number, shown):
    what = {8: 'top-1 error of training and test', 12: 'training loss, and test error below it'}
    final = []
    for each in shown:
        values = ', '.join(
            f'{WORDS[key]} {each["values"][key][0][-1]:.4g}{" %" * key.endswith("error")}'
            for key in dict.fromkeys(key for keys in AXES[number] for key in keys)
        )
        epochs = len(each['values']['test_error'][0])
        final.append(f'{each["label"]} after {epochs} epochs: {values}')
    return f'Curves over the epochs: {what[number]}. {"; ".join(final)}.'
