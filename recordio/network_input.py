"""Images as the networks take them, without MXNet's reader: the centre crop and normalisation."""

import numpy

from recordio import augmentation, images


def centre(image, size):
    """Return the middle, ``size`` x ``size``, of an image.

    Its shorter side is scaled to 256 / 224 of that first.
    """
    image = images.with_short_side(image, augmentation.short_side(size))
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def normalised(image, dataset):
    """Return an image as the networks take it.

    Parameters
    ----------
    image : numpy.ndarray
        (height, width, 3) of uint8, blue first, of the size of the network's input.
    dataset : recordio.datasets.Dataset

    Returns
    -------
    numpy.ndarray
        float32, of shape ``dataset.shape``.
    """
    rgb = image[..., ::-1].astype(numpy.float32)
    whitened = (rgb - numpy.float32(dataset.mean)) / numpy.float32(dataset.std)
    return whitened.transpose(2, 0, 1)
