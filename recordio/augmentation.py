"""How ImageRecordIter augments photographs for training, and which centre crop it scores (section 6.5).

``AUGMENTATIONS`` has the choices of ``train_imagenet.py --augment`` as functions that return the
options of mx.io.ImageRecordIter. Sizes are in pixels; they are for 224x224 crops of images whose
shorter side is 480, and are scaled in proportion for others.
"""

SIZE, SCORED, TRAINED = (
    224,
    256,
    (256, 480),
)  # the crop; the shorter side when scored, and when trained on
PCA_DEVIATION = (
    0.1  # standard deviation of the random factors of the three principal components of colour
)
CROPPED = (
    196,
    480,
)  # side of the authors' random square crops in 2016, from images whose shorter side is 480
CONTRAST, ILLUMINATION = (
    0.2,
    10,
)  # the largest random changes of theirs in 2016: a factor's, and of 255
ASPECT, HUE, SATURATION, LIGHTNESS = 0.25, 36, 50, 50  # and in 2018
GREY = 112  # fills what a change of aspect leaves empty: the mean of ImageNet's three channels
AREA_OR_CUBIC = 9  # MXNet's interpolation that averages areas to shrink and is cubic to enlarge


def short_side(size):
    """Return the length, in pixels, to which the shorter side is scaled before the centre crop is scored."""
    return round(size * SCORED / SIZE)


def _random_scale(dataset):
    """Return the options of [8]'s crop: the shorter side scaled to between 256 and 480, then a crop at a random place."""
    low, high = (side * dataset.size / SIZE / dataset.short for side in TRAINED)
    return dict(min_random_scale=low, max_random_scale=high, rand_crop=True, rand_mirror=True)


def paper(dataset):
    """Section 6.5, "the same data augmentation as in [8]": shorter side in [256, 480], crop, mirror, PCA colour noise.

    The noise is that of Krizhevsky et al. (the paper's [14]), which [8] names: the principal
    components of ImageNet's colours, each times its eigenvalue and a normal random factor of
    deviation 0.1.
    """
    return dict(_random_scale(dataset), pca_noise=PCA_DEVIATION)


def authors_2016(dataset):
    """The authors' script of 2016: square crops of 196 to 480 pixels, mirror, contrast and illumination, no hue."""
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
    """The authors' script of 2018, written for another network: aspect ratio, hue, saturation and lightness change too."""
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
    """Return the options of a training pass over photographs; ``dataset.augment`` names the augmentation."""
    return dict(AUGMENTATIONS[dataset.augment](dataset), seed_aug=seed)


def for_scoring(dataset):
    """Return the options of the centre crop."""
    return dict(resize=short_side(dataset.size), inter_method=AREA_OR_CUBIC)
