"""Record files (.rec): checking and reading them without MXNet.

A file is checked here before MXNet's C++ reader opens it, which can abort the process on damage.
"""

import hashlib
import os

import numpy

from recordio import images, manifest, record_format
from recordio.record_format import FIRST, FRAME, LEAST, LENGTH, MAGIC, words
from system import files
from system.errors import UserError

SIGNS = '#;?'  # in a path, before a cache file, another path, and arguments
SHAPE = (32, 32, 3)  # height, width and channels of a small image
MOST_BYTES = 2 << 30  # that are read of a file to check it; ImageNet's has 150 GB
BLOCKS = 1024  # of a megabyte, from which the digest of a larger file is computed


def remake_advice(path):
    """Return the end of a message about a damaged file: the command that makes it again."""
    folder = os.path.dirname(os.path.abspath(path))
    return f'make it again with "{manifest.prepare_command(folder, "--force")}"'


def check(path, classes=None, shape=SHAPE, most=None):
    """Check a .rec file and return the number of its images.

    Of every record in the .idx file these are checked: the magic number, the length, that it ends
    where the next record begins, the label, and the image as far as ``images.shape_of`` does.
    ``data/verify.py`` also decodes the images.

    Parameters
    ----------
    path : str
        The .rec file; the .idx file lies beside it.
    classes : int, optional
        Labels must be whole numbers from 0 to classes - 1.
    shape : tuple of int, optional
        Height, width and channels that every image must have; None: any.
    most : float, optional
        In a file with more bytes (default: ``MOST_BYTES``), only this many are checked, in records
        evenly spread over it.

    Raises
    ------
    UserError
        The .rec or .idx file is missing, empty, truncated or damaged, or an image has another shape
        or a label that is not allowed.
    """
    offsets = _offsets(path)
    content, total = numpy.memmap(path, numpy.uint8, 'r'), len(offsets)
    if offsets[0] != 0 or offsets[-1] + FRAME + LEAST > len(content) or (offsets % 4).any():
        _refuse_damaged(path)
    ends = numpy.append(offsets[1:], len(content))
    share = min(1, (most or MOST_BYTES) / len(content))
    # Evenly spread; the first and the last record are always among them.
    chosen = numpy.unique(
        numpy.linspace(0, total - 1, max(2, int(total * share))).round().astype(int)
    )
    offsets, ends = offsets[chosen], ends[chosen]
    _check_frames(path, content, offsets, ends)
    _check_labels(
        path,
        words(content, offsets + FRAME, '<u4'),
        words(content, offsets + FRAME + 4, '<f4'),
        classes,
    )
    for number, (_, image) in zip(chosen, record_format.labelled_images(content, offsets)):
        _check_image(path, f'image {number + 1} of {total}', image, shape)
    return total


def _check_image(path, name, image, shape):
    """Refuse an encoded image without a header, or of another shape than ``shape`` if not None."""
    try:
        found = images.shape_of(image)
    except ValueError as error:
        raise UserError(f'{path}: {name} cannot be read ({error}): {remake_advice(path)}')
    if shape and found != shape:
        raise UserError(
            f'{path}: {name} has height, width and channels {found} and must have {shape}: convert '
            'the images first, see docs/data.md'
        )


def check_signs(path, advice):
    """Raise ``UserError`` for a path in which MXNet's readers would see signs of their own."""
    if set(path) & set(SIGNS):
        raise UserError(
            f'{path} has one of the signs {" ".join(SIGNS)} in it, which mean something else to '
            f'MXNet: {advice}'
        )


def labelled_images(path, positions=slice(None)):
    """Yield (label, bytes) of each image in the order of the file, which ``check`` has passed.

    ``positions`` are those of the images in this order; by default all of them.
    """
    content, offsets = numpy.memmap(path, numpy.uint8, 'r'), _offsets(path)
    yield from record_format.labelled_images(content, offsets[positions])


def numbers(path):
    """Return the numbers that the records of a file have themselves, in the order of the file."""
    content, offsets = numpy.memmap(path, numpy.uint8, 'r'), _offsets(path)
    low, high = (words(content, offsets + FRAME + shift, '<u4') for shift in (8, 12))
    return low.astype(numpy.uint64) + (high.astype(numpy.uint64) << numpy.uint64(32))


def labels(path):
    """Return the labels of the images, an array of shape (n,), in the order of the file.

    Raises
    ------
    UserError
        The .rec or .idx file is missing, or damaged in a place that this function reads.
    """
    offsets, content = _offsets(path), numpy.memmap(path, numpy.uint8, 'r')
    if offsets[0] < 0 or offsets[-1] + FRAME + LEAST > len(content):
        _refuse_damaged(path)
    found = words(content, offsets + FRAME + 4, '<f4')
    _check_labels(path, words(content, offsets + FRAME, '<u4'), found, None)
    return found


def digest(path):
    """Return the SHA-256 of a .rec file and its .idx, as hexadecimal digits.

    Of a file of more than 2 GB it covers the size and 1,024 blocks of a megabyte, evenly spread
    over the file: to read all of ImageNet's would take minutes.
    """
    found, size = hashlib.sha256(), os.path.getsize(path)
    found.update(files.digest_of(os.path.splitext(path)[0] + '.idx', hashlib.sha256()).encode())
    if size <= MOST_BYTES:
        return files.digest_of(path, found)
    found.update(b'%d' % size)
    with open(path, 'rb') as file:
        for block in range(BLOCKS):
            file.seek((size - files.BLOCK) * block // (BLOCKS - 1))
            found.update(file.read(files.BLOCK))
    return found.hexdigest()


def _offsets(path):
    """Return the offsets of the records from the .idx file, sorted, in bytes."""
    index = os.path.splitext(path)[0] + '.idx'
    for name in (path, index):
        if not os.path.isfile(name):
            raise UserError(
                f'{name} is not there: make it with '
                f'"{manifest.prepare_command(os.path.dirname(os.path.abspath(path)))}", or name '
                'its folder with --data-dir'
            )
    offsets = numpy.empty((0, 2))
    if os.path.getsize(path) and os.path.getsize(index):
        try:
            with open(index) as file:
                offsets = numpy.array(
                    [[int(word) for word in line.split()] for line in file], numpy.int64
                )
        except (ValueError, OverflowError):
            pass  # letters, lines of different lengths, or numbers of more than 64 bits
    if offsets.shape[1:] != (2,) or not len(offsets):
        raise UserError(f'{path} or {index} is empty or damaged: {remake_advice(path)}')
    return numpy.sort(offsets[:, 1])


def _check_frames(path, content, offsets, ends):
    """Check the words in front of the records at ``offsets``, and that they end at ``ends``."""
    magic, word = (words(content, offsets + shift, '<u4') for shift in (0, 4))
    kind, length = word >> 29, word & LENGTH
    fits = offsets + FRAME + (length + 3) // 4 * 4 == ends
    if (
        (magic != MAGIC).any()
        or not (fits | (kind == FIRST)).all()
        or (kind > FIRST).any()
        or (length < LEAST).any()
    ):
        _refuse_damaged(path)


def _check_labels(path, flags, labels, classes):
    if flags.any():
        raise UserError(
            f'{path} holds images with several labels, or is damaged: {remake_advice(path)}'
        )
    wrong = labels[
        ~((labels >= 0) & (labels < (classes or 1 << 24)) & (labels == numpy.floor(labels)))
    ]
    if len(wrong):
        raise UserError(
            f'{path} holds the label {wrong[0]:g}, and this data set has the classes 0 to '
            f'{int((classes or 1 << 24) - 1)}: choose the data set it was made from with '
            '--dataset'
        )


def _refuse_damaged(path):
    raise UserError(
        f'{path} is truncated or damaged, or its .idx belongs to another file: '
        f'{remake_advice(path)}'
    )
