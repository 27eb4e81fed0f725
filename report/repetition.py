"""Repetitions: runs that differ in their seed alone.

Runs with one setting (report/run_setting.py) and different seeds are repetitions. Runs with one
setting and one seed are the same run, which counts once.
"""

import glob
import os
from typing import NamedTuple

from common import log
from report.run_setting import differences, setting_of, word
from system.errors import UserError


class LoggedRun(NamedTuple):
    """A run as its log shows it, where ``common.run.Run`` is one that is being trained."""

    path: str  # of the log
    header: dict
    records: list  # one for each epoch, see docs/logs.md
    setting: dict  # see ``run_setting.setting_of``

    @property
    def seed(self):
        """The seed, None if the log has none."""
        return self.header['options'].get('seed')

    @property
    def finished(self):
        """Whether the run was trained for all of its epochs."""
        return len(self.records) >= self.header['options']['epochs']


class Repetitions(NamedTuple):
    """Runs of one setting with different seeds."""

    setting: dict
    runs: list  # of LoggedRun


def logs_in(names):
    """Return the paths of logs: a folder stands for its ``*.jsonl``, and none is there twice."""
    found = {}
    for name in names:
        inside = sorted(glob.glob(os.path.join(glob.escape(name), '*.jsonl')))
        for path in inside if os.path.isdir(name) else [name]:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def read(paths):
    """Return the ``LoggedRun`` of each log.

    Raises
    ------
    UserError
        A file is no log, or is named twice.
    """
    seen = {}
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            raise UserError(f'{path} is named twice, before as {seen[real]}: name each run once')
        seen[real] = path
    runs = []
    for path in paths:
        header, records = log.read(path)
        setting = setting_of(header['options'], header, records)
        runs.append(LoggedRun(path, header, records, setting))
    return runs


def group(runs):
    """Return the ``Repetitions`` of every setting, and a sentence on each run that does not count.

    Of several runs with one setting and one seed the longest counts, or the first of the longest.
    """
    found, notes = [], []
    for run in runs:
        same = next((each for each in found if each.setting == run.setting), None)
        if same is None:
            found.append(Repetitions(run.setting, [run]))
            continue
        twins = [number for number, other in enumerate(same.runs) if other.seed == run.seed]
        if not twins:
            same.runs.append(run)
            continue
        kept, other = sorted((same.runs[twins[0]], run), key=lambda each: -len(each.records))
        same.runs[twins[0]] = kept
        notes.append(
            f'{other.path} has the setting and the seed of {kept.path} and is not counted '
            'again: repeat a run with another --seed'
        )
    return found, notes


def find(runs, setting, seed):
    """Return the finished run with a setting and a seed, or None.

    Rollbacks are not compared, because a command line cannot know them.
    """
    for run in runs:
        same = {**run.setting, 'rollbacks': setting['rollbacks']} == setting
        if run.finished and run.seed == seed and same:
            return run
    return None


def with_epochs(groups, epochs):
    """Return those of the groups, or curves, whose runs are to have a number of epochs in all.

    All are returned if ``epochs`` is None.

    Raises
    ------
    UserError
        There are groups, and none of them had so many epochs.
    """
    found = [group for group in groups if epochs in (None, group.setting['epochs'])]
    if groups and not found:
        numbers = sorted({group.setting['epochs'] for group in groups})
        raise UserError(
            f'--epochs {epochs}: no run in these logs has so many epochs; they have '
            f'{", ".join(map(str, numbers))}'
        )
    return found


def only(groups, shared):
    """Return the runs of the one setting in ``groups``, [] if there is none.

    Parameters
    ----------
    groups : list of Repetitions
    shared : str
        What the runs would share, such as ``a cell of Table 4``; the error names it.

    Raises
    ------
    UserError
        There are several settings. The message names the first two and their differences.
    """
    if len(groups) > 1:
        first, second = groups[:2]
        differ = differences([first.setting, second.setting])
        parts = [f'{word(name)} ({one} and {other})' for name, (one, other) in differ.items()]
        raise UserError(
            f'{first.runs[0].path} and {second.runs[0].path} are no repetitions and '
            f'cannot share {shared}: they differ in {", ".join(parts)}; '
            'name the logs of one setting'
        )
    return groups[0].runs if groups else []
