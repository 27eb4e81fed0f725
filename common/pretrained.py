"""Weights that come along: the entries of pretrained/, each of three files.

NAME.params has the parameters, NAME-symbol.json the network, and NAME.json what else scoring needs:
the classes and the normalisation, so that no data set has to be there, and the SHA-256 of the two
other files. study/add_pretrained.py makes an entry from a run.
"""

import glob
import hashlib
import io
import json
import os

from common import checkpoint, symbol_file
from engine import params
from system import files, schema
from system.errors import ROOT, UserError

FOLDER = os.path.join(ROOT, 'pretrained')
FORMAT = 1
ENDING, SYMBOL, PARAMS = '.json', '-symbol.json', '.params'
MOST_BYTES = 1_500_000  # of NAME.params: a repository keeps every version of it for ever

_TEXT = {'type': 'string', 'minLength': 1, 'maxLength': 255}
# These are printed, and the data set's is the name of a folder.
_NAME = {**_TEXT, 'pattern': r'^[^\x00-\x1f\x7f-\x9f]+\Z'}
_FOLDER = {**_TEXT, 'pattern': r'^[^/.\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]*\Z'}
_COUNT = {'type': 'integer', 'minimum': 1, 'maximum': 100_000}
_COLOURS = {
    'type': 'array',
    'minItems': 3,
    'maxItems': 3,
    'items': {'type': 'number', 'minimum': 0, 'maximum': 255},
}
_SHA256 = {'type': 'string', 'pattern': r'^[0-9a-f]{64}\Z'}
_parse = schema.checker(
    {
        'type': 'object',
        'required': [
            'format',
            'dataset',
            'num_classes',
            'classes',
            'mean',
            'std',
            'image_size',
            'short_side',
            'run',
            'epoch',
            'script',
            'network',
            'depth',
            'widen',
            'test_error',
            'sha256',
        ],
        'properties': {
            'format': {'const': FORMAT},
            'dataset': _FOLDER,
            'num_classes': _COUNT,
            'classes': {'type': 'array', 'maxItems': 100_000, 'items': _TEXT},
            'mean': _COLOURS,
            'std': {**_COLOURS, 'items': {'type': 'number', 'minimum': 0.001, 'maximum': 255}},
            'image_size': {'type': 'integer', 'minimum': 32, 'maximum': 1024},
            'short_side': {'anyOf': [_COUNT, {'type': 'null'}]},
            'run': _NAME,
            'epoch': _COUNT,
            'script': _NAME,
            'network': _NAME,
            'depth': _COUNT,
            'widen': _COUNT,
            'test_error': {'type': 'number', 'minimum': 0, 'maximum': 100},
            'sha256': {
                'type': 'object',
                'required': ['params', 'symbol'],
                'properties': {'params': _SHA256, 'symbol': _SHA256},
            },
        },
    }
)


def names(folder=FOLDER):
    """Return the names of the entries of a folder, sorted."""
    found = {
        os.path.basename(path)[: -len(ENDING)]
        for path in glob.glob(os.path.join(glob.escape(folder), '*' + ENDING))
        if not path.endswith(SYMBOL)
    }
    return sorted(found)


def read(name):
    """Return the content of an entry's NAME.json, its symbol and its arrays, all checked.

    Parameters
    ----------
    name : str
        Name of an entry of pretrained/, or the path of an entry elsewhere, without an ending.

    Raises
    ------
    UserError
        There is no such entry, or one of its files is damaged or of another entry.
    """
    folder, base = os.path.split(name)
    folder = folder or FOLDER
    if base not in names(folder):
        known = ', '.join(names(folder)) or 'none yet'
        raise UserError(
            f'no pretrained weights are called {base!r} in {folder}; there are: {known}'
        )
    path = os.path.join(folder, base)
    try:
        with open(path + ENDING, encoding='utf-8') as file:
            entry = _parse(file.read())
        if entry['classes'] and len(entry['classes']) != entry['num_classes']:
            raise ValueError('it does not have one name for each class')
    except ValueError as error:
        raise UserError(
            f'{path + ENDING} is damaged, or another version wrote it ({error}): get it anew, or '
            'make it again with study/add_pretrained.py'
        ) from None
    for kind, ending in (('params', PARAMS), ('symbol', SYMBOL)):
        file = path + ending
        if (
            not os.path.isfile(file)
            or files.digest_of(file, hashlib.sha256()) != entry['sha256'][kind]
        ):
            how = 'not the file that its SHA-256' if os.path.exists(file) else 'gone, which'
            raise UserError(
                f'{file} is {how} in {base + ENDING} describes: get all three files anew, or make '
                'them again with study/add_pretrained.py'
            )
    return entry, symbol_file.load(path + SYMBOL), checkpoint.load_arrays(path + PARAMS)


def contents(name, symbol, arrays, properties):
    """Return the three files of an entry, {file name: bytes}.

    Parameters
    ----------
    name : str
    symbol : mx.sym.Symbol
    arrays : dict
        A checkpoint's; the momentum is left out.
    properties : dict
        What ``common.model.properties`` says of a run.

    Raises
    ------
    UserError
        The parameters take more than ``MOST_BYTES``.
    """
    buffer = io.BytesIO()
    params.dump(buffer, checkpoint.flat({**arrays, 'momentum': {}}))
    found = {name + PARAMS: buffer.getvalue(), name + SYMBOL: symbol.tojson().encode()}
    size = len(found[name + PARAMS])
    if size > MOST_BYTES:
        raise UserError(
            f'the parameters take {size / 1e6:.2f} MB, and weights that come along have at most '
            f'{MOST_BYTES / 1e6:.1f}: name a run of a smaller network'
        )
    digests = {
        kind: hashlib.sha256(found[name + ending]).hexdigest()
        for kind, ending in (('params', PARAMS), ('symbol', SYMBOL))
    }
    entry = {'format': FORMAT, **properties, 'sha256': digests}
    # The last of the three: until it is there, the new files are no entry.
    found[name + ENDING] = (json.dumps(entry, indent=1, ensure_ascii=False) + '\n').encode()
    return found
