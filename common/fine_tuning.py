"""Fine-tuning: a run that begins from the parameters of another run, or of a .params file.

A parameter is taken if the new network has one of its name and shape. A head for another number of
classes is made anew, with initial weights; nothing else may differ.
"""

import hashlib
import os
from typing import NamedTuple

from common import checkpoint, run_state
from common.scorer import expected_shapes
from system import files
from system.errors import UserError, tell

HEAD = ('fc_weight', 'fc_bias')  # how the names of a head's parameters end


class Initial(NamedTuple):
    """What a run begins from."""

    arrays: dict  # as a checkpoint's, without momentum; a head that is made anew is missing
    entry: dict  # for the header of the log: name, epoch (None of a file) and SHA-256


def read(args, symbol, shape, workers):
    """Return the ``Initial`` that ``--init-from`` names, or None without it.

    Only worker 0 reads it. The other workers get None here, and its arrays with the run, see
    start_run.py.

    Parameters
    ----------
    args : argparse.Namespace
    symbol : mx.sym.Symbol
        The network to train.
    shape : tuple of int
        Of an image: (channels, height, width).
    workers : distributed.cluster.Cluster

    Raises
    ------
    UserError
        There is no such run or file, or it holds another network; the message says what differs.
    """
    if not args.init_from or workers.rank:
        return None
    path, name, epoch = _find(args.init_from, args.checkpoint_dir)
    arrays = checkpoint.load_arrays(path)
    heads = _check(args.init_from, arrays, expected_shapes(symbol, shape))
    if heads:
        classes = {arrays['arg'].pop(head).shape[0] for head in heads}
        tell(
            f'{", ".join(heads)}: made anew, because {args.init_from} tells {classes.pop()} '
            'classes apart'
        )
    digest = files.digest_of(path, hashlib.sha256())
    return Initial(
        {**arrays, 'momentum': {}}, {'name': name, 'epoch': epoch, 'params_sha256': digest}
    )


def _find(named, checkpoint_dir):
    """Return the path of the .params file, what the run or file is called, and the epoch."""
    if os.path.isfile(named):
        return named, os.path.basename(named), None
    folder = checkpoint.find(named, checkpoint_dir)
    if not os.path.isdir(folder):
        raise UserError(
            f'--init-from {named}: there is no such file, and no such run in {checkpoint_dir}'
        )
    state = run_state.load(folder)
    return run_state.params_path(folder, state['epoch']), state['header']['run'], state['epoch']


def _check(named, arrays, expected):
    """Return the names of the parameters to make anew; raise ``UserError`` for other differences.

    Parameters
    ----------
    arrays : dict
        {'arg': {name: NDArray}, 'aux': ...}.
    expected : dict
        {'arg': {name: shape}, 'aux': ...}.
    """
    heads = []
    for kind, shapes in expected.items():
        found = {name: array.shape for name, array in arrays[kind].items()}
        for name, shape in shapes.items():
            have = found.pop(name, None)
            if have is None:
                _refuse(named, f'it lacks {name}')
            if have == shape:
                continue
            if not name.endswith(HEAD) or have[1:] != shape[1:]:
                _refuse(named, f'{name} has the shape {have} there and {shape} here')
            heads.append(name)
        if found:
            _refuse(named, f'it has {min(found)}, which the network lacks')
    return heads


def _refuse(named, why):
    raise UserError(
        f'--init-from {named} is of another network ({why}): choose its --network, --depth and '
        '--widen'
    )
