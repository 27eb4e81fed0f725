"""Options of ImageRecordIter for photographs (section 6.5): random scales and crops to train on, the centre to score."""

SIZE, SCORED, TRAINED = 224, 256, (256, 480)  # pixels: of the crop; of the shorter side, scored and trained on
ASPECT, HUE, SATURATION, LIGHTNESS = 0.25, 36, 50, 50  # the largest random changes
GREY = 112  # fills what the change of aspect leaves empty: the mean of ImageNet's three channels
AREA_OR_CUBIC = 9  # how an image is resized: smaller, or larger


def short_side(size):
    """Return the shorter side, in pixels, whose centre of ``size`` x ``size`` is scored."""
    return round(size * SCORED / SIZE)


def for_training(dataset, seed):
    """Return the options of a random crop.

    The shorter side is scaled to 256 to 480 pixels, in proportion where ``dataset.size`` is not 224; the ratio of width
    and height changes by up to a quarter; then a crop at a random place, mirrored or not, with its hue (of 180),
    saturation and lightness (of 255) shifted.
    """
    low, high = (side * dataset.size / SIZE / dataset.short for side in TRAINED)
    return dict(min_random_scale=low, max_random_scale=high, max_aspect_ratio=ASPECT, fill_value=GREY, rand_crop=True,
                rand_mirror=True, random_h=HUE, random_s=SATURATION, random_l=LIGHTNESS, seed_aug=seed)


def for_scoring(dataset):
    """Return the options of the central crop."""
    return dict(resize=short_side(dataset.size), inter_method=AREA_OR_CUBIC)
