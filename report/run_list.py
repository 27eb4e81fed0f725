"""A table of runs for people: how far each is, and how well it does."""

import math

from tabulate import tabulate

from common import run_state
from system.errors import printable

HEADER = [
    'run',
    'network',
    'depth',
    'seed',
    'data set',
    'epochs',
    'test error',
    'best',
    'images/s',
    'state',
]
ALIGN = ('left', 'left', 'right', 'right', 'left', 'right', 'right', 'right', 'right', 'left')


def table(runs):
    """Return the table of ``repetition.LoggedRun``, a row for each, as a text.

    ``test error`` is that after the last epoch, and ``best`` the one after the epoch that
    ``score.py --checkpoint best`` takes, with its number. The speed is that of the last epoch.
    """
    rows = [[printable(cell) for cell in _row(run)] for run in runs]
    return tabulate(rows, HEADER, 'plain', colalign=ALIGN, disable_numparse=True)


def _row(run):
    options = run.header['options']
    named = [options[name] for name in ('network', 'depth')]
    named += [options.get('seed', ''), options['dataset']]
    epochs = f'{len(run.records)}/{options["epochs"]}'
    state = 'finished' if run.finished else 'not finished'
    if not run.records:
        return [run.header['run'], *named, epochs, '', '', '', state]
    last, best = run.records[-1], run.records[run_state.best(run.records) - 1]
    speed = last.get('images_per_second', math.nan)
    return [
        run.header['run'],
        *named,
        epochs,
        f'{last["test_error"]:.2f}%',
        f'{best["test_error"]:.2f}% ({best["epoch"]})',
        '' if math.isnan(speed) else f'{speed:.0f}',
        state,
    ]
