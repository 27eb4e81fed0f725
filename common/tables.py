"""The paper's result tables from logs, its own numbers beside ours."""
import csv
import os
from collections import namedtuple

import numpy

from common import log
from common.errors import UserError

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
NETWORKS = {'Plain': 'plain', 'ResNet': 'resnet', 'DFN-IL': 'il', 'DFN-MR': 'mr', 'DFN': 'fuse3', 'Ensemble': 'ensemble8'}
DATASETS = {'CIFAR-10': 'cifar10', 'CIFAR-100': 'cifar100', 'SVHN': 'svhn'}
IMAGENET = {'ResNet-101': ('resnet', 101), 'DFN-MR': ('mr', 44), 'ResNet-50': ('resnet', 50), 'DFN1': ('dfn1', 50), 'DFN2': ('dfn2', 50)}
FIELDS = {'Top-1 validation error': 'test_error', 'Top-5 validation error': 'test_top5',
          'Top-1 training error': 'train_error', 'Top-5 training error': 'train_top5'}

# setting: (network, depth, dataset, widen) of the runs that a cell is about; field: where in a record it is.
Query = namedtuple('Query', 'setting field')
# labels: the header of the columns that name a row; columns: names of the others; rows: [(labels, cells)].
Table = namedtuple('Table', 'number labels columns rows epochs')
# values: one for each run, None where a column is not a result; paper: text, as printed.
Cell = namedtuple('Cell', 'values paper')


def paper(number):
    """Return header and rows of one of the paper's tables, as texts."""
    with open(os.path.join(FOLDER, 'table%d.csv' % number), encoding='utf-8', newline='') as file:
        header, *rows = csv.reader(file)
    return header, rows


def query(number, labels, column):
    """Return the ``Query`` for a cell, or None for a column that is no result of a run.

    Parameters
    ----------
    number : int
        Of the table.
    labels : list of str
        What names the row.
    column : str
    """
    if number >= 6:
        if column not in IMAGENET:
            return None
        return Query((*IMAGENET[column], 'imagenet', 1), (FIELDS[labels[0]],))
    if number == 5:
        return Query(('mr', int(labels[1]), DATASETS[column], 1 if labels[0] == 'DFN-MR1' else 4), ('test_error',))
    if number == 4:
        dataset, network = column.split()
        depth = labels[1].split('/')[network in ('DFN-IL', 'DFN-MR')]
        return Query((NETWORKS[network], int(depth), DATASETS[dataset], 1), ('test_error',))
    setting = (_network(number, labels, column), int(labels[0]), 'cifar10', 1)
    if not setting[0]:
        return None
    if number == 1 or column == 'Overall':
        return Query(setting, ('test_error',))
    return Query(setting, ('test_components', column) if number == 2 else ('test_without', column.split()[1]))


def _network(number, labels, column):
    if number == 1:
        return NETWORKS.get(column)  # the other columns are depths
    return 'separate8' if labels[-1] == 'without' else 'ensemble8'


def finished(paths):
    """Return [(setting, last record, epochs)] of the finished runs among the logs, and the paths of the others.

    Raises
    ------
    UserError
        A file is no log, or is named twice.
    """
    if len({os.path.abspath(path) for path in paths}) < len(paths):
        raise UserError('a log is named twice: name each run once')
    runs, others = [], []
    for path in paths:
        header, records = log.read(path)
        if len(records) < header['options'].get('epochs', 1):
            others.append(path)
        else:
            runs.append((log.setting(header), records[-1], len(records)))
    return runs, others


def build(number, runs, dataset=None):
    """Return the ``Table`` of a number, filled from ``finished`` runs.

    ``dataset`` stands in for CIFAR-10, for a trial of the whole way on other images.
    """
    header, rows = paper(number)
    first, epochs = LABELS[number], set()

    def cell(labels, column, printed):
        wanted = query(number, labels, column)
        if wanted is None:
            return Cell(None, printed)
        network, depth, images, widen = wanted.setting
        setting = (network, depth, dataset if dataset and images == 'cifar10' else images, widen)
        found = [(dig(record, wanted.field), length) for which, record, length in runs if which == setting]
        found = [(value, length) for value, length in found if value is not None]
        epochs.update(length for _, length in found)
        return Cell([value for value, _ in found], printed)

    filled = [(row[:first], [cell(row[:first], *pair) for pair in zip(header[first:], row[first:])]) for row in rows]
    return Table(number, header[:first], header[first:], filled, sorted(epochs))


def dig(record, field):
    """Return what a record has at a path of keys, or None."""
    for key in field:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def text(values):
    """Return mean and, of several runs, sample standard deviation, as the paper prints them; '' without a run."""
    if not values:
        return ''
    mean = numpy.mean(values)
    if not mean <= FAIL:
        return 'fail'
    return '%.2f' % mean + (' ± %.2f' % numpy.std(values, ddof=1) if len(values) > 1 else '')


def bold(table, cells):
    """Return the places of a row's cells that are printed bold: Table 4 the lowest for each data set, Table 3 the highest."""
    means = {place: numpy.mean(cell.values) for place, cell in enumerate(cells) if cell.values}
    if table.number == 4:
        groups = [[place for place in means if table.columns[place].split()[0] == name] for name in DATASETS]
        return {min(group, key=means.get) for group in groups if len(group) > 1}
    if table.number == 3:
        removed = [place for place in means if table.columns[place] != 'Overall']
        return {max(removed, key=means.get)} if len(removed) > 1 else set()
    return set()


def caption(table, dataset=None):
    """Return what a reader must know of our numbers."""
    ours = 'no run yet' if not table.epochs else 'ours after %s epochs, in brackets the number of runs' % ', '.join(map(str, table.epochs))
    stand_in = ', on %s in place of CIFAR-10' % dataset if dataset and table.epochs else ''
    return 'Table %d. %s. %s%s.' % (table.number, TITLES[table.number], ours[0].upper() + ours[1:], stand_in)
