"""Checkpoints of a run: MXNet's own files, and a state.json that says what they are.

CHECKPOINTS/RUN/ holds model-symbol.json, model-NNNN.params for the epochs that are kept, state.json, and
state-before.json, the one of the checkpoint before. A .params file is MXNet's format with the keys
``arg:NAME`` and ``aux:NAME``, which ``mx.model.load_checkpoint`` reads, and ``momentum:NAME``, which it passes
over. Nothing is pickled.

A state has the SHA-256 of itself and of every file that it names. A new checkpoint is read back and compared
before its state is written, and only then may an older one go; the one before is always kept. So a crash at
any moment leaves a whole checkpoint, and so does damage to the newest.
"""
import fcntl
import hashlib
import json
import os
import sys

from common import files, log, params
from common.engine import mx
from common.errors import UserError
from symbols import check

FORMAT = 2
SYMBOL, STATE, BEFORE = 'model-symbol.json', 'state.json', 'state-before.json'
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
        JSON; ``epoch`` is that of the arrays, ``kept`` the epochs whose .params stay, ``records`` those of
        the log.

    Raises
    ------
    OSError
        The disk does not take it; the checkpoint before is still there.
    """
    os.makedirs(folder, exist_ok=True)
    before = _read_state(os.path.join(folder, STATE)) or {'files': {}}
    new = params_path(folder, state['epoch'])
    files.write_atomically(new, lambda path: _write_verified(path, flat(arrays)))
    if _digest(os.path.join(folder, SYMBOL)) != before['files'].get(SYMBOL, ''):
        files.write_text(os.path.join(folder, SYMBOL), symbol.tojson())
    known = dict(before['files'], **{name: _digest(os.path.join(folder, name)) for name in (SYMBOL, os.path.basename(new))})
    kept = [epoch for epoch in state['kept'] if os.path.basename(params_path(folder, epoch)) in known]
    names = [SYMBOL] + [os.path.basename(params_path(folder, epoch)) for epoch in kept]
    if before['files']:
        _write_state(os.path.join(folder, BEFORE), before)
    _write_state(os.path.join(folder, STATE), dict(state, format=FORMAT, kept=kept, files={name: known[name] for name in names}))
    for name in os.listdir(folder):
        if name.endswith(('.params', '.tmp')) and name not in names:
            os.remove(os.path.join(folder, name))


def _write_verified(path, arrays):
    params.write(path, arrays)
    back = params.read(path)
    if list(back) != list(arrays) or any(back[name].tobytes() != array.tobytes() for name, array in arrays.items()):
        raise OSError(5, 'what was read back is not what was written', path)


def _write_state(path, state):
    text = json.dumps(state)
    files.write_text(path, '{"sha256": "%s", "state": %s}\n' % (hashlib.sha256(text.encode()).hexdigest(), text))


def _read_state(path):
    """Return a state, or None if there is none or it is not what was written."""
    try:
        with open(path) as file:
            head, _, rest = file.read().partition(', "state": ')
        digest = json.loads(head + '}')['sha256']
        text = rest[:-len('}\n')]
        return json.loads(text) if hashlib.sha256(text.encode()).hexdigest() == digest else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _digest(path):
    """Return the SHA-256 of a file, or None if there is none."""
    try:
        return files.digest_of(path, hashlib.sha256())
    except FileNotFoundError:
        return None


def whole(folder, name, state):
    """Return whether a file of a checkpoint is what was written."""
    return _digest(os.path.join(folder, name)) == state['files'].get(name, '')


def load_state(folder, warn=True):
    """Return the state of the newest whole checkpoint in ``folder``.

    Where damage makes that an older one, it is the state of that time, and unless ``warn`` is false a line on
    stderr says so.

    Raises
    ------
    UserError
        There is no checkpoint, or none that is whole.
    """
    path = os.path.join(folder, STATE)
    states = [_read_state(os.path.join(folder, name)) for name in (STATE, BEFORE)]
    if states == [None, None]:
        if not os.path.exists(path):
            raise UserError('%s is not there: the run has no checkpoint yet, or its name or '
                            '--checkpoint-dir is another' % path)
        raise UserError('%s is damaged or of another version (this one reads format %d): use the version that wrote '
                        'it, or start the run anew' % (path, FORMAT))
    for state in filter(None, states):
        for epoch in sorted(state['kept'], reverse=True):
            if whole(folder, os.path.basename(params_path(folder, epoch)), state):
                if warn and (state is not states[0] or epoch != state['epoch']):
                    _warn(folder, states[0], epoch)
                return _as_of(state, epoch)
    raise UserError('no checkpoint in %s is whole (their checksums are wrong): start the run anew' % folder)


def _warn(folder, state, epoch):
    damaged = params_path(folder, state['epoch']) if state else os.path.join(folder, STATE)
    sys.stderr.write('%s is damaged: the checkpoint of epoch %d is used instead\n' % (damaged, epoch))


def _as_of(state, epoch):
    """Return a state as it was after an earlier epoch, its header in today's format."""
    records = state['records'][:epoch]
    return dict(state, header=log.upgraded(state['header']), epoch=epoch, records=records, best=best(records), kept=[kept for kept in state['kept'] if kept <= epoch])


def best(records):
    """Return the first epoch with the lowest test error."""
    return min(records, key=lambda record: record['test_error'])['epoch']


def load_arrays(path):
    """Return {'arg': {name: NDArray}, 'aux': ..., 'momentum': ...} of a .params file."""
    try:
        return by_kind(params.read(path))
    except FileNotFoundError:
        raise UserError('%s is not there: name a .params file that a run has written' % path)
    except (ValueError, KeyError) as error:
        raise UserError('%s is not a checkpoint of a network, or is damaged (%s): use another epoch of the '
                        'run' % (path, error))


def flat(arrays):
    """Return {'arg:NAME': NumPy array, ...} of {'arg': {name: NDArray}, 'aux': ..., 'momentum': ...}."""
    return {'%s:%s' % (kind, name): array.asnumpy() for kind in KINDS for name, array in arrays[kind].items()}


def by_kind(named):
    """Return the opposite of ``flat``."""
    arrays = {kind: {} for kind in KINDS}
    for key, array in named.items():
        kind, name = key.split(':', 1)
        arrays[kind][name] = mx.nd.array(array, dtype=array.dtype)
    return arrays


def load_symbol(path):
    """Return the symbol of a model-symbol.json file, or raise ``UserError``."""
    try:
        with open(path) as file:
            return check.load(file.read())
    except FileNotFoundError:
        raise UserError('%s is not there: name the model-symbol.json of a run' % path)
    except ValueError as error:
        raise UserError('%s is not a network of this project (%s): name the model-symbol.json of a run' % (path, error))


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
