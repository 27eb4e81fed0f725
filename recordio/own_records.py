"""A user's own train.rec and test.rec, which MXNet's im2rec made: what training needs to know.

Classes, sizes, mean and standard deviation are found once by reading the files, and kept beside
them as a manifest, see manifest.py. It is written anew if the record files change, and never over a
file of another origin.
"""

import contextlib
import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy

from recordio import images, manifest, records
from system import files
from system.errors import UserError, command, tell

NAMES = ('train.rec', 'train.idx', 'test.rec', 'test.idx')
MOST_DECODED = 50_000  # images, evenly spread over the file, of which the statistics are
THREADS = 8


def known(folder):
    """Return the manifest of a folder, which is made if the folder holds only records.

    Returns
    -------
    dict or None
        See ``manifest.read``; None if there is neither a manifest nor a pair of record files.

    Raises
    ------
    UserError
        The files cannot be used for training; the message says why.
    """
    found = manifest.read(folder)
    if found and found.get('dataset') != manifest.RECORDS:
        return found
    if not found and not all(os.path.isfile(os.path.join(folder, name)) for name in NAMES):
        return None
    if found and _is_of(found, folder):
        return found
    tell(f'{folder}: reading the images once for their classes, sizes, mean and deviation')
    found = describe(folder)
    try:
        manifest.write(folder, found)
    except OSError as error:
        tell(
            f'{os.path.join(folder, manifest.NAME)} cannot be written ({error.strerror}): '
            'the images are read again next time'
        )
    return found


def _is_of(found, folder):
    """Return whether the files are those that a manifest describes.

    Other labels do not change the size of a file. So where a file is younger than the manifest, its
    digest is compared, and then the manifest is made the younger one.
    """
    paths = {name: os.path.join(folder, name) for name in NAMES}
    if not all(
        os.path.isfile(path) and os.path.getsize(path) == found['files'][name]['bytes']
        for name, path in paths.items()
    ):
        return False
    own = os.path.join(folder, manifest.NAME)
    if max(os.stat(path).st_ctime_ns for path in paths.values()) < os.stat(own).st_ctime_ns:
        return True
    same = all(
        files.digest_of(path, hashlib.sha256()) == found['files'][name]['sha256']
        for name, path in paths.items()
    )
    if same:
        with contextlib.suppress(OSError):  # a folder that cannot be written to
            os.utime(own)
    return same


def describe(folder):
    """Return the manifest of a folder with train.rec and test.rec; see ``known`` for errors."""
    train, test = (os.path.join(folder, name) for name in ('train.rec', 'test.rec'))
    for path in (train, test):
        records.check(path, shape=None, most=math.inf)
    labels = {'train': records.labels(train), 'test': records.labels(test)}
    count = int(max(each.max() for each in labels.values())) + 1
    splits = {
        split: {str(label): int(images_of) for label, images_of in enumerate(_counts(each, count))}
        for split, each in labels.items()
    }
    _check_classes(train, splits['train'])
    sides = [shape for path in (train, test) for shape in _shapes(path)]
    mean, std = _statistics(train)
    return {
        'dataset': manifest.RECORDS,
        'official': False,
        'splits': splits,
        'classes': _names(folder, labels, count),
        'short_side': min(min(side) for side in sides),
        'short_sides': [min(min(side) for side in sides), max(min(side) for side in sides)],
        'longest_side': max(max(side) for side in sides),
        'mean': mean,
        'std': std,
        'source': {},
        'options': {'checksum': False},
        'files': {
            name: {
                'bytes': os.path.getsize(os.path.join(folder, name)),
                'sha256': files.digest_of(os.path.join(folder, name), hashlib.sha256()),
            }
            for name in NAMES
        },
    }


def _counts(labels, count):
    return numpy.bincount(labels.astype(int), minlength=count)


def _check_classes(path, counts):
    if len(counts) < 2:
        raise UserError(f'{path} holds a single class, and a network needs two or more')
    missing = [label for label, count in counts.items() if not count]
    if missing:
        raise UserError(
            f'{path} has no image of class {missing[0]}: number the classes from 0, without gaps'
        )


def _shapes(path):
    """Return the (height, width) of every image, by its header."""
    return [images.shape_of(image)[:2] for _, image in records.labelled_images(path)]


def _statistics(path):
    """Return mean and standard deviation of red, green and blue over all pixels of the images.

    ``UserError``: an image does not decode.
    """
    total = len(records.labels(path))
    chosen = numpy.unique(numpy.linspace(0, total - 1, min(total, MOST_DECODED)).astype(int))
    sums = numpy.zeros((2, 3))
    pixels = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(chosen), 1024):
            some = [
                image for _, image in records.labelled_images(path, chosen[start : start + 1024])
            ]
            try:
                for count, own in pool.map(_sums, some):
                    pixels, sums = pixels + count, sums + own
            except ValueError as error:
                raise UserError(
                    f'{path} holds an image that does not decode ({error}): '
                    f'"{command("data/verify.py", path, "--any-size")}" finds it'
                ) from None
    mean, square = sums / pixels
    std = numpy.sqrt(numpy.maximum(square - mean**2, 0))
    # Images of a single colour would be divided by nothing.
    return [[round(float(x), 3) for x in each] for each in (mean, numpy.maximum(std, 1))]


def _sums(image):
    """Return the number of pixels of an image, and their sums and sums of squares, red first."""
    pixels = images.decode(bytes(image))[..., ::-1].reshape(-1, 3).astype(numpy.float64)
    return len(pixels), numpy.array([pixels.sum(axis=0), (pixels**2).sum(axis=0)])


def _names(folder, labels, count):
    """Return the names of the classes: those of im2rec's folders, else their numbers.

    Raises
    ------
    UserError
        The lists say that a label means one class in training and another in the test.
    """
    named = {}
    for split, each in labels.items():
        found = _folders(os.path.join(folder, split + '.lst'), len(each))
        for label, name in found.items():
            if named.setdefault(label, name) != name:
                raise UserError(
                    f'{folder}: label {label} is {named[label]} in train.lst and {name} in '
                    f'{split}.lst: give both the same folders, each with an image, and pack again'
                )
    names = [named.get(label) for label in range(count)]
    unusable = None in names or len(set(names)) < count
    if unusable or max(map(len, names)) > manifest.MOST_LETTERS:
        return [str(label) for label in range(count)]
    return names


def _folders(path, total):
    """Return {label: folder} of im2rec's list of ``total`` images, {} if it is of no use."""
    try:
        with open(path, encoding='utf-8') as file:
            rows = [line.rstrip('\n').split('\t') for line in file]
        pairs = {(int(float(row[1])), os.path.dirname(row[-1])) for row in rows}
    except (OSError, ValueError, IndexError, OverflowError):
        return {}
    found = dict(sorted(pairs))
    usable = len(rows) == total and len(found) == len(pairs) and all(found.values())
    return found if usable else {}
