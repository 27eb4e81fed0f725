"""A .rec file looked at from outside, before MXNet's C++ reader, which can abort on a damaged one."""

import hashlib
import os
import struct

import numpy

from recordio import images, manifest
from system import files
from system.errors import UserError

MAGIC = 0xCED7230A
FRAME, LEAST = 8, 24  # bytes: magic and length; the header of an image, flag, label and two numbers
SHAPE = (32, 32, 3)
MOST_BYTES = (
    2 << 30
)  # of a larger file records of so many are looked at, evenly spread: ImageNet's has 150 GB
BLOCKS = 1024  # stretches of a megabyte of a larger file that its digest is made of


def again(path):
    """Return the advice to make a damaged .rec file again."""
    folder = os.path.dirname(os.path.abspath(path))
    return f'make it again with "{manifest.again(folder, "--force")}"'


def check(path, classes=None, shape=SHAPE, most=MOST_BYTES):
    """Return the number of images of a .rec file that training can read.

    Every record named by the .idx file is looked at: its magic number and length, that it ends
    where the next begins, its label, and its image as far as ``images.shape_of`` sees it.
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
        Of a file with more bytes only so many are looked at, in records spread evenly over it.

    Raises
    ------
    UserError
        A file is missing, empty, truncated or damaged, or has another label or image.
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
                f'{path}: image {number + 1} of {total} cannot be read ({error}): {again(path)}'
            )
        if shape and found != shape:
            raise UserError(
                f'{path}: image {number + 1} of {total} has height, width and channels '
                f'{found} and must have {shape}: convert the images first, see '
                'docs/data.md'
            )
    return total


def labelled_images(path):
    """Yield the label and the bytes of each image of a file that ``check`` has passed, in the file's order."""
    yield from _images(numpy.memmap(path, numpy.uint8, 'r'), _offsets(path))


def _images(content, offsets):
    content = memoryview(content)
    for offset in offsets.tolist():
        (word,) = struct.unpack_from('<I', content, offset + 4)
        end = offset + FRAME + (word & (1 << 29) - 1)
        whole = content[offset + FRAME : end] if not word >> 29 else _joined(content, offset)
        yield struct.unpack_from('<f', whole, 4)[0], whole[LEAST:]


def labels(path):
    """Return the label of each image, an array of shape (n,), in the order of the file.

    Raises
    ------
    UserError
        A file is missing or damaged, as far as this sees.
    """
    offsets, content = _offsets(path), numpy.memmap(path, numpy.uint8, 'r')
    if offsets[0] < 0 or offsets[-1] + FRAME + LEAST > len(content):
        _damaged(path)
    found = _words(content, offsets + FRAME + 4, '<f4')
    _check_labels(path, _words(content, offsets + FRAME, '<u4'), found, None)
    return found


def digest(path):
    """Return the SHA-256 of a .rec file and its .idx, as hexadecimal digits.

    Of more than 2 GB it is made of the size and of 1,024 stretches, evenly spread over the file:
    reading all of ImageNet's would take minutes.
    """
    found, size = hashlib.sha256(), os.path.getsize(path)
    found.update(files.digest_of(os.path.splitext(path)[0] + '.idx', hashlib.sha256()).encode())
    if size <= MOST_BYTES:
        return files.digest_of(path, found)
    found.update(b'%d' % size)
    with open(path, 'rb') as file:
        for place in range(BLOCKS):
            file.seek((size - files.BLOCK) * place // (BLOCKS - 1))
            found.update(file.read(files.BLOCK))
    return found.hexdigest()


def write(file, number, label, image):
    """Append an image to a .rec file, as MXNet's im2rec does: a payload is cut where it has the magic number inside."""
    payload, magic = struct.pack('<IfQQ', 0, label, number, 0) + image, struct.pack('<I', MAGIC)
    cuts, at = [], payload.find(magic)
    while at >= 0:
        cuts += [at] * (at % 4 == 0)  # readers look at whole words only
        at = payload.find(magic, at + (4 if at % 4 == 0 else 1))
    starts = [0] + [cut + len(magic) for cut in cuts]
    for number, (start, end) in enumerate(zip(starts, cuts + [len(payload)])):
        kind = 0 if not cuts else 1 if not number else 3 if number == len(cuts) else 2
        file.write(
            magic
            + struct.pack('<I', kind << 29 | end - start)
            + payload[start:end]
            + bytes(-(end - start) % 4)
        )


def _joined(content, offset):
    """Return a record that is stored in parts, since it has the magic number inside: there they are cut."""
    parts, part = [], 0
    while part < 3:  # 1: the first, 2: one in the middle, 3: the last
        magic, word = struct.unpack_from('<II', content, offset)
        part, length = word >> 29, word & (1 << 29) - 1
        if (
            magic != MAGIC
            or part != (1 if not parts else max(part, 2))
            or offset + FRAME + length > len(content)
        ):
            return b'\0' * LEAST
        parts.append(bytes(content[offset + FRAME : offset + FRAME + length]))
        offset += FRAME + (length + 3) // 4 * 4
    return struct.pack('<I', MAGIC).join(parts)


def _offsets(path):
    index = os.path.splitext(path)[0] + '.idx'
    for name in (path, index):
        if not os.path.isfile(name):
            raise UserError(
                f'{name} is not there: make it with '
                f'"{manifest.again(os.path.dirname(os.path.abspath(path)))}", or name its '
                'folder with --data-dir'
            )
    offsets = numpy.empty((0, 2))
    if os.path.getsize(path) and os.path.getsize(index):
        try:
            with open(index) as file:
                offsets = numpy.array(
                    [[int(word) for word in line.split()] for line in file], numpy.int64
                )
        except (
            ValueError,
            OverflowError,
        ):  # letters, lines of different lengths, numbers beyond 64 bits
            pass
    if offsets.shape[1:] != (2,) or not len(offsets):
        raise UserError(f'{path} or {index} is empty or damaged: {again(path)}')
    return numpy.sort(offsets[:, 1])


def _check_frames(path, content, offsets, ends):
    magic, length = (_words(content, offsets + shift, '<u4') for shift in (0, 4))
    parted = length >> 29  # a payload that contains the magic number is stored in several parts
    length &= (1 << 29) - 1
    whole = offsets + FRAME + (length + 3) // 4 * 4 == ends
    if (
        (magic != MAGIC).any()
        or not (whole | (parted == 1)).all()
        or (parted > 1).any()
        or (length < LEAST).any()
    ):
        _damaged(path)


def _words(content, at, kind):
    return content[at[:, None] + numpy.arange(4)].copy().view(kind)[:, 0]


def _check_labels(path, flags, labels, classes):
    if flags.any():
        raise UserError(f'{path} holds images with several labels, or is damaged: {again(path)}')
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
        f'{path} is truncated or damaged, or its .idx belongs to another file: {again(path)}'
    )
