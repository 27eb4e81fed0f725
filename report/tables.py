"""The paper's result tables from logs, its own numbers beside ours."""

import csv
import os
import re
from typing import NamedTuple

import numpy

from report import repetition
from system.errors import UserError

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data', 'paper')
FAIL = 50  # % error, over which the paper prints "fail"
LABELS = {1: 1, 2: 2, 3: 1, 4: 2, 5: 3, 6: 1, 7: 1}  # columns that name a row
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
STANDS_FOR = ('cifar10', 'imagenet')  # the data sets in whose place another may stand, for a trial

# The paper's setting (sections 6.2 and 6.5), as far as a caption compares it with that of our runs.
SMALL = {'lr': 0.1, 'batch_size': 64, 'dtype': 'float32', 'bn_momentum': 0.99}
PHOTOGRAPHS = {**SMALL, 'batch_size': 256, 'image_size': 224, 'augment': 'paper'}
SCHEDULES = {6: {'schedule': '6.5', 'drop_every': 30}, 7: {'schedule': 'a1', 'drop_every': 10}}
# A.1, of Table 7, gives no number of epochs.
EPOCHS = {'cifar10': 400, 'cifar100': 400, 'svhn': 40, 'imagenet': 100}


class Query(NamedTuple):
    """Which runs a cell is about, and where their result is."""

    network: str
    depth: int
    dataset: str
    widen: int
    field: tuple  # keys that lead to it in the record of the last epoch


class Cell(NamedTuple):
    """One cell: ours and the paper's."""

    values: list  # one for each run, None where a column is no result of a run
    paper: str  # as printed, see data/paper/README.md
    unit: str = '%'  # or 'parameters'


class Table(NamedTuple):
    """A table of the paper, filled."""

    number: int
    labels: list  # header of the columns that name a row
    columns: list  # header of the others
    rows: list  # (labels, cells)
    settings: list  # (data set in the paper, setting of the runs that fill cells)
    stand_in: str  # see ``build``

    @property
    def filled(self):
        """Whether any run has a cell in it."""
        return bool(self.settings)


def paper(number):
    """Return header and rows of one of the paper's tables, as texts."""
    with open(os.path.join(FOLDER, f'table{number}.csv'), encoding='utf-8', newline='') as file:
        header, *rows = csv.reader(file)
    return header, rows


def printed_error(text):
    """Return the error in % that a cell of the paper prints, None for ``fail``, ``-`` and words."""
    found = re.match(r'(?:\*\*)?(\d+(?:\.\d+)?)', text)
    return float(found.group(1)) if found else None


def queries(number, labels, column):
    """Return the ``Query`` of a cell, in Table 2 two of which the first that has runs is taken.

    Parameters
    ----------
    number : int
        Of the table.
    labels : list of str
        What names the row.
    column : str

    Returns
    -------
    list of Query
        Empty for a column that is no result of a run.
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
    """Return the queries of a cell of Tables 1 to 3, which are about CIFAR-10."""

    def query(network, *field):
        return Query(network, int(labels[0]), 'cifar10', 1, field)

    if number == 1:
        # The other columns are depths and a prediction.
        return [query(NETWORKS[column], 'test_error')] if column in NETWORKS else []
    alone = labels[-1] == 'without'
    ensemble = 'separate8' if alone else 'ensemble8'
    if column == 'Overall':
        return [query(ensemble, 'test_error')]
    if number == 3:
        return [query(ensemble, 'test_without', column.split()[1])]
    # A component that was trained by --component stands in where its ensemble has no run.
    return [query(ensemble, 'test_components', column)] + [query(column, 'test_error')] * alone


def finished(paths):
    """Return the ``Repetitions`` of the finished runs among logs, and a sentence on each other log.

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
    """Raise ``UserError`` if no finished run is one on the data set ``stand_in``."""
    names = sorted({group.setting['dataset'] for group in groups})
    if stand_in and stand_in not in names:
        raise UserError(
            f'--stand-in {stand_in}: no log is a finished run on this data set; they '
            f'have {", ".join(names) or "none"}'
        )


def hint(groups):
    """Return how runs that no table takes for official ones are shown, '' where there are none."""
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
    """Return those ``Repetitions`` that a query is about and whose runs have its field."""
    found = []
    for group in groups:
        setting = group.setting
        same = all(setting[name] == getattr(query, name) for name in ('network', 'depth', 'widen'))
        photographs = repetition.is_photographs(setting) == (query.dataset == 'imagenet')
        if stand_in and query.dataset in STANDS_FOR:
            images = setting['dataset'] == stand_in
        else:
            images = setting['dataset'] == query.dataset and setting['data'].official
        if same and photographs and images and result(group.runs[0], query.field) is not None:
            found.append(group)
    return found


def result(run, field):
    """Return what a run has at a path of keys, after its last epoch, or None."""
    found = {'parameters': run.header.get('parameters'), **run.records[-1]}
    for key in field:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def build(number, groups, stand_in=None):
    """Return the ``Table`` of a number, filled from finished runs.

    Parameters
    ----------
    number : int
    groups : list of Repetitions
    stand_in : str, optional
        A data set whose runs take the place of CIFAR-10's and ImageNet's, for a trial.

    Raises
    ------
    UserError
        Runs of several settings would share a cell.
    """
    header, rows = paper(number)
    first, settings = LABELS[number], []

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

    filled = [
        (row[:first], [cell(row[:first], *pair) for pair in zip(header[first:], row[first:])])
        for row in rows
    ]
    return Table(number, header[:first], header[first:], filled, settings, stand_in)


def text(cell):
    """Return ours of a cell as the paper prints it: mean and, of several runs, sample deviation."""
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
    """Return the places of a row's cells that are printed bold.

    They are the lowest for each data set in Table 4, and the highest in Table 3.
    """
    means = {place: numpy.mean(cell.values) for place, cell in enumerate(cells) if cell.values}
    if table.number == 4:
        grouped = [
            [place for place in means if table.columns[place].split()[0] == name]
            for name in DATASETS
        ]
        return {min(group, key=means.get) for group in grouped if len(group) > 1}
    if table.number == 3:
        removed = [place for place in means if table.columns[place] != 'Overall']
        return {max(removed, key=means.get)} if len(removed) > 1 else set()
    return set()


def caption(table):
    """Return what a reader must know of our numbers: epochs, images, other departures."""
    begin = f'Table {table.number}. {TITLES[table.number]}.'
    if not table.filled:
        return f'{begin} No run yet.'
    names = dict.fromkeys(name for name, _ in table.settings)
    ours = ' and '.join(_epochs_on(name, table) for name in names)
    differ = departures(table)
    return f'{begin} Ours after {ours}, in brackets the number of runs.' + (
        f' Not as in the paper: {differ}.' if differ else ''
    )


def _epochs_on(name, table):
    """Return ``400 epochs on CIFAR-10``, with the paper's number where ours is another."""
    found = [setting for other, setting in table.settings if other == name]
    epochs = sorted({setting['epochs'] for setting in found})
    said = f'{", ".join(map(str, epochs))} epoch{"s" * (epochs != [1])} on '
    if table.stand_in and name in STANDS_FOR:
        said += f'{repetition.title(found[0])} in place of {repetition.TITLES[name]}'
    else:
        said += repetition.TITLES[name]
    as_printed = table.number == 7 or epochs == [EPOCHS[name]]
    return said if as_printed else f'{said} (the paper: {EPOCHS[name]})'


def departures(table):
    """Return how the runs of a table were not trained as the paper's, but for epochs and images."""
    said = []
    for name, setting in table.settings:
        paper_has = {**PHOTOGRAPHS, **SCHEDULES[table.number]} if name == 'imagenet' else SMALL
        for key, value in paper_has.items():
            if setting.get(key, value) != value:
                said.append(f'{repetition.word(key)} {setting[key]} instead of {value}')
        if setting['rollbacks'] != 'none':
            said.append(f'a rollback lowered the learning rate before epoch {setting["rollbacks"]}')
    return ', '.join(dict.fromkeys(said))
