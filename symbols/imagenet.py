"""The networks for ImageNet, of bottleneck units (section 6.5, appendix A.1, Figures 9 and 10).

A feature map has shape (batch, channels, height, width); the input is (batch, 3, 224, 224).

DFN1 and DFN2 are reconstructions: Figure 10 draws them and no text gives their units. Of what
appendix A.1 says of them this holds (tests/test_imagenet.py): the ensembles of ResNet-50 and DFN1
are equally large and DFN2's is smaller; DFN1's networks are much deeper, and its shallowest is
deeper than ResNet-50's shallowest; DFN2's networks all belong to ResNet-50's. This does not: "more
diverse and more uniformly distributed" depths of ResNet-50 (standard deviation 5.57) holds against
DFN1 (4.00), not against DFN2 (7.52). DFN1 has 40.1M parameters, ResNet-50 and DFN2 have 25.6M.

The maximum pooling behind the stem has padding 1, as ResNet's own; the authors' has none, with the
rounding of MXNet 0.9.
"""

from collections import namedtuple

from engine import mx
from symbols import layers
from system.errors import UserError

STEM_CHANNELS, CHANNELS, NARROWING = 64, (256, 512, 1024, 2048), 4
RESNET = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
MR = {44: (2, 2, 8, 2)}
# What logs of format 1 called mr: its last two states had a ReLU each, and then their sum.
BEFORE = 'mr-relu'
# Bottlenecks in each branch of DFN2: neighbours of ResNet-50 are one branch.
PAIRS = ((2, 1), (2, 2), (2, 2, 2), (2, 1))

# One unit's place: stride 2 where a group after the first begins; widens where the number of
# channels changes.
Place = namedtuple('Place', 'name channels stride widens')


def plan(groups):
    """Return the ``Place`` of every unit; ``groups`` has the number of units in each group."""
    return [
        Place(
            f'group{group + 1}_unit{unit + 1}',
            CHANNELS[group],
            2 if group and not unit else 1,
            not unit,
        )
        for group, count in enumerate(groups)
        for unit in range(count)
    ]


def bottleneck(data, name, channels, stride):
    """1x1, 3x3 with the stride and 1x1 convolution, the inner two a quarter as wide, the last without its ReLU."""
    inner = channels // NARROWING
    data = layers.relu(layers.conv_bn(data, name + '_layer1', inner, kernel=1), name + '_layer1')
    data = layers.relu(
        layers.conv_bn(data, name + '_layer2', inner, stride=stride), name + '_layer2'
    )
    return layers.conv_bn(data, name + '_layer3', channels, kernel=1)


def line(data, name, place, always=False):
    """The identity, or a 1x1 projection where the width changes, or ``always``."""
    if not (place.widens or always):
        return data
    return layers.conv_bn(data, name + '_projection', place.channels, kernel=1, stride=place.stride)


def stem():
    """7x7 convolution of stride 2 with BatchNorm and ReLU, then 3x3 maximum of stride 2: 56 x 56 of 64 channels."""
    conv = mx.sym.Convolution(
        mx.sym.Variable('data'),
        num_filter=STEM_CHANNELS,
        kernel=(7, 7),
        stride=(2, 2),
        pad=(3, 3),
        no_bias=True,
        name='stem_conv',
    )
    norm = mx.sym.BatchNorm(
        conv, fix_gamma=False, momentum=layers.BN_MOMENTUM, eps=layers.BN_EPSILON, name='stem_bn'
    )
    return mx.sym.Pooling(
        layers.relu(norm, 'stem'),
        kernel=(3, 3),
        stride=(2, 2),
        pad=(1, 1),
        pool_type='max',
        name='stem_pool',
    )


def _residual(data, place, blocks=1, projected=False):
    """relu(line(x) + branch(x)), the branch of one bottleneck or of several with a ReLU between."""
    branch, stride = data, place.stride
    for number in range(1, blocks + 1):
        branch = bottleneck(branch, f'{place.name}_block{number}', place.channels, stride)
        branch, stride = (
            (layers.relu(branch, f'{place.name}_block{number}') if number < blocks else branch),
            1,
        )
    return layers.relu(
        layers.add(place.name, line(data, place.name, place, projected), branch), place.name
    )


def resnet(groups, num_classes):
    """ResNet (Figures 9a and 10a): an ensemble of 2**units."""
    data = stem()
    for place in plan(groups):
        data = _residual(data, place)
    return layers.head(data, num_classes)


def merge_and_run(groups, num_classes):
    """DFN-MR (Figure 9b): x1' = relu(merge + branch1(x1)), x2' likewise, merge = 0.5 * (line1(x1) + line2(x2)).

    Both states begin as the stem's output. As in CIFAR's DFN-MR (mr.py), the last unit's states get
    no ReLU, and relu(x1 + x2) goes to the head: an ensemble of 2 * 3**units.
    """
    data1 = data2 = stem()
    places = plan(groups)
    for place in places:
        data1, data2 = _run(data1, data2, place)
        if place is not places[-1]:
            data1, data2 = (
                layers.relu(data, place.name + run)
                for data, run in ((data1, '_run1'), (data2, '_run2'))
            )
    return layers.head(layers.relu(layers.add('merged', data1, data2), 'merged'), num_classes)


def _run(data1, data2, place):
    """Return merge + branch1(x1) and merge + branch2(x2), before their ReLU."""
    merge = 0.5 * layers.add(
        place.name + '_merge',
        line(data1, place.name + '_line1', place),
        line(data2, place.name + '_line2', place),
    )
    return [
        layers.add(
            place.name + run,
            merge,
            bottleneck(data, place.name + branch, place.channels, place.stride),
        )
        for run, branch, data in (('_run1', '_branch1', data1), ('_run2', '_branch2', data2))
    ]


def dfn1(num_classes):
    """DFN1 (Figure 10b), a reconstruction: ResNet-50 with a 1x1 projection in place of every identity.

    As A.1 has it, the ensemble is as large as ResNet-50's, its networks are much deeper, and its
    shallowest are deeper than ResNet-50's shallowest. The projections bring it to 40.1M parameters;
    ResNet-50 has 25.6M.
    """
    data = stem()
    for place in plan(RESNET[50]):
        data = _residual(data, place, projected=True)
    return layers.head(data, num_classes)


def dfn2(num_classes):
    """DFN2 (Figure 10c), a reconstruction: ResNet-50 with one fusion around each two neighbouring bottlenecks of a group.

    As A.1 has it, its networks are some of ResNet-50's, and they are far fewer.
    """
    data = stem()
    for place, blocks in zip(
        plan([len(group) for group in PAIRS]), [blocks for group in PAIRS for blocks in group]
    ):
        data = _residual(data, place, blocks)
    return layers.head(data, num_classes)


NETWORKS = {
    'resnet': {
        depth: lambda classes, groups=groups: resnet(groups, classes)
        for depth, groups in RESNET.items()
    },
    'mr': {
        depth: lambda classes, groups=groups: merge_and_run(groups, classes)
        for depth, groups in MR.items()
    },
    'dfn1': {50: dfn1},
    'dfn2': {50: dfn2},
}


def get_symbol(network, depth, num_classes=1000):
    """Return a network for ImageNet.

    Parameters
    ----------
    network : str
        ``resnet`` of depth 50, 101 or 152, ``mr`` of depth 44 (groups 2, 2, 8, 2), ``dfn1`` or
        ``dfn2`` of depth 50.
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
    if network == BEFORE:
        raise UserError(
            'this run trains the DFN-MR of before, whose last two states had a ReLU '
            'each: it can be scored, and not '
            'gone on with; start a run of --network mr'
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
