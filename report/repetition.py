"""What a repetition is: a run that differs from another in its seed alone.

The *setting* of a run is everything that shapes its result: the network, the data and the training,
with the number of devices and workers, over which BatchNorm's statistics are split. Its seed is not
part of it, and neither is what cannot change a result: folders, names of devices, threads, the
machine. Runs of one setting and different seeds are repetitions; runs of one setting and one seed
are the same run, and counted once.

Every option is part of the setting unless ``NO_PART`` names it, so a new option is not overlooked.
"""

import os
from typing import NamedTuple

from common import log
from common.options import FREE
from recordio import datasets
from system.errors import UserError

# What a run may change when it goes on does not shape it, but for the compression of gradients.
# The network's name says what --component, --without and --no-sharing have made of it.
NO_PART = {'seed', 'component', 'without', 'sharing', *FREE} - {
    'gradient_compression',
    'compression_threshold',
}
# What an option does that a log does not have, because the option is younger or another script's.
BEFORE = {
    'widen': 1,
    'dtype': 'float32',
    'gradient_compression': 'none',
    'compression_threshold': 0.5,
}
# What a data set with official files is called.
TITLES = {
    'cifar10': 'CIFAR-10',
    'cifar100': 'CIFAR-100',
    'svhn': 'SVHN',
    'imagenet': 'ImageNet',
    'fashion-mnist': 'Fashion-MNIST',
}
# How a sentence names a part of a setting, and how a legend gives its value.
WORDS = {
    'network': ('the network', '{}'),
    'depth': ('the depth', 'depth {}'),
    'dataset': ('the data set', '{}'),
    'widen': ('the width', '{}x wide'),
    'epochs': ('the number of epochs', '{} epochs'),
    'lr': ('the learning rate', 'lr {}'),
    'batch_size': ('the batch size', 'batch {}'),
    'dtype': ('the precision', '{}'),
    'image_size': ('the size of the images', '{} pixels'),
    'schedule': ('the schedule', 'schedule {}'),
    'drop_every': ('the epochs between drops of the learning rate', 'drop every {}'),
    'augment': ('the augmentation', 'augment {}'),
    'bn_momentum': ("BatchNorm's momentum", 'BN momentum {}'),
    'gradient_compression': ('the compression of gradients', 'compression {}'),
    'compression_threshold': ('the threshold of compression', 'threshold {}'),
    'updates': ("the workers' updates", '{} updates'),
    'devices': ('the number of devices', 'devices {}'),
    'workers': ('the number of workers', 'workers {}'),
    'data': ('the images', '{}'),
    'rollbacks': ('the epochs before which a rollback lowered the learning rate', 'rollback {}'),
}


class Data(NamedTuple):
    """Which images a run was trained on."""

    official: bool  # their manifest says that they come from the official archives
    manifest: str  # its SHA-256, '' where it is not known or not needed
    train: int  # number of images, 0 where it is not known
    test: int

    def __str__(self):
        if self.official:
            return 'official images'
        manifest = f' of manifest {self.manifest[:8]}' if self.manifest else ''
        return f'{self.train:,} + {self.test:,} images{manifest}'


class Run(NamedTuple):
    """A log, read."""

    path: str
    header: dict
    records: list  # one for each epoch
    setting: dict  # see ``setting_of``

    @property
    def seed(self):
        """The seed, None in a log without one."""
        return self.header['options'].get('seed')

    @property
    def finished(self):
        """Whether it was trained for all of its epochs."""
        return len(self.records) >= self.header['options']['epochs']


class Repetitions(NamedTuple):
    """Runs of one setting, each with a seed of its own."""

    setting: dict
    runs: list  # of Run


def setting_of(options, header=None, records=()):
    """Return the setting of a run: {name: value} of all that shapes its result.

    Parameters
    ----------
    options : dict
        The options of the training script by name, as ``vars`` of its parsed command line gives
        them, or the header of a log.
    header : dict, optional
        Of the log, or as much of it as is known: ``devices``, ``workers``, ``data``,
        ``train_images``, ``test_images``. Default: one device, one worker, unknown images.
    records : list of dict, optional
        The epochs; where the learning rate was lowered by a rollback is part of the setting.
    """
    header = header or {}
    given = {name: value for name, value in options.items() if value is not None}
    setting = {**BEFORE, **{name: given[name] for name in given if name not in NO_PART}}
    if setting['gradient_compression'] == 'none':
        del setting['compression_threshold']
    together = given.get('kv_store') != 'dist_async'
    setting.update(
        updates='synchronous' if together else 'asynchronous',
        devices=len(header.get('devices') or ['one']),
        workers=header.get('workers', 1),
        data=_data(options['dataset'], header),
        rollbacks=_rollbacks(records),
    )
    return setting


def _data(name, header):
    data = header.get('data') or {}
    official = data.get('official') is True
    # The official archives of small images come in several forms, with the same images. Photographs
    # are encoded again when they are packed, so that only the manifest says which they are.
    same = official and name in datasets.DATASETS
    manifest = '' if same else data.get('manifest_sha256') or ''
    train, test = (data.get(key) or header.get(key) or 0 for key in ('train_images', 'test_images'))
    return Data(official, manifest, train, test)


def _rollbacks(records):
    """Return the epochs that were trained with a lower learning rate from there on, as a text."""
    counts = [0] + [record.get('rollbacks', 0) for record in records]
    lower = [epoch for epoch in range(1, len(counts)) if counts[epoch] > counts[epoch - 1]]
    return ', '.join(map(str, lower)) or 'none'


def title(setting):
    """Return what a data set is called: by its name only if it is known to be the official one."""
    name = setting['dataset']
    if name not in TITLES:
        return name
    return TITLES[name] if setting['data'].official else f'{name} (unverified)'


def is_photographs(setting):
    """Return whether train_imagenet.py made the run: its networks are others by the same names."""
    return 'image_size' in setting


def read(paths):
    """Return the ``Run`` of each log.

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
        runs.append(Run(path, header, records, setting))
    return runs


def group(runs):
    """Return the ``Repetitions`` of every setting, and a sentence on each run that is not counted.

    Of runs with one setting and one seed the longest counts, and of equally long ones the first.
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
    """Return the finished run of a setting and a seed, or None.

    Rollbacks are left out of the comparison, because a command line does not foresee them.
    """
    for run in runs:
        same = {**run.setting, 'rollbacks': setting['rollbacks']} == setting
        if run.finished and run.seed == seed and same:
            return run
    return None


def differences(settings):
    """Return {name: values} of what differs among settings; None is an option that is not given."""
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: [each.get(name) for each in settings] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def only(groups, place):
    """Return the runs of the one setting that ``groups`` have, [] where there is none.

    Parameters
    ----------
    groups : list of Repetitions
    place : str
        What the runs would share, such as ``a cell of Table 4``, for the error.

    Raises
    ------
    UserError
        There are runs of several settings; it names the first two and what differs.
    """
    if len(groups) > 1:
        first, second = groups[:2]
        differ = differences([first.setting, second.setting])
        parts = [f'{word(name)} ({one} and {other})' for name, (one, other) in differ.items()]
        raise UserError(
            f'{first.runs[0].path} and {second.runs[0].path} are no repetitions and '
            f'cannot share {place}: they differ in {", ".join(parts)}; '
            'name the logs of one setting'
        )
    return groups[0].runs if groups else []


def word(name):
    """Return what a sentence calls a part of a setting, such as ``the learning rate``."""
    return WORDS[name][0] if name in WORDS else '--' + name.replace('_', '-')


def brief(name, value):
    """Return a part of a setting as a legend has it, such as ``lr 0.1``."""
    if name in WORDS and value is not None:
        return WORDS[name][1].format(value)
    return f'{name.replace("_", " ")} {"not given" if value is None else value}'
