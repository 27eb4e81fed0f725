"""DFN-IL: inception-like fusion (section 5, Figures 6a and 7b); ``side``: without the identity.

In the formulas two_1 and two_2 are the two-layer branches of a unit, ``layers.branch``.
"""

from symbols import layers


def unit(data, spec, identity=True):
    """relu(line(x) + two_1(x) + two_2(x)); ``identity=False`` leaves the line out."""
    terms = [layers.branch(data, spec.name + suffix, spec) for suffix in ('_branch1', '_branch2')]
    if identity:
        terms.insert(0, layers.line(data, spec.name, spec))
    return layers.relu(layers.add(spec.name, *terms), spec.name)


def get_symbol(units, num_classes, widen=1, identity=True):
    """Return the DFN-IL with ``units`` units in each group: depth 6 * units + 2.

    ``identity=False`` is the network that the authors' code calls ``side``.
    """
    data = layers.stem(layers.STEM_CHANNELS * widen)
    for spec in layers.plan(units, widen):
        data = unit(data, spec, identity)
    return layers.head(data, num_classes)
