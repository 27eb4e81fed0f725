"""The augmentations of train_imagenet.py --augment, by what they do to images of known colours and
slopes.
"""

import numpy
import pytest
from test_photographs import pixels, write

from recordio import augmentation, datasets, record_iterator

# Krizhevsky et al. (2012) give the components by their principal axes; these are red's, green's and
# blue's shares.
FIRST_COMPONENT, FIRST_DEVIATION = numpy.array([0.5675, 0.5808, 0.5836]), 0.1 * 55.46


def augmented(folder, image, name, count=240):
    """Return ``count`` training crops of an image of 480x480, in RGB from 0 to 255."""
    write(folder, name, [image] * count)
    dataset = datasets.PHOTOGRAPHS._replace(classes=2, augment=name)
    batches = record_iterator.Records(
        str(folder / (name + '.rec')), dataset, 40, record_iterator.Reading(shuffle_seed=3)
    ).batches(1)
    return numpy.concatenate([pixels(batch, dataset) for batch in batches])


@pytest.fixture(scope='module', params=sorted(augmentation.AUGMENTATIONS))
def grey(request, tmp_path_factory):
    """The mean colour, (crops, 3), of augmented crops of a grey image, by the
    augmentation's name.
    """
    crops = augmented(
        tmp_path_factory.mktemp('grey'), numpy.full((480, 480, 3), 120, numpy.uint8), request.param
    )
    return request.param, crops.mean((1, 2))


def test_colour(grey):
    """PCA noise moves a grey along ImageNet's first component; contrast and illumination leave it
    grey; HSL does neither.
    """
    name, colours = grey
    moved = colours - 120
    if name == 'paper':
        eigenvalues, axes = numpy.linalg.eigh(numpy.cov(moved.T))
        assert abs(axes[:, -1] @ FIRST_COMPONENT) > 0.98
        assert eigenvalues[-1] ** 0.5 == pytest.approx(FIRST_DEVIATION, rel=0.2)
    elif name == 'authors-2016':
        assert (
            numpy.ptp(moved, axis=1).max() < 0.2 * (120 - 99) + 1
            and 15 < numpy.ptp(moved.mean(1)) < 2 * 10 * 1.2 + 2
        )
    else:
        assert numpy.ptp(moved, axis=1).max() > 20 and numpy.ptp(moved.mean(1)) > 70


def ramp_scales(folder, name):
    """Return by which factor the crops of a ramp from left to right were scaled."""
    ramp = numpy.repeat(numpy.linspace(40, 210, 480)[None], 480, 0)
    crops = augmented(folder, numpy.repeat(ramp[..., None], 3, 2), name).mean(3)[:, 80:144].mean(1)
    return 170 / 480 / numpy.abs(crops[:, 214:220].mean(1) - crops[:, 4:10].mean(1)) * 210


def test_the_papers_scales(tmp_path):
    """The shorter side is scaled to between 256 and 480, and both sides alike."""
    scales = ramp_scales(tmp_path, 'paper')
    assert 256 / 480 * 0.98 < scales.min() < 0.57 and 0.96 < scales.max() < 1.02


def test_the_authors_crops_of_2016(tmp_path):
    """Crops of 196 to 480 pixels become 224: factors of 1.14 down to 0.47, seen through a contrast
    of 0.8 to 1.2.
    """
    scales = ramp_scales(tmp_path, 'authors-2016')
    assert 224 / 480 / 1.25 < scales.min() < 0.5 and 1.1 < scales.max() < 224 / 196 / 0.78


def test_crops_of_2016_are_in_proportion_to_what_is_packed():
    dataset = datasets.PHOTOGRAPHS._replace(classes=2, size=48, short=103)
    options = augmentation.authors_2016(dataset)
    assert (options['min_crop_size'], options['max_crop_size']) == (42, 103)
