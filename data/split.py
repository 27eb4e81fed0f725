"""What a reader of an archive hands over: one split of a data set."""

from collections import namedtuple

# name: 'train', 'test' or 'val'. labels: integers from 0, an array of shape (n,). images: n arrays
# of shape (32, 32, 3), uint8, RGB, in the order of the labels; a sequence or anything to iterate.
Split = namedtuple('Split', 'name labels images')

# The same for photographs, which stay in their files. entries: list of ``Entry``.
Photographs = namedtuple('Photographs', 'name entries')
# ``bytes`` of the file ``path`` from ``offset`` on are an image file, called ``name``.
Entry = namedtuple('Entry', 'path offset bytes label name')
