"""The data sets: their classes, statistics and the paper's training on each (sections 6.1, 6.2).

This file imports nothing, so that scripts can list the names of the data sets at once.
"""

from typing import NamedTuple


class Dataset(NamedTuple):
    """What training and scoring need to know of a data set."""

    classes: int | None  # their number; None in the template for photographs
    mean: tuple  # of the training images, for red, green and blue, in 0..255
    std: tuple  # standard deviation, likewise
    # Small images: whether to crop and mirror them at random. Photographs: which of
    # augmentation.AUGMENTATIONS to apply.
    augment: bool | str
    epochs: int  # the paper's
    names: list  # of the classes, in the order of their labels; empty where they are many
    size: int = 32  # height and width of the network's input, in pixels
    # Photographs have all sizes: the length, in pixels, of the shorter side in the record file.
    # None: images are stored in the size of the network's input.
    short: int | None = None
    # Share of the training images of each class that training leaves out, see held_out.py.
    validation: float = 0

    @property
    def shape(self):
        """Shape of one input image: (channels, height, width)."""
        return 3, self.size, self.size

    @property
    def top5(self):
        """Whether the top-5 error is reported; with few classes it says nothing."""
        return self.classes >= 100 or self.short is not None


_CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'.split()
_FASHION_MNIST = [
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
        classes=10,
        mean=(125.307, 122.950, 113.865),
        std=(62.993, 62.089, 66.705),
        augment=True,
        epochs=400,
        names=_CIFAR10,
    ),
    'cifar100': Dataset(
        classes=100,
        mean=(129.304, 124.070, 112.434),
        std=(68.170, 65.392, 70.418),
        augment=True,
        epochs=400,
        names=[],
    ),
    'svhn': Dataset(
        classes=10,
        mean=(111.609, 113.161, 120.565),
        std=(50.498, 51.259, 50.244),
        augment=False,
        epochs=40,
        names=list('0123456789'),
    ),
    # The paper does not use Fashion-MNIST. Epochs and augmentation are this project's choice; the
    # statistics are measured on the images after padding.
    'fashion-mnist': Dataset(
        classes=10,
        mean=(55.845,) * 3,
        std=(84.612,) * 3,
        augment=True,
        epochs=40,
        names=_FASHION_MNIST,
    ),
    'sample': Dataset(
        classes=10,
        mean=(56.100,) * 3,
        std=(84.945,) * 3,
        augment=False,
        epochs=8,
        names=_FASHION_MNIST,
    ),
}

# 1,200 training images of each class and all test images; the statistics are those of the whole.
DATASETS['fashion-mnist-12000'] = DATASETS['fashion-mnist']

# Small images of a user's own: the training is that on CIFAR. Without statistics of their own they
# are normalised as photographs are.
OWN = DATASETS['cifar10']._replace(classes=None, names=[])

# Photographs (section 6.5), with the statistics of ImageNet scaled to a shorter side of 480 pixels.
PHOTOGRAPHS = Dataset(
    classes=None,
    mean=(123.370, 112.757, 99.406),
    std=(68.998, 66.093, 68.292),
    augment='paper',
    epochs=100,
    names=[],
    size=224,
    short=480,
)
