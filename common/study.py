"""Figures 2, 4 and 5 from logs, bars by depth, and Figure 11 from the networks themselves."""
from collections import namedtuple

import matplotlib
import numpy

import symbols
from common import tables
from common.errors import UserError
from common.figures import COLUMN, STYLE, pyplot
from symbols import ensemble, imagenet, paths

# network: of the runs; field: where in a record the error is; table and column: where the paper prints it, if anywhere.
Series = namedtuple('Series', 'name network field table column colour')
ERROR = ('test_error',)
FIGURES = {
    2: ('Plain network, fused net and ensemble', (
        Series('Plain', 'plain', ERROR, None, None, '#7F7F7F'),
        Series('DFN (N_f3)', 'fuse3', ERROR, 1, 'DFN', '#009E73'),
        Series('Ensemble', 'ensemble8', ERROR, 1, 'Ensemble', '#0072B2'))),
    4: ('Ensemble sizes', (
        Series('N_f3, 8 paths', 'fuse3', ERROR, 1, 'DFN', '#009E73'),
        Series('N_f6, 64 paths', 'fuse6', ERROR, None, None, '#E69F00'),
        Series('ResNet', 'resnet', ERROR, None, None, '#D55E00'))),
    5: ('With and without the deepest network', (
        Series('Ensemble-8', 'ensemble8', ERROR, 3, 'Overall', '#009E73'),
        Series('Ensemble-7', 'ensemble7', ERROR, None, None, '#E69F00'),
        Series('Ensemble-7 w/o retraining', 'ensemble8', ('test_without', ensemble.DEEPEST), 3, 'W/O RRR', '#0072B2'))),
}


def collect(series, runs, dataset):
    """Return {depth: errors in % of our runs} for one series of a figure."""
    found = {}
    for (network, depth, images, widen), record, _ in runs:
        if (network, images, widen) == (series.network, dataset, 1):
            value = tables.dig(record, series.field)
            if value is not None:
                found.setdefault(depth, []).append(value)
    return found


def printed(series):
    """Return {depth: error in %} as the paper prints it."""
    if not series.table:
        return {}
    header, rows = tables.paper(series.table)
    return {int(row[0]): float(row[header.index(series.column)]) for row in rows}


def bars(number, runs, dataset='cifar10'):
    """Return Figure 2, 4 or 5: a group of bars for each depth that has a run, and marks for what the paper prints.

    Raises
    ------
    UserError
        No run belongs to the figure.
    """
    title, members = FIGURES[number]
    ours = [collect(series, runs, dataset) for series in members]
    depths = sorted(set().union(*ours))
    if not depths:
        raise UserError('no log is a finished run for Figure %d on %s: train %s, or name the data set with --stand-in' % (
            number, dataset, ', '.join(sorted({series.network for series in members}))))
    with pyplot.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(COLUMN if len(depths) < 5 else 2 * COLUMN, 2.4), constrained_layout=True)
        width = 0.8 / len(members)
        for place, (series, values) in enumerate(zip(members, ours)):
            _bars(axis, series, values, depths, (place - (len(members) - 1) / 2) * width, width)
        axis.set_xticks(range(len(depths)))
        axis.set_xticklabels(depths)
        axis.set_xlabel('depth')
        axis.set_ylabel('test error (%)')
        axis.set_title(title if dataset == 'cifar10' else '%s, on %s' % (title, dataset))
        axis.margins(y=0.12)
        axis.grid(axis='x')
        figure.legend(*axis.get_legend_handles_labels(), frameon=False, ncol=2, loc='outside lower center')
    return figure


def _bars(axis, series, values, depths, shift, width):
    with_run = [place for place, depth in enumerate(depths) if depth in values]
    errors = [values[depths[place]] for place in with_run]
    if with_run:
        spread = [numpy.std(each, ddof=1) if len(each) > 1 else 0 for each in errors]
        axis.bar([place + shift for place in with_run], [numpy.mean(each) for each in errors], 0.92 * width, color=series.colour,
                 label=series.name, yerr=spread if any(spread) else None, error_kw={'linewidth': 0.8, 'capsize': 2})
    paper = {place: error for place, error in enumerate(map(printed(series).get, depths)) if error is not None}
    if paper:
        named = 'the paper, CIFAR-10' in axis.get_legend_handles_labels()[1]
        axis.scatter([place + shift for place in paper], list(paper.values()), marker='D', s=14, color='#FFFFFF', edgecolors='#000000',
                     linewidths=0.8, zorder=3, label=None if named else 'the paper, CIFAR-10')


def component_depths(networks):
    """Return Figure 11: the shares of a network's paths, its components, by their depth.

    Parameters
    ----------
    networks : list of (title, mx.sym.Symbol)
    """
    counts = [paths.histogram(symbol) for _, symbol in networks]
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(1, len(networks), squeeze=False, sharex=True, figsize=(2 * COLUMN, 2.2), constrained_layout=True)
        for axis, (title, _), found in zip(axes[0], networks, counts):
            size = sum(found.values())
            # In whole numbers first: 2**200 paths are more than a float can divide.
            axis.bar(list(found), [count * 10 ** 6 // size / 10 ** 4 for count in found.values()], color='#0072B2')
            axis.set_title('%s (%.2f ± %.2f)\n%s networks' % (title, *paths.mean_and_deviation(found), _short(size)))
            axis.set_xlabel('depth')
            axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
        axes[0, 0].set_ylabel('networks (%)')
    return figure


def _short(size):
    return format(size, ',') if size < 10 ** 7 else '%.2e' % size


def imagenet_networks():
    """Return ResNet-50, DFN1 and DFN2, those of the paper's Figure 11."""
    return [(title, imagenet.get_symbol(network, 50)) for title, network in (('ResNet-50', 'resnet'), ('DFN1', 'dfn1'), ('DFN2', 'dfn2'))]


def cifar_networks(depth):
    """Return ResNet, DFN-IL and DFN-MR of one size: d1 for the first, d2 = d1 / 2 + 1 for the others (Table 4)."""
    pairs = [('ResNet', 'resnet', depth), ('DFN-IL', 'il', depth // 2 + 1), ('DFN-MR', 'mr', depth // 2 + 1)]
    return [('%s-%d' % (title, own), symbols.get_symbol(network, own)) for title, network, own in pairs]
