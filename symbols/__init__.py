"""The paper's networks as MXNet symbols: ``get_symbol`` and the table of networks.

``python -m symbols --network mr --depth 56`` prints what a network consists of.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from symbols import fuse, il, mr, plain, resnet
from system.errors import UserError


class Network(NamedTuple):
    """A row of the table of networks. Valid depths are 2 + unit_depth * k for k = 1, 2, ..."""

    build: Callable  # (units in each group, num_classes, widen) -> symbol
    unit_depth: int  # step from one valid depth to the next
    layers_of_unit: int  # weighted layers on the longest path through one unit
    title: str
    # Table 4 pairs networks of the same size: d1 = pairing * (depth - 2) + 2 is the ResNet's depth.
    pairing: int = 1


NETWORKS = {
    'plain': Network(plain.get_symbol, 3, 1, 'plain network'),
    'resnet': Network(resnet.get_symbol, 6, 2, 'ResNet'),
    'il': Network(il.get_symbol, 6, 2, 'DFN-IL, inception-like fusion', 2),
    'mr': Network(mr.get_symbol, 6, 2, 'DFN-MR, merge-and-run fusion', 2),
    'mr-late': Network(
        partial(mr.get_symbol, late=True),
        6,
        2,
        "DFN-MR with the later ending of the authors' code",
        2,
    ),
    'side': Network(partial(il.get_symbol, identity=False), 6, 2, 'DFN-IL without the identity', 2),
    'fuse3': Network(partial(fuse.get_symbol, fusions=1), 3, 1, 'fused net with 3 fusions'),
    'fuse6': Network(partial(fuse.get_symbol, fusions=2), 6, 1, 'fused net with 6 fusions'),
}


# More than anybody has trained. The limits catch typing errors, which would fill the memory.
MOST_DEPTH, MOST_WIDEN, MOST_CLASSES = 10000, 64, 100000


def get_symbol(network, depth, num_classes=10, widen=1):
    """Return a network for 32x32 RGB images.

    Parameters
    ----------
    network : str
        A key of ``NETWORKS``.
    depth : int
        The paper's own depth of this network, in weighted layers on the longest path: d1 for plain,
        resnet, fuse3 and fuse6; d2 = d1 / 2 + 1 for il, mr, mr-late and side (Table 4).
    num_classes : int
        Outputs of the fully connected layer, at least 2.
    widen : int
        Factor on the 16, 32 and 64 channels (Table 5: 4).

    Returns
    -------
    mx.sym.Symbol
        Input ``data`` (batch, 3, 32, 32), label ``softmax_label`` (batch,), output ``softmax``
        (batch, num_classes).

    Raises
    ------
    UserError
        There is no such network, or it cannot have this depth, number of classes or width.
    """
    if network not in NETWORKS:
        raise UserError(
            f'no network is called {network!r}; there are {", ".join(sorted(NETWORKS))}'
        )
    check_depth(network, depth)
    for value, least, most, what in (
        (num_classes, 2, MOST_CLASSES, 'number of classes'),
        (widen, 1, MOST_WIDEN, 'widening factor'),
    ):
        if value != int(value) or not least <= value <= most:
            raise UserError(
                f'the {what} must be a whole number from {least} to {most}, not {value}'
            )
    entry = NETWORKS[network]
    units = (depth - 2) // (3 * entry.layers_of_unit)
    return entry.build(units, num_classes, widen=widen)


def check_depth(network, depth):
    """Raise ``UserError``, which names the nearest valid depths, for a depth that is not valid."""
    step = NETWORKS[network].unit_depth
    if depth > MOST_DEPTH:
        raise UserError(f'a depth of {depth} is more than the {MOST_DEPTH} layers that are allowed')
    if depth == int(depth) and depth >= step + 2 and (depth - 2) % step == 0:
        return
    below = 2 + step * max(1, int((depth - 2) // step))
    near = [below] if depth < below else [below, below + step]
    raise UserError(
        f'{network} cannot be {depth} layers deep: its depth is {step}k + 2, nearest '
        f'{" and ".join(map(str, near))}'
    )


def ensemble_units(depth):
    """Return the layers of a deep branch of an ensemble, see ``symbols.ensemble.get_symbol``.

    Raises ``UserError`` for a depth that N_f3 cannot have.
    """
    check_depth('fuse3', depth)
    return (depth - 2) // 3


def paired_depth(network, depth):
    """Return d1, the depth of the ResNet that Table 4 pairs with a network."""
    return NETWORKS[network].pairing * (depth - 2) + 2
