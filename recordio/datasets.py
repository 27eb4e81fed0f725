"""The data sets: their classes, normalisation, and how the paper trains on each (sections 6.1, 6.2)."""

import hashlib
import os
from collections import namedtuple

from system.errors import UserError, command, printable

# manifest and records are imported where they are used: they need packages, and scripts read the
# names of data sets before they know that the packages are there.

# mean, std: of the training images, for red, green and blue in 0..255. augment: crop and mirror; of
# photographs, the name of one of augmentation.AUGMENTATIONS. epochs: the paper's. names: the classes
# in the order of their labels, empty where they are many. size: height and width that a network
# sees, in pixels. short: of photographs, which have all sizes, the shorter side of what is packed;
# None where the images are packed as the networks see them.
Dataset = namedtuple(
    'Dataset', 'classes mean std augment epochs names size short', defaults=(32, None)
)
Dataset.shape = property(lambda self: (3, self.size, self.size))
# With few classes the top-5 error of small images says nothing and is not reported.
Dataset.top5 = property(lambda self: self.classes >= 100 or self.short is not None)

_CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'
_FASHION = [
    'T-shirt/top',
    'Trouser',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Ankle boot',
]

DATASETS = {
    'cifar10': Dataset(
        10, (125.307, 122.950, 113.865), (62.993, 62.089, 66.705), True, 400, _CIFAR10.split()
    ),
    'cifar100': Dataset(100, (129.304, 124.070, 112.434), (68.170, 65.392, 70.418), True, 400, []),
    'svhn': Dataset(
        10, (111.609, 113.161, 120.565), (50.498, 51.259, 50.244), False, 40, list('0123456789')
    ),
    # Not in the paper: length, augmentation and the measured statistics of the padded images are
    # ours.
    'fashion-mnist': Dataset(10, (55.845,) * 3, (84.612,) * 3, True, 40, _FASHION),
    'sample': Dataset(10, (56.100,) * 3, (84.945,) * 3, False, 8, _FASHION),
}


# Photographs (section 6.5): the statistics of ImageNet's, with their shorter side at 480.
PHOTOGRAPHS = Dataset(
    None, (123.370, 112.757, 99.406), (68.998, 66.093, 68.292), 'paper', 100, (), 224, 480
)


def get(name, data_dir='data', size=None):
    """Return the ``Dataset`` of that name.

    Parameters
    ----------
    name : str
        A key of ``DATASETS``, or that of photographs that data/prepare.py has packed.
    data_dir : str
        Where their folder is.
    size : int, optional
        Height and width that a network sees of them; default 224.

    Raises
    ------
    UserError
        There is no such data set.
    """
    if name in DATASETS:
        return DATASETS[name]
    from recordio import manifest

    known = manifest.read(os.path.join(data_dir, name)) if name == os.path.basename(name) else None
    if not known or 'short_side' not in known or 'classes' not in known:
        raise UserError(
            f'no data set is called {name!r}: there are {", ".join(sorted(DATASETS))}, '
            f'and those of photographs that "{command("data/prepare.py")} imagenet" or '
            f'"folder" has written to {data_dir}'
        )
    names, short = [printable(each) for each in known['classes']], int(known['short_side'])
    return PHOTOGRAPHS._replace(
        classes=len(names), names=names, size=size or PHOTOGRAPHS.size, short=short
    )


def identity(folder):
    """Return what tells one prepared data set from another, for the header of a log.

    Parameters
    ----------
    folder : str
        Holds train.rec and test.rec, and the manifest of data/prepare.py if they were made by it.

    Returns
    -------
    dict
        ``manifest_sha256`` (of the manifest; without one, of the .rec files), ``train_images``,
        ``test_images``, ``classes`` (their number), and ``official``: whether these are the
        published data, all of them, as far as the manifest knows.

    Raises
    ------
    UserError
        The manifest is damaged or belongs to other files, or a conversion was stopped while it
        replaced them.
    """
    from recordio import manifest
    from system import files

    if os.path.lexists(os.path.join(folder, manifest.WORK, manifest.NAME)):
        raise UserError(
            f'{folder} has files of two conversions, since the last one was stopped: '
            f'"{manifest.again(folder)}" brings it to its end'
        )
    known = manifest.read(folder)
    if known is None:
        return _identity_of_records(folder)
    name, holds = os.path.basename(os.path.abspath(folder)), known.get('dataset')
    if holds not in (None, name) and {name, holds} <= {'imagenet', *DATASETS}:
        raise UserError(f'{folder} holds {holds}, as its manifest says: give it that name')
    for name in ('train.rec', 'test.rec'):
        path = os.path.join(folder, name)
        if not os.path.isfile(path) or os.path.getsize(path) != known['files'][name]['bytes']:
            raise UserError(
                f'{path} is not the file that {manifest.NAME} beside it describes: '
                f'make it again with "{manifest.again(folder, "--force")}"'
            )
    path = os.path.join(folder, manifest.NAME)
    return {
        'manifest_sha256': files.digest_of(path, hashlib.sha256()),
        'train_images': manifest.images(known, 'train'),
        'test_images': manifest.images(known, 'test'),
        'classes': max(len(counts) for counts in known['splits'].values()),
        'official': known.get('official', False),
    }


def _identity_of_records(folder):
    from recordio import records

    paths = [os.path.join(folder, name) for name in ('train.rec', 'test.rec')]
    train, test = (records.labels(path) for path in paths)
    digest = hashlib.sha256(''.join(records.digest(path) for path in paths).encode())
    return {
        'manifest_sha256': digest.hexdigest(),
        'train_images': len(train),
        'test_images': len(test),
        'classes': int(max(train.max(), test.max())) + 1,
        'official': False,
    }
