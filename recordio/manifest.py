"""The manifest of a prepared data set: its images, its files, and what they were made from.

data/prepare.py writes it. A manifest may be damaged or another program's, so it is checked against
a schema wherever it is read, and no name in it leads out of its folder.
"""

import json
import os

from system import files, schema
from system.errors import UserError, command

NAME = 'manifest.json'
WORK = '.part'  # folder in that of a data set, where a conversion keeps what is not finished
FORMAT = 2
# Data sets that data/prepare.py converts without being told what is in them.
BUILT_IN = ('cifar10', 'cifar100', 'fashion-mnist', 'sample', 'svhn')
SPLITS = ('train', 'test', 'val')
MOST_BYTES, MOST_CLASSES = 32 << 20, 100000

_SHA256 = {'type': 'string', 'pattern': r'^[0-9a-f]{64}\Z'}
_COUNT = {'type': 'integer', 'minimum': 0}
_PER_CLASS = {
    'type': 'object',
    'minProperties': 1,
    'maxProperties': MOST_CLASSES,
    'patternProperties': {r'^[0-9]{1,6}\Z': _COUNT},
    'additionalProperties': False,
}
_FILE = {
    'type': 'object',
    'required': ['bytes', 'sha256'],
    'properties': {'bytes': _COUNT, 'sha256': _SHA256},
}
_CLASSES = {
    'type': 'array',
    'minItems': 2,
    'maxItems': MOST_CLASSES,
    'items': {'type': 'string', 'minLength': 1, 'maxLength': 255},
}
_SOURCE = {
    'type': 'object',
    'properties': {
        'sha256': {'type': 'array', 'items': _SHA256},
        'tree_sha256': _SHA256,
        'files': _COUNT,
    },
}
_OPTIONS = {
    'type': 'object',
    'required': ['checksum'],
    'properties': {'checksum': {'type': 'boolean'}, 'keep_images': {'type': 'boolean'}},
}

# What has been the same in every format. Format 1 has ``classes`` for photographs alone.
_ALWAYS = {
    'type': 'object',
    'required': ['splits', 'files'],
    'properties': {
        'splits': {
            'type': 'object',
            'required': ['train', 'test'],
            'additionalProperties': False,
            'properties': dict.fromkeys(SPLITS, _PER_CLASS),
        },
        'files': {
            'type': 'object',
            'required': ['train.rec', 'train.idx', 'test.rec', 'test.idx'],
            'patternProperties': {r'^(train|test|val)\.(rec|idx|lst|reported)\Z': _FILE},
            'additionalProperties': False,
        },
        'classes': _CLASSES,
        'short_side': {'type': 'integer', 'minimum': 1, 'maximum': 65535},
        'left_out': {'type': 'object', 'properties': dict.fromkeys(SPLITS, _COUNT)},
    },
}
_NEW = {
    'required': ['dataset', 'official', 'classes', 'source', 'options'],
    'properties': {
        'dataset': {'type': 'string', 'minLength': 1},
        'official': {'type': 'boolean'},
        'source': _SOURCE,
        'options': _OPTIONS,
    },
}

_format_of = schema.checker(
    {
        'type': 'object',
        'required': ['format'],
        'properties': {'format': {'type': 'integer', 'minimum': 1}},
    }
)
_CHECKERS = {1: schema.checker(_ALWAYS), FORMAT: schema.checker({'allOf': [_ALWAYS, _NEW]})}


def read(folder):
    """Return the manifest of a folder, checked, or None where it has none.

    ``splits`` has the number of images of each label in each split, and ``files`` the size and
    SHA-256 of each file. Format 2 adds ``dataset`` (which one data/prepare.py was asked for),
    ``classes`` (names in the order of the labels), ``source`` (digests of what was converted),
    ``options``, and ``official`` (whether these are the published data, all of them).

    Raises
    ------
    UserError
        It is damaged, another program's, or of a newer format.
    """
    path = os.path.join(folder, NAME)
    if not os.path.lexists(path):
        return None
    try:
        return _checked(path)
    except ValueError as error:
        raise UserError(
            f'{path} is damaged, or not written by data/prepare.py ({error}): move '
            f'{folder} away, and prepare the data set again'
        )


def _checked(path):
    if not os.path.isfile(path):
        raise ValueError('it is not a file')
    with open(path, encoding='utf-8') as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f'it has more than {MOST_BYTES >> 20} MB')
    number = _format_of(text)['format']
    if number > FORMAT:
        raise UserError(
            f'{path} has format {number} and this version reads the formats 1 to '
            f'{FORMAT}: use the version of the project that wrote it'
        )
    value = _CHECKERS[number](text)
    names = value.get('classes')
    lengths = {len(counts) for counts in value['splits'].values()}
    if names and (len(set(names)) < len(names) or lengths != {len(names)}):
        raise ValueError('its classes do not fit its numbers of images')
    return value


def write(folder, value):
    """Write a manifest: the keys that ``read`` names but for ``format``, and any others."""
    text = json.dumps(dict({'format': FORMAT}, **value), indent=1)
    _CHECKERS[FORMAT](text)
    files.write_text(os.path.join(folder, NAME), text + '\n')


def images(value, split):
    """Return how many images a split has."""
    return sum(value['splits'][split].values())


def again(folder, *options):
    """Return the command that makes the data set of a folder, as it can be pasted into a shell.

    Parameters
    ----------
    options : str
        Added to it, such as ``--force``.
    """
    out, name = os.path.split(os.path.abspath(folder))
    try:
        known = read(folder) or {}
    except (UserError, OSError):
        known = {}
    words = []
    if known.get('dataset', name) in BUILT_IN:
        words += [known.get('dataset', name)]
    elif known.get('dataset', name) == 'imagenet':
        words += ['imagenet', '--source', 'FOLDER_WITH_THE_TARS']
    else:
        words += ['folder', '--source', 'TREE', '--name', name]
    if os.path.relpath(out) != 'data':
        words += [
            '--out',
            out if os.path.relpath(out).startswith(os.pardir) else os.path.relpath(out),
        ]
    return command('data/prepare.py', *words, *options)
