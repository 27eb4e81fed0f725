"""Repetitions: runs that differ in their seed alone.

The *setting* of a run is everything else that influences its result: the network, the data, the
training, and the number of devices and workers, each of which computes BatchNorm's statistics from
its own images. What does not influence a result is not part of the setting: folders, names of
devices, threads, the machine. Runs with one setting and different seeds are repetitions. Runs with
one setting and one seed are the same run, which counts once.

Every option is part of the setting unless ``NOT_IN_SETTING`` names it, so that a new option is not
forgotten.
"""

import os
from typing import NamedTuple

from common import log
from common.training_options import FREE
from recordio import datasets
from system.errors import UserError

# Options that do not belong to the setting: those that --resume may change, except for the
# compression of gradients, and those that the network's name already tells (--component, --without,
# --no-sharing).
NOT_IN_SETTING = {'seed', 'component', 'without', 'sharing', *FREE} - {
    'gradient_compression',
    'compression_threshold',
}
# The values of options that a log does not have because it is older or another script's.
IMPLIED = {
    'widen': 1,
    'dtype': 'float32',
    'gradient_compression': 'none',
    'compression_threshold': 0.5,
}
# What a data set of official images is called.
TITLES = {
    'cifar10': 'CIFAR-10',
    'cifar100': 'CIFAR-100',
    'svhn': 'SVHN',
    'imagenet': 'ImageNet',
    'fashion-mnist': 'Fashion-MNIST',
}
# For each part of a setting, what a sentence calls it and how a legend shows its value.
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

    official: bool  # whether their manifest says that they come from the official archives
    manifest: str  # its SHA-256, '' if it is not known or not needed
    train: int  # number of training images, 0 if it is not known
    test: int  # number of test images, 0 if it is not known

    def __str__(self):
        if self.official:
            return 'official images'
        manifest = f' of manifest {self.manifest[:8]}' if self.manifest else ''
        return f'{self.train:,} + {self.test:,} images{manifest}'


class Run(NamedTuple):
    """A run as its log shows it."""

    path: str  # of the log
    header: dict
    records: list  # one for each epoch, see common/log.py
    setting: dict  # see ``setting_of``

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
    runs: list  # of Run


def setting_of(options, header=None, records=()):
    """Return the setting of a run, {name: value}.

    Parameters
    ----------
    options : dict
        The options of the training script by name, as ``vars`` of its parsed command line or the
        header of a log has them.
    header : dict, optional
        The log's header, or as many of its keys ``devices``, ``workers``, ``data``,
        ``train_images`` and ``test_images`` as are known. Default: one device, one worker, unknown
        images.
    records : list of dict, optional
        The records of the epochs. The epochs before which a rollback lowered the learning rate
        belong to the setting.
    """
    header = header or {}
    given = {name: value for name, value in options.items() if value is not None}
    setting = {**IMPLIED, **{name: given[name] for name in given if name not in NOT_IN_SETTING}}
    if setting['gradient_compression'] == 'none':
        del setting['compression_threshold']
    setting.update(
        updates='asynchronous' if given.get('kv_store') == 'dist_async' else 'synchronous',
        devices=len(header.get('devices') or ['one']),
        workers=header.get('workers', 1),
        data=_data(options['dataset'], header),
        rollbacks=_rollbacks(records),
    )
    return setting


def _data(name, header):
    """Return the ``Data`` of a run on the data set ``name``."""
    data = header.get('data') or {}
    official = data.get('official') is True
    # The official archives of small images come in several formats with the same images, so their
    # manifests need not be compared. Photographs are encoded again when they are packed, and only
    # the manifest says which they are.
    are_known = official and name in datasets.DATASETS
    manifest = '' if are_known else data.get('manifest_sha256') or ''
    train, test = (data.get(key) or header.get(key) or 0 for key in ('train_images', 'test_images'))
    return Data(official, manifest, train, test)


def _rollbacks(records):
    """Return, as a text, the epochs before which a rollback lowered the learning rate."""
    counts = [0] + [record.get('rollbacks', 0) for record in records]
    lower = [epoch for epoch in range(1, len(counts)) if counts[epoch] > counts[epoch - 1]]
    return ', '.join(map(str, lower)) or 'none'


def title(setting):
    """Return what the data set of a setting is called; only official images get its name."""
    name = setting['dataset']
    if name not in TITLES:
        return name
    return TITLES[name] if setting['data'].official else f'{name} (unverified)'


def is_photographs(setting):
    """Return whether train_imagenet.py made the run, whose networks share names with others."""
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


def differences(settings):
    """Return {name: values} of the parts that differ; the value None is an option not given."""
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: [each.get(name) for each in settings] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


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


def word(name):
    """Return what a sentence calls a part of a setting, such as "the learning rate"."""
    return WORDS[name][0] if name in WORDS else '--' + name.replace('_', '-')


def brief(name, value):
    """Return a part of a setting with its value as a legend shows it, such as "lr 0.1"."""
    if name in WORDS and value is not None:
        return WORDS[name][1].format(value)
    return f'{name.replace("_", " ")} {"not given" if value is None else value}'
