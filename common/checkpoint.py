"""Checkpoints of a run: MXNet's own files, and a state.json that says what they are.

CHECKPOINTS/RUN/ holds model-symbol.json, model-NNNN.params for the epochs that are kept, and
state.json. A .params file is MXNet's format with the keys ``arg:NAME`` and ``aux:NAME``, which
``mx.model.load_checkpoint`` reads, and ``momentum:NAME``, which it passes over. Nothing is pickled.

state.json is written last and names only epochs whose file is on the disk, so a crash at any moment
leaves the checkpoint before.
"""
import fcntl
import json
import os

from common import files
from common.engine import mx
from common.errors import UserError

FORMAT = 1
SYMBOL, STATE = 'model-symbol.json', 'state.json'
KINDS = ('arg', 'aux', 'momentum')


def params_path(folder, epoch):
    return os.path.join(folder, 'model-%04d.params' % epoch)


def save(folder, symbol, arrays, state):
    """Write a checkpoint, then remove those of the folder that ``state`` does not keep.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arrays : dict
        {'arg': {name: NDArray}, 'aux': ..., 'momentum': ...}.
    state : dict
        JSON; ``epoch`` is that of the arrays, ``kept`` the epochs whose .params stay.
    """
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(folder, SYMBOL)):
        files.write_text(os.path.join(folder, SYMBOL), symbol.tojson())
    flat = {'%s:%s' % (kind, name): array for kind in KINDS for name, array in arrays[kind].items()}
    files.write_atomically(params_path(folder, state['epoch']), lambda path: mx.nd.save(path, flat))
    files.write_text(os.path.join(folder, STATE), json.dumps(dict(state, format=FORMAT)))
    kept = {os.path.basename(params_path(folder, epoch)) for epoch in state['kept']}
    for name in os.listdir(folder):
        if name.endswith('.params') and name not in kept:
            os.remove(os.path.join(folder, name))


def load_state(folder):
    """Return the state of the last checkpoint in ``folder``, or raise ``UserError``."""
    path = os.path.join(folder, STATE)
    try:
        with open(path) as file:
            state = json.load(file)
    except FileNotFoundError:
        raise UserError('%s is not there: the run has no checkpoint yet, or its name or '
                        '--checkpoint-dir is another' % path)
    except ValueError as error:
        raise UserError('%s is damaged (%s): the run cannot be resumed from this folder' % (path, error))
    if not isinstance(state, dict) or state.get('format') != FORMAT:
        raise UserError('%s is of another version, and this one reads format %d: use the version that '
                        'wrote it' % (path, FORMAT))
    return state


def load_arrays(path):
    """Return {'arg': {name: NDArray}, 'aux': ..., 'momentum': ...} of a .params file."""
    if not os.path.isfile(path):
        raise UserError('%s is not there: name a .params file that a run has written' % path)
    arrays = {kind: {} for kind in KINDS}
    try:
        for key, array in mx.nd.load(path).items():
            kind, name = key.split(':', 1)
            arrays[kind][name] = array
    except (mx.MXNetError, AttributeError, ValueError, KeyError, UnicodeDecodeError):
        raise UserError('%s is not a checkpoint of a network, or is damaged: use another epoch of the '
                        'run' % path)
    return arrays


def load_symbol(path):
    """Return the symbol of a model-symbol.json file, or raise ``UserError``."""
    if not os.path.isfile(path):
        raise UserError('%s is not there: name the model-symbol.json of a run' % path)
    try:
        return mx.sym.load(path)
    except mx.MXNetError:
        raise UserError('%s is not a network that MXNet %s reads' % (path, mx.__version__))


class Lock:
    """Holds the folder of a run, so that no second process trains into it."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.file = open(os.path.join(folder, 'lock'), 'w')
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.file.close()
            raise UserError('another process is training the run in %s: wait for it, or stop it' % folder)

    def release(self):
        self.file.close()
