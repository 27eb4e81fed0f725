"""Checkpoints of a run: MXNet's own files, and a state.json that says what they are.

CHECKPOINTS/RUN/ holds model-symbol.json, model-NNNN.params for the epochs that are kept,
state.json, and state-before.json, the one of the checkpoint before. A .params file is MXNet's
format with the keys ``arg:NAME`` and ``aux:NAME``, which ``mx.model.load_checkpoint`` reads, and
``momentum:NAME``, which it passes over. Nothing is pickled.

A state has the SHA-256 of itself and of every file that it names. A new checkpoint is read back and
compared before its state is written, and only then may an older one go; the one before is always
kept. So a crash at any moment leaves a whole checkpoint, and so does damage to the newest.

A file that the run has not written is neither removed nor overwritten: the states say which are the
run's, by name and SHA-256, and another one whose name is needed gets a new name.
"""

import hashlib
import os

from common import run_state, symbol_file
from engine import mx, params
from system import files
from system.errors import UserError

KINDS = ('arg', 'aux', 'momentum')


def find(run, folder):
    """Return the checkpoint folder of a run, given as its name or as the path of that folder."""
    named = os.path.join(folder, run)
    return run if os.path.isdir(run) and not os.path.isdir(named) else named


def save(folder, symbol, arrays, state):
    """Write a checkpoint, then remove the run's own .params files that ``state`` does not keep.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arrays : dict
        {'arg': {name: NDArray}, 'aux': ..., 'momentum': ...}.
    state : dict
        What run_state.py calls a state, but for its ``files``: ``header`` and ``records`` of the
        log, ``epoch`` of the arrays, the ``best`` epoch, and ``kept``, the epochs whose .params
        files stay.

    Raises
    ------
    OSError
        The disk does not take it; the checkpoint before is still there.
    """
    os.makedirs(folder, exist_ok=True)
    states = [
        run_state.read(os.path.join(folder, name)) for name in (run_state.STATE, run_state.BEFORE)
    ]
    before = next(filter(None, states), None)
    known = {
        name: digest for each in reversed(states) if each for name, digest in each['files'].items()
    }
    new = run_state.params_name(state['epoch'])
    digests = dict(before['files'] if before else {})
    digests[new] = _write_params(folder, new, arrays, known)
    digests[run_state.SYMBOL] = symbol_file.write(folder, symbol, known)
    kept = [epoch for epoch in state['kept'] if run_state.params_name(epoch) in digests]
    names = [run_state.SYMBOL, *map(run_state.params_name, kept)]
    if before:
        run_state.write(folder, run_state.BEFORE, before)
    state = dict(
        state, format=run_state.FORMAT, kept=kept, files={name: digests[name] for name in names}
    )
    run_state.write(folder, run_state.STATE, state)
    if states[0] is None:
        return  # state.json is missing or damaged: older .params files stay, to be safe
    for name in set(known) - set(names):
        if run_state.digest(os.path.join(folder, name)) == known[name]:
            files.remove(os.path.join(folder, name))


def _write_params(folder, name, arrays, known):
    """Write a .params file; return its SHA-256.

    ``known`` has the SHA-256 of the run's own files by name: no other file is overwritten.
    """
    path, written = os.path.join(folder, name), []

    def write(temporary):
        _write_verified(temporary, flat(arrays))
        written.append(files.digest_of(temporary, hashlib.sha256()))
        # A run that was killed may have written the same arrays, and not yet their state.
        run_state.keep_foreign(path, written + [known.get(name)])

    files.write_atomically(path, write)
    return written[0]


def _write_verified(path, arrays):
    params.write(path, arrays)
    back = params.read(path)
    if list(back) != list(arrays) or any(
        back[name].tobytes() != array.tobytes() for name, array in arrays.items()
    ):
        raise OSError(5, 'what was read back is not what was written', path)


def load_arrays(path):
    """Return {'arg': {name: NDArray}, 'aux': ..., 'momentum': ...} of a .params file."""
    try:
        return by_kind(params.read(path))
    except FileNotFoundError:
        raise UserError(f'{path} is not there: name a .params file that a run has written')
    except (ValueError, KeyError) as error:
        raise UserError(
            f'{path} is not a checkpoint of a network, or is damaged ({error}): use '
            'another epoch of the run'
        )


def flat(arrays):
    """Return {'arg:NAME': numpy.ndarray, ...} for {'arg': {NAME: NDArray}, ...}."""
    return {
        f'{kind}:{name}': array.asnumpy() for kind in KINDS for name, array in arrays[kind].items()
    }


def by_kind(named):
    """Return {'arg': {NAME: NDArray}, ...} for {'arg:NAME': numpy.ndarray, ...}."""
    arrays = {kind: {} for kind in KINDS}
    for key, array in named.items():
        kind, name = key.split(':', 1)
        arrays[kind][name] = mx.nd.array(array, dtype=array.dtype)
    return arrays
