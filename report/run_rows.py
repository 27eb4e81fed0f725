"""The runs of a report: a row for each setting, and the command and environment of each run."""

import os
import shlex
from typing import NamedTuple

import numpy

from common import log
from common.options import FOLDERS
from report import run_setting
from report.curves import NAMES
from symbols.imagenet import MR_RELU

# Parts of a setting that the row shows in columns of their own.
IN_COLUMNS = ('network', 'depth', 'dataset', 'epochs', 'devices', 'workers')


class Details(NamedTuple):
    """What a reader needs to repeat a run, and how far it is."""

    name: str
    path: str  # of the log
    command: str
    epochs_done: int
    finished: bool
    environment: dict  # {what it is: text}


class Row(NamedTuple):
    """The repetitions of one setting; what the logs do not have is None."""

    network: str  # as the paper calls it
    depth: int
    dataset: str
    differences: str  # from other rows with the same network, depth and data set
    parameters: int
    seeds: list  # of every run, in increasing order
    error: float  # top-1 test error in % after the last epoch, the mean over the runs that count
    deviation: float  # sample standard deviation over these runs, None for a single one
    counted: int  # number of these runs: the finished ones, or all if none is finished
    done: int  # epochs of the longest run that counts
    epochs: int  # epochs of a whole run
    speed: float  # images/s in training: the median over the epochs, the mean over the runs
    machines: list  # of texts
    runs: list  # of Details

    @property
    def finished(self):
        """Whether any run is finished."""
        return self.done >= self.epochs


def rows(groups):
    """Return the ``Row`` of each of the ``Repetitions``, in the paper's order."""
    found = []
    for group in groups:
        same = [other.setting for other in groups if _identity(other) == _identity(group)]
        found.append(_row(group, _differences(group.setting, same)))
    order = list(NAMES.values())

    def position(row):
        number = order.index(row.network) if row.network in order else len(order)
        return row.dataset, number, row.network, row.depth, row.differences

    return sorted(found, key=position)


def _identity(group):
    setting = group.setting
    return setting['network'], setting['depth'], run_setting.title(setting)


def _differences(setting, same):
    """Return the parts of a setting that differ among ``same``, as a legend shows them."""
    names = [name for name in run_setting.differences(same) if name not in IN_COLUMNS]
    return ', '.join(run_setting.brief(name, setting.get(name)) for name in names)


def _row(group, differences):
    runs = sorted(group.runs, key=lambda run: (run.seed is None, run.seed or 0))
    counted = [run for run in runs if run.finished] or runs
    errors = [run.records[-1]['test_error'] for run in counted if run.records]
    speeds = [speed for speed in map(_speed, runs) if speed is not None]
    setting = group.setting
    return Row(
        network=NAMES.get(setting['network'], setting['network']),
        depth=setting['depth'],
        dataset=run_setting.title(setting),
        differences=differences,
        parameters=runs[0].header.get('parameters'),
        seeds=[run.seed for run in runs if run.seed is not None],
        error=float(numpy.mean(errors)) if errors else None,
        deviation=float(numpy.std(errors, ddof=1)) if len(errors) > 1 else None,
        counted=len(counted),
        done=max(len(run.records) for run in counted),
        epochs=setting['epochs'],
        speed=float(numpy.mean(speeds)) if speeds else None,
        machines=list(dict.fromkeys(machine(run.header) for run in runs)),
        runs=[_details(run) for run in runs],
    )


def _speed(run):
    """Return the median number of images/s over the epochs of a run, None without any."""
    speeds = [each['images_per_second'] for each in run.records if 'images_per_second' in each]
    return float(numpy.median(speeds)) if speeds else None


def machine(header):
    """Return the processor, which older logs do not name, the devices, and the workers."""
    parts = [header.get('processor', 'unknown processor'), ', '.join(header.get('devices', ()))]
    if header.get('workers', 1) > 1:
        parts.append(f'{header["workers"]} workers')
    return '; '.join(filter(None, parts))


def _details(run):
    header = run.header
    environment = {
        'log': run.path,
        'started': header.get('started'),
        'processor': header.get('processor'),
        'devices': ', '.join(header.get('devices', ())),
        'workers': header.get('workers'),
        'threads': header.get('threads'),
        'images': f'{run.setting["data"]}',
        'manifest': (header.get('data') or {}).get('manifest_sha256'),
        **header.get('versions', {}),
    }
    shown = {name: str(value) for name, value in environment.items() if value not in (None, '')}
    return Details(header['run'], run.path, command(header), len(run.records), run.finished, shown)


def command(header):
    """Return the command that starts the run of a log's header again, to be pasted in a shell.

    It has every option that the log has, but for --quiet. Folders are left out where they are the
    usual ones. A run that went on to more epochs needs a second command. The command is '' for a
    network that is only scored any more, see symbols/imagenet.py.
    """
    found = shlex.join(first_command(header))
    options = header['options']
    _, *later = [*(options.get('epochs_before') or ()), options.get('epochs')]
    for epochs in later if found else ():
        found += f' && {shlex.join(_script_words(header))} --resume RUN --epochs {epochs}'
    return found


def first_command(header):
    """Return the words of the first command of ``command``, none where that is ''."""
    options = dict(header['options'])
    if options.get('network') == MR_RELU:
        return []
    options['epochs'], *_ = [*(options.pop('epochs_before', None) or ()), options.get('epochs')]
    return _script_words(header) + _option_words(options, log.script_of(header))


def _script_words(header):
    script = log.script_of(header)
    if header.get('workers', 1) > 1:
        return ['python', 'launch.py', '--workers', str(header['workers']), script]
    return ['python', script]


def _option_words(options, script):
    # train_ensemble.py derives the name of the network from its other options.
    derived = {'network'} if os.path.basename(script) == 'train_ensemble.py' else set()
    words = []
    for name, value in options.items():
        option = '--' + name.replace('_', '-')
        if value is None or name in {'resume', 'quiet', *derived} or FOLDERS.get(name) == value:
            continue
        if name == 'sharing':
            words += [] if value else ['--no-sharing']
        else:
            words += [option, ','.join(map(str, value)) if isinstance(value, list) else str(value)]
    return words
