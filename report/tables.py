"""The paper's result tables, filled from logs, with the paper's numbers beside ours."""

from typing import NamedTuple

import numpy

from report import paper_tables, repetition
from report.finished_runs import Query, matching, result
from report.paper_tables import DATASETS, FIELDS, IMAGENET, NETWORKS

FAIL = 50  # error in %; for larger ones the paper prints "fail"


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
    header, rows = paper_tables.read(number)
    first, settings = paper_tables.LABELS[number], []  # the first columns name the row

    def cell(labels, column, printed):
        """Return the ``Cell``, and note the setting of the runs that fill it."""
        asked = queries(number, labels, column)
        if not asked:
            return Cell(None, printed)
        for query in asked:
            shared = f'the cell {", ".join(labels)}, {column} of Table {number}'
            runs = repetition.only(matching(groups, query, stand_in), shared)
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


def without_empty(table):
    """Return a table with only those rows and columns in which a run fills a cell."""
    rows = [(labels, cells) for labels, cells in table.rows if any(cell.values for cell in cells)]
    kept = [
        number
        for number in range(len(table.columns))
        if any(cells[number].values for _, cells in rows)
    ]
    return table._replace(
        columns=[table.columns[number] for number in kept],
        rows=[(labels, [cells[number] for number in kept]) for labels, cells in rows],
    )


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

    In Table 4 they are the lowest error on each data set where every network of the paper has
    runs, in Table 3 the highest.
    """
    means = {number: numpy.mean(cell.values) for number, cell in enumerate(cells) if cell.values}
    if table.number == 4:
        header, _ = paper_tables.read(4)
        grouped = [
            [number for number in means if table.columns[number].split()[0] == name]
            for name in DATASETS
        ]
        networks = [sum(each.split()[0] == name for each in header) for name in DATASETS]
        whole = [group for group, count in zip(grouped, networks) if len(group) == count]
        return {min(group, key=means.get) for group in whole}
    if table.number == 3:
        removed = [number for number in means if table.columns[number] != 'Overall']
        return {max(removed, key=means.get)} if len(removed) > 1 else set()
    return set()
