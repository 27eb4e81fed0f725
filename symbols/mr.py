"""DFN-MR: merge-and-run fusion (section 5, Figures 6b and 7c)."""
from symbols import layers


def unit(data1, data2, place):
    """Map the state (x1, x2) of the two runs through one merge-and-run unit.

    merge = (line_1(x1) + line_2(x2)) / 2, each line with a projection of its own where the width
    changes; x1' = relu(merge + two_1(x1)), x2' = relu(merge + two_2(x2)). The last unit of a network
    has one output, relu(merge + two_1(x1) + two_2(x2)), returned twice.
    """
    merge = 0.5 * layers.add(place.name + '_merge', layers.line(data1, place.name + '_line1', place),
                             layers.line(data2, place.name + '_line2', place))
    two1 = layers.branch(data1, place.name + '_branch1', place)
    two2 = layers.branch(data2, place.name + '_branch2', place)
    if place.last:
        fused = layers.relu(layers.add(place.name, merge, two1, two2), place.name)
        return fused, fused
    return tuple(layers.relu(layers.add(place.name + run, merge, two), place.name + run)
                 for run, two in (('_run1', two1), ('_run2', two2)))


def get_symbol(units, num_classes, widen=1):
    """Return the DFN-MR of ``units`` units a group: depth 6 * units + 2."""
    data1 = data2 = layers.stem(widen)
    for place in layers.plan(units, widen):
        data1, data2 = unit(data1, data2, place)
    return layers.head(data1, num_classes)
