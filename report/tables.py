"""The paper's result tables, filled from logs, with the paper's numbers beside ours."""

import csv
import os
import re
from typing import NamedTuple

import numpy

from report import repetition
from system.errors import UserError

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data', 'paper')
FAIL = 50  # error in %; for larger ones the paper prints "fail"
LABELS = {1: 1, 2: 2, 3: 1, 4: 2, 5: 3, 6: 1, 7: 1}  # number of columns that name a row, by table
TITLES = {
    1: 'The fused net N_f3 and the ensemble of its components, by depth (CIFAR-10)',
    2: 'Components with and without weight sharing (CIFAR-10)',
    3: 'The ensemble without one of its components, not trained again (CIFAR-10)',
    4: 'Networks of one size on CIFAR-10, CIFAR-100 and SVHN',
    5: 'DFN-MR, wide and deep',
    6: 'ResNet-101 and DFN-MR on ImageNet, one centre crop',
    7: 'ResNet-50, DFN1 and DFN2 on ImageNet, one centre crop',
}
NETWORKS = {
    'Plain': 'plain',
    'ResNet': 'resnet',
    'DFN-IL': 'il',
    'DFN-MR': 'mr',
    'DFN': 'fuse3',
    'Ensemble': 'ensemble8',
}
DATASETS = {'CIFAR-10': 'cifar10', 'CIFAR-100': 'cifar100', 'SVHN': 'svhn'}
IMAGENET = {
    'ResNet-101': ('resnet', 101),
    'DFN-MR': ('mr', 44),
    'ResNet-50': ('resnet', 50),
    'DFN1': ('dfn1', 50),
    'DFN2': ('dfn2', 50),
}
FIELDS = {
    'Top-1 validation error': 'test_error',
    'Top-5 validation error': 'test_top5',
    'Top-1 training error': 'train_error',
    'Top-5 training error': 'train_top5',
    'parameters': 'parameters',
}
REPLACEABLE = ('cifar10', 'imagenet')  # data sets that --stand-in replaces

# The parts of the paper's setting (sections 6.2 and 6.5) that a caption compares with ours.
SMALL = {'lr': 0.1, 'batch_size': 64, 'dtype': 'float32', 'bn_momentum': 0.99}
PHOTOGRAPHS = {**SMALL, 'batch_size': 256, 'image_size': 224, 'augment': 'paper'}
SCHEDULES = {6: {'schedule': '6.5', 'drop_every': 30}, 7: {'schedule': 'a1', 'drop_every': 10}}
# Appendix A.1, to which Table 7 belongs, gives no number of epochs.
EPOCHS = {'cifar10': 400, 'cifar100': 400, 'svhn': 40, 'imagenet': 100}


class Query(NamedTuple):
    """Which runs fill a cell, and where in their logs the result is."""

    network: str
    depth: int
    dataset: str
    widen: int
    field: tuple  # keys that lead to the result in the record of the last epoch


class Cell(NamedTuple):
    """A cell with our results and the paper's."""

    values: list  # our result of each run; None in a column that no run can fill
    paper: str  # what the paper prints, see data/paper/README.md
    unit: str = '%'  # or 'parameters'


class Table(NamedTuple):
    """A table of the paper, filled with our results."""

    number: int
    labels: list  # headers of the columns that name a row
    columns: list  # headers of the other columns
    rows: list  # of (labels, cells)
    settings: list  # of (data set in the paper, setting of the runs that fill its cells)
    stand_in: str  # see ``build``

    @property
    def filled(self):
        """Whether any run fills a cell."""
        return bool(self.settings)


def paper(number):
    """Return header and rows of one of the paper's tables, with cells as texts."""
    with open(os.path.join(FOLDER, f'table{number}.csv'), encoding='utf-8', newline='') as file:
        header, *rows = csv.reader(file)
    return header, rows


def printed_error(text):
    """Return the error in % in a cell of the paper, None for ``fail``, ``-`` and other words."""
    found = re.match(r'(?:\*\*)?(\d+(?:\.\d+)?)', text)
    return float(found.group(1)) if found else None


def queries(number, labels, column):
    """Return the queries of a cell; the first one that finds runs fills it.

    Parameters
    ----------
    number : int
        The table's.
    labels : list of str
        The cells that name the row.
    column : str
        The header of the column.

    Returns
    -------
    list of Query
        Table 2 has two for some cells. The list is empty for a column that no run can fill.
    """
    if number >= 6:
        if column not in IMAGENET:
            return []
        return [Query(*IMAGENET[column], 'imagenet', 1, (FIELDS[labels[0]],))]
    if number == 5:
        widen = 1 if labels[0] == 'DFN-MR1' else 4
        return [Query('mr', int(labels[1]), DATASETS[column], widen, ('test_error',))]
    if number == 4:
        dataset, network = column.split()
        depth = labels[1].split('/')[network in ('DFN-IL', 'DFN-MR')]
        return [Query(NETWORKS[network], int(depth), DATASETS[dataset], 1, ('test_error',))]
    return _study_queries(number, labels, column)


def _study_queries(number, labels, column):
    """Return the queries of a cell of Tables 1 to 3, whose results are on CIFAR-10."""

    def query(network, *field):
        return Query(network, int(labels[0]), 'cifar10', 1, field)

    if number == 1:
        # No run fills the other columns, which have depths and a prediction.
        return [query(NETWORKS[column], 'test_error')] if column in NETWORKS else []
    alone = labels[-1] == 'without'
    ensemble = 'separate8' if alone else 'ensemble8'
    if column == 'Overall':
        return [query(ensemble, 'test_error')]
    if number == 3:
        return [query(ensemble, 'test_without', column.split()[1])]
    # A run of --component fills the cell if the ensemble without sharing has no run.
    return [query(ensemble, 'test_components', column)] + [query(column, 'test_error')] * alone


def finished(paths):
    """Return the ``Repetitions`` of finished runs, and a sentence on each log that is left out.

    Raises
    ------
    UserError
        A file is no log, or is named twice.
    """
    runs = repetition.read(paths)
    notes = [f'{run.path} is not finished and is left out' for run in runs if not run.finished]
    groups, twins = repetition.group([run for run in runs if run.finished])
    return groups, notes + twins


def check_stand_in(groups, stand_in):
    """Raise ``UserError`` if there is no finished run on the data set ``stand_in``."""
    names = sorted({group.setting['dataset'] for group in groups})
    if stand_in and stand_in not in names:
        raise UserError(
            f'--stand-in {stand_in}: no log is a finished run on this data set; they '
            f'have {", ".join(names) or "none"}'
        )


def hint(groups):
    """Return a hint how to show runs on images that are not official, '' if there are none."""
    names = sorted(
        {
            group.setting['dataset']
            for group in groups
            if group.setting['dataset'] in repetition.TITLES and not group.setting['data'].official
        }
    )
    if not names:
        return ''
    return (
        '; runs on images that are not known to be the official ones are shown with '
        f'--stand-in {" or ".join(names)}'
    )


def matching(groups, query, stand_in=None):
    """Return the ``Repetitions`` that a query asks for and whose runs have its field."""
    found = []
    for group in groups:
        setting = group.setting
        same = all(setting[name] == getattr(query, name) for name in ('network', 'depth', 'widen'))
        photographs = repetition.is_photographs(setting) == (query.dataset == 'imagenet')
        if stand_in and query.dataset in REPLACEABLE:
            images = setting['dataset'] == stand_in
        else:
            images = setting['dataset'] == query.dataset and setting['data'].official
        if same and photographs and images and result(group.runs[0], query.field) is not None:
            found.append(group)
    return found


def result(run, field):
    """Return what the keys in ``field`` lead to in a run's last record, or None."""
    found = {'parameters': run.header.get('parameters'), **run.records[-1]}
    for key in field:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def build(number, groups, stand_in=None):
    """Return the ``Table`` with a number, filled from finished runs.

    Parameters
    ----------
    number : int
    groups : list of Repetitions
    stand_in : str, optional
        A data set whose runs fill the cells of CIFAR-10 and ImageNet, for a trial.

    Raises
    ------
    UserError
        Runs of several settings would share a cell.
    """
    header, rows = paper(number)
    first, settings = LABELS[number], []  # the first columns name the row

    def cell(labels, column, printed):
        asked = queries(number, labels, column)
        if not asked:
            return Cell(None, printed)
        for query in asked:
            runs = repetition.only(
                matching(groups, query, stand_in),
                f'the cell {", ".join(labels)}, {column} of Table {number}',
            )
            if runs:
                break
        if runs and (query.dataset, runs[0].setting) not in settings:
            settings.append((query.dataset, runs[0].setting))
        unit = 'parameters' if query.field == ('parameters',) else '%'
        return Cell([result(run, query.field) for run in runs], printed, unit)

    labels, columns = header[:first], header[first:]
    filled = [
        (row[:first], [cell(row[:first], *pair) for pair in zip(columns, row[first:])])
        for row in rows
    ]
    return Table(number, labels, columns, filled, settings, stand_in)


def text(cell):
    """Return our result in a cell as the paper prints it: the mean and the sample deviation."""
    if not cell.values:
        return ''
    mean = numpy.mean(cell.values)
    if cell.unit == 'parameters':
        return f'{mean / 1e6:.1f}M'
    if not mean <= FAIL:
        return 'fail'
    if len(cell.values) == 1:
        return f'{mean:.2f}'
    return f'{mean:.2f} ± {numpy.std(cell.values, ddof=1):.2f}'


def bold(table, cells):
    """Return the numbers, from 0, of the cells of a row that are printed bold.

    In Table 4 they are the lowest error on each data set, in Table 3 the highest.
    """
    means = {number: numpy.mean(cell.values) for number, cell in enumerate(cells) if cell.values}
    if table.number == 4:
        grouped = [
            [number for number in means if table.columns[number].split()[0] == name]
            for name in DATASETS
        ]
        return {min(group, key=means.get) for group in grouped if len(group) > 1}
    if table.number == 3:
        removed = [number for number in means if table.columns[number] != 'Overall']
        return {max(removed, key=means.get)} if len(removed) > 1 else set()
    return set()


def caption(table):
    """Return what a reader must know about our numbers: epochs, images, other differences."""
    begin = f'Table {table.number}. {TITLES[table.number]}.'
    if not table.filled:
        return f'{begin} No run yet.'
    names = dict.fromkeys(name for name, _ in table.settings)
    ours = ' and '.join(_epochs_on(name, table) for name in names)
    differ = differences_from_paper(table)
    return f'{begin} Ours after {ours}, in brackets the number of runs.' + (
        f' Not as in the paper: {differ}.' if differ else ''
    )


def _epochs_on(name, table):
    """Return "400 epochs on CIFAR-10", with the paper's number of epochs if ours differs."""
    found = [setting for other, setting in table.settings if other == name]
    epochs = sorted({setting['epochs'] for setting in found})
    text = f'{", ".join(map(str, epochs))} epoch{"s" * (epochs != [1])} on '
    if table.stand_in and name in REPLACEABLE:
        text += f'{repetition.title(found[0])} in place of {repetition.TITLES[name]}'
    else:
        text += repetition.TITLES[name]
    as_in_paper = table.number == 7 or epochs == [EPOCHS[name]]
    return text if as_in_paper else f'{text} (the paper: {EPOCHS[name]})'


def differences_from_paper(table):
    """Return in what the training of a table's runs differs from the paper's, as a text.

    Epochs and images are not part of it.
    """
    differences = []
    for name, setting in table.settings:
        paper_has = {**PHOTOGRAPHS, **SCHEDULES[table.number]} if name == 'imagenet' else SMALL
        for key, value in paper_has.items():
            if setting.get(key, value) != value:
                differences.append(f'{repetition.word(key)} {setting[key]} instead of {value}')
        if setting['rollbacks'] != 'none':
            rollbacks = f'before epoch {setting["rollbacks"]}'
            differences.append(f'a rollback lowered the learning rate {rollbacks}')
    return ', '.join(dict.fromkeys(differences))
