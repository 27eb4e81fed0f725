"""Training logs: one JSON-lines file a run, its header first and then a record an epoch.

The header has every option, the versions, the processor and the number of threads, the number of
parameters and the sizes of the data set; ``data`` says which images they are: the SHA-256 of their
manifest, and whether they are the ``official`` ones.

A record has ``epoch`` (from 1), ``train_loss``, ``test_loss`` (mean cross entropy, nats),
``train_error``, ``test_error`` (top-1, %), with photographs, and else with 100 classes and more,
``train_top5`` and ``test_top5`` (top-5 error, %), with an ensemble ``test_components`` and
``test_without`` ({name: top-1 error} of each component alone and of the ensemble without it),
``lr`` of the epoch's first update, ``seconds`` of the whole epoch and ``images_per_second`` of its
training.
"""

import json
import os
import sys

from system import files, schema
from system.errors import UserError

FORMAT = 2
CURVES = ('train_loss', 'train_error', 'test_loss', 'test_error')

_COUNT = {'type': 'integer', 'minimum': 1}
_DEPTH = {'type': 'integer', 'minimum': 1, 'maximum': 10**9}
_PERCENT = {'type': 'number', 'minimum': 0, 'maximum': 100}
# 1e999 is read as infinity.
_POSITIVE = {'type': 'number', 'minimum': 0, 'maximum': sys.float_info.max}
_PERCENTS = {'type': 'object', 'additionalProperties': _PERCENT}
# Names are printed and drawn, so they have no control characters, which terminals obey.
_NAME = {'type': 'string', 'pattern': r'^[^\x00-\x1f\x7f-\x9f]+$', 'maxLength': 255}


def _or_null(kind):
    return {'anyOf': [kind, {'type': 'null'}]}


_OPTIONS = {
    'type': 'object',
    'required': ['network', 'depth', 'dataset', 'epochs'],
    'properties': {
        'network': _NAME,
        'depth': _DEPTH,
        'dataset': _NAME,
        'widen': _COUNT,
        'epochs': _COUNT,
        'batch_size': _COUNT,
        'lr': _POSITIVE,
        'seed': {'type': 'integer', 'minimum': 0},
        'image_size': _or_null(_COUNT),
        'schedule': _or_null(_NAME),
        'drop_every': _or_null(_COUNT),
        'augment': _or_null(_NAME),
        'bn_momentum': {'type': 'number', 'minimum': 0, 'maximum': 1},
        'dtype': _NAME,
        'kv_store': _NAME,
        'gradient_compression': _NAME,
        'compression_threshold': _POSITIVE,
    },
}
_DATA = {
    'type': 'object',
    'properties': {
        'manifest_sha256': _or_null(_NAME),
        'official': _or_null({'type': 'boolean'}),
        'train_images': _COUNT,
        'test_images': _COUNT,
        'classes': _or_null(_COUNT),
    },
}
_HEADER = {
    'type': 'object',
    'required': ['run', 'options'],
    'properties': {
        'run': _NAME,
        'script': _NAME,
        'options': _OPTIONS,
        'data': _or_null(_DATA),
        'parameters': _COUNT,
        'train_images': _COUNT,
        'test_images': _COUNT,
        'workers': _COUNT,
        'devices': {'type': 'array', 'items': _NAME, 'minItems': 1},
        'versions': {'type': 'object'},
        'processor': _NAME,
    },
}
_RECORD = {
    'type': 'object',
    'required': ['epoch', *CURVES],
    'properties': {
        'type': {'const': 'epoch'},
        'epoch': _COUNT,
        'lr': _POSITIVE,
        'train_loss': _POSITIVE,
        'test_loss': _POSITIVE,
        'train_error': _PERCENT,
        'test_error': _PERCENT,
        'train_top5': _PERCENT,
        'test_top5': _PERCENT,
        'test_components': _PERCENTS,
        'test_without': _PERCENTS,
        'seconds': _POSITIVE,
        'images_per_second': _POSITIVE,
        'rollbacks': {'type': 'integer', 'minimum': 0},
    },
}

# The first line of a log of any version; then that of this one; then all other lines.
_parse_first = schema.checker(
    {
        'type': 'object',
        'required': ['type', 'format'],
        'properties': {'type': {'const': 'header'}, 'format': {'type': 'integer'}},
    }
)
_parse_header, _parse_record = schema.checker(_HEADER), schema.checker(_RECORD)


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
    """Write a log anew from what its checkpoint knows; drops what came after, or was torn."""
    lines = [_line(header)] + [_line(dict({'type': 'epoch'}, **record)) for record in records]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    files.write_text(path, ''.join(lines))


def _line(record):
    return json.dumps(record) + '\n'


def read(path):
    """Return the header and the list of epoch records of a log.

    A last line without an end, of a run that is being written or was killed, is left out, and so
    are blank lines.

    Raises
    ------
    UserError
        There is no such file, or it is not a log of this version.
    """
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().split('\n')[:-1]
    except FileNotFoundError:
        raise UserError(f'{path} is not there: name the log of a run, logs/NAME.jsonl') from None
    except (ValueError, IsADirectoryError) as error:
        raise UserError(f'{path} is not a training log ({error}): name a logs/NAME.jsonl') from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    header = _header(path, numbered[0][1] if numbered else '')
    return header, [
        _record(path, number, line, epoch) for epoch, (number, line) in enumerate(numbered[1:], 1)
    ]


def upgraded(header):
    """Return a header of format 1 as one of format 2 that means the same run; others as they are.

    What format 1 calls ``mr`` ends otherwise than today's (symbols/mr.py, symbols/imagenet.py), and
    it has no words for what could not be chosen then: BatchNorm's momentum was 0.9, and photographs
    were augmented as in the authors' script of 2018.
    """
    if header.get('format') != 1 or not isinstance(header.get('options'), dict):
        return header
    options = dict(header['options'], bn_momentum=0.9)
    if header.get('script') == 'train_imagenet.py':
        options['augment'] = 'authors-2018'
    if options.get('network') == 'mr':
        options['network'] = 'mr-relu' if 'augment' in options else 'mr-late'
    return dict(header, format=FORMAT, options=options)


def _header(path, line):
    """Return the header that the first line of a log holds."""
    try:
        version = _parse_first(line)['format']
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
        return upgraded(_parse_header(line))
    except ValueError as error:
        raise UserError(
            f'{path} has a damaged header ({error}): the file was changed after it was '
            'written; leave it out'
        ) from None


def _record(path, number, line, epoch):
    """Return the record of an epoch, which line ``number`` of the file must hold."""
    try:
        record = _parse_record(line)
        if record['epoch'] != epoch:
            raise ValueError(f'it has epoch {record["epoch"]}')
    except ValueError as error:
        raise UserError(
            f'{path}, line {number}, is not the record of epoch {epoch} ({error}): the '
            'file was changed after it was written'
        ) from None
    return record
