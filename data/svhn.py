"""SVHN, cropped digits: three MATLAB files (section 6.1)."""

import os

import numpy

from data import archives
from data.archives import Archive
from data.source import Source
from data.split import Split
from system.errors import UserError

HOME = 'http://ufldl.stanford.edu/housenumbers/'
ARCHIVES = {
    'train': Archive(
        'train_32x32.mat', HOME + 'train_32x32.mat', ('e26dedcc434d2e4c54c9b2d4a06d8373',), 190
    ),
    'extra': Archive(
        'extra_32x32.mat', HOME + 'extra_32x32.mat', ('a93ce644f1a588dc4d68dda5feec44a7',), 1400
    ),
    'test': Archive(
        'test_32x32.mat', HOME + 'test_32x32.mat', ('eb5a983be6a315427106f1b164d9cef3',), 70
    ),
}
CLASSES = 10
IMAGES = {'train': 73257, 'extra': 531131, 'test': 26032}
HELD_OUT = {'train': 400, 'extra': 200}  # images of each class for validation
MOST_BYTES = 4e9  # of an array; the largest official one has 1.6e9
SPLIT_SEED = 0  # the paper says how many images are held out, not which ones


def find(source, cache, checksum=True):
    """Return the ``Source``: the three files, in the order of ``ARCHIVES``.

    Parameters
    ----------
    source : str or None
        The folder with the three files; None downloads them (1.5 GB).
    cache : str
        Folder for downloads.
    checksum : bool
        Whether the files must have the published MD5.

    Raises
    ------
    UserError
        A file is missing, or has another MD5.
    """
    wanted = list(ARCHIVES.values())
    paths = (
        [archives.download(archive, cache) for archive in wanted]
        if source is None
        else archives.locate_all(wanted, source, checksum)
    )
    known = tuple(archive.md5 for archive in wanted)
    return Source(paths, known, verified=checksum or source is None)


def splits(source, held_out=None):
    """Return the training, validation and test ``Split``.

    The split ``val`` has 400 images of each class of ``train`` and 200 of ``extra``, 6,000 in all.
    From the official archives this leaves 598,388 images for training.

    Parameters
    ----------
    source : data.source.Source
    held_out : dict, optional
        Numbers of images to use instead of ``HELD_OUT``.

    Raises
    ------
    UserError
        A file is damaged, not of this data set, or has too few images of a class to hold out.
    """
    held_out = held_out or HELD_OUT
    paths = dict(zip(ARCHIVES, source.paths))
    if not source.verified:
        for path in source.paths:
            archives.check_matlab(path)
    random = numpy.random.RandomState(SPLIT_SEED)
    kept, held = [], []
    for name in ('train', 'extra'):
        labels, images = _read(paths[name])
        mask = _choose(labels, held_out[name], random, paths[name])
        kept.append((labels, images, numpy.flatnonzero(~mask)))
        held.append((labels, images, numpy.flatnonzero(mask)))
    labels, images = _read(paths['test'])
    return [
        _split('train', kept),
        _split('val', held),
        _split('test', [(labels, images, numpy.arange(len(labels)))]),
    ]


def _split(name, selections):
    """Return a ``Split`` from a list of (labels, images, indices of those to use)."""
    labels = numpy.concatenate([labels[chosen] for labels, _, chosen in selections])
    # A generator, so that the training images, 1.8 GB, are not copied.
    images = (images[..., index] for _, images, chosen in selections for index in chosen)
    return Split(name, labels, images)


def _choose(labels, count, random, path):
    """Return a mask of ``count`` images of each class, chosen at random."""
    mask = numpy.zeros(len(labels), bool)
    for label in range(CLASSES):
        own = numpy.flatnonzero(labels == label)
        if len(own) < count:
            raise UserError(
                f'{path} has {len(own)} images of digit {label} and {count} are to be '
                'held out: it is not the official file'
            )
        mask[random.permutation(own)[:count]] = True
    return mask


def _read(path):
    """Return labels of shape (n,), where 0 is the digit 0, and images of shape (32, 32, 3, n)."""
    import scipy.io  # not at the top, since it takes 0.3 s and most data sets do not need it

    try:
        announced = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
        if max(numpy.prod(announced[name], dtype=float) for name in 'Xy') > MOST_BYTES:
            raise ValueError(f'it announces arrays of {announced["X"]} and {announced["y"]}')
        content = scipy.io.loadmat(path, variable_names=('X', 'y'))
        images, labels = content['X'], content['y'].ravel()
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise anything
        why = str(error).split('\n')[0] or type(error)
        raise UserError(
            f'{path} cannot be read as a MATLAB file with X and y ({why}): it is damaged or '
            'another file; fetch it again'
        )
    if images.dtype != numpy.uint8 or images.shape != (32, 32, 3, len(labels)) or not len(labels):
        raise UserError(
            f'{path} holds X of shape {images.shape} for {len(labels)} labels, not '
            '32x32x3 bytes for each: it is not an SVHN file of cropped digits'
        )
    if not set(numpy.unique(labels)) <= set(range(1, CLASSES + 1)):
        raise UserError(
            f'{os.path.basename(path)} holds labels outside 1 to 10: it is damaged or '
            'another data set'
        )
    return labels.astype(int) % CLASSES, images
