"""The images of one split of a data set, as the readers of the archives return them."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy


class Split(NamedTuple):
    """Small images of one split."""

    name: str  # 'train', 'test' or 'val'
    labels: numpy.ndarray  # integers from 0, of shape (n,)
    images: Iterable  # n arrays of shape (32, 32, 3), uint8, RGB, in the order of the labels


class Entry(NamedTuple):
    """A photograph: an image file, or a range of bytes of a tar that holds it."""

    path: str  # the file that holds the image
    offset: int  # where the image begins in the file
    bytes: int  # length of the image
    label: int
    name: str  # what lists and messages call it


class Photographs(NamedTuple):
    """Photographs of one split, which are not read yet."""

    name: str  # 'train' or 'test'
    entries: list  # of Entry
