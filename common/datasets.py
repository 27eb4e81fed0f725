"""The data sets: their classes, normalisation, and how the paper trains on each (sections 6.1, 6.2)."""
from collections import namedtuple

from common.errors import UserError

# mean, std: of the training images, for red, green and blue in 0..255. augment: crop and mirror.
# epochs: the paper's. names: the classes in the order of their labels, empty where they are many.
Dataset = namedtuple('Dataset', 'classes mean std augment epochs names')

TOP5_FROM = 100  # classes: with fewer, the top-5 error says nothing and is not reported

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


def get(name):
    """Return the ``Dataset`` of that name, or raise ``UserError``."""
    if name not in DATASETS:
        raise UserError('no data set is called %r; there are %s' % (name, ', '.join(sorted(DATASETS))))
    return DATASETS[name]
