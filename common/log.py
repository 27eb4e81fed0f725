"""Training logs: a JSON-lines file for each run, with a header and a record for each epoch.

docs/logs.md says what each field means, and common/log_format.py what it may hold.
"""

import contextlib
import json
import os

from common.log_format import FORMAT, parse_first, parse_header, parse_record, upgraded
from system import files, schema
from system.errors import UserError, describe

LONGEST = 1 << 20  # characters of a header

_parse_name = schema.checker(
    {'type': 'object', 'required': ['run'], 'properties': {'run': {'type': 'string'}}}
)


def script_of(header):
    """Return the path, in the repository, of the script that wrote a log."""
    name = header.get('script', 'train_cifar.py')
    return f'study/{name}' if name == 'train_ensemble.py' else name


def create(folder, name, header):
    """Start a log in a file that did not exist before; return its path.

    Raises
    ------
    FileExistsError
        There is a log of that name.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name + '.jsonl')
    files.create_text(path, _line({'type': 'header', 'format': FORMAT, 'run': name, **header}))
    return path


def append(path, record):
    """Add the record of an epoch, in one write: no reader sees half a line of a live run."""
    files.append_text(path, _line(dict({'type': 'epoch'}, **record)))


def restore(path, header, records):
    """Write a log anew from its checkpoint; later records and torn lines are dropped."""
    lines = [_line(header)] + [_line(dict({'type': 'epoch'}, **record)) for record in records]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    files.write_text(os.path.realpath(path), ''.join(lines))  # a symbolic link remains one


def difference(path, header, records):
    """Return what a log has that would be lost if it were restored, '' if there is nothing.

    A torn line is nothing, and so is another number of epochs in the header.
    """
    if not _is_of(path, header):
        return 'is not the log of this run'
    with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
        lines = [line for line in file if line.strip() and line.endswith(b'\n')]
        written = [_without_end(header), *(dict({'type': 'epoch'}, **each) for each in records)]
        if any(_parsed(line) != expected for line, expected in zip(lines, written)):
            return 'was changed after it was written'
        if len(lines) > len(written):
            return f'has epochs after the last checkpoint, that of epoch {len(records)}'
    return ''


def _parsed(line):
    """Return what a whole line of a log holds, None if it is none."""
    try:
        found = json.loads(line)
        return _without_end(upgraded(found)) if 'run' in found else found
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _without_end(header):
    """Return a header without the numbers of epochs, which change when a run goes on."""
    ends = ('epochs', 'epochs_before')
    return {
        **header,
        'options': {name: header['options'][name] for name in header['options'].keys() - ends},
    }


def _is_of(path, header):
    """Return whether a log, whole or torn, is that of the run with this header, or is not there."""
    if not os.path.isfile(path):
        return not os.path.lexists(path)
    with open(path, encoding='utf-8', errors='replace') as file:
        first = file.readline()
    try:
        return _parse_name(first)['run'] == header['run']
    except ValueError:  # the first line is torn, or of another file
        return json.dumps(header).startswith(first)


def _line(record):
    return json.dumps(record) + '\n'


def read(path):
    """Return the header and the list of epoch records of a log.

    A last line without an end, of a run that is being written or was killed, is left out, and so
    are blank lines.

    Raises
    ------
    UserError
        There is no such file, it cannot be read, or it is not a log of this version.
    """
    try:
        with open(path, encoding='utf-8') as file:
            # The beginning first: a file of another kind can be larger than the memory.
            first = file.readline(LONGEST)
            lines = (first + (file.read() if first.endswith('\n') else '')).split('\n')[:-1]
    except FileNotFoundError:
        raise UserError(f'{path} is not there: name the log of a run, logs/NAME.jsonl') from None
    except IsADirectoryError:
        raise UserError(f'{path} is a folder: name the logs in it, {path}/*.jsonl') from None
    except ValueError as error:
        raise UserError(f'{path} is not a training log ({error}): name a logs/NAME.jsonl') from None
    except OSError as error:
        raise UserError(f'{path} cannot be read: {describe(error)}') from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    header = _header(path, numbered[0][1] if numbered else '')
    return header, [
        _record(path, number, line, epoch) for epoch, (number, line) in enumerate(numbered[1:], 1)
    ]


def _header(path, line):
    """Return the header that the first line of a log holds."""
    try:
        version = parse_first(line)['format']
    except ValueError as error:
        raise UserError(
            f'{path} does not begin with the header of a training log ({error}): '
            'name a logs/NAME.jsonl'
        ) from None
    if version not in (1, FORMAT):
        raise UserError(
            f'{path} has the log format {version} and this version reads format '
            f'{FORMAT}: use the version that wrote it'
        )
    try:
        return upgraded(parse_header(line))
    except ValueError as error:
        raise UserError(
            f'{path} has a damaged header ({error}): the file was changed after it was '
            'written; leave it out'
        ) from None


def _record(path, number, line, epoch):
    """Return the record of an epoch, which line ``number`` of the file must hold."""
    try:
        record = parse_record(line)
        if record['epoch'] != epoch:
            raise ValueError(f'it has epoch {record["epoch"]}')
    except ValueError as error:
        raise UserError(
            f'{path}, line {number}, is not the record of epoch {epoch} ({error}): the '
            'file was changed after it was written'
        ) from None
    return record
