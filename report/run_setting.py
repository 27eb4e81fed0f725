"""The setting of a run: everything but its seed that influences its result.

It is the network, the data, the training, and the number of devices and workers, each of which
computes BatchNorm's statistics from its own images. What does not influence a result is not part of
the setting: folders, names of devices, threads, the machine.

Every option is part of the setting unless ``NOT_IN_SETTING`` names it, so that a new option is not
forgotten.
"""

import os
from typing import NamedTuple

from common import resumed_options
from recordio import datasets
from system.errors import printable

# Options that do not belong to the setting: those that --resume may change, except for the
# compression of gradients; those that the network's name already tells (--component, --without,
# --no-sharing); what the user calls the run; and a path, of which the setting has the name.
NOT_IN_SETTING = {
    *resumed_options.FREE,
    'seed',
    'component',
    'without',
    'sharing',
    'name',
    'init_from',
} - {'gradient_compression', 'compression_threshold'}
# The values of options that a log does not have because it is older or another script's.
IMPLIED = {
    **resumed_options.IMPLIED,
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
    'epochs_before': ('the epochs after which they were finished before', 'finished before: {}'),
    'lr': ('the learning rate', 'lr {}'),
    'momentum': ('the momentum', 'momentum {}'),
    'weight_decay': ('the weight decay', 'weight decay {}'),
    'decay': ('the decay of the learning rate', 'decay {}'),
    'warmup': ('the epochs of warm-up', 'warm-up {} epochs'),
    'validation': ('the share of training images that is held out', '{} held out'),
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
    'init_from': ('what they began from', 'from {}'),
    'init_sha256': ('the parameters they began from', 'from parameters {:.8}'),
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


def setting_of(options, header=None, records=()):
    """Return the setting of a run, {name: value}.

    Parameters
    ----------
    options : dict
        The options of the training script by name, as ``vars`` of its parsed command line or the
        header of a log has them.
    header : dict, optional
        The log's header, or as many of its keys ``devices``, ``workers``, ``data``, ``init_from``,
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
        epochs_before=', '.join(map(str, given.get('epochs_before', ()))) or 'none',
        init_from=printable(os.path.basename(os.path.normpath(given.get('init_from', 'nothing')))),
        init_sha256=(header.get('init_from') or {}).get('params_sha256', ''),
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


def differences(settings):
    """Return {name: values} of the parts that differ; the value None is an option not given."""
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: [each.get(name) for each in settings] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def word(name):
    """Return what a sentence calls a part of a setting, such as "the learning rate"."""
    return WORDS[name][0] if name in WORDS else '--' + name.replace('_', '-')


def brief(name, value):
    """Return a part of a setting with its value as a legend shows it, such as "lr 0.1"."""
    if name in WORDS and value is not None:
        return WORDS[name][1].format(value)
    return f'{name.replace("_", " ")} {"not given" if value is None else value}'
