"""ResNet: each unit adds a two-layer branch to the identity (Figures 6c and 7a)."""

from symbols import layers


def unit(data, spec):
    """relu(line(x) + two(x)), where two is the two-layer branch."""
    total = layers.add(
        spec.name,
        layers.line(data, spec.name, spec),
        layers.branch(data, spec.name + '_branch1', spec),
    )
    return layers.relu(total, spec.name)


def get_symbol(units, num_classes, widen=1):
    """Return the ResNet with ``units`` units in each group.

    Its depth is 6 * units + 2 and its ensemble size 2**(3 * units).
    """
    data = layers.stem(layers.STEM_CHANNELS * widen)
    for spec in layers.plan(units, widen):
        data = unit(data, spec)
    return layers.head(data, num_classes)
