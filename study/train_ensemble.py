#!/usr/bin/env python
"""Train an ensemble of the networks inside N_f3, or one of them (sections 3 and 4, Tables 1 to 3).

# Ensemble-8: eight networks that share their weights.
python study/train_ensemble.py --depth 26
python study/train_ensemble.py --depth 26 --without RRR        # Ensemble-7
# Eight networks with weights of their own.
python study/train_ensemble.py --depth 26 --no-sharing
python study/train_ensemble.py --depth 26 --component LLR      # one of them alone
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import symbols
from common import training
from symbols import ensemble
from system.errors import run
from train_cifar import add_small, small_plan


def parser():
    parse = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], epilog='The rest is as in train_cifar.py.'
    )
    parse.add_argument(
        '--depth',
        type=int,
        default=26,
        help='d1, the depth of RRR, 3k + 2; the paper has 14 to 110 (default: %(default)s)',
    )
    which = parse.add_mutually_exclusive_group()
    which.add_argument('--component', choices=ensemble.NAMES, help='train this network alone')
    which.add_argument(
        '--without', choices=ensemble.NAMES, help='leave this network out; RRR gives Ensemble-7'
    )
    parse.add_argument(
        '--no-sharing',
        dest='sharing',
        action='store_false',
        help='networks have weights of their own',
    )
    add_small(parse)
    return parse


def network_of(args):
    """Return what logs call the network that the options ask for."""
    if args.component:
        return args.component
    name = f'{"ensemble" if args.sharing else "separate"}{len(ensemble.NAMES) - bool(args.without)}'
    return name if args.without in (None, ensemble.DEEPEST) else f'{name}-without-{args.without}'


def plan(args, dataset):
    symbols.check_depth('fuse3', args.depth)
    units = (args.depth - 2) // 3
    args.network = network_of(args)
    if args.component:
        return small_plan(
            args,
            ensemble.component(args.component, units, dataset.classes, args.widen),
            f'{args.component}-of-{args.depth}',
        )
    names = [name for name in ensemble.NAMES if name != args.without]
    return small_plan(
        args,
        ensemble.get_symbol(units, dataset.classes, args.widen, names, args.sharing),
        f'{args.network}-{args.depth}',
    )


if __name__ == '__main__':
    run(lambda: training.train(parser(), plan))
