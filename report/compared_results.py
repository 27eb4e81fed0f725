"""The results that the claims compare: how differences name them, in runs and in the paper.

``resnet-26`` is the test error of a network, whose name is that of its logs, after the last epoch;
a measure may follow, ``ensemble8-14: LLL alone``.
"""

import re
from typing import NamedTuple

from common.recipe import cifar_decay, drop_epochs
from report import finished_runs, paper_tables

LOSS, EARLY = 'mean training loss', 'mean early test error'
SMALLEST = 26  # depth in Tables 2 and 3; its numbers also stand beside our runs of depth 14


class Result(NamedTuple):
    """A number that each repetition of a network has."""

    network: str
    depth: int  # the network's own
    measure: str  # '' for the test error after the last epoch

    @property
    def run(self):
        """What its runs are called, such as ``ensemble8-14``."""
        return f'{self.network}-{self.depth}'

    @property
    def text(self):
        """What it is called itself, such as ``ensemble8-14: LLL alone``."""
        return self.run + (f': {self.measure}' if self.measure else '')

    def of(self, run):
        """Return the number of a ``repetition.LoggedRun``, None if its log does not have it."""
        if self.measure == LOSS:
            return _mean(run.records, 'train_loss')
        if self.measure == EARLY:
            drops = drop_epochs(cifar_decay(len(run.records)))
            return _mean(run.records[: min(drops, default=0)], 'test_error')
        first, _, last = self.measure.partition(' ')
        if first == 'without':
            return finished_runs.result(run, ('test_without', last))
        return finished_runs.result(run, ('test_components', first) if first else ('test_error',))


def _mean(records, key):
    return sum(record[key] for record in records) / len(records) if records else None


def parse(difference):
    """Return [(sign, ``Result``)] of a difference such as ``plain-26 - resnet-26``."""
    terms = []
    for sign, text in re.findall(r'(?:^| ([-+]) )(.+?)(?= [-+] |$)', difference):
        name, _, measure = text.partition(': ')
        network, depth = name.split('-')
        terms.append((-1 if sign == '-' else 1, Result(network, int(depth), measure)))
    return terms


def printed(table, result):
    """Return (labels of the row, column, cell) where the paper prints a result, None elsewhere.

    Parameters
    ----------
    table : int or None
        Number of the paper's table, 1 to 4.
    result : Result
    """
    if not table or result.measure in (LOSS, EARLY):
        return None
    row, column = _row_and_column(table, result)
    header, rows = paper_tables.read(table)
    labels = paper_tables.LABELS[table]
    for cells in rows:
        # The last of the labels name the row: before them Table 4 has the number of parameters.
        if cells[labels - len(row) : labels] == row and column in header:
            return row, column, cells[header.index(column)]
    return None


def _row_and_column(table, result):
    """Return the last labels of a result's row and the header of its column in Table 1 to 4."""
    first, _, last = result.measure.partition(' ')
    depth = str(max(result.depth, SMALLEST))
    if table == 2:
        sharing = 'without' if result.network == 'separate8' else 'with'
        return [depth, sharing], first or 'Overall'
    if table == 3:
        whole = 'Overall' if result.network == 'ensemble8' else None
        return [depth], f'W/O {last}' if first == 'without' else whole
    names = {network: name for name, network in paper_tables.NETWORKS.items()}
    name = names.get(result.network)
    if table == 4:
        d1 = 2 * (result.depth - 1) if result.network in ('il', 'mr') else result.depth
        return [f'{d1}/{d1 // 2 + 1}'], f'CIFAR-10 {name}'
    return [str(result.depth)], name
