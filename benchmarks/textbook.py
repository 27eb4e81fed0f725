"""The networks as textbooks write them, with which benchmark.py compares the project's graphs.

Sums have two terms, and the head is a global average ``Pooling``. The parameters have the same
names, so that the weights of one graph fit the other.
"""

from functools import reduce
from unittest import mock

import symbols
from engine import mx
from symbols import layers


def add(name, *terms):
    """Replaces ``layers.add``: sums of two terms instead of one sum of all."""
    return reduce(lambda a, b: mx.sym.elemwise_add(a, b), terms)


def head(data, num_classes):
    """Replaces ``layers.head``: ``Pooling`` instead of a mean over the axes."""
    pool = mx.sym.Pooling(data, kernel=(8, 8), pool_type='avg', global_pool=True, name='pool')
    score = mx.sym.FullyConnected(mx.sym.Flatten(pool), num_hidden=num_classes, name='fc')
    return mx.sym.SoftmaxOutput(score, name='softmax')


def get_symbol(*arguments, **options):
    """Return the symbol of ``symbols.get_symbol``, built from textbook operators."""
    with mock.patch.multiple(layers, add=add, head=head):
        return symbols.get_symbol(*arguments, **options)
