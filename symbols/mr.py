"""DFN-MR: merge-and-run fusion (section 5, Figures 6b and 7c).

A unit has two states, x1 and x2, and two_1 and two_2 are its two-layer branches, ``layers.branch``.

The paper says what a unit computes but not how the network ends. The authors' code has had two
endings, with the same parameters:

``mr``: the code on the day the paper was submitted (first commit, 2016-11-23). The last unit has no
ReLU on its two states, and the head gets relu(x1 + x2) = relu(2 merge + two_1(x1) + two_2(x2)).

``mr-late``: the code of two days later. The head gets relu(merge + two_1(x1) + two_2(x2)).
"""

from symbols import layers


def merge_and_branches(data1, data2, spec):
    """Return merge = (line_1(x1) + line_2(x2)) / 2, two_1(x1) and two_2(x2) of a unit.

    Where the width changes, each line has a projection of its own.
    """
    merge = 0.5 * layers.add(
        spec.name + '_merge',
        layers.line(data1, spec.name + '_line1', spec),
        layers.line(data2, spec.name + '_line2', spec),
    )
    return (
        merge,
        layers.branch(data1, spec.name + '_branch1', spec),
        layers.branch(data2, spec.name + '_branch2', spec),
    )


def unit(data1, data2, spec):
    """The merge-and-run unit: relu(merge + two_1(x1)) and relu(merge + two_2(x2))."""
    merge, two1, two2 = merge_and_branches(data1, data2, spec)
    return tuple(
        layers.relu(layers.add(spec.name + run, merge, two), spec.name + run)
        for run, two in (('_run1', two1), ('_run2', two2))
    )


def last_unit(data1, data2, spec, late):
    """The ending of DFN-MR: the one feature map that the head gets from the last unit."""
    merge, two1, two2 = merge_and_branches(data1, data2, spec)
    if late:
        return layers.relu(layers.add(spec.name, merge, two1, two2), spec.name)
    states = [
        layers.add(spec.name + run, merge, two) for run, two in (('_run1', two1), ('_run2', two2))
    ]
    return layers.relu(layers.add(spec.name, *states), spec.name)


def get_symbol(units, num_classes, widen=1, late=False):
    """Return the DFN-MR with ``units`` units in each group: depth 6 * units + 2.

    Its ensemble size is 2 * 3**(3 * units). ``late=True`` is ``mr-late``, with the ensemble size
    4 * 3**(3 * units - 1).
    """
    data1 = data2 = layers.stem(layers.STEM_CHANNELS * widen)
    *specs, last = layers.plan(units, widen)
    for spec in specs:
        data1, data2 = unit(data1, data2, spec)
    return layers.head(last_unit(data1, data2, last, late), num_classes)
