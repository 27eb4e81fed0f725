"""Ensemble-8 with weight sharing for PyTorch, as one side of a benchmark (symbols/ensemble.py).

As in the project's own graph, networks whose names begin alike compute the same up to there, and
that is computed once.
"""

from itertools import product

import torch
from torch import nn
from torch.nn import functional

from pytorch.networks import BN_EPSILON, BN_MOMENTUM, STEM_CHANNELS

BRANCHES = 'LR'
GROUPS = 3


class SharedLayer(nn.Module):
    """A basic layer, 3x3 Conv-BN-ReLU, with moving statistics of its own for each path."""

    def __init__(self, narrow, wide, stride, paths):
        super().__init__()
        self.conv = nn.Conv2d(narrow, wide, 3, stride, 1, bias=False)
        self.gamma = nn.Parameter(torch.ones(wide))
        self.beta = nn.Parameter(torch.zeros(wide))
        for path in paths:
            self.register_buffer('mean_' + path, torch.zeros(wide))
            self.register_buffer('variance_' + path, torch.ones(wide))

    def forward(self, x, path):
        mean, variance = getattr(self, 'mean_' + path), getattr(self, 'variance_' + path)
        x = functional.batch_norm(
            self.conv(x),
            mean,
            variance,
            self.gamma,
            self.beta,
            self.training,
            BN_MOMENTUM,
            BN_EPSILON,
        )
        return torch.relu_(x)


class Ensemble(nn.Module):
    """The eight components of N_f3; ``units`` is the number of layers of a deep branch.

    Returns the class scores of each, a list of eight tensors (batch, num_classes).
    """

    def __init__(self, units, num_classes, widen=1):
        super().__init__()
        narrow = STEM_CHANNELS * widen
        self.stem = SharedLayer(3, narrow, 1, [''])
        self.groups = nn.ModuleList()
        for group in range(GROUPS):
            wide, stride = STEM_CHANNELS * widen * 2**group, 2 if group else 1
            paths = [''.join(path) for path in product(BRANCHES, repeat=group + 1)]
            self.groups.append(self._branches(narrow, wide, stride, units, paths))
            narrow = wide
        self.fc = nn.Linear(narrow, num_classes)

    @staticmethod
    def _branches(narrow, wide, stride, units, paths):
        """The layers of both branches of a group."""
        branches = {}
        for branch, depth in zip(BRANCHES, (1, units)):
            own = [path for path in paths if path[-1] == branch]
            sizes = [(narrow, stride)] + [(wide, 1)] * (depth - 1)
            branches[branch] = nn.ModuleList(
                SharedLayer(inputs, wide, step, own) for inputs, step in sizes
            )
        return nn.ModuleDict(branches)

    def forward(self, images):
        maps = {'': self.stem(images, '')}
        for branches in self.groups:
            maps = {
                path + branch: self._run(branches[branch], x, path + branch)
                for path, x in maps.items()
                for branch in BRANCHES
            }
        return [self.fc(x.mean((2, 3))) for x in maps.values()]

    @staticmethod
    def _run(layers, x, path):
        for layer in layers:
            x = layer(x, path)
        return x
