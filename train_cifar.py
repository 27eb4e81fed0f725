#!/usr/bin/env python
"""Train a network on CIFAR-10, CIFAR-100 or SVHN as the paper does (section 6.2).

python train_cifar.py --network mr --depth 56 --gpus 0,1
"""
import argparse
import os
import sys

import symbols
from common import engine, options
from common.datasets import DATASETS
from common.errors import UserError, run


def parser():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0], epilog="The paper's settings are the defaults.")
    parse.add_argument('--network', choices=sorted(symbols.NETWORKS), default='mr', help='default: %(default)s')
    parse.add_argument('--depth', type=int, default=56,
                       help="the network's own depth: d1 for plain, resnet, fuse3, fuse6; d2 = d1/2 + 1 for il, "
                            'mr, side (default: %(default)s)')
    add_recipe(parse)
    return parse


def add_recipe(parse):
    """Add what every training on images of 32x32 has."""
    number = options.number
    parse.add_argument('--widen', type=number(int, 1), default=1,
                       help='factor on the channels; 4 for DFN-MR2 and DFN-MR3 (default: %(default)s)')
    parse.add_argument('--dataset', choices=sorted(DATASETS), default='cifar10', help='default: %(default)s')
    parse.add_argument('--epochs', type=number(int, 1), metavar='N',
                       help='default: ' + ', '.join('%d for %s' % (d.epochs, name) for name, d in DATASETS.items()))
    parse.add_argument('--batch-size', type=number(int, 1), default=64, metavar='N',
                       help='images in a batch, over all devices (default: %(default)s)')
    parse.add_argument('--lr', type=number(float, 0), default=0.1,
                       help='first learning rate; x0.1 at 1/2, 3/4 and 7/8 of the epochs (default: %(default)s)')
    parse.add_argument('--seed', type=number(int, 0), default=1,
                       help='of the initial weights, the order of the images and the crops (default: %(default)s)')
    parse.add_argument('--dtype', choices=('float32', 'float16'), default='float32',
                       help='float16: half precision with loss scaling, on GPUs, not verified there (default: %(default)s)')
    parse.add_argument('--kv-store', choices=('device', 'local', 'nccl'), default='device',
                       help='how several devices sum their gradients (default: %(default)s)')
    parse.add_argument('--on-nan', choices=('stop', 'rollback'), default='stop',
                       help='when the loss is not finite: stop, or go back to the last checkpoint with a tenth of the learning '
                            'rate, three times at most (default: %(default)s)')
    parse.add_argument('--resume', metavar='RUN', help='go on with this run from its last checkpoint')
    options.add_devices(parse)
    options.add_folders(parse)


def train(parse, build):
    """Train the network ``build(options, classes)``, its symbol and name, as the options that ``parse`` parses say."""
    args, state, script = parse.parse_args(), None, os.path.basename(sys.argv[0])
    engine.set_threads(args.threads)
    # MXNet is loaded from here on, when the options are known to be right.
    from common import checkpoint, fit
    from common.data import Batches
    if args.resume:
        state = checkpoint.load_state(os.path.join(args.checkpoint_dir, args.resume), warn=False)  # it is loaded again behind a lock
        if state['header'].get('script', script) != script:
            raise UserError('%s is a run of %s: go on with it there' % (args.resume, state['header']['script']))
        args = options.resumed(parse, sys.argv[1:], state['header']['options'])
    dataset = DATASETS[args.dataset]
    args.epochs = args.epochs or dataset.epochs
    symbol, title = build(args, dataset.classes)
    devices = engine.devices(args.gpus, args.cpus)
    batches = Batches(os.path.join(args.data_dir, args.dataset), dataset, args.batch_size, args.seed, engine.cores())
    name = '%s-%s' % (args.dataset, title) + ('-w%d' % args.widen if args.widen > 1 else '')
    from symbols.summary import parameters
    facts = {'script': script, 'parameters': parameters(symbol), 'devices': [str(device) for device in devices],
             'train_images': batches.train_images, 'test_images': batches.test_images}
    fit.fit(args, symbol, batches, devices, name, facts, state)


def build(args, classes):
    return symbols.get_symbol(args.network, args.depth, classes, args.widen), '%s%d' % (args.network, args.depth)


if __name__ == '__main__':
    run(lambda: train(parser(), build))
