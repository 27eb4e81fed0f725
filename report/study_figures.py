"""Figures 2, 4 and 5, of the ensemble study: bars of the errors in logs, and the paper's errors."""

from typing import NamedTuple

import numpy

from report import finished_runs, paper_tables, repetition, run_setting
from report.figures import COLUMN, STYLE, pyplot
from symbols import ensemble
from system.errors import UserError


class Series(NamedTuple):
    """The bars of one colour."""

    name: str  # in the legend
    network: str  # the network of its runs
    field: tuple  # keys that lead to the error in the record of an epoch
    table: int  # number of the table in which the paper prints the errors, None if there is none
    column: str  # the column of that table
    colour: str


ERROR = ('test_error',)
MANY = 5  # depths, for which a figure is as wide as a page and not as a column
FIGURES = {
    2: (
        'Plain network, fused net and ensemble',
        (
            Series('Plain', 'plain', ERROR, 4, 'CIFAR-10 Plain', '#7F7F7F'),
            Series('DFN (N_f3)', 'fuse3', ERROR, 1, 'DFN', '#009E73'),
            Series('Ensemble', 'ensemble8', ERROR, 1, 'Ensemble', '#0072B2'),
        ),
    ),
    4: (
        'Ensemble sizes',
        (
            Series('N_f3, 8 paths', 'fuse3', ERROR, 1, 'DFN', '#009E73'),
            Series('N_f6, 64 paths', 'fuse6', ERROR, None, None, '#E69F00'),
            Series('ResNet', 'resnet', ERROR, 4, 'CIFAR-10 ResNet', '#D55E00'),
        ),
    ),
    5: (
        'With and without the deepest network',
        (
            Series('Ensemble-8', 'ensemble8', ERROR, 3, 'Overall', '#009E73'),
            Series('Ensemble-7', 'ensemble7', ERROR, None, None, '#E69F00'),
            Series(
                'Ensemble-7 w/o retraining',
                'ensemble8',
                ('test_without', ensemble.DEEPEST),
                3,
                'W/O RRR',
                '#0072B2',
            ),
        ),
    ),
}


def collect(series, groups, stand_in=None):
    """Return {depth: runs} for one series of a figure.

    Raises ``UserError`` if runs of several settings would share a bar.
    """
    found = {}
    for depth in sorted({group.setting['depth'] for group in groups}):
        query = finished_runs.Query(series.network, depth, 'cifar10', 1, series.field)
        runs = repetition.only(
            finished_runs.matching(groups, query, stand_in),
            f'the bar {series.name} of depth {depth}',
        )
        if runs:
            found[depth] = runs
    return found


def printed(series):
    """Return {depth: error in %} as the paper prints it. The depth of a row of Table 4 is its d1.

    Networks whose error the paper prints as "fail", which means over 50%, are left out.
    """
    if not series.table:
        return {}
    header, rows = paper_tables.read(series.table)
    depth, column = header.index('depth'), header.index(series.column)
    errors = {
        int(row[depth].split('/')[0]): paper_tables.printed_error(row[column]) for row in rows
    }
    return {depth: error for depth, error in errors.items() if error is not None}


def bars(number, groups, stand_in=None):
    """Return Figure 2, 4 or 5: bars for each depth with a run, and marks for the paper's errors.

    Parameters
    ----------
    number : int
        Of the figure.
    groups : list of repetition.Repetitions
        Of finished runs.
    stand_in : str, optional
        The data set whose runs are drawn in place of CIFAR-10's.

    Raises
    ------
    UserError
        No run belongs to the figure, or runs of several settings would share a bar.
    """
    members = FIGURES[number][1]
    ours = [collect(series, groups, stand_in) for series in members]
    depths = sorted(set().union(*ours))
    if not depths:
        networks = ', '.join(sorted({series.network for series in members}))
        raise UserError(
            f'no log is a finished run for Figure {number} on {stand_in or "CIFAR-10"}: '
            f'train {networks}{"" if stand_in else finished_runs.stand_in_hint(groups)}'
        )
    with pyplot.rc_context(STYLE):
        width = COLUMN if len(depths) < MANY else 2 * COLUMN
        figure, axis = pyplot.subplots(figsize=(width, 2.4), constrained_layout=True)
        bar_width = 0.8 / len(members)
        for position, (series, runs) in enumerate(zip(members, ours)):
            shift = (position - (len(members) - 1) / 2) * bar_width
            _bars(axis, series, runs, depths, (bar_width, shift))
        axis.set_xticks(range(len(depths)))
        axis.set_xticklabels(depths)
        axis.set_xlim(-0.5, len(depths) - 0.5)  # also where a series has no run yet
        axis.set_axisbelow(True)
        axis.set_xlabel('depth')
        axis.set_ylabel('test error (%)')
        axis.set_title(_title(number, ours, stand_in))
        axis.margins(y=0.12)
        axis.grid(axis='x')
        figure.legend(
            *axis.get_legend_handles_labels(), frameon=False, ncol=2, loc='outside lower center'
        )
    return figure


def _title(number, ours, stand_in):
    """Return the title of a figure, with images and number of epochs if not the paper's."""
    settings = [runs[0].setting for by_depth in ours for runs in by_depth.values()]
    epochs = sorted({setting['epochs'] for setting in settings})
    title = FIGURES[number][0]
    if stand_in:
        title += f'\non {run_setting.title(settings[0])} in place of CIFAR-10'
    if epochs != [paper_tables.EPOCHS['cifar10']]:
        number_of = f'{" or ".join(map(str, epochs))} epoch{"s" * (epochs != [1])}'
        title += (', ' if stand_in else '\n') + number_of
    return title.replace('$', r'\$')


def _bars(axis, series, runs, depths, layout):
    """Draw a series; ``layout`` is the width of a bar and its shift from the tick of its depth."""
    width, shift = layout
    ticks = [tick for tick, depth in enumerate(depths) if depth in runs]
    errors = [
        [finished_runs.result(run, series.field) for run in runs[depths[tick]]] for tick in ticks
    ]
    if ticks:
        # Of a single run it is not 0 but unknown, and nothing is drawn.
        spread = [numpy.std(each, ddof=1) if len(each) > 1 else numpy.nan for each in errors]
        drawn = axis.bar(
            [tick + shift for tick in ticks],
            [numpy.mean(each) for each in errors],
            0.92 * width,
            color=series.colour,
            label=series.name,
            yerr=None if numpy.isnan(spread).all() else spread,
            error_kw={'linewidth': 0.8, 'capsize': 2},
        )
        if len(depths) < MANY:  # in narrower bars the numbers would overlap
            axis.bar_label(drawn, fmt='%.2f', label_type='center', color='#FFFFFF')
    paper = {
        tick: error
        for tick, error in enumerate(map(printed(series).get, depths))
        if error is not None
    }
    if paper:
        in_legend = 'the paper, CIFAR-10' in axis.get_legend_handles_labels()[1]
        axis.scatter(
            [tick + shift for tick in paper],
            list(paper.values()),
            marker='D',
            s=14,
            color='#FFFFFF',
            edgecolors='#000000',
            linewidths=0.8,
            zorder=3,
            label=None if in_legend else 'the paper, CIFAR-10',
        )
