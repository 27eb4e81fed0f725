"""A grid of training runs from a text file: which lines are finished, unfinished or new.

A file has one training command a line, such as ``train_cifar.py --network mr --depth 14 --seed 1``,
and comments after ``#``. A line's run is found by its setting and seed (report/repetition.py),
whatever the run is called.
"""

import fcntl
import importlib
import os
import shlex
from typing import NamedTuple

from common import checkpoint
from recordio import datasets
from report import repetition
from system.errors import UserError

SCRIPTS = ('train_cifar.py', 'study/train_ensemble.py', 'train_imagenet.py')
SET_BY_THE_GRID = (
    '--resume',
    '--gpus',
    '--cpus',
    '--threads',
    '--log-dir',
    '--checkpoint-dir',
    '--data-dir',
)


class Line(NamedTuple):
    """One command of the file."""

    number: int  # from 1, as editors count
    words: list  # the script and its options
    options: dict  # of the script, defaults included

    @property
    def text(self):
        return shlex.join(self.words)

    @property
    def setting(self):
        return repetition.setting_of(self.options)


def read(path, folders):
    """Return the ``Line`` of each command in a file.

    Parameters
    ----------
    path : str
    folders : list of str
        Options that every command gets, such as ``--data-dir``.

    Raises
    ------
    UserError
        The file cannot be read, or a line is no training command; the sentence names the line.
    """
    with open(path, encoding='utf-8') as file:
        texts = file.read().split('\n')
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            words = shlex.split(text, comments=True)
        except ValueError as error:
            raise UserError(f'{path}, line {number}: {error}') from None
        if words:
            lines.append(Line(number, words, _options(f'{path}, line {number}', words, folders)))
    if not lines:
        raise UserError(f'{path} has no command in it: write one training command a line')
    return lines


def _options(place, words, folders):
    """Return the options that a training script makes of a command."""
    script, *arguments = words
    if script not in SCRIPTS:
        raise UserError(f'{place} begins with {script}: begin it with one of {", ".join(SCRIPTS)}')
    taken = [word for word in arguments if word.split('=')[0] in SET_BY_THE_GRID]
    if taken:
        raise UserError(
            f'{place} has {taken[0]}, which run_experiments.py sets itself: leave it out'
        )
    # The scripts themselves know their options and defaults. They are imported here, and not above,
    # because a file that names one script needs the others not at all.
    module = importlib.import_module(script[: -len('.py')].replace('/', '.'))
    try:
        args = module.parse_args([*arguments, *folders])
    except SystemExit:
        raise UserError(f'{place} is not a command that {script} takes, see above') from None
    args.epochs = args.epochs or datasets.get(args.dataset, args.data_dir).epochs
    return vars(args)


def alike(setting, seed, run):
    """Return whether a run has the setting and the seed of a line, as far as a command line tells.

    It does not tell the images, which are compared by the data set's name, nor rollbacks, nor over
    how many devices batches were split.
    """
    return run.seed == seed and all(
        run.setting.get(name) == value
        for name, value in setting.items()
        if name not in ('data', 'rollbacks', 'devices', 'workers')
    )


def describe(state, takes):
    """Return a state as a text; ``takes`` is how long the line still takes."""
    if state.finished:
        return f'finished: {state.finished}'
    return (
        f'goes on from epoch {state.epochs_done + 1}, {takes}'
        if state.unfinished
        else f'new, {takes}'
    )


class State(NamedTuple):
    """What there is of a line's run."""

    finished: str  # the name of its run, '' where there is none
    unfinished: str  # the name of a run to go on with, '' where there is none
    epochs_done: int


def state_of(line, runs, checkpoint_dir):
    """Return the ``State`` of a line; ``runs`` are those of the logs."""
    setting, seed = line.setting, line.options['seed']
    mine = [run for run in runs if alike(setting, seed, run)]
    for run in mine:
        if run.finished:
            return State(run.header['run'], '', len(run.records))
    # The furthest of those that have a checkpoint: a log alone cannot be gone on with.
    for run in sorted(mine, key=lambda run: -len(run.records)):
        name = run.header['run']
        if run.records and os.path.exists(os.path.join(checkpoint_dir, name, checkpoint.STATE)):
            return State('', name, len(run.records))
    return State('', '', 0)


class Claims:
    """Which lines of a file this process runs, so that two grids on one file never run the same line.

    The claim is a lock on the line's byte in the file itself: it ends with the process, however
    that ends, and leaves nothing behind.
    """

    def __init__(self, path):
        self.file = open(path, 'r+b')

    def take(self, line):
        """Return whether the line is this process's from now on."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, line.number)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, line):
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, line.number)
