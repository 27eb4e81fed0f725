"""The CIFAR networks as a user of PyTorch would write them: what benchmark.py compares with.

Not used by the project itself; PyTorch is no requirement. ``load`` gives a network the parameters
of the MXNet symbol of the same name and depth, with which it computes the same function.
"""

from functools import partial

import torch
from torch import nn

from symbols import NETWORKS
from symbols.layers import BN_EPSILON, BN_MOMENTUM, STEM_CHANNELS, plan


class ConvBN(nn.Sequential):
    def __init__(self, narrow, wide, kernel=3, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(narrow, wide, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(wide, eps=BN_EPSILON, momentum=1 - BN_MOMENTUM)


class Chain(nn.Module):
    """Basic layers in a row, the last without its ReLU."""

    def __init__(self, narrow, place, layers=2):
        super().__init__()
        widths = [narrow] + [place.channels] * layers
        strides = [place.stride] + [1] * (layers - 1)
        for number in range(layers):
            self.add_module(
                f'layer{number + 1}', ConvBN(widths[number], widths[number + 1], 3, strides[number])
            )

    def forward(self, x):
        *hidden, last = self.children()
        for layer in hidden:
            x = torch.relu_(layer(x))
        return last(x)


def line(narrow, place):
    return nn.Identity() if place.stride == 1 else ConvBN(narrow, place.channels, 1, place.stride)


class Plain(nn.Module):
    def __init__(self, narrow, place):
        super().__init__()
        self.layer = ConvBN(narrow, place.channels, 3, place.stride)

    def forward(self, x):
        return torch.relu_(self.layer(x))


class Residual(nn.Module):
    """ResNet with one branch, DFN-IL with two."""

    def __init__(self, narrow, place, branches):
        super().__init__()
        self.projection = line(narrow, place)
        for number in range(branches):
            self.add_module(f'branch{number + 1}', Chain(narrow, place))

    def forward(self, x):
        first, *branches = self.children()
        total = first(x)
        for branch in branches:
            total = total + branch(x)
        return torch.relu_(total)


class MergeAndRun(nn.Module):
    """A unit of DFN-MR; the last one has the ending of ``mr`` or of ``mr-late`` (symbols/mr.py)."""

    def __init__(self, narrow, place, late=False):
        super().__init__()
        self.line1_projection, self.line2_projection = line(narrow, place), line(narrow, place)
        self.branch1, self.branch2 = Chain(narrow, place), Chain(narrow, place)
        self.last, self.late = place.last, late

    def forward(self, state):
        x1, x2 = state
        merge = 0.5 * (self.line1_projection(x1) + self.line2_projection(x2))
        two1, two2 = self.branch1(x1), self.branch2(x2)
        if self.last:
            return torch.relu_((merge if self.late else 2 * merge) + two1 + two2)
        return torch.relu_(merge + two1), torch.relu_(merge + two2)


UNITS = {
    'plain': Plain,
    'mr': MergeAndRun,
    'mr-late': partial(MergeAndRun, late=True),
    'resnet': lambda narrow, place: Residual(narrow, place, 1),
    'il': lambda narrow, place: Residual(narrow, place, 2),
}


class Network(nn.Module):
    """A network of ``symbols.NETWORKS`` that ``UNITS`` has; images (batch, 3, 32, 32) to scores."""

    def __init__(self, network, depth, num_classes=10, widen=1):
        super().__init__()
        self.two_states = network in ('mr', 'mr-late')
        self.stem = ConvBN(3, STEM_CHANNELS * widen)
        narrow = STEM_CHANNELS * widen
        self.units = nn.ModuleDict()
        for place in plan((depth - 2) // (3 * NETWORKS[network].layers_of_unit), widen):
            self.units[place.name] = UNITS[network](narrow, place)
            narrow = place.channels
        self.fc = nn.Linear(narrow, num_classes)

    def forward(self, x):
        x = torch.relu_(self.stem(x))
        state = (x, x) if self.two_states else x
        for unit in self.units.values():
            state = unit(state)
        return self.fc(state.mean((2, 3)))


BN_NAMES = {
    'bn.weight': 'bn.gamma',
    'bn.bias': 'bn.beta',
    'bn.running_mean': 'bn.moving_mean',
    'bn.running_var': 'bn.moving_var',
}


def mxnet_name(name):
    """Return the MXNet name of an entry of ``Network.state_dict``."""
    for theirs, ours in BN_NAMES.items():
        name = name.replace(theirs, ours)
    return name.replace('units.', '').replace('.layer.', '.').replace('.', '_')


def load(network, parameters):
    """Copy {MXNet name: NumPy array} into a ``Network``; every name must be there."""
    state = network.state_dict()
    for name, tensor in state.items():
        if not name.endswith('num_batches_tracked'):
            tensor.copy_(torch.from_numpy(parameters[mxnet_name(name)]))
