"""The data sets: their classes, normalisation, and how the paper trains on each (sections 6.1, 6.2)."""
import hashlib
import json
import os
from collections import namedtuple

from common import files
from common.errors import UserError

# mean, std: of the training images, for red, green and blue in 0..255. augment: crop and mirror; of photographs, the
# name of one of photographs.AUGMENTATIONS.
# epochs: the paper's. names: the classes in the order of their labels, empty where they are many.
# size: height and width that a network sees, in pixels. short: of photographs, which have all sizes, the shorter
# side of what is packed; None where the images are packed as the networks see them.
Dataset = namedtuple('Dataset', 'classes mean std augment epochs names size short', defaults=(32, None))
Dataset.shape = property(lambda self: (3, self.size, self.size))
# With few classes the top-5 error of small images says nothing and is not reported.
Dataset.top5 = property(lambda self: self.classes >= 100 or self.short is not None)

MANIFEST = 'manifest.json'  # in the folder of a prepared data set

_CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'
_FASHION = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag',
            'Ankle boot']

DATASETS = {
    'cifar10': Dataset(10, (125.307, 122.950, 113.865), (62.993, 62.089, 66.705), True, 400,
                       _CIFAR10.split()),
    'cifar100': Dataset(100, (129.304, 124.070, 112.434), (68.170, 65.392, 70.418), True, 400, []),
    'svhn': Dataset(10, (111.609, 113.161, 120.565), (50.498, 51.259, 50.244), False, 40,
                    list('0123456789')),
    # Not in the paper: length, augmentation and the measured statistics of the padded images are ours.
    'fashion-mnist': Dataset(10, (55.845,) * 3, (84.612,) * 3, True, 40, _FASHION),
    'sample': Dataset(10, (56.100,) * 3, (84.945,) * 3, False, 8, _FASHION),
}


# Photographs (section 6.5): the statistics of ImageNet's, with their shorter side at 480.
PHOTOGRAPHS = Dataset(None, (123.370, 112.757, 99.406), (68.998, 66.093, 68.292), 'paper', 100, (), 224, 480)


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
    folder = os.path.join(data_dir, name)
    try:
        with open(os.path.join(folder, MANIFEST)) as file:
            manifest = json.load(file)
        names, short = manifest['classes'], int(manifest['short_side'])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError('no data set is called %r: there are %s, and those of photographs that "python data/prepare.py imagenet" '
                        'or "folder" has written to %s' % (name, ', '.join(sorted(DATASETS)), data_dir))
    return PHOTOGRAPHS._replace(classes=len(names), names=names, size=size or PHOTOGRAPHS.size, short=short)


def identity(folder):
    """Return what tells the data in a prepared folder from other data.

    Returns
    -------
    dict
        ``manifest_sha256``, of the manifest, or where there is none of the .rec files;
        ``train_images`` and ``test_images``; ``classes``, their number, None without a manifest.

    Raises
    ------
    OSError
        A file is not there.
    """
    found, digest = {}, hashlib.sha256()
    for split in ('train', 'test'):
        with open(os.path.join(folder, split + '.idx'), encoding='utf-8') as file:
            found[split + '_images'] = sum(1 for _ in file)
    manifest = os.path.join(folder, MANIFEST)
    if os.path.exists(manifest):
        with open(manifest, encoding='utf-8') as file:
            classes = len(json.load(file)['splits']['train'])
        return dict(found, classes=classes, manifest_sha256=files.digest_of(manifest, digest))
    for split in ('train', 'test'):
        files.digest_of(os.path.join(folder, split + '.rec'), digest)
    return dict(found, classes=None, manifest_sha256=digest.hexdigest())
