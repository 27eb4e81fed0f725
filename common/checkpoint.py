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
import json
import os
import sys

from common import log
from common.options import FOLDERS
from engine import mx, params
from graphs import untrusted_symbol
from system import files, schema
from system.errors import UserError, command

FORMAT = 2
SYMBOL, STATE, BEFORE = 'model-symbol.json', 'state.json', 'state-before.json'
KINDS = ('arg', 'aux', 'momentum')
MOST_EPOCHS = 10**6

_EPOCH = {'type': 'integer', 'minimum': 1, 'maximum': MOST_EPOCHS}
_RECORD = {
    'type': 'object',
    'required': ['epoch', 'train_loss', 'train_error', 'test_loss', 'test_error'],
    'properties': {
        'epoch': _EPOCH,
        **{
            f'{part}_{kind}': {'type': 'number'}
            for part in ('train', 'test')
            for kind in ('loss', 'error')
        },
        'rollbacks': {'type': 'integer', 'minimum': 0, 'maximum': 100},
    },
}
_HEADER = {
    'type': 'object',
    'required': ['run', 'options', 'versions', 'threads'],
    'properties': {
        'run': {'type': 'string', 'pattern': '^[^/]+$'},
        'script': {'type': 'string'},
        'options': {
            'type': 'object',
            'required': ['dataset'],
            'properties': {
                'dataset': {'type': 'string'},
                'network': {'type': 'string'},
                **{
                    name: {'type': 'integer', 'minimum': 1}
                    for name in ('depth', 'widen', 'epochs', 'batch_size', 'image_size')
                },
                **{name: {'type': 'number', 'minimum': 0} for name in ('lr', 'seed')},
            },
        },
        'versions': {'type': 'object'},
        'threads': {'type': 'integer'},
        'workers': {'type': 'integer'},
        'data': {
            'type': 'object',
            'properties': {
                'manifest_sha256': {'type': 'string'},
                'official': {'type': 'boolean'},
                **{
                    name: {'type': ['integer', 'null']}
                    for name in ('train_images', 'test_images', 'classes')
                },
            },
        },
        **{name: {'type': ['integer', 'null']} for name in ('train_images', 'test_images')},
    },
}
_parse_digest = schema.checker(
    {'type': 'object', 'required': ['sha256'], 'properties': {'sha256': {'type': 'string'}}}
)
_parse_format = schema.checker({'type': 'object', 'properties': {'format': {'type': 'integer'}}})
_parse_state = schema.checker(
    {
        'type': 'object',
        'required': ['header', 'epoch', 'best', 'records', 'kept', 'files'],
        'properties': {
            'header': _HEADER,
            'epoch': _EPOCH,
            'best': _EPOCH,
            'records': {'type': 'array', 'items': _RECORD, 'minItems': 1},
            'kept': {'type': 'array', 'items': _EPOCH, 'minItems': 1},
            'files': {
                'type': 'object',
                'patternProperties': {
                    r'^model-(symbol\.json|[0-9]{4,7}\.params)$': {'type': 'string'}
                },
                'additionalProperties': False,
            },
        },
    }
)


def params_path(folder, epoch):
    """Return the path of an epoch's .params file."""
    return os.path.join(folder, f'model-{epoch:04}.params')


def find(run, folder):
    """Return the checkpoint folder of a run that is named, or given as the path of that folder."""
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
        JSON; ``epoch`` is that of the arrays, ``kept`` the epochs whose .params stay, ``records``
        those of the log.

    Raises
    ------
    OSError
        The disk does not take it; the checkpoint before is still there.
    """
    os.makedirs(folder, exist_ok=True)
    own = [_read_state(os.path.join(folder, name)) for name in (STATE, BEFORE)]
    before = next(filter(None, own), None)
    known = {
        name: digest for each in reversed(own) if each for name, digest in each['files'].items()
    }
    new = os.path.basename(params_path(folder, state['epoch']))
    digests = dict(before['files'] if before else {})
    digests[new] = _write_params(folder, new, arrays, known)
    digests[SYMBOL] = _write_symbol(folder, symbol, known)
    kept = [
        epoch for epoch in state['kept'] if os.path.basename(params_path(folder, epoch)) in digests
    ]
    names = [SYMBOL] + [os.path.basename(params_path(folder, epoch)) for epoch in kept]
    if before:
        _write_state(folder, BEFORE, before)
    state = dict(state, format=FORMAT, kept=kept, files={name: digests[name] for name in names})
    _write_state(folder, STATE, state)
    if own[0] is None:
        return  # nothing is known of the checkpoint before this one: those before it stay
    for name in set(known) - set(names):
        if _digest(os.path.join(folder, name)) == known[name]:
            files.remove(os.path.join(folder, name))


def _write_params(folder, name, arrays, known):
    """Write a .params file; return its SHA-256."""
    path, written = os.path.join(folder, name), []

    def write(temporary):
        _write_verified(temporary, flat(arrays))
        written.append(files.digest_of(temporary, hashlib.sha256()))
        # A run that was killed may have written the same arrays, and not yet their state.
        _keep_foreign(path, written + [known.get(name)])

    files.write_atomically(path, write)
    return written[0]


def _write_symbol(folder, symbol, known):
    """Write the symbol where it is not there as it was written; return its SHA-256."""
    path, text = os.path.join(folder, SYMBOL), symbol.tojson()
    wanted = hashlib.sha256(text.encode()).hexdigest()
    found = _digest(path)
    if found is not None and found in (wanted, known.get(SYMBOL)):
        return found
    _keep_foreign(path, [])
    files.write_text(path, text)
    return wanted


def _keep_foreign(path, digests):
    """Give a file another name, and say so, unless its SHA-256 is one of the run's own."""
    found = _digest(path)
    if os.path.lexists(path) and (found is None or found not in digests):
        _tell_kept(path, files.set_aside(path))


def _tell_kept(path, kept):
    sys.stderr.write(f'{path} is not as the run wrote it: it is kept as {kept}\n')


def _write_verified(path, arrays):
    params.write(path, arrays)
    back = params.read(path)
    if list(back) != list(arrays) or any(
        back[name].tobytes() != array.tobytes() for name, array in arrays.items()
    ):
        raise OSError(5, 'what was read back is not what was written', path)


def _write_state(folder, name, state):
    path, text = os.path.join(folder, name), json.dumps(state)
    if os.path.exists(path) and _read_state(path) is None:
        _tell_kept(path, files.set_aside(path))
    digest = hashlib.sha256(text.encode()).hexdigest()
    files.write_text(path, f'{{"sha256": "{digest}", "state": {text}}}\n')


def _read_state(path):
    """Return a state, or None if there is none or it is not what was written.

    Raises
    ------
    UserError
        The file cannot be read, or a newer version of this project wrote it.
    """
    if os.path.lexists(path) and not os.path.isfile(path):
        raise UserError(f'{path} is no ordinary file: give it another name')
    try:
        with open(path, encoding='utf-8') as file:
            head, _, rest = file.read().partition(', "state": ')
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return None
    except OSError as error:
        raise UserError(
            f'{path} cannot be read ({error.strerror}): check its permissions, and '
            'those of its folder'
        ) from None
    text = rest[: -len('}\n')]
    try:
        if hashlib.sha256(text.encode()).hexdigest() != _parse_digest(head + '}')['sha256']:
            return None
        _check_format(path, _parse_format(text).get('format', 1))
        state = _parse_state(text)
    except ValueError:
        return None
    epochs = [record['epoch'] for record in state['records']]
    fits = epochs == list(range(1, state['epoch'] + 1)) and max(state['kept']) <= state['epoch']
    return state if fits else None


def _check_format(path, found):
    if found > FORMAT:
        raise UserError(
            f'{path} has the checkpoint format {found} and this version reads no newer '
            f'than {FORMAT}: use the version that wrote it'
        )


def _digest(path):
    """Return the SHA-256 of a file, or None if there is none; a pipe would never end."""
    return files.digest_of(path, hashlib.sha256()) if os.path.isfile(path) else None


def whole(folder, name, state):
    """Return whether a file of a checkpoint is what was written."""
    return _digest(os.path.join(folder, name)) == state['files'].get(name, '')


def load_state(folder, warn=True):
    """Return the state of the newest whole checkpoint in ``folder``.

    Where damage makes that an older one, it is the state of that time, and unless ``warn`` is false
    a line on stderr says so.

    Raises
    ------
    UserError
        There is no checkpoint, none that is whole, or one of a newer version of this project.
    """
    path = os.path.join(folder, STATE)
    newest = _read_state(path)
    for state in (newest, _read_state(os.path.join(folder, BEFORE))):
        for epoch in sorted(state['kept'], reverse=True) if state else ():
            if whole(folder, os.path.basename(params_path(folder, epoch)), state):
                if warn and (state is not newest or epoch != state['epoch']):
                    _warn(folder, newest, epoch)
                return _as_of(state, epoch)
    if newest:
        raise UserError(
            f'no checkpoint in {folder} is whole (their checksums are wrong): start the run anew'
        )
    if os.path.exists(path):
        raise UserError(
            f'{path} is damaged or of another version (this one reads format {FORMAT}): '
            'use the version that wrote it, or start the run anew'
        )
    raise UserError(
        f'{path} is not there: the run has no checkpoint yet, or its name or '
        '--checkpoint-dir is another'
    )


def _warn(folder, state, epoch):
    path = params_path(folder, state['epoch']) if state else os.path.join(folder, STATE)
    how = 'damaged' if os.path.exists(path) else 'gone'
    sys.stderr.write(f'{path} is {how}: the checkpoint of epoch {epoch} is used instead\n')


def _as_of(state, epoch):
    """Return a state as it was after an earlier epoch, its header in today's format."""
    records = state['records'][:epoch]
    return dict(
        state,
        header=log.upgraded(state['header']),
        epoch=epoch,
        records=records,
        best=best(records),
        kept=[kept for kept in state['kept'] if kept <= epoch],
    )


def best(records):
    """Return the first epoch with the lowest test error."""
    return min(records, key=lambda record: record['test_error'])['epoch']


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
    """Return the arrays of {'arg': {name: NDArray}, ...} by one name each, such as 'arg:NAME'."""
    return {
        f'{kind}:{name}': array.asnumpy() for kind in KINDS for name, array in arrays[kind].items()
    }


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
            return untrusted_symbol.load(file.read(untrusted_symbol.MOST_BYTES + 1))
    except FileNotFoundError:
        raise UserError(f'{path} is not there: name the model-symbol.json of a run')
    except ValueError as error:
        raise UserError(
            f'{path} is not a network of this project ({error}): name the '
            'model-symbol.json of a run'
        )


def mend_symbol(folder, symbol):
    """Write the symbol of a run again where somebody has removed or changed it."""
    state = load_state(folder, warn=False)
    if whole(folder, SYMBOL, state):
        return
    path = os.path.join(folder, SYMBOL)
    was_there = os.path.exists(path)
    digest = _write_symbol(folder, symbol, state['files'])
    if digest != state['files'].get(SYMBOL):  # another version of MXNet writes other JSON
        state = dict(state, files={**state['files'], SYMBOL: digest})
        _write_state(folder, STATE, state)
    sys.stderr.write(f'{path} was {"damaged" if was_there else "gone"} and is written again\n')


def check_symbol(folder, state):
    """Raise ``UserError``, which says how to mend it, where the symbol is not as it was written."""
    if whole(folder, SYMBOL, state):
        return
    path = os.path.join(folder, SYMBOL)
    how = 'damaged' if os.path.exists(path) else 'gone'
    header = state['header']
    words = [log.script_of(header), '--resume', folder]
    if header['options'].get('log_dir', FOLDERS['log_dir']) != FOLDERS['log_dir']:
        words += ['--log-dir', header['options']['log_dir']]
    raise UserError(f'{path} is {how}: "{command(*words)}" writes it again')


class Lock:
    """Holds the folder of a run, so that no second process trains into it."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        try:
            self.descriptor = files.take_lock(os.path.join(folder, 'lock'), wait=False)
        except BlockingIOError:
            raise UserError(
                f'another process is training the run in {folder}: wait for it, or stop it'
            ) from None

    def release(self):
        """Let another process train into the folder; more than once does no harm."""
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor = None
