"""The schema of training logs: of the header, which checkpoints have too, and of a record.

docs/logs.md says what each field means.
"""

from system import schema

FORMAT = 2
CURVES = ('train_loss', 'train_error', 'test_loss', 'test_error')

_COUNT = {'type': 'integer', 'minimum': 1}
_DEPTH = {'type': 'integer', 'minimum': 1, 'maximum': 10**9}
_PERCENT = {'type': 'number', 'minimum': 0, 'maximum': 100}
# No larger than single precision holds. 1e999 is read as infinity, and a figure cannot show 1e308.
_POSITIVE = {'type': 'number', 'minimum': 0, 'maximum': 3.5e38}
_PERCENTS = {'type': 'object', 'additionalProperties': _PERCENT}
# Names are printed, drawn and written as UTF-8, so they have no control characters, which terminals
# obey, and no surrogates, which UTF-8 cannot hold.
_UNFIT = r'\x00-\x1f\x7f-\x9f\ud800-\udfff'
_NAME = {'type': 'string', 'pattern': f'^[^{_UNFIT}]+$', 'maxLength': 255}


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
        'epochs_before': _or_null({'type': 'array', 'items': _COUNT, 'maxItems': 1000}),
        'batch_size': _COUNT,
        'lr': _POSITIVE,
        'name': _or_null(_NAME),
        'momentum': {'type': 'number', 'minimum': 0, 'maximum': 1},
        'weight_decay': _POSITIVE,
        'decay': {'enum': ['steps', 'cosine']},
        'warmup': _POSITIVE,
        'validation': {'type': 'number', 'minimum': 0, 'maximum': 1},
        'seed': {'type': 'integer', 'minimum': 0},
        'image_size': _or_null(_COUNT),
        'schedule': _or_null(_NAME),
        'drop_every': _or_null(_COUNT),
        'augment': _or_null(_NAME),
        'bn_momentum': {'type': 'number', 'minimum': 0, 'maximum': 1},
        'dtype': _NAME,
        'kv_store': _NAME,
        'init_from': _or_null({'type': 'string'}),
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
_INIT_FROM = {
    'type': 'object',
    'required': ['name', 'params_sha256'],
    'properties': {'name': _NAME, 'epoch': _or_null(_COUNT), 'params_sha256': _NAME},
}
HEADER = {
    'type': 'object',
    'required': ['run', 'options'],
    'properties': {
        'run': {**_NAME, 'pattern': f'^[^/{_UNFIT}]+$'},  # a name of files
        'script': _NAME,
        'options': _OPTIONS,
        'data': _or_null(_DATA),
        'parameters': _COUNT,
        'train_images': _COUNT,
        'test_images': _COUNT,
        'validation_images': {'type': 'integer', 'minimum': 0},
        'workers': _COUNT,
        'threads': {'type': 'integer'},
        'init_from': _or_null(_INIT_FROM),
        'devices': {'type': 'array', 'items': _NAME, 'minItems': 1},
        'versions': {'type': 'object'},
        'processor': _NAME,
    },
}
RECORD = {
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
        'validation_loss': _POSITIVE,
        'validation_error': _PERCENT,
        'train_top5': _PERCENT,
        'test_top5': _PERCENT,
        'test_components': _PERCENTS,
        'test_without': _PERCENTS,
        'seconds': _POSITIVE,
        'images_per_second': _POSITIVE,
        'rollbacks': {'type': 'integer', 'minimum': 0, 'maximum': 100},
    },
}

# The first line of a log of any version; then that of this one; then all other lines.
parse_first = schema.checker(
    {
        'type': 'object',
        'required': ['type', 'format'],
        'properties': {'type': {'const': 'header'}, 'format': {'type': 'integer'}},
    }
)
parse_header, parse_record = schema.checker(HEADER), schema.checker(RECORD)


def upgraded(header):
    """Return a header of format 1 as one of format 2 that means the same run; others as they are.

    What format 1 calls ``mr`` ends otherwise than today's (symbols/mr.py, symbols/imagenet.py).
    What could not be chosen then is not in it: BatchNorm's momentum was 0.9, and photographs were
    augmented as in the authors' script of 2018.
    """
    if header.get('format') != 1 or not isinstance(header.get('options'), dict):
        return header
    options = dict(header['options'], bn_momentum=0.9)
    if header.get('script') == 'train_imagenet.py':
        options['augment'] = 'authors-2018'
    if options.get('network') == 'mr':
        options['network'] = 'mr-relu' if 'augment' in options else 'mr-late'
    return dict(header, format=FORMAT, options=options)
