"""Component networks: the paths from the image to the softmax, counted by their depth.

A path through the graph is one network of the tandem ensemble (section 3.1). They are counted in
the graph itself: a weighted layer adds 1 to the depth of every path through it, and a sum has the
paths of all its terms. Counts are Python integers, so that even 2**96 paths are counted exactly.
"""

import json
import math
from collections import Counter
from fractions import Fraction

WEIGHTED = ('Convolution', 'FullyConnected')


def nodes(symbol):
    """Return the nodes of ``symbol`` in topological order, as the dicts of MXNet's JSON format."""
    return json.loads(symbol.tojson())['nodes']


def histogram(symbol):
    """Return {depth in weighted layers: number of paths from ``data`` to the outputs}."""
    graph = json.loads(symbol.tojson())
    found = []  # for each node, {depth: number of paths from ``data`` to it}
    for node in graph['nodes']:
        counts = Counter()
        if node['op'] == 'null':
            counts.update({0: 1} if node['name'] == 'data' else {})
        for source, _, _ in node['inputs']:
            counts.update(found[source])
        if node['op'] in WEIGHTED:
            counts = Counter({depth + 1: count for depth, count in counts.items()})
        found.append(counts)
    return dict(sorted(sum((found[head] for head, _, _ in graph['heads']), Counter()).items()))


def depth(symbol):
    """Return the weighted layers on the longest path: the depth as the paper counts it."""
    return max(histogram(symbol))


def mean_and_deviation(counts):
    """Return mean and standard deviation of the depth over the paths of a histogram."""
    size = sum(counts.values())
    first = sum(depth * count for depth, count in counts.items())
    second = sum(depth * depth * count for depth, count in counts.items())
    # Exact up to the last step, because the counts may be too large for a float.
    return float(Fraction(first, size)), math.sqrt(
        Fraction(second * size - first * first, size * size)
    )
