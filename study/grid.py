"""A grid of training runs from a text file, and which of its lines are finished, unfinished or new.

A file has one training command a line, such as ``train_cifar.py --network mr --depth 14 --seed 1``,
and comments after ``#``. The run of a line is found by its setting
(report/run_setting.py) and its seed; its name does not matter.
"""

import fcntl
import importlib
import itertools
import os
import shlex
from typing import NamedTuple

from common import run_state
from recordio import datasets
from report import run_setting
from system import files
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
    """A training command of the file."""

    number: int  # of the line in the file, from 1
    words: list  # the script and its options
    options: dict  # what the script makes of them, defaults included

    @property
    def text(self):
        return shlex.join(self.words)

    @property
    def setting(self):
        return run_setting.setting_of(self.options)


def read(path, folders):
    """Return the ``Line`` of each command in a file.

    Parameters
    ----------
    path : str
    folders : list of str
        Options that are added to every command, such as ``--data-dir``.

    Raises
    ------
    UserError
        The file has no command, or a line is no training command; the message names the line.
    """
    lines = []
    for number, text in enumerate(files.read_text(path).split('\n'), 1):
        try:
            words = _words(text)
        except ValueError as error:
            raise UserError(f'{path}, line {number}: {error}') from None
        if words:
            lines.append(Line(number, words, _options(f'{path}, line {number}', words, folders)))
    if not lines:
        raise UserError(f'{path} has no command in it: write one training command a line')
    return lines


def _words(text):
    """Return the words of a line as a shell splits them; a word that begins with # ends it."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ''
    return list(itertools.takewhile(lambda word: not word.startswith('#'), lexer))


def with_number(lines, number, path):
    """Return the line of a file that has a number.

    Raises
    ------
    UserError
        There is no command in that line.
    """
    for line in lines:
        if line.number == number:
            return line
    raise UserError(f'{path} has no training command in line {number}: give the number of another')


def _options(line, words, folders):
    """Return the options that a training script makes of a command; ``line`` names it in errors."""
    script, *arguments = words
    if script not in SCRIPTS:
        raise UserError(f'{line} begins with {script}: begin it with one of {", ".join(SCRIPTS)}')
    reserved = [word for word in arguments if _is_set_by_the_grid(word)]
    if reserved:
        raise UserError(
            f'{line} has {reserved[0]}, which run_experiments.py sets itself: leave it out'
        )
    # Each script knows its own options and defaults. Only the scripts that the file names are
    # imported.
    module = importlib.import_module(script[: -len('.py')].replace('/', '.'))
    try:
        args = module.parse_args([*arguments, *folders])
    except SystemExit:
        raise UserError(f'{line} has options that {script} refuses, see above') from None
    except UserError as error:
        raise UserError(f'{line}: {error}') from None
    others = datasets.PHOTOGRAPHS if script == 'train_imagenet.py' else datasets.OWN
    table = datasets.DATASETS.get(args.dataset, others)
    args.epochs = args.epochs or table.epochs
    return vars(args)


def _is_set_by_the_grid(word):
    """Return whether a word is one of the options, or a beginning of one, which argparse takes."""
    name = word.split('=')[0]
    return name[:2] == '--' != name and any(known.startswith(name) for known in SET_BY_THE_GRID)


def has_setting(run, setting, seed):
    """Return whether a run has the setting and the seed of a line, as far as the line tells them.

    A line does not tell rollbacks and the numbers of devices and workers, and it tells the images
    and the parameters of ``--init-from`` only by their name.
    """
    return run.seed == seed and all(
        run.setting.get(name) == value
        for name, value in setting.items()
        if name not in ('data', 'init_sha256', 'rollbacks', 'devices', 'workers')
    )


class State(NamedTuple):
    """How far the run of a line is."""

    finished: str  # name of the finished run, '' if there is none
    unfinished: str  # name of the run to resume, '' if there is none
    epochs_done: int  # by that run


def describe(state, takes):
    """Return a state as a text; ``takes`` says how long the line still takes."""
    if state.finished:
        return f'finished: {state.finished}'
    if state.unfinished:
        return f'resumes at epoch {state.epochs_done + 1}, {takes}'
    return f'new, {takes}'


def state_of(line, runs, checkpoint_dir):
    """Return the ``State`` of a line; ``runs`` are the runs of all logs."""
    setting, seed = line.setting, line.options['seed']
    mine = [run for run in runs if has_setting(run, setting, seed)]
    for run in mine:
        if run.finished:
            return State(run.header['run'], '', len(run.records))
    # Take the run with the most epochs that has a checkpoint; a log alone cannot be resumed.
    for run in sorted(mine, key=lambda run: -len(run.records)):
        name = run.header['run']
        if run.records and os.path.exists(os.path.join(checkpoint_dir, name, run_state.STATE)):
            return State('', name, len(run.records))
    return State('', '', 0)


class LineLocks:
    """Locks on the lines of a file, so that two processes with one file never run the same line.

    Line n is locked by byte n of the file itself. The lock ends when the process ends, even if it
    is killed, and leaves nothing behind.
    """

    def __init__(self, path):
        self.file = open(path, 'r+b')

    def take(self, line):
        """Lock a line; return False if another process has it."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, line.number)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, line):
        """Unlock a line."""
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, line.number)
