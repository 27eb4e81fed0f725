"""N_f3 and N_f6: a plain network fused 3 or 6 times with a shallow one (section 3, Figures 1 and 3)."""

from symbols import layers


def shallow(data, place):
    """The L branch: a 3x3 Conv-BN in the first unit and where the width changes, else the identity."""
    if place.first or place.stride > 1:
        return layers.conv_bn(data, place.name + '_shallow', place.channels, stride=place.stride)
    return data


def get_symbol(units, num_classes, widen=1, fusions=1):
    """Return the plain network of ``units`` layers a group with ``fusions`` fusions in each group.

    The deep branch R of a fusion has units / fusions basic layers. Depth 3 * units + 2, ensemble
    size 2**(3 fusions).
    """
    data = layers.stem(widen)
    for place in layers.plan(fusions, widen):
        deep = layers.chain(
            data, place.name + '_deep', place.channels, place.stride, layers=units // fusions
        )
        data = layers.relu(layers.add(place.name, shallow(data, place), deep), place.name)
    return layers.head(data, num_classes)
