#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Measure the speed of training and inference in images/s, alone or in comparison.

python benchmark.py --network mr --depth 14
python benchmark.py --network resnet --depth 110 --compare torch
python benchmark.py --network mr --depth 14 --operators
"""

import argparse
import os
import statistics
import tempfile

import symbols
from benchmarks import networks
from benchmarks.serve import CLASSES, ENSEMBLE
from benchmarks.side import Side
from common import options
from graphs import summary
from recordio import datasets
from system.errors import UserError
from system.script import run_main

RIVAL = 'benchmarks.rivals'
# For each choice of --compare, the sides that it adds. Each has the specification of the project's
# own side, except for these entries.
COMPARE = {
    'textbook': [{'side': 'textbook', 'name': 'textbook'}],
    'torch': [
        {'module': RIVAL, 'side': 'torch', 'layout': layout, 'name': f'torch {layout}'}
        for layout in ('nchw', 'nhwc')
    ],
    'torch-compile': [
        {
            'module': RIVAL,
            'side': 'torch',
            'layout': layout,
            'compile': True,
            'name': f'compiled {layout}',
        }
        for layout in ('nchw', 'nhwc')
    ],
    'onnxruntime': [{'module': RIVAL, 'side': 'onnxruntime', 'name': 'ONNX Runtime'}],
    'openvino': [{'module': RIVAL, 'side': 'openvino', 'name': 'OpenVINO'}],
    'synthetic': [{'data': None, 'name': 'synthetic'}],
    'denormals': [{'denormals': True, 'name': 'denormals'}],
}
BY_ONNX = ('onnxruntime', 'openvino')  # these read an ONNX file, and compute inference only
# Passes over the network, each with as many multiply-adds: training has one forward, and two
# backward, to the feature maps and to the weights.
PASSES = {'train': 3, 'inference': 1}
# The classes of operators, by prefixes of their names; all others are "other".
OPERATOR_CLASSES = {
    'convolution, forward': ('_dfn_convolution', 'Convolution'),
    'convolution, backward': ('_backward__dfn_convolution', '_backward_Convolution'),
    'BatchNorm, sums, ReLU, forward': (
        '_dfn_combine',
        'BatchNorm',
        '_contrib_BatchNorm',
        'Activation',
        '_mul_scalar',
    ),
    'BatchNorm, sums, ReLU, backward': (
        '_backward__dfn_combine',
        '_backward_BatchNorm',
        '_backward__contrib_BatchNorm',
        '_backward_Activation',
        '_backward_mul_scalar',
    ),
    'sums of feature maps or gradients': ('add_n', 'ElementWiseSum', '_grad_add', 'elemwise_add'),
    'update': ('_dfn_nesterov', 'nag_mom_update', 'multi_sgd_update', 'sgd_mom_update'),
}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    _add_network(parser)
    _add_measurement(parser)
    _add_turns(parser)
    options.add_devices(parser)
    return parser.parse_args()


def _add_network(parser):
    parser.add_argument(
        '--network',
        choices=sorted([*symbols.NETWORKS, ENSEMBLE]),
        default='mr',
        help='name of the network; ensemble is Ensemble-8 with shared weights (default: '
        '%(default)s)',
    )
    parser.add_argument(
        '--depth', type=int, default=14, help='depth of the network (default: %(default)s)'
    )
    parser.add_argument(
        '--widen',
        type=options.number(int, 1),
        default=1,
        help='factor on the numbers of channels (default: %(default)s)',
    )
    parser.add_argument(
        '--image-size',
        type=options.number(int, 64),
        metavar='PIXELS',
        help="measure a network of train_imagenet.py on images of this size (default: CIFAR's "
        'networks at 32)',
    )
    parser.add_argument(
        '--batch-size',
        type=options.number(int, 1),
        default=64,
        metavar='N',
        help='number of images in a batch (default: %(default)s)',
    )


def _add_measurement(parser):
    parser.add_argument(
        '--task',
        choices=('train', 'inference'),
        nargs='+',
        default=['train', 'inference'],
        help='what to measure (default: both)',
    )
    parser.add_argument(
        '--data',
        metavar='DIR',
        help='folder of a data set to read (default: repeat one fixed batch)',
    )
    parser.add_argument(
        '--compare',
        choices=sorted(COMPARE),
        help="compare with the textbook graph on MXNet's default settings (textbook), with PyTorch "
        'in the better of its two memory formats (torch) or after torch.compile (torch-compile), '
        'inference with ONNX Runtime or OpenVINO, which read the network from an ONNX file, or the '
        'project with itself on one fixed batch instead of --data (synthetic) or with gradients '
        'below 1e-38 (denormals)',
    )
    parser.add_argument(
        '--python',
        metavar='FILE',
        help='interpreter in which PyTorch, ONNX Runtime or OpenVINO is installed (default: this '
        'one)',
    )
    parser.add_argument(
        '--fast',
        nargs='?',
        choices=('float32', 'int8'),
        const='float32',
        help='measure inference as score.py --fast computes it; ONNX Runtime in int8 as well, and '
        'OpenVINO not',
    )
    parser.add_argument(
        '--operators',
        action='store_true',
        help='instead, print how long each class of operators takes in a training step',
    )


def _add_turns(parser):
    parser.add_argument(
        '--rounds',
        type=options.number(int, 1),
        default=5,
        metavar='N',
        help='number of turns (default: %(default)s)',
    )
    parser.add_argument(
        '--seconds',
        type=options.number(float, 0.1),
        default=4,
        metavar='S',
        help='approximate length of a turn in seconds (default: %(default)s)',
    )


def specification(args):
    """Return the specification of the project's own side, which benchmarks/worker.py reads."""
    size = args.image_size or 32
    return {
        'module': 'benchmarks.worker',
        'side': 'ours',
        'name': 'ours',
        'network': args.network,
        'depth': args.depth,
        'widen': args.widen,
        'batch': args.batch_size,
        'shape': [3, size, size],
        'image_size': args.image_size,
        'threads': args.threads,
        'gpus': args.gpus,
        'fast': args.fast,
        'data': args.data and os.path.abspath(args.data),
    }


def specifications(args, folder):
    """Return the specifications of all sides, the project's own first.

    The ONNX file that a side reads is written to ``folder``.
    """
    own = specification(args)
    others = [dict(own, **entry) for entry in COMPARE.get(args.compare, [])]
    for spec in others:
        if spec['module'] == 'benchmarks.rivals':
            spec['python'], spec['metadata'] = args.python, networks.metadata_of(own)
        if args.compare in BY_ONNX:
            spec['onnx'] = os.path.join(folder, 'network.onnx')
            networks.write_onnx(own, spec['onnx'])
    return [own, *others]


def measure(args):
    """Let the sides take turns; return the list of ``Side``, the project's own first."""
    sides = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            sides += [Side(spec) for spec in specifications(args, folder)]
        for task in args.task:
            for side in sides:
                side.warm_up(task, args.seconds)
            for _ in range(args.rounds):
                sides[0].limit()
                for side in sides:
                    side.turn(task)
    finally:
        for side in sides:
            side.close()
    return sides


def print_results(sides, args):
    """Print the speed of each side as a table, and the ratio of the first to the best other one."""
    spec = specification(args)
    found = summary.layers(networks.symbol_of(spec), tuple(spec['shape']))
    image = 2 * sum(layer.multiply_adds for layer in found)
    limit = statistics.median(sides[0].limits) if sides[0].limits else None
    print(
        f'{args.network}-{args.depth} w{args.widen}, batch {args.batch_size}, median of '
        f'{args.rounds} turns'
    )
    print(
        'start-up in s: '
        + ', '.join(f'{name} {seconds:.2f}' for name, seconds in sides[0].startup.items())
    )
    if limit:
        print(
            f'independent multiply-adds on every thread reach {limit / 1e9:.0f} GFLOP/s; '
            '"of it" is the share of this that direct convolutions would need at the same speed'
        )
    print(
        f'{"task":10} {"side":12} {"images/s":>10} {"lowest - highest":>20} {"GFLOP/s":>9} '
        f'{"of it":>8} {"peak MB":>8}'
    )
    for task in args.task:
        for side in sides:
            rates = side.rates[task]
            speed = statistics.median(rates) * image * PASSES[task]
            spread = f'{min(rates):.1f} - {max(rates):.1f}'
            share = f'{speed / limit:.0%}' if limit else '-'
            print(
                f'{task:10} {side.name:12} {statistics.median(rates):10.1f} {spread:>20} '
                f'{speed / 1e9:9.0f} {share:>8} {side.peak:8.0f}'
            )
        if len(sides) > 1:
            # The rival has a side for each of its settings; the fastest counts. Ratios are taken
            # turn by turn, because the speed of the machine drifts.
            best = max(sides[1:], key=lambda side: statistics.median(side.rates[task]))
            ratios = [a / b for a, b in zip(sides[0].rates[task], best.rates[task])]
            print(
                f'{task:10} ours / {best.name}: {statistics.median(ratios):.2f} '
                f'({min(ratios):.2f} - {max(ratios):.2f})'
            )


def print_operators(args):
    """Print the time of a training step by class of operator, with each operator run separately."""
    side = Side(dict(specification(args), environment={'MXNET_EXEC_BULK_EXEC_TRAIN': '0'}))
    side.ask('train', 3)
    found = side.ask('profile', args.rounds)['result']
    side.close()
    totals = {}
    for name, milliseconds in found.items():
        kind = next(
            (kind for kind, starts in OPERATOR_CLASSES.items() if name.startswith(starts)), 'other'
        )
        totals[kind] = totals.get(kind, 0) + milliseconds
    print(
        f'{args.network}-{args.depth} w{args.widen}, batch {args.batch_size}, a training '
        f'step, mean of {args.rounds}'
    )
    for kind, milliseconds in sorted(totals.items(), key=lambda item: -item[1]):
        print(f'{milliseconds:9.2f} ms {100 * milliseconds / sum(totals.values()):5.1f}%  {kind}')


def check(args):
    """Raise ``UserError`` for options that do not fit together; set those that others imply."""
    networks.symbol_of(specification(args))  # raises for a depth that the network cannot have
    if args.network == ENSEMBLE and args.compare == 'textbook':
        raise UserError('there is no textbook graph of an ensemble: leave --compare textbook out')
    if args.network == ENSEMBLE and args.image_size:
        raise UserError('the ensemble is for images of 32 pixels: leave --image-size out')
    if args.image_size and args.compare == 'textbook':
        raise UserError(
            'the textbook graphs are for images of 32 pixels: leave --image-size or --compare '
            'textbook out'
        )
    if args.data:
        check_images(args)
    if args.compare == 'synthetic' and not args.data:
        raise UserError('--compare synthetic needs files to compare with: add --data DIR')
    if args.compare in BY_ONNX:
        args.task = ['inference']
        args.fast = args.fast or 'float32'
    if args.compare == 'openvino' and args.fast == 'int8':
        raise UserError('OpenVINO is compared in float32: leave int8 out')


def check_images(args):
    """Raise ``UserError`` if the images of ``--data`` are none for the network of a benchmark."""
    folder, name = os.path.split(os.path.abspath(args.data))
    dataset, size = datasets.get(name, folder, args.image_size), args.image_size or 32
    if dataset.size != size or dataset.classes > CLASSES:
        raise UserError(
            f'{args.data} has {dataset.classes} classes of images of {dataset.size} pixels, and '
            f'the networks of a benchmark take {size} pixels and have {CLASSES} classes: name '
            'other images with --data, or another --image-size'
        )


def main():
    args = parse_args()
    check(args)
    if args.operators:
        print_operators(args)
    else:
        print_results(measure(args), args)


if __name__ == '__main__':
    run_main(main)
