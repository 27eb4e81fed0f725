"""Random crops, mirroring and colour changes of training images, and the centre crop for scoring.

Small images are cropped and mirrored here (section 6.1). Photographs (section 6.5) are augmented by
ImageRecordIter: the functions of ``AUGMENTATIONS``, the choices of ``train_imagenet.py --augment``,
return its options. Their sizes are in pixels; they are for 224x224 crops of images whose shorter
side is 480, and are scaled in proportion for others.
"""

import numpy

PAD = 4  # pixels that are added on each side of a small image before the random crop (section 6.1)

SIZE = 224  # of the crop of a photograph
SCORED = 256  # length of the shorter side for scoring
TRAINED = (256, 480)  # range of the length of the shorter side for training
PCA_DEVIATION = 0.1  # standard deviation of the random factors of the principal components
# The authors' script of 2016: the range of the side of random square crops, from images whose
# shorter side is 480, and the largest random changes of contrast (a factor) and of illumination (of
# 255).
CROPPED, CONTRAST, ILLUMINATION = (196, 480), 0.2, 10
# The authors' script of 2018: the largest random changes, in ImageRecordIter's units.
ASPECT, HUE, SATURATION, LIGHTNESS = 0.25, 36, 50, 50
GREY = 112  # fills the border that a change of aspect leaves: the mean of ImageNet's channels
AREA_OR_CUBIC = 9  # MXNet's interpolation that averages areas to shrink and is cubic to enlarge


def crop_and_mirror(images, random):
    """Pad with zeros, crop each image at a random position, and mirror half of them (section 6.1).

    The images are normalised already, so zeros are the mean of each channel. ImageRecordIter can
    only pad before it normalises, with one value for all channels.

    Parameters
    ----------
    images : numpy.ndarray
        (n, channels, height, width), normalised.
    random : numpy.random.RandomState

    Returns
    -------
    numpy.ndarray
        Of the same shape.
    """
    count, _, height, width = images.shape
    padded = numpy.pad(images, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    top, left = random.randint(0, 2 * PAD + 1, (2, count))
    crops = windows[numpy.arange(count), :, top, left]
    mirrored = random.randint(0, 2, count).astype(bool)
    crops[mirrored] = crops[mirrored, :, :, ::-1]
    return crops


def short_side(size):
    """Return the length of the shorter side, in pixels, for scoring a centre crop of ``size``."""
    return round(size * SCORED / SIZE)


def _random_scale(dataset):
    """Return the options of the crop of [8]: shorter side 256 to 480, random position, mirror."""
    low, high = (side * dataset.size / SIZE / dataset.short for side in TRAINED)
    return dict(min_random_scale=low, max_random_scale=high, rand_crop=True, rand_mirror=True)


def paper(dataset):
    """Return the options of section 6.5, "the same data augmentation as in [8]": crop and colour.

    The colour noise is that of Krizhevsky et al. (the paper's [14]), to which [8] refers: the
    principal components of ImageNet's colours are added, each multiplied by its eigenvalue and a
    normal random factor of standard deviation 0.1.
    """
    return dict(_random_scale(dataset), pca_noise=PCA_DEVIATION)


def authors_2016(dataset):
    """Return the options of the authors' script of 2016.

    Square crops of 196 to 480 pixels, mirrored or not, with changes of contrast and illumination.
    """
    low, high = (round(side * dataset.short / CROPPED[1]) for side in CROPPED)
    return dict(
        min_crop_size=low,
        max_crop_size=high,
        rand_crop=True,
        rand_mirror=True,
        max_random_contrast=CONTRAST,
        max_random_illumination=ILLUMINATION,
    )


def authors_2018(dataset):
    """Return the options of the authors' script of 2018, which they wrote for another network.

    The crop of [8], with changes of the aspect ratio, hue, saturation and lightness.
    """
    return dict(
        _random_scale(dataset),
        max_aspect_ratio=ASPECT,
        fill_value=GREY,
        random_h=HUE,
        random_s=SATURATION,
        random_l=LIGHTNESS,
    )


AUGMENTATIONS = {'paper': paper, 'authors-2016': authors_2016, 'authors-2018': authors_2018}


def for_training(dataset, seed):
    """Return ImageRecordIter's options for training, by the augmentation of ``dataset.augment``."""
    return dict(AUGMENTATIONS[dataset.augment](dataset), seed_aug=seed)


def for_scoring(dataset):
    """Return ImageRecordIter's options for the centre crop."""
    return dict(resize=short_side(dataset.size), inter_method=AREA_OR_CUBIC)
