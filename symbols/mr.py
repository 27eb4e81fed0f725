"""DFN-MR: merge-and-run fusion (section 5, Figures 6b and 7c).

The paper says how a unit computes and not how the network ends. There are two endings, with the
same parameters:

``mr``: the authors' code on the day the paper was submitted (first commit, 2016-11-23). In the last
unit the two states get no ReLU, and the head gets relu(x1 + x2) = relu(2 merge + two_1(x1) +
two_2(x2)).

``mr-late``: their code of two days later. The head gets relu(merge + two_1(x1) + two_2(x2)).
"""

from symbols import layers


def merged(data1, data2, place):
    """Return the terms of a unit: merge = (line_1(x1) + line_2(x2)) / 2, two_1(x1) and two_2(x2).

    Where the width changes, each line has a projection of its own.
    """
    merge = 0.5 * layers.add(
        place.name + '_merge',
        layers.line(data1, place.name + '_line1', place),
        layers.line(data2, place.name + '_line2', place),
    )
    return (
        merge,
        layers.branch(data1, place.name + '_branch1', place),
        layers.branch(data2, place.name + '_branch2', place),
    )


def unit(data1, data2, place):
    """Map the states (x1, x2) through one unit: x1' = relu(merge + two_1(x1)), x2' = relu(merge + two_2(x2))."""
    merge, two1, two2 = merged(data1, data2, place)
    return tuple(
        layers.relu(layers.add(place.name + run, merge, two), place.name + run)
        for run, two in (('_run1', two1), ('_run2', two2))
    )


def end(data1, data2, place, late):
    """Return the one feature map that the last unit gives to the head."""
    merge, two1, two2 = merged(data1, data2, place)
    if late:
        return layers.relu(layers.add(place.name, merge, two1, two2), place.name)
    states = [
        layers.add(place.name + run, merge, two) for run, two in (('_run1', two1), ('_run2', two2))
    ]
    return layers.relu(layers.add(place.name, *states), place.name)


def get_symbol(units, num_classes, widen=1, late=False):
    """Return the DFN-MR of ``units`` units a group: depth 6 * units + 2, ensemble size 2 * 3**(3 units).

    ``late=True`` is ``mr-late``, whose ensemble has 4 * 3**(3 units - 1) networks.
    """
    data1 = data2 = layers.stem(widen)
    *places, last = layers.plan(units, widen)
    for place in places:
        data1, data2 = unit(data1, data2, place)
    return layers.head(end(data1, data2, last, late), num_classes)
