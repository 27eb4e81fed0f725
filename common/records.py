"""A .rec file looked at from outside, before MXNet's C++ reader, which can abort on a damaged one."""
import os

import numpy

from common.errors import UserError

MAGIC = 0xced7230a
FRAME, LABEL_AT, LEAST = 8, 4, 24  # bytes: magic and length; flag before the label; the image header


def check(path, classes=None):
    """Return the number of images of a .rec file whose records are all in their places.

    Every record named by the .idx file is looked at: its magic number and length, that it ends where
    the next begins, and its label. Images are not decoded.

    Parameters
    ----------
    path : str
        The .rec file; the .idx file lies beside it.
    classes : int, optional
        Labels must be whole numbers from 0 to classes - 1.

    Raises
    ------
    UserError
        A file is missing, empty, truncated or damaged, or has another label.
    """
    offsets = numpy.sort(_offsets(path))
    content = numpy.memmap(path, numpy.uint8, 'r')
    ends = numpy.append(offsets[1:], len(content))
    if offsets[0] != 0 or offsets[-1] + FRAME + LEAST > len(content) or (offsets % 4).any():
        _damaged(path)
    magic, length = (_words(content, offsets + shift, '<u4') for shift in (0, 4))
    parted = length >> 29  # a payload that contains the magic number is stored in several parts
    length &= (1 << 29) - 1
    whole = offsets + FRAME + (length + 3) // 4 * 4 == ends
    if (magic != MAGIC).any() or not (whole | (parted == 1)).all() or (parted > 1).any():
        _damaged(path)
    if classes is not None:
        _check_labels(path, _words(content, offsets + FRAME + LABEL_AT, '<f4'), classes)
    return len(offsets)


def _offsets(path):
    index = os.path.splitext(path)[0] + '.idx'
    for name in (path, index):
        if not os.path.isfile(name):
            raise UserError('%s is not there: make it with "python data/prepare.py NAME", or name its '
                            'folder with --data-dir' % name)
    offsets = numpy.empty((0, 2))
    if os.path.getsize(path) and os.path.getsize(index):
        try:
            offsets = numpy.loadtxt(index, dtype=numpy.int64, ndmin=2)
        except ValueError:
            pass
    if offsets.shape[1:] != (2,) or not len(offsets):
        raise UserError('%s or %s is empty or damaged: make them again with "python data/prepare.py '
                        'NAME --force"' % (path, index))
    return offsets[:, 1]


def _words(content, at, kind):
    return content[at[:, None] + numpy.arange(4)].copy().view(kind)[:, 0]


def _check_labels(path, labels, classes):
    wrong = labels[~((labels >= 0) & (labels < classes) & (labels == numpy.floor(labels)))]
    if len(wrong):
        raise UserError('%s holds the label %g, and this data set has the classes 0 to %d: choose the '
                        'data set it was made from with --dataset' % (path, wrong[0], classes - 1))


def _damaged(path):
    raise UserError('%s is truncated or damaged, or its .idx belongs to another file: make it again '
                    'with "python data/prepare.py NAME --force"' % path)
