"""The network that a benchmark measures: as a symbol, a ``Model``, an ONNX file, for PyTorch."""

import numpy

import symbols
from benchmarks.serve import CLASSES, ENSEMBLE
from common.model import Model
from common.recipe import initializer
from engine import mx
from graphs import fold, onnx_graph
from recordio import datasets
from symbols import ensemble, imagenet
from system import files

SMALL = (3, 32, 32)  # the shape of CIFAR's images; any other is for the networks of ImageNet


def symbol_of(spec):
    """Return the symbol of the network that a specification describes."""
    if spec['network'] == ENSEMBLE:
        return ensemble.get_symbol(symbols.ensemble_units(spec['depth']), CLASSES, spec['widen'])
    if tuple(spec['shape']) == SMALL:
        return symbols.get_symbol(spec['network'], spec['depth'], CLASSES, spec['widen'])
    return imagenet.get_symbol(spec['network'], spec['depth'], CLASSES)


def metadata_of(spec):
    """Return what ``pytorch.networks.build`` or ``torch_ensemble`` needs to know of the network."""
    if spec['network'] == ENSEMBLE:
        units = symbols.ensemble_units(spec['depth'])
        return {'units': units, 'num_classes': CLASSES, 'widen': spec['widen']}
    small = tuple(spec['shape']) == SMALL
    return {
        'script': 'train_cifar.py' if small else 'train_imagenet.py',
        'num_classes': CLASSES,
        **{key: spec[key] for key in ('network', 'depth', 'widen')},
    }


def model_of(spec, trainer):
    """Return the ``Model`` of a network with the parameters that a ``Trainer`` has."""
    dataset = datasets.get('cifar10')._replace(size=spec['shape'][1])
    return Model(symbol_of(spec), trainer.state(), 'benchmark', 'benchmark', dataset)


def write_onnx(spec, path):
    """Write the network with random weights, and BatchNorm folded into its convolutions."""
    symbol = symbol_of(spec)
    module = mx.mod.Module(symbol)
    module.bind([('data', (1, *spec['shape']))], [('softmax_label', (1,))], for_training=False)
    mx.random.seed(1)
    numpy.random.seed(1)
    module.init_params(initializer())
    write_folded(symbol, *module.get_params(), tuple(spec['shape']), path)


def write_folded(symbol, arg, aux, shape, path):
    """Write an ONNX file of a network for images of ``shape``, with its BatchNorms folded."""
    symbol, arg, aux = fold.fold(symbol, arg, aux)
    converted = onnx_graph.convert(symbol, {**arg, **aux}, shape)
    files.write_outputs({path: converted.SerializeToString()}, overwrite=False)
