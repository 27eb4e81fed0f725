"""The state.json of a checkpoint: what the run's files are, and whether they are still whole.

A state has the header of the log, the records of the epochs that are done, the best epoch, the
epochs whose parameters are kept, and the SHA-256 of itself and of every file that it names.
state-before.json is the state of the checkpoint before.
"""

import hashlib
import json
import os
import sys

from common.log_format import HEADER, RECORD, upgraded
from system import files, schema
from system.errors import UserError

FORMAT = 2
SYMBOL, STATE, BEFORE = 'model-symbol.json', 'state.json', 'state-before.json'
MOST_EPOCHS = 10**6

_EPOCH = {'type': 'integer', 'minimum': 1, 'maximum': MOST_EPOCHS}
_parse_digest = schema.checker(
    {'type': 'object', 'required': ['sha256'], 'properties': {'sha256': {'type': 'string'}}}
)
_parse_format = schema.checker({'type': 'object', 'properties': {'format': {'type': 'integer'}}})
_parse_state = schema.checker(
    {
        'type': 'object',
        'required': ['header', 'epoch', 'best', 'records', 'kept', 'files'],
        'properties': {
            'header': {**HEADER, 'required': [*HEADER['required'], 'versions', 'threads']},
            'epoch': _EPOCH,
            'best': _EPOCH,
            'records': {'type': 'array', 'items': RECORD, 'minItems': 1},
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


def params_name(epoch):
    """Return the name of an epoch's .params file."""
    return f'model-{epoch:04}.params'


def params_path(folder, epoch):
    """Return the path of an epoch's .params file."""
    return os.path.join(folder, params_name(epoch))


def read(path):
    """Return a state, or None if there is none, or one that is damaged.

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


def write(folder, name, state):
    """Write a state into ``folder``; a file of that name that is no state gets another name."""
    path, text = os.path.join(folder, name), json.dumps(state)
    if os.path.exists(path) and read(path) is None:
        _tell_kept(path, files.set_aside(path))
    digest = hashlib.sha256(text.encode()).hexdigest()
    files.write_text(path, f'{{"sha256": "{digest}", "state": {text}}}\n')


def is_whole(folder, name, state):
    """Return whether a file of a checkpoint has the SHA-256 that the state names."""
    return digest(os.path.join(folder, name)) == state['files'].get(name, '')


def digest(path):
    """Return the SHA-256 of a file, None for anything else: a pipe, for one, would never end."""
    return files.digest_of(path, hashlib.sha256()) if os.path.isfile(path) else None


def keep_foreign(path, digests):
    """Give a file another name, and say so, unless its SHA-256 is one of the run's own."""
    found = digest(path)
    if os.path.lexists(path) and (found is None or found not in digests):
        _tell_kept(path, files.set_aside(path))


def _tell_kept(path, kept):
    sys.stderr.write(f'{path} is not as the run wrote it: it is kept as {kept}\n')


def load(folder, warn=True):
    """Return the state of the newest whole checkpoint in ``folder``.

    If the newest checkpoint is damaged, it is the state as it was at an older one, and a line on
    stderr says so unless ``warn`` is false.

    Raises
    ------
    UserError
        There is no checkpoint, none that is whole, or one of a newer version of this project.
    """
    path = os.path.join(folder, STATE)
    newest = read(path)
    for state in (newest, read(os.path.join(folder, BEFORE))):
        for epoch in sorted(state['kept'], reverse=True) if state else ():
            if is_whole(folder, params_name(epoch), state):
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
        header=upgraded(state['header']),
        epoch=epoch,
        records=records,
        best=best(records),
        kept=[kept for kept in state['kept'] if kept <= epoch],
    )


def best(records):
    """Return the epoch whose checkpoint is called ``best``.

    It is the first one with the lowest error on the training images that are held out
    (``--validation``) or, if none are, with the lowest test error.
    """
    key = 'validation_error' if is_chosen_by_validation(records) else 'test_error'
    return min(records, key=lambda record: record[key])['epoch']


def is_chosen_by_validation(records):
    """Return whether the best epoch is chosen on images that are held out, not on the test set."""
    return all('validation_error' in record for record in records)
