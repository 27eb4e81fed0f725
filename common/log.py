"""Training logs: a JSON-lines file for each run, with a header and a record for each epoch.

docs/logs.md says what each field means, and common/log_format.py what it may hold.
"""

import json
import os

from common.log_format import FORMAT, parse_first, parse_header, parse_record, upgraded
from system import files, schema
from system.errors import UserError, describe

_parse_name = schema.checker(
    {'type': 'object', 'required': ['run'], 'properties': {'run': {'type': 'string'}}}
)


def script_of(header):
    """Return the path, in the repository, of the script that wrote a log."""
    name = header.get('script', 'train_cifar.py')
    return f'study/{name}' if name == 'train_ensemble.py' else name


def create(folder, name, header):
    """Start a log in a file that did not exist before; return its path and the name of the run.

    A number is added to ``name`` where it is taken, so that two runs never share a file.
    """
    os.makedirs(folder, exist_ok=True)
    for number in range(1, 1000):
        run = name if number == 1 else f'{name}-{number}'
        path = os.path.join(folder, run + '.jsonl')
        try:
            files.create_text(
                path, _line(dict({'type': 'header', 'format': FORMAT, 'run': run}, **header))
            )
            return path, run
        except FileExistsError:
            continue
    raise UserError(
        f'{folder} holds a thousand logs named {name} already: choose another --log-dir'
    )


def append(path, record):
    """Add the record of an epoch, in one write: no reader sees half a line of a live run."""
    files.append_text(path, _line(dict({'type': 'epoch'}, **record)))


def restore(path, header, records):
    """Write a log anew from its checkpoint; later records and torn lines are dropped."""
    lines = [_line(header)] + [_line(dict({'type': 'epoch'}, **record)) for record in records]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    files.write_text(path, ''.join(lines))


def is_of(path, header):
    """Return whether a log, whole or torn, is that of the run with this header, or is not there."""
    if not os.path.isfile(path):
        return not os.path.lexists(path)
    with open(path, encoding='utf-8', errors='replace') as file:
        first = file.readline()
    try:
        return _parse_name(first)['run'] == header['run']
    except ValueError:  # the first line is torn, or of another file
        return json.dumps(header).startswith(first)


def is_ahead(path, epochs):
    """Return whether a log has more whole lines than the header and so many records."""
    try:
        with open(path, 'rb') as file:
            lines = [line for line in file if line.strip() and line.endswith(b'\n')]
    except FileNotFoundError:
        return False
    return len(lines) > 1 + epochs


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
            lines = file.read().split('\n')[:-1]
    except FileNotFoundError:
        raise UserError(f'{path} is not there: name the log of a run, logs/NAME.jsonl') from None
    except (ValueError, IsADirectoryError) as error:
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
