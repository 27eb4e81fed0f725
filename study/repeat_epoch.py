#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Train the first epoch of runs again, and compare it with their logs.

python study/repeat_epoch.py logs/results/fashion-mnist-plain-14-*.jsonl
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT

from common import log, options
from recordio import datasets
from report import repetition, run_rows
from system.errors import UserError
from system.processes import die_with_parent
from system.script import run_main

VERSIONS = ('mxnet', 'build', 'operators')  # of a header, on which bits depend
CLOCK = ('seconds', 'images_per_second')
PAUSE = 0.2  # seconds between two looks at the log
PATIENCE = 60  # seconds that a run has to stop before it is killed


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog='With the same kind of processor, operators and number of threads the numbers are '
        'the same to the last digit; docs/claims.md says how far they differ elsewhere. Of an '
        'older log it is not known which kind of processor its run had. An epoch takes its time, '
        'and what is trained here is thrown away. The exit status is 0 whether numbers differ or '
        'not.',
    )
    parser.add_argument('logs', nargs='+', metavar='LOG', help='logs of runs, or folders of them')
    options.add_data_dir(parser)
    return parser.parse_args()


def command_of(header, folder, data_dir):
    """Return the words that start the run of a log's header again, its files under ``folder``."""
    kept = dict(
        header['options'],
        threads=header.get('threads'),
        tensorboard=None,
        data_dir=os.path.abspath(data_dir),
        log_dir=os.path.join(folder, 'logs'),
        checkpoint_dir=os.path.join(folder, 'checkpoints'),
    )
    return [sys.executable, *run_rows.first_command(dict(header, options=kept))[1:]]


def first_epoch(header, data_dir):
    """Train the first epoch of a log's run again; return the new header and the epoch's record.

    Raises
    ------
    UserError
        The run ends before, for example because its data set is not there, or its data are others.
    """
    with tempfile.TemporaryDirectory(prefix='repeat-epoch-') as folder:
        process = subprocess.Popen(
            command_of(header, folder, data_dir),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        try:
            found = _wait_for_epoch(process, os.path.join(folder, 'logs'), header)
        finally:
            said = _stop(process)
    if not found:
        raise UserError(f'{header["run"]} cannot be trained again: {said}')
    return found


def _wait_for_epoch(process, folder, then):
    """Return the header and the first record of the log in a folder, None if the run has ended.

    Raises ``UserError`` if it is trained with other data than the run of the header ``then``.
    """
    while True:
        ended = process.poll() is not None
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            try:
                again, records = log.read(os.path.join(folder, name))
            except UserError:
                continue  # it has no header yet
            _check_data(then, again)
            if records:
                return again, records[0]
        if ended:
            return None
        time.sleep(PAUSE)


def _check_data(then, again):
    other = datasets.difference(then.get('data') or {}, again['data'])
    if other:
        raise UserError(
            f'{then["run"]} was trained with other data ({other}): name their folder with '
            '--data-dir'
        )


def _stop(process):
    """Stop a run, if it has not ended, and return the last line that it wrote to stderr."""
    process.terminate()
    try:
        said = process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[1]
    return (said.splitlines() or ['it says nothing'])[-1]


def is_alike(one, other):
    """Return whether two headers tell of the same bits: operators, processor, threads, devices.

    Versions of Python and NumPy make no difference, see docs/installation.md.
    """
    versions = [header.get('versions', {}) for header in (one, other)]
    names = ('processor', 'threads', 'devices')
    return 'processor' in one and (
        all(versions[0].get(name) == versions[1].get(name) for name in VERSIONS)
        and all(one.get(name) == other.get(name) for name in names)
    )


def differences(then, now):
    """Return {name: (then, now)} of what two records of an epoch differ in, but for the times."""
    names = sorted({*then, *now} - {*CLOCK})
    return {
        name: (then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)
    }


def check_repeatable(run):
    """Raise ``UserError`` if the first epoch of a run cannot be trained again here."""
    why = None
    if not run.records:
        why = 'has no epoch yet'
    elif run.header.get('workers', 1) > 1:
        why = 'is of a run of several workers, which one process cannot repeat'
    elif run.header['options'].get('init_from'):
        why = 'is of a run that began with other weights (--init-from), which are not in its log'
    elif not run_rows.first_command(run.header):
        why = 'is of a network that is only scored any more, see symbols/imagenet.py'
    if why:
        raise UserError(f'{run.path} {why}: leave it out')


def main():
    args = parse_args()
    runs = repetition.read(repetition.logs_in(args.logs))
    if not runs:
        raise UserError(f'there is no log in {", ".join(args.logs)}: name logs, or their folder')
    for run in runs:
        check_repeatable(run)
    for run in runs:
        again, now = first_epoch(run.header, args.data_dir)
        differing = differences(run.records[0], now)
        kind = 'alike' if is_alike(run.header, again) else 'not known to be alike'
        found = 'the same to the last digit'
        if differing:
            found = ', '.join(f'{name} {old}, now {new}' for name, (old, new) in differing.items())
        print(f'{run.header["run"]} (machines {kind}): {found}', flush=True)


if __name__ == '__main__':
    run_main(main)
