#!/usr/bin/env python
"""Train a network on CIFAR-10, CIFAR-100 or SVHN as the paper does (section 6.2).

python train_cifar.py --network mr --depth 56 --gpus 0,1
"""

import argparse

import symbols
from common import options, training
from recordio.datasets import DATASETS
from system.errors import run


def parser():
    parse = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], epilog="The paper's settings are the defaults."
    )
    parse.add_argument(
        '--network', choices=sorted(symbols.NETWORKS), default='mr', help='default: %(default)s'
    )
    parse.add_argument(
        '--depth',
        type=int,
        default=56,
        help="the network's own depth: d1 for plain, resnet, fuse3, fuse6; d2 = d1/2 + 1 for il, "
        'mr, side (default: %(default)s)',
    )
    add_small(parse)
    return parse


def plan(args, dataset):
    return small_plan(
        args,
        symbols.get_symbol(args.network, args.depth, dataset.classes, args.widen),
        f'{args.network}-{args.depth}',
    )


def add_small(parse):
    """Add what every training on images of 32x32 has."""
    parse.add_argument(
        '--widen',
        type=options.number(int, 1),
        default=1,
        help='factor on the channels; 4 for DFN-MR2 and DFN-MR3 (default: %(default)s)',
    )
    parse.add_argument(
        '--dataset', choices=sorted(DATASETS), default='cifar10', help='default: %(default)s'
    )
    training.add_recipe(
        parse,
        ', '.join(f'{d.epochs} for {name}' for name, d in DATASETS.items()),
        'x0.1 at 1/2, 3/4 and 7/8 of the epochs',
        batch=64,
    )


def small_plan(args, symbol, title):
    """Return the ``Plan`` for images of 32x32."""
    from common import recipe

    return training.Plan(
        symbol,
        title + (f'-w{args.widen}' if args.widen > 1 else ''),
        recipe.cifar_decay(args.epochs),
    )


if __name__ == '__main__':
    run(lambda: training.train(parser(), plan))
