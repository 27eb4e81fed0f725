"""The plain network: basic layers in a row (Figure 3a)."""

from symbols import layers


def get_symbol(units, num_classes, widen=1):
    """Return the plain network of ``units`` basic layers a group: depth 3 * units + 2."""
    data = layers.stem(widen)
    for place in layers.plan(units, widen):
        data = layers.basic(data, place.name, place.channels, place.stride)
    return layers.head(data, num_classes)
