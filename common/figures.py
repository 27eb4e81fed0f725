"""Figures 8 and 12 of the paper, drawn with matplotlib."""
import os

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot  # noqa: E402

from common import files  # noqa: E402
from common.curves import NAMES, pairs  # noqa: E402
from common.errors import UserError  # noqa: E402

# Okabe and Ito's colours, which people with any colour vision tell apart; the paper's pair of
# ResNet and DFN-MR differ in lightness too, and so in grey print.
COLOURS = {'plain': '#000000', 'resnet': '#D55E00', 'il': '#009E73', 'mr': '#0072B2', 'side': '#CC79A7',
           'fuse3': '#56B4E9', 'fuse6': '#E69F00'}
OTHERS = ('#56B4E9', '#E69F00', '#CC79A7', '#000000')
STYLE = {'font.size': 8, 'axes.titlesize': 8, 'legend.fontsize': 7, 'lines.linewidth': 1.1, 'axes.grid': True,
         'grid.alpha': 0.3, 'grid.linewidth': 0.5, 'axes.spines.top': False, 'axes.spines.right': False,
         'pdf.fonttype': 42,  # TrueType, embedded: text stays text in a PDF
         'svg.fonttype': 'path', 'savefig.dpi': 300}
COLUMN = 3.3  # inches: the width of a column of text
FORMATS = ('.png', '.pdf', '.svg')


def figure12(settings):
    """Return Figure 12: training loss above test error, a column for each d1/d2."""
    columns = pairs(settings)
    with pyplot.rc_context(STYLE):
        # One panel fills a column of text; several share its full page width of about twice that.
        width = COLUMN if len(columns) == 1 else max(2 * COLUMN, 1.7 * len(columns))
        figure, axes = pyplot.subplots(2, len(columns), squeeze=False, sharex='col', sharey='row',
                                       figsize=(width, 3.6), constrained_layout=True)
        for (depth, members), (loss, error) in zip(columns.items(), axes.T):
            for setting, colour in zip(members, _colours(members)):
                _curve(loss, setting, 'train_loss', colour, label=_name(setting, members))
                _curve(error, setting, 'test_error', colour)
            loss.set_title(_depths(depth, members))
            loss.legend(frameon=False)
            error.set_xlabel('epoch')
        axes[0, 0].set_ylabel('training loss')
        axes[1, 0].set_ylabel('test error (%)')
        # The first epochs of a network that starts badly would squeeze all the others.
        axes[0, 0].set_ylim(bottom=0)
        axes[1, 0].set_ylim(bottom=0)
    return figure


def figure8(settings):
    """Return Figure 8: top-1 and top-5 error, dashed for training and solid for validation.

    The legend gives the final (top-1, top-5) of each curve, in %. Raises ``UserError`` for logs
    without top-5, which fewer than 100 classes have no use for.
    """
    for setting in settings:
        if not {'train_top5', 'test_top5'} <= set(setting.curves):
            raise UserError('%s has no top-5 error in its log (it is written for 100 classes and more): draw '
                            'it with --figure 12' % setting.title)
    with pyplot.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(COLUMN, 3.0), constrained_layout=True)
        for setting, colour in zip(settings, _colours(settings)):
            for part, dashes in (('train', '--'), ('test', '-')):
                final = tuple(setting.curves['%s_%s' % (part, key)][0][-1] for key in ('error', 'top5'))
                label = '%s %s (%.2f, %.2f)' % ((_name(setting, settings), {'train': 'training', 'test': 'validation'}[
                    part]) + final)
                _curve(axis, setting, part + '_error', colour, linestyle=dashes, label=label)
                _curve(axis, setting, part + '_top5', colour, linestyle=dashes, alpha=0.6)
        axis.set_xlabel('epoch')
        axis.set_ylabel('error (%)')
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, title='network, final (top-1, top-5) in %', title_fontsize=7)
    return figure


def _curve(axis, setting, key, colour, alpha=1, **options):
    mean, low, high = setting.curves[key]
    marker = 'o' if len(setting.epochs) == 1 else None  # a line through one point is invisible
    axis.plot(setting.epochs, mean, color=colour, alpha=alpha, marker=marker, markersize=3, **options)
    if setting.runs > 1:
        axis.fill_between(setting.epochs, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.margins(x=0.02)
    axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))


def _colours(settings):
    """Return a colour for each setting: its network's, or another where that is taken."""
    taken = []
    for setting in settings:
        own = COLOURS.get(setting.network, OTHERS[0])
        taken.append(own if own not in taken else next((c for c in OTHERS if c not in taken), own))
    return taken


def _name(setting, members):
    """Return the shortest name that tells a setting from the other members of its panel."""
    name = NAMES.get(setting.network, setting.network)
    same = [other for other in members if other.network == setting.network]
    for field in ('depth', 'dataset', 'widen'):
        if len({getattr(other, field) for other in same}) > 1:
            name += ' %s%s' % ('w' if field == 'widen' else '', getattr(setting, field))
    return name


def _depths(depth, members):
    own = sorted({setting.depth for setting in members} | {depth}, reverse=True)
    return 'd1/d2 = ' + '/'.join(map(str, own)) if len(own) > 1 else 'depth %d' % depth


def save(figure, path):
    """Write a figure; its ending (.png, .pdf, .svg) names the format."""
    ending = os.path.splitext(path)[1]
    if ending not in FORMATS:
        raise UserError('--out %s: end the name in .png, .pdf or .svg' % path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with pyplot.rc_context(STYLE):
        files.write_atomically(path, lambda name: figure.savefig(name, format=ending[1:]))
    pyplot.close(figure)
