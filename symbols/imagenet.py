"""The networks for ImageNet, of bottleneck units (section 6.5, appendix A.1, Figures 9 and 10).

A feature map has shape (batch, channels, height, width); the input is (batch, 3, 224, 224).

DFN1 and DFN2 are reconstructions: Figure 10 draws them, and no text gives their units. They have
these properties of appendix A.1 (tests/test_imagenet.py): the ensembles of ResNet-50 and DFN1 are
equally large, and DFN2's is smaller; DFN1's components are much deeper, and its shallowest is
deeper than the shallowest of ResNet-50; all components of DFN2 are components of ResNet-50. One
property holds in part: the depths of ResNet-50's components (standard deviation 5.57) are "more
diverse and more uniformly distributed" than those of DFN1 (4.00) but not than those of DFN2 (7.52).
DFN1 has 40.1M parameters; ResNet-50 and DFN2 have 25.6M.

The max pooling after the stem has padding 1, as in ResNet's own code. The authors' code has padding
0, with the rounding of MXNet 0.9.
"""

from functools import partial
from typing import NamedTuple

from engine import mx
from symbols import layers
from system.errors import UserError

STEM_CHANNELS = 64
CHANNELS = (256, 512, 1024, 2048)  # of the four groups
NARROWING = 4  # a bottleneck's inner layers have this many times fewer channels
# Units in each of the four groups, by depth.
RESNET = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
MR = {44: (2, 2, 8, 2)}
# An earlier DFN-MR, with a ReLU on each of its last two states. Logs of format 1 call it mr.
MR_RELU = 'mr-relu'
# DFN2: for each group, the number of bottlenecks in the branch of each unit. They are neighbours in
# ResNet-50.
PAIRS = ((2, 1), (2, 2), (2, 2, 2), (2, 1))


class UnitSpec(NamedTuple):
    """What the plan of a network says of one unit."""

    name: str  # such as group2_unit1
    channels: int  # of its output
    stride: int  # 2 where a group after the first begins, else 1
    widens: bool  # whether its output has more channels than its input


def plan(groups):
    """Return the ``UnitSpec`` of each unit; ``groups`` has the number of units in each group."""
    return [
        UnitSpec(
            name=f'group{group + 1}_unit{unit + 1}',
            channels=CHANNELS[group],
            stride=2 if group and not unit else 1,
            widens=not unit,
        )
        for group, count in enumerate(groups)
        for unit in range(count)
    ]


def bottleneck(data, name, channels, stride):
    """Convolutions of 1x1, 3x3 with the stride, and 1x1, the last one without its ReLU."""
    inner = channels // NARROWING
    data = layers.relu(layers.conv_bn(data, name + '_layer1', inner, kernel=1), name + '_layer1')
    data = layers.relu(
        layers.conv_bn(data, name + '_layer2', inner, stride=stride), name + '_layer2'
    )
    return layers.conv_bn(data, name + '_layer3', channels, kernel=1)


def line(data, name, spec, always=False):
    """The identity, or a 1x1 projection where the width changes or if ``always``."""
    if not (spec.widens or always):
        return data
    return layers.conv_bn(data, name + '_projection', spec.channels, kernel=1, stride=spec.stride)


def stem():
    """7x7 convolution of stride 2, then max pooling of 3x3 and stride 2: 64 channels of 56 x 56."""
    return mx.sym.Pooling(
        layers.stem(STEM_CHANNELS, kernel=7, stride=2),
        kernel=(3, 3),
        stride=(2, 2),
        pad=(1, 1),
        pool_type='max',
        name='stem_pool',
    )


def residual(data, spec, blocks=1, projection=False):
    """relu(line(x) + branch(x)); the branch is one bottleneck, or several with ReLUs between them.

    ``projection`` replaces every identity by a projection.
    """
    branch, stride = data, spec.stride
    for number in range(1, blocks + 1):
        name = f'{spec.name}_block{number}'
        branch = bottleneck(branch, name, spec.channels, stride)
        if number < blocks:
            branch = layers.relu(branch, name)
        stride = 1
    total = layers.add(spec.name, line(data, spec.name, spec, projection), branch)
    return layers.relu(total, spec.name)


def resnet(groups, num_classes):
    """ResNet (Figures 9a and 10a), with an ensemble of size 2**units."""
    data = stem()
    for spec in plan(groups):
        data = residual(data, spec)
    return layers.head(data, num_classes)


def merge_and_run(groups, num_classes):
    """DFN-MR (Figure 9b), with an ensemble of size 2 * 3**units.

    Both states begin as the stem's output. x1' = relu(merge + branch_1(x1)), x2' likewise, where
    merge = (line_1(x1) + line_2(x2)) / 2. As in DFN-MR for CIFAR (mr.py), the states of the last
    unit get no ReLU, and the head gets relu(x1 + x2).
    """
    data1 = data2 = stem()
    *specs, last = plan(groups)
    for spec in specs:
        data1, data2 = (
            layers.relu(state, spec.name + run)
            for run, state in zip(('_run1', '_run2'), states_before_relu(data1, data2, spec))
        )
    states = states_before_relu(data1, data2, last)
    return layers.head(layers.relu(layers.add('merged', *states), 'merged'), num_classes)


def states_before_relu(data1, data2, spec):
    """Return merge + branch_1(x1) and merge + branch_2(x2) of a unit."""
    merge = 0.5 * layers.add(
        spec.name + '_merge',
        line(data1, spec.name + '_line1', spec),
        line(data2, spec.name + '_line2', spec),
    )
    return [
        layers.add(
            spec.name + run, merge, bottleneck(data, spec.name + branch, spec.channels, spec.stride)
        )
        for run, branch, data in (('_run1', '_branch1', data1), ('_run2', '_branch2', data2))
    ]


def dfn1(num_classes):
    """DFN1 (Figure 10b), reconstructed: ResNet-50 with a 1x1 projection in place of every identity.

    As appendix A.1 says, its ensemble is as large as ResNet-50's, its components are much deeper,
    and its shallowest is deeper than the shallowest of ResNet-50.
    """
    data = stem()
    for spec in plan(RESNET[50]):
        data = residual(data, spec, projection=True)
    return layers.head(data, num_classes)


def dfn2(num_classes):
    """DFN2 (Figure 10c), reconstructed: ResNet-50 with one fusion for two neighbouring bottlenecks.

    As appendix A.1 says, its components are some of those of ResNet-50, and they are far fewer.
    """
    data = stem()
    blocks = [number for group in PAIRS for number in group]
    for spec, number in zip(plan([len(group) for group in PAIRS]), blocks):
        data = residual(data, spec, number)
    return layers.head(data, num_classes)


NETWORKS = {
    'resnet': {depth: partial(resnet, groups) for depth, groups in RESNET.items()},
    'mr': {depth: partial(merge_and_run, groups) for depth, groups in MR.items()},
    'dfn1': {50: dfn1},
    'dfn2': {50: dfn2},
}
DEPTHS = {'resnet': 101, 'mr': 44, 'dfn1': 50, 'dfn2': 50}  # those of Figures 8 and 9


def get_symbol(network, depth, num_classes=1000):
    """Return a network for ImageNet.

    Parameters
    ----------
    network : str
        ``resnet`` of depth 50, 101 or 152, ``mr`` of depth 44, ``dfn1`` or ``dfn2`` of depth 50.
    depth : int
        Weighted layers on the longest path.
    num_classes : int
        Outputs of the fully connected layer.

    Returns
    -------
    mx.sym.Symbol
        Input ``data`` (batch, 3, 224, 224), label ``softmax_label`` (batch,), output ``softmax``.

    Raises
    ------
    UserError
        There is no such network.
    """
    if network == MR_RELU:
        raise UserError(
            'this run trains an earlier DFN-MR, whose last two states have a ReLU each: it can be '
            'scored but not resumed; start a new run with --network mr'
        )
    if network not in NETWORKS:
        raise UserError(
            f'no network for ImageNet is called {network!r}; there are '
            f'{", ".join(sorted(NETWORKS))}'
        )
    if depth not in NETWORKS[network]:
        raise UserError(
            f'{network} for ImageNet has the depths '
            f'{", ".join(map(str, NETWORKS[network]))}, not {depth}'
        )
    return NETWORKS[network][depth](num_classes)
