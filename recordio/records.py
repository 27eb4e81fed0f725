"""Record files (.rec) in MXNet's format: checking, reading and writing them without MXNet.

A file is checked here before MXNet's C++ reader opens it, which can abort the process on damage.
"""

import hashlib
import os
import struct

import numpy

from recordio import images, manifest
from system import files
from system.errors import UserError

MAGIC = 0xCED7230A
FRAME = 8  # bytes in front of a payload: the magic number, and a word of kind and length
LEAST = 24  # bytes in front of an image in its payload: flag, label and two numbers
LENGTH = (1 << 29) - 1  # mask of the length in that word; the kind is above it
# Kinds. A payload that contains the magic number is cut there into several chunks, without it.
WHOLE, FIRST, MIDDLE, LAST = range(4)
SHAPE = (32, 32, 3)  # height, width and channels of a small image
MOST_BYTES = 2 << 30  # that are read of a file to check it; ImageNet's has 150 GB
BLOCKS = 1024  # of a megabyte, from which the digest of a larger file is computed


def remake_advice(path):
    """Return the end of a message about a damaged file: the command that makes it again."""
    folder = os.path.dirname(os.path.abspath(path))
    return f'make it again with "{manifest.prepare_command(folder, "--force")}"'


def check(path, classes=None, shape=SHAPE, most=MOST_BYTES):
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
    most : int
        In a file with more bytes, only this many are checked, in records evenly spread over it.

    Raises
    ------
    UserError
        The .rec or .idx file is missing, empty, truncated or damaged, or an image has another shape
        or a label that is not allowed.
    """
    offsets = _offsets(path)
    content, total = numpy.memmap(path, numpy.uint8, 'r'), len(offsets)
    if offsets[0] != 0 or offsets[-1] + FRAME + LEAST > len(content) or (offsets % 4).any():
        _damaged(path)
    ends = numpy.append(offsets[1:], len(content))
    share = min(1, most / len(content))
    chosen = numpy.unique(
        numpy.linspace(0, total - 1, max(2, int(total * share))).round().astype(int)
    )
    offsets, ends = offsets[chosen], ends[chosen]
    _check_frames(path, content, offsets, ends)
    _check_labels(
        path,
        _words(content, offsets + FRAME, '<u4'),
        _words(content, offsets + FRAME + 4, '<f4'),
        classes,
    )
    for number, (_, image) in zip(chosen, _images(content, offsets)):
        try:
            found = images.shape_of(image)
        except ValueError as error:
            raise UserError(
                f'{path}: image {number + 1} of {total} cannot be read ({error}): '
                f'{remake_advice(path)}'
            )
        if shape and found != shape:
            raise UserError(
                f'{path}: image {number + 1} of {total} has height, width and channels {found} '
                f'and must have {shape}: convert the images first, see docs/data.md'
            )
    return total


def labelled_images(path):
    """Yield (label, bytes) of each image in the order of the file, which ``check`` has passed."""
    yield from _images(numpy.memmap(path, numpy.uint8, 'r'), _offsets(path))


def _images(content, offsets):
    content = memoryview(content)
    for offset in offsets.tolist():
        (word,) = struct.unpack_from('<I', content, offset + 4)
        if word >> 29 == WHOLE:
            payload = content[offset + FRAME : offset + FRAME + (word & LENGTH)]
        else:
            payload = _read_chunks(content, offset)
        yield struct.unpack_from('<f', payload, 4)[0], payload[LEAST:]


def labels(path):
    """Return the labels of the images, an array of shape (n,), in the order of the file.

    Raises
    ------
    UserError
        The .rec or .idx file is missing, or damaged in a place that this function reads.
    """
    offsets, content = _offsets(path), numpy.memmap(path, numpy.uint8, 'r')
    if offsets[0] < 0 or offsets[-1] + FRAME + LEAST > len(content):
        _damaged(path)
    found = _words(content, offsets + FRAME + 4, '<f4')
    _check_labels(path, _words(content, offsets + FRAME, '<u4'), found, None)
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


def write(file, number, label, image):
    """Append an image to a .rec file, as MXNet's im2rec does.

    Parameters
    ----------
    file : binary file, open for writing
    number : int
        Of the image in the file, from 0.
    label : float
    image : bytes
        A JPEG or PNG file.
    """
    payload, magic = struct.pack('<IfQQ', 0, label, number, 0) + image, struct.pack('<I', MAGIC)
    cuts, at = [], payload.find(magic)
    while at >= 0:
        cuts += [at] * (at % 4 == 0)  # readers look for the magic number in whole words only
        at = payload.find(magic, at + (4 if at % 4 == 0 else 1))
    starts = [0] + [cut + len(magic) for cut in cuts]
    kinds = [FIRST] + [MIDDLE] * (len(cuts) - 1) + [LAST] if cuts else [WHOLE]
    for kind, start, end in zip(kinds, starts, cuts + [len(payload)]):
        file.write(
            magic
            + struct.pack('<I', kind << 29 | end - start)
            + payload[start:end]
            + bytes(-(end - start) % 4)
        )


def _read_chunks(content, offset):
    """Return the payload of a record that is stored in chunks; an empty image if it is damaged."""
    chunks, kind = [], WHOLE
    while kind != LAST:
        magic, word = struct.unpack_from('<II', content, offset)
        kind, length = word >> 29, word & LENGTH
        if (
            magic != MAGIC
            or kind not in ((MIDDLE, LAST) if chunks else (FIRST,))
            or offset + FRAME + length > len(content)
        ):
            return b'\0' * LEAST
        chunks.append(bytes(content[offset + FRAME : offset + FRAME + length]))
        offset += FRAME + (length + 3) // 4 * 4
    return struct.pack('<I', MAGIC).join(chunks)


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
    magic, word = (_words(content, offsets + shift, '<u4') for shift in (0, 4))
    kind, length = word >> 29, word & LENGTH
    fits = offsets + FRAME + (length + 3) // 4 * 4 == ends
    if (
        (magic != MAGIC).any()
        or not (fits | (kind == FIRST)).all()
        or (kind > FIRST).any()
        or (length < LEAST).any()
    ):
        _damaged(path)


def _words(content, at, dtype):
    """Return the four bytes at each offset as numbers."""
    return content[at[:, None] + numpy.arange(4)].copy().view(dtype)[:, 0]


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


def _damaged(path):
    raise UserError(
        f'{path} is truncated or damaged, or its .idx belongs to another file: '
        f'{remake_advice(path)}'
    )
