"""The manifest of a prepared data set: its images, its files, and what they were made from.

data/prepare.py writes it. A manifest may be damaged or come from another program, so it is checked
against a schema whenever it is read; no file that it names can lie outside its folder.
"""

import json
import os

from recordio.dataset_table import DATASETS
from system import files, schema
from system.errors import UserError, command

NAME = 'manifest.json'
WORK = '.part'  # folder inside that of a data set, for the files of an unfinished conversion
FORMAT = 2
SPLITS = ('train', 'test', 'val')
MOST_BYTES, MOST_CLASSES, MOST_LETTERS = 32 << 20, 100_000, 255
RECORDS = 'records'  # ``dataset`` of record files that a user has made, see own_records.py

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
    'items': {'type': 'string', 'minLength': 1, 'maxLength': MOST_LETTERS},
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
    'properties': {
        'checksum': {'type': 'boolean'},
        'keep_images': {'type': 'boolean'},
        'subset': {'type': 'integer', 'minimum': 1},
    },
}
_SIDE = {'type': 'integer', 'minimum': 1, 'maximum': 65535}
_COLOURS = {'type': 'array', 'minItems': 3, 'maxItems': 3}

# The keys of every format. Format 1 has ``classes`` only for photographs.
_COMMON = {
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
        'short_side': _SIDE,
        'short_sides': {'type': 'array', 'items': _SIDE, 'minItems': 2, 'maxItems': 2},
        'longest_side': _SIDE,
        'mean': {**_COLOURS, 'items': {'type': 'number', 'minimum': 0, 'maximum': 255}},
        'std': {**_COLOURS, 'items': {'type': 'number', 'minimum': 0.001, 'maximum': 255}},
        'left_out': {'type': 'object', 'properties': dict.fromkeys(SPLITS, _COUNT)},
    },
}
_FORMAT_2 = {
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
_CHECKERS = {1: schema.checker(_COMMON), FORMAT: schema.checker({'allOf': [_COMMON, _FORMAT_2]})}


def read(folder):
    """Return the manifest of a folder as a dict, checked, or None if the folder has none.

    ``splits`` has the number of images of each label in each split, and ``files`` the size and
    SHA-256 of each file. Format 2 adds ``dataset`` (the first argument of data/prepare.py),
    ``classes`` (names in the order of the labels), ``source`` (digests of what was converted),
    ``options`` (``subset``: the number of training images, where it is not that of the archives),
    and ``official`` (whether these are all of the published images). ``short_side`` is the length
    of the shorter side of photographs. The manifest of record files of a user's own (``dataset`` is
    ``RECORDS``) also has ``mean`` and ``std`` of red, green and blue, the least and the greatest
    ``short_sides``, and the ``longest_side``, in pixels.

    Raises
    ------
    UserError
        The manifest is damaged, written by another program, or of a newer format.
    """
    path = os.path.join(folder, NAME)
    if not os.path.lexists(path):
        return None
    try:
        return _checked(path)
    except ValueError as error:
        raise UserError(
            f'{path} is damaged, or not written by data/prepare.py ({error}): move {folder} away, '
            'and prepare the data set again'
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
        raise ValueError('its names of classes do not match its numbers of images')
    return value


def write(folder, value):
    """Write a manifest, a dict with the keys that ``read`` describes; others are allowed."""
    text = json.dumps(dict({'format': FORMAT}, **value), indent=1)
    _CHECKERS[FORMAT](text)
    files.write_text(os.path.join(folder, NAME), text + '\n')


def images(value, split):
    """Return the number of images in a split of a manifest."""
    return sum(value['splits'][split].values())


def prepare_command(folder, *options):
    """Return the command that prepares the data set of a folder, to be pasted into a shell.

    Parameters
    ----------
    options : str
        Options to add, such as ``--force``.
    """
    out, name = os.path.split(os.path.abspath(folder))
    try:
        known = read(folder) or {}
    except (UserError, OSError):
        known = {}
    dataset = known.get('dataset', name)
    if dataset == RECORDS:
        return 'python -m engine mxnet.tools.im2rec PREFIX FOLDER'
    if dataset in DATASETS:
        words = [dataset]
    elif dataset == 'imagenet':
        words = ['imagenet', '--source', 'FOLDER_WITH_THE_TARS']
    else:
        words = ['folder', '--source', 'TREE', '--name', name]
    relative = os.path.relpath(out)
    if relative != 'data':
        words += ['--out', out if relative.startswith(os.pardir) else relative]
    return command('data/prepare.py', *words, *options)
