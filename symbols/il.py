"""DFN-IL: inception-like fusion (section 5, Figures 6a and 7b), and ``side``, without the identity."""

from symbols import layers


def unit(data, place, identity=True):
    """relu(line(x) + two_1(x) + two_2(x)); ``identity=False`` leaves the line out."""
    terms = [layers.branch(data, place.name + suffix, place) for suffix in ('_branch1', '_branch2')]
    if identity:
        terms.insert(0, layers.line(data, place.name, place))
    return layers.relu(layers.add(place.name, *terms), place.name)


def get_symbol(units, num_classes, widen=1, identity=True):
    """Return the DFN-IL of ``units`` units a group: depth 6 * units + 2.

    ``identity=False`` is the network that the authors' code calls ``side``.
    """
    data = layers.stem(widen)
    for place in layers.plan(units, widen):
        data = unit(data, place, identity)
    return layers.head(data, num_classes)
