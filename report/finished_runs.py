"""The finished runs in logs, and those among them that a cell or a bar of the paper asks for."""

from typing import NamedTuple

from report import repetition, run_setting
from system.errors import UserError, tell

PAPER = ('cifar10', 'cifar100', 'svhn', 'imagenet')  # the paper's data sets
REPLACEABLE = ('cifar10', 'imagenet')  # data sets that --stand-in replaces


class Query(NamedTuple):
    """Which runs fill a cell, and where in their logs the result is."""

    network: str
    depth: int
    dataset: str
    widen: int
    field: tuple  # keys that lead to the result in the record of the last epoch


def read(paths):
    """Return the ``Repetitions`` of finished runs, and a sentence on each log that is left out.

    Raises
    ------
    UserError
        A file is no log, or is named twice.
    """
    return finished_of(repetition.read(paths))


def read_and_tell(paths):
    """Return the ``Repetitions`` that ``read`` finds, and name on stderr each log left out."""
    groups, notes = read(paths)
    for note in notes:
        tell(note)
    return groups


def finished_of(runs):
    """Do as ``read`` with runs that have been read."""
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


def stand_in_hint(groups):
    """Return a hint on how to show runs on other images than the paper's, '' without such runs."""
    settings = [group.setting for group in groups]
    names = sorted(
        {
            setting['dataset']
            for setting in settings
            if setting['dataset'] not in PAPER or not setting['data'].official
        }
    )
    if not names:
        return ''
    return (
        "; runs on other images than the paper's, or not known to be the same, are shown with "
        f'--stand-in {" or ".join(names)}'
    )


def matching(groups, query, stand_in=None):
    """Return the ``Repetitions`` that a query asks for, of those runs that have its field."""
    found = []
    for group in groups:
        setting = group.setting
        names = ('network', 'depth', 'widen')
        same_network = all(setting[name] == getattr(query, name) for name in names)
        same_kind = run_setting.is_photographs(setting) == (query.dataset == 'imagenet')
        if stand_in and query.dataset in REPLACEABLE:
            same_images = setting['dataset'] == stand_in
        else:
            same_images = setting['dataset'] == query.dataset and setting['data'].official
        runs = [run for run in group.runs if result(run, query.field) is not None]
        if same_network and same_kind and same_images and runs:
            found.append(group._replace(runs=runs))
    return found


def result(run, field):
    """Return what the keys in ``field`` lead to in a run's last record, or None."""
    found = {'parameters': run.header.get('parameters'), **run.records[-1]}
    for key in field:
        found = found.get(key) if isinstance(found, dict) else None
    return found
