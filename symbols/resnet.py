"""ResNet: the identity and one two-layer branch a unit (Figures 6c and 7a)."""

from symbols import layers


def unit(data, place):
    """relu(line(x) + two(x))."""
    total = layers.add(
        place.name,
        layers.line(data, place.name, place),
        layers.branch(data, place.name + '_branch1', place),
    )
    return layers.relu(total, place.name)


def get_symbol(units, num_classes, widen=1):
    """Return the ResNet of ``units`` units a group: depth 6 * units + 2, ensemble size 2**(3 units)."""
    data = layers.stem(widen)
    for place in layers.plan(units, widen):
        data = unit(data, place)
    return layers.head(data, num_classes)
