"""N_f3 and N_f6: a plain network with 3 or 6 fusions (section 3, Figures 1 and 3)."""

from symbols import layers


def shallow(data, spec):
    """The branch L: a 3x3 Conv-BN in the first unit and where the width changes, else identity."""
    if spec.first or spec.stride > 1:
        return layers.conv_bn(data, spec.name + '_shallow', spec.channels, stride=spec.stride)
    return data


def get_symbol(units, num_classes, widen=1, fusions=1):
    """Return the plain network of ``units`` layers a group with ``fusions`` fusions in each group.

    The deep branch R of a fusion has units / fusions basic layers. The depth is 3 * units + 2 and
    the ensemble size 2**(3 * fusions).
    """
    data = layers.stem(layers.STEM_CHANNELS * widen)
    for spec in layers.plan(fusions, widen):
        deep = layers.chain(
            data, spec.name + '_deep', spec.channels, spec.stride, layers=units // fusions
        )
        data = layers.relu(layers.add(spec.name, shallow(data, spec), deep), spec.name)
    return layers.head(data, num_classes)
