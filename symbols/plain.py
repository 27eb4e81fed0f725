"""The plain network: basic layers in a row (Figure 3a)."""

from symbols import layers


def get_symbol(units, num_classes, widen=1):
    """Return the plain network with ``units`` basic layers in each group: depth 3 * units + 2."""
    data = layers.stem(layers.STEM_CHANNELS * widen)
    for spec in layers.plan(units, widen):
        data = layers.basic(data, spec.name, spec.channels, spec.stride)
    return layers.head(data, num_classes)
