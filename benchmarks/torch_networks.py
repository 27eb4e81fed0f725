"""The CIFAR networks as a user of PyTorch would write them, for comparison in benchmark.py.

The project itself does not need PyTorch. ``load`` copies the parameters of the MXNet symbol of the
same name and depth into a network, which then computes the same function.
"""

from functools import partial

import torch
from torch import nn

from symbols import NETWORKS
from symbols.layers import BN_EPSILON, BN_MOMENTUM, STEM_CHANNELS, plan


class ConvBN(nn.Sequential):
    """A convolution without bias, and BatchNorm."""

    def __init__(self, narrow, wide, kernel=3, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(narrow, wide, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(wide, eps=BN_EPSILON, momentum=1 - BN_MOMENTUM)


class Chain(nn.Module):
    """Basic layers in a row, the last without its ReLU."""

    def __init__(self, narrow, spec, layers=2):
        super().__init__()
        widths = [narrow] + [spec.channels] * layers
        strides = [spec.stride] + [1] * (layers - 1)
        for number in range(layers):
            self.add_module(
                f'layer{number + 1}', ConvBN(widths[number], widths[number + 1], 3, strides[number])
            )

    def forward(self, x):
        *hidden, last = self.children()
        for layer in hidden:
            x = torch.relu_(layer(x))
        return last(x)


def line(narrow, spec):
    """Return the identity, or a projection where the width changes."""
    return nn.Identity() if spec.stride == 1 else ConvBN(narrow, spec.channels, 1, spec.stride)


class Plain(nn.Module):
    """A unit of the plain network: one basic layer."""

    def __init__(self, narrow, spec):
        super().__init__()
        self.layer = ConvBN(narrow, spec.channels, 3, spec.stride)

    def forward(self, x):
        return torch.relu_(self.layer(x))


class Residual(nn.Module):
    """A unit of ResNet, with one branch, or of DFN-IL, with two."""

    def __init__(self, narrow, spec, branches):
        super().__init__()
        self.projection = line(narrow, spec)
        for number in range(branches):
            self.add_module(f'branch{number + 1}', Chain(narrow, spec))

    def forward(self, x):
        first, *branches = self.children()
        total = first(x)
        for branch in branches:
            total = total + branch(x)
        return torch.relu_(total)


class MergeAndRun(nn.Module):
    """A unit of DFN-MR; the last one ends as in ``mr``, or ``mr-late`` (symbols/mr.py)."""

    def __init__(self, narrow, spec, late=False):
        super().__init__()
        self.line1_projection, self.line2_projection = line(narrow, spec), line(narrow, spec)
        self.branch1, self.branch2 = Chain(narrow, spec), Chain(narrow, spec)
        self.last, self.late = spec.last, late

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
    'resnet': lambda narrow, spec: Residual(narrow, spec, 1),
    'il': lambda narrow, spec: Residual(narrow, spec, 2),
}


class Network(nn.Module):
    """A network of ``UNITS``, from images (batch, 3, 32, 32) to scores (batch, num_classes).

    Parameters
    ----------
    network : str
        A key of ``UNITS`` and of ``symbols.NETWORKS``.
    depth, num_classes, widen : int
        As in ``symbols.get_symbol``.
    """

    def __init__(self, network, depth, num_classes=10, widen=1):
        super().__init__()
        self.two_states = network in ('mr', 'mr-late')
        self.stem = ConvBN(3, STEM_CHANNELS * widen)
        narrow = STEM_CHANNELS * widen
        self.units = nn.ModuleDict()
        for spec in plan((depth - 2) // (3 * NETWORKS[network].layers_of_unit), widen):
            self.units[spec.name] = UNITS[network](narrow, spec)
            narrow = spec.channels
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
    """Return the name in MXNet of an entry of ``Network.state_dict()``."""
    for theirs, ours in BN_NAMES.items():
        name = name.replace(theirs, ours)
    return name.replace('units.', '').replace('.layer.', '.').replace('.', '_')


def load(network, parameters):
    """Copy the parameters of an MXNet symbol, {name: NumPy array}, into a ``Network``."""
    state = network.state_dict()
    for name, tensor in state.items():
        if not name.endswith('num_batches_tracked'):
            tensor.copy_(torch.from_numpy(parameters[mxnet_name(name)]))
