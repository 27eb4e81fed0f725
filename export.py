#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Write a trained network for other programs: an ONNX model, or weights for PyTorch.

python export.py --run RUN --onnx model.onnx
python export.py --run RUN --torch model.safetensors
"""

import argparse

from common import options, scoring_options
from common.model import load, properties, properties_as_text
from common.scorer import check_parameters
from graphs import fold, onnx_graph
from symbols import ensemble
from system import files
from system.errors import UserError, missing_package
from system.script import run_main

ENDINGS = {'onnx': '.onnx', 'torch': '.safetensors'}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    scoring_options.add_network(parser)
    scoring_options.add_checkpoint(parser)
    parser.add_argument(
        '--onnx',
        metavar='FILE',
        help='ONNX model to write, .onnx: normalised images in, class probabilities out; needs '
        'the package onnx',
    )
    parser.add_argument(
        '--fold',
        action='store_true',
        help='in the ONNX model, fold BatchNorm into the convolutions (default: keep it)',
    )
    parser.add_argument(
        '--components',
        action='store_true',
        help="give an ensemble's ONNX model an output for each network beside their mean",
    )
    parser.add_argument(
        '--torch',
        metavar='FILE',
        help='weights to write, .safetensors, for pytorch/networks.py; needs the packages torch '
        'and safetensors',
    )
    options.add_overwrite(parser)
    options.add_folders(parser)
    return parser.parse_args()


def check_options(args):
    """Raise ``UserError`` for options that do not fit together."""
    if not (args.onnx or args.torch):
        raise UserError('say what to write: --onnx FILE.onnx, --torch FILE.safetensors, or both')
    for key, ending in ENDINGS.items():
        path = getattr(args, key)
        if path and not path.endswith(ending):
            raise UserError(f'--{key} {path}: the name ends in {ending}')
    if not args.onnx and (args.fold or args.components):
        option = '--fold' if args.fold else '--components'
        raise UserError(f'{option} is for the ONNX model: add --onnx FILE.onnx, or leave it out')


def onnx_bytes(model, args):
    """Return the content of an ONNX file."""
    symbol, arrays = model.symbol, model.arrays
    if args.components and not ensemble.names_of(symbol.list_outputs()):
        raise UserError(f'{model.title} is one network and no ensemble: leave --components out')
    arg, aux = arrays['arg'], arrays['aux']
    if args.fold:
        symbol, arg, aux = fold.fold(symbol, arg, aux)
    converted = onnx_graph.convert(symbol, {**arg, **aux}, model.dataset.shape, args.components)
    onnx_graph.describe(converted, {**properties_as_text(model), 'folded': str(args.fold)})
    return converted.SerializeToString()


def torch_bytes(model):
    """Return the content of a safetensors file; its metadata are the model's ``properties``."""
    try:
        # Not at the top: both packages are optional, and --onnx needs neither.
        from safetensors.numpy import save

        from pytorch import networks, state_dict
    except ModuleNotFoundError as error:
        raise missing_package(error.name.split('.')[0]) from None
    try:
        network = networks.build(properties(model))
    except LookupError:
        raise UserError(
            f'--torch has {", ".join(networks.SMALL)} and the networks of train_imagenet.py, '
            f'and not that of {model.title}: take --onnx, which has every network'
        ) from None
    arrays = {**model.arrays['arg'], **model.arrays['aux']}
    named = {name: array.asnumpy() for name, array in arrays.items()}
    return save(state_dict.arrays_of(network, named), properties_as_text(model))


def main():
    args = parse_args()
    check_options(args)
    model = load(args)
    check_parameters(model.symbol, model.arrays, model.dataset.shape)
    outputs = {}
    if args.onnx:
        outputs[args.onnx] = onnx_bytes(model, args)
    if args.torch:
        outputs[args.torch] = torch_bytes(model)
    files.write_outputs(outputs, args.overwrite)
    for path in outputs:
        print(path)


if __name__ == '__main__':
    run_main(main)
