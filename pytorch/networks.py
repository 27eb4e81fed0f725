"""The networks as a user of PyTorch would write them; this one file can be copied on its own.

It needs PyTorch, and ``load`` needs safetensors as well:

    from networks import load
    network, metadata = load('model.safetensors')  # written by: python export.py --torch
    # (batch, 3, 32, 32), normalised with metadata['mean'] and metadata['std']
    scores = network(images)

The modules have the names of the MXNet parameters, so that a unit is found again in both: the
weight ``group1_unit1_branch1_layer1_conv_weight`` is that of the module
``units.group1_unit1.branch1.layer1.conv``.
"""

import json
from typing import NamedTuple

import torch
from torch import nn

# BN_MOMENTUM is PyTorch's: the share of a new statistic. MXNet's is 1 minus that.
BN_EPSILON, BN_MOMENTUM = 2e-5, 0.01
STEM_CHANNELS = 16  # before widening; the groups have 1, 2 and 4 times as many
STEM_CHANNELS_IMAGENET, CHANNELS_IMAGENET = 64, (256, 512, 1024, 2048)
# The script whose runs are networks for ImageNet.
IMAGENET_SCRIPT = 'train_imagenet.py'


class Spec(NamedTuple):
    """What the plan of a network says of one unit."""

    name: str  # such as group2_unit1
    narrow: int  # channels of its input
    channels: int  # of its output
    stride: int  # 2 where the feature map shrinks, else 1
    last: bool  # whether it is the last unit of the network

    @property
    def widens(self):
        return self.narrow != self.channels


def plan(units, channels, narrow):
    """Return the ``Spec`` of each unit.

    Parameters
    ----------
    units : list of int
        The number of units of each group.
    channels : list of int
        Those of each group.
    narrow : int
        Channels of the stem.
    """
    specs = []
    for group, (count, wide) in enumerate(zip(units, channels), 1):
        for unit in range(1, count + 1):
            stride = 2 if group > 1 and unit == 1 else 1
            last = group == len(units) and unit == count
            specs.append(Spec(f'group{group}_unit{unit}', narrow, wide, stride, last))
            narrow = wide
    return specs


class ConvBN(nn.Sequential):
    """A convolution without bias, and BatchNorm."""

    def __init__(self, narrow, wide, kernel=3, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(narrow, wide, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(wide, eps=BN_EPSILON, momentum=BN_MOMENTUM)


class Chain(nn.Module):
    """Basic layers in a row, the last without its ReLU; each of (narrow, wide, kernel, stride)."""

    def __init__(self, layers):
        super().__init__()
        for number, layer in enumerate(layers, 1):
            self.add_module(f'layer{number}', ConvBN(*layer))

    def forward(self, x):
        *hidden, last = self.children()
        for layer in hidden:
            x = torch.relu_(layer(x))
        return last(x)


def chain(spec, layers=2):
    """The deep branch of a unit: 3x3 convolutions, the first with the stride."""
    first = (spec.narrow, spec.channels, 3, spec.stride)
    return Chain([first] + [(spec.channels, spec.channels, 3, 1)] * (layers - 1))


def bottleneck(narrow, channels, stride):
    """Convolutions of 1x1, 3x3 with the stride, and 1x1; the inner width is a quarter."""
    inner = channels // 4
    return Chain([(narrow, inner, 1, 1), (inner, inner, 3, stride), (inner, channels, 1, 1)])


def line(spec, always=False):
    """The identity, or a projection where the width changes or if ``always``."""
    if not (spec.widens or always):
        return nn.Identity()
    return ConvBN(spec.narrow, spec.channels, 1, spec.stride)


class Plain(nn.Module):
    """A unit of the plain network: one basic layer."""

    def __init__(self, spec):
        super().__init__()
        self.layer = ConvBN(spec.narrow, spec.channels, 3, spec.stride)

    def forward(self, x):
        return torch.relu_(self.layer(x))


class Fusion(nn.Module):
    """relu of the sum of branches, which are modules with names."""

    def __init__(self, **branches):
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x):
        first, *others = self.children()
        total = first(x)
        for branch in others:
            total = total + branch(x)
        return torch.relu_(total)


class Blocks(nn.Module):
    """A residual unit of ImageNet's networks: the line, and bottlenecks with ReLUs between them."""

    def __init__(self, spec, blocks=1, projection=False):
        super().__init__()
        self.projection = line(spec, projection)
        narrow, stride = spec.narrow, spec.stride
        for number in range(1, blocks + 1):
            self.add_module(f'block{number}', bottleneck(narrow, spec.channels, stride))
            narrow, stride = spec.channels, 1

    def forward(self, x):
        projection, first, *others = self.children()
        branch = first(x)
        for block in others:
            branch = block(torch.relu_(branch))
        return torch.relu_(projection(x) + branch)


class MergeAndRun(nn.Module):
    """A unit of DFN-MR with two branches; ``late``: the last one has the ending of ``mr-late``."""

    def __init__(self, spec, branch1, branch2, late=False):
        super().__init__()
        self.line1_projection, self.line2_projection = line(spec), line(spec)
        self.branch1, self.branch2 = branch1, branch2
        self.last, self.late = spec.last, late

    def forward(self, state):
        x1, x2 = state
        merge = 0.5 * (self.line1_projection(x1) + self.line2_projection(x2))
        two1, two2 = self.branch1(x1), self.branch2(x2)
        if self.last:
            return torch.relu_((merge if self.late else 2 * merge) + two1 + two2)
        return torch.relu_(merge + two1), torch.relu_(merge + two2)


def fused(spec, layers):
    """A fusion: the shallow branch is the identity, or a layer in the first unit of a group."""
    shallow = nn.Identity()
    if spec.widens or spec.name == 'group1_unit1':
        shallow = ConvBN(spec.narrow, spec.channels, 3, spec.stride)
    return Fusion(shallow=shallow, deep=chain(spec, layers))


class Kind(NamedTuple):
    """How a network for small images is built."""

    layers: int  # on the longest path through a unit; (depth - 2) / (3 * layers) units a group
    unit: object  # (spec) -> module
    fusions: int = 0  # of a fused net: in each group; its units are the layers of all of them


SMALL = {
    'plain': Kind(1, Plain),
    'resnet': Kind(2, lambda spec: Fusion(projection=line(spec), branch1=chain(spec))),
    'il': Kind(
        2, lambda spec: Fusion(projection=line(spec), branch1=chain(spec), branch2=chain(spec))
    ),
    'side': Kind(2, lambda spec: Fusion(branch1=chain(spec), branch2=chain(spec))),
    'mr': Kind(2, lambda spec: MergeAndRun(spec, chain(spec), chain(spec))),
    'mr-late': Kind(2, lambda spec: MergeAndRun(spec, chain(spec), chain(spec), late=True)),
    'fuse3': Kind(1, fused, 1),
    'fuse6': Kind(1, fused, 2),
}
# For each network and depth, what is given for each unit of the four groups: the bottlenecks of
# its branch. Those of mr have two branches of one each.
RESNET50 = ((1,) * 3, (1,) * 4, (1,) * 6, (1,) * 3)
IMAGENET = {
    ('resnet', 50): RESNET50,
    ('resnet', 101): ((1,) * 3, (1,) * 4, (1,) * 23, (1,) * 3),
    ('resnet', 152): ((1,) * 3, (1,) * 8, (1,) * 36, (1,) * 3),
    ('mr', 44): ((1,) * 2, (1,) * 2, (1,) * 8, (1,) * 2),
    ('dfn1', 50): RESNET50,
    ('dfn2', 50): ((2, 1), (2, 2), (2, 2, 2), (2, 1)),
}


class Trunk(nn.Module):
    """What all networks have in common: stem, units, mean over the feature map, classifier.

    It takes normalised images and returns the scores of the classes, before the softmax.
    """

    def __init__(self, stem, units, two_states, channels, num_classes):
        super().__init__()
        self.stem, self.pool = stem, nn.Identity()
        self.units = nn.ModuleDict(units)
        self.two_states = two_states
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.pool(torch.relu_(self.stem(x)))
        state = (x, x) if self.two_states else x
        for unit in self.units.values():
            state = unit(state)
        return self.fc(state.mean((2, 3)))


class Network(Trunk):
    """A network of ``SMALL`` for images (batch, 3, 32, 32)."""

    def __init__(self, network, depth, num_classes=10, widen=1):
        kind, narrow = SMALL[network], STEM_CHANNELS * widen
        units = (depth - 2) // (3 * kind.layers)
        build = kind.unit
        if kind.fusions:
            layers, units = units // kind.fusions, kind.fusions

            def build(spec):
                return kind.unit(spec, layers)

        specs = plan([units] * 3, [narrow, 2 * narrow, 4 * narrow], narrow)
        super().__init__(
            ConvBN(3, narrow),
            {spec.name: build(spec) for spec in specs},
            network in ('mr', 'mr-late'),
            4 * narrow,
            num_classes,
        )


class ImageNetNetwork(Trunk):
    """A network of ``IMAGENET`` for photographs, (batch, 3, 224, 224)."""

    def __init__(self, network, depth, num_classes=1000):
        groups = IMAGENET[network, depth]
        specs = plan([len(group) for group in groups], CHANNELS_IMAGENET, STEM_CHANNELS_IMAGENET)
        blocks = [count for group in groups for count in group]
        units = {}
        for spec, count in zip(specs, blocks):
            if network == 'mr':
                branches = [bottleneck(*spec[1:4]) for _ in range(2)]
                units[spec.name] = MergeAndRun(spec, *branches)
            else:
                units[spec.name] = Blocks(spec, count, projection=network == 'dfn1')
        super().__init__(
            ConvBN(3, STEM_CHANNELS_IMAGENET, 7, 2),
            units,
            network == 'mr',
            CHANNELS_IMAGENET[-1],
            num_classes,
        )
        self.pool = nn.MaxPool2d(3, 2, 1)


def build(metadata):
    """Return the network, without its weights, that {'network': ..., 'depth': ..., ...} describes.

    Raises
    ------
    LookupError
        There is no such network here.
    """
    depth, classes = int(metadata['depth']), int(metadata['num_classes'])
    if metadata['script'] == IMAGENET_SCRIPT:
        network = ImageNetNetwork(metadata['network'], depth, classes)
    else:
        network = Network(metadata['network'], depth, classes, int(metadata['widen']))
    if 'bn_momentum' in metadata:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1 - float(metadata['bn_momentum'])
    return network


def load(path):
    """Return the network of a file of ``export.py --torch``, and {name: what the file says of it}.

    The network is in the mode for inference.
    """
    from safetensors import safe_open

    with safe_open(path, framework='pt') as file:
        metadata, names = file.metadata(), file.keys()
        weights = {name: file.get_tensor(name) for name in names}
    network = build(metadata)
    network.load_state_dict(weights)
    for name in ('classes', 'mean', 'std'):
        metadata[name] = json.loads(metadata[name])
    return network.eval(), metadata
