"""Options that several scripts share, and those that a resumed run takes from its checkpoint."""

import argparse

from recordio.dataset_table import DATASETS
from symbols.layers import BN_MOMENTUM
from system.errors import UserError

FOLDERS = {'data_dir': 'data', 'log_dir': 'logs', 'checkpoint_dir': 'checkpoints'}
# What a run may change when it goes on: where and how it computes, where its files are, what it
# does about NaN.
FREE = (
    'gpus',
    'cpus',
    'threads',
    'resume',
    'kv_store',
    'on_nan',
    'gradient_compression',
    'compression_threshold',
    *FOLDERS,
)

MOST_EPOCHS = 100000  # beyond what anybody trains; a slip of the finger should not run for ever
KVSTORES = ('device', 'local', 'nccl', 'dist_sync', 'dist_device_sync', 'dist_async')
LEAST_LR, MOST_LR = 1e-30, 1e30


def number(kind, least, most=float('inf')):
    """Return an argparse type: a finite number of ``kind`` from ``least`` to ``most``."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{text!r} is not a number')
        if not least <= value < float('inf'):
            raise argparse.ArgumentTypeError(f'{text} is less than {least} or not finite')
        if value > most:
            raise argparse.ArgumentTypeError(f'{text} is more than {most}')
        return value

    return parse


def learning_rate(text):
    """Return a learning rate: 0, or a number that single precision can multiply a gradient by."""
    value = number(float, 0)(text)
    if value and not LEAST_LR <= value <= MOST_LR:
        raise argparse.ArgumentTypeError(
            f'{text} cannot train: give 0, or a number from {LEAST_LR:g} to {MOST_LR:g}'
        )
    return value


def gpu_list(text):
    """Return [0, 1] for ``0,1``."""
    numbers = [number(int, 0)(part) for part in text.split(',')]
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f'{text} names a GPU twice')
    return numbers


def add_recipe(parse, epochs, lr, batch):
    """Add what every training has: recipe, kvstore, what to do about NaN, devices and folders.

    ``epochs`` says how many there are by default, ``lr`` how the learning rate goes down.
    """
    parse.add_argument(
        '--epochs', type=number(int, 1, MOST_EPOCHS), metavar='N', help='default: ' + epochs
    )
    parse.add_argument(
        '--batch-size',
        type=number(int, 1),
        default=batch,
        metavar='N',
        help='images in a batch, over all devices and workers (default: %(default)s)',
    )
    parse.add_argument(
        '--lr',
        type=learning_rate,
        default=0.1,
        help='first learning rate; ' + lr + ' (default: %(default)s)',
    )
    parse.add_argument(
        '--seed',
        type=number(int, 0),
        default=1,
        help='random seed for the initial weights, the order of the images and the crops; '
        'vary it to repeat '
        'an experiment (default: %(default)s)',
    )
    parse.add_argument(
        '--bn-momentum',
        type=number(float, 0, 1),
        default=BN_MOMENTUM,
        metavar='M',
        help='share of its old value that a moving statistic of BatchNorm keeps at an update '
        '(default: %(default)s)',
    )
    parse.add_argument(
        '--dtype',
        choices=('float32', 'float16'),
        default='float32',
        help='float16: half precision with loss scaling, on GPUs, not verified there '
        '(default: %(default)s)',
    )
    parse.add_argument(
        '--kv-store',
        choices=KVSTORES,
        default='device',
        help='how several devices sum their gradients; dist_...: and several workers, see '
        'launch.py (default: %(default)s)',
    )
    parse.add_argument(
        '--gradient-compression',
        choices=('none', '2bit'),
        default='none',
        help='between workers and servers: 2bit sends -T, 0 or T for each number and keeps '
        'the rest for the next '
        'update (default: %(default)s)',
    )
    parse.add_argument(
        '--compression-threshold',
        type=number(float, 1e-6),
        default=0.5,
        metavar='T',
        help='of the gradients of a worker, summed over its images (default: %(default)s)',
    )
    parse.add_argument(
        '--on-nan',
        choices=('stop', 'rollback'),
        default='stop',
        help='when the loss is not finite: stop, or go back to the last checkpoint with a '
        'tenth of the learning '
        'rate, three times at most (default: %(default)s)',
    )
    parse.add_argument(
        '--resume', metavar='RUN', help='go on with this run from its last checkpoint'
    )
    add_devices(parse)
    add_folders(parse)


def add_small_images(parser):
    """Add what every training on images of 32x32 has."""
    parser.add_argument(
        '--widen',
        type=number(int, 1),
        default=1,
        help='factor on the channels; 4 for DFN-MR2 and DFN-MR3 (default: %(default)s)',
    )
    parser.add_argument(
        '--dataset',
        choices=sorted(DATASETS),
        default='cifar10',
        help='which images (default: %(default)s)',
    )
    epochs = ', '.join(f'{dataset.epochs} for {name}' for name, dataset in DATASETS.items())
    add_recipe(parser, epochs, 'x0.1 at 1/2, 3/4 and 7/8 of the epochs', batch=64)


def widening(args):
    """Return what the name of a run says of ``--widen``."""
    return f'-w{args.widen}' if args.widen > 1 else ''


def add_devices(parser):
    group = parser.add_argument_group(
        'where to compute (default: the GPUs that are found, else the CPU)'
    )
    either = group.add_mutually_exclusive_group()
    either.add_argument('--gpus', type=gpu_list, metavar='LIST', help='GPU numbers, such as 0,1')
    either.add_argument(
        '--cpus',
        type=number(int, 1, 1024),
        metavar='N',
        help='N CPU contexts, over which training splits a batch as over GPUs',
    )
    group.add_argument(
        '--threads',
        type=number(int, 1, 1024),
        metavar='N',
        help='OpenMP threads; more than there are cores are slow (default: OMP_NUM_THREADS, '
        'else every core)',
    )


def add_folders(parser):
    group = parser.add_argument_group('where files are')
    for key, text in (
        ('data_dir', 'holds a folder for each data set that data/prepare.py made'),
        ('log_dir', 'for RUN.jsonl'),
        ('checkpoint_dir', 'for RUN/ with symbol, parameters and state'),
    ):
        group.add_argument(
            '--' + key.replace('_', '-'),
            default=FOLDERS[key],
            metavar='DIR',
            help=text + ' (default: %(default)s)',
        )


def add_network(parser):
    """Add what names a trained network, for ``common.model.load``."""
    parser.add_argument('--run', metavar='RUN', help='name or checkpoint folder of a run')
    parser.add_argument(
        '--pretrained',
        metavar='NAME',
        help='instead of --run: weights that come along, in pretrained/; or the path of others, '
        'without an ending',
    )
    parser.add_argument('--symbol', metavar='FILE', help='instead of --run: a model-symbol.json')
    parser.add_argument('--params', metavar='FILE', help='and with it the .params file')
    parser.add_argument(
        '--dataset',
        metavar='NAME',
        help='whose normalisation, classes and test.rec to use (default: those of the run)',
    )
    parser.add_argument(
        '--image-size',
        type=number(int, 32, 1024),
        metavar='PIXELS',
        help='of the central crop of photographs (default: that of the run, or 224)',
    )


def add_checkpoint(parser):
    parser.add_argument(
        '--checkpoint',
        default='last',
        metavar='WHICH',
        help='last, best, or an epoch that the run keeps (default: %(default)s)',
    )


def add_scoring(parser):
    """Add what scoring has; return the group of what is scored, of which one may be named."""
    add_checkpoint(parser)
    parser.add_argument(
        '--batch-size',
        type=number(int, 1),
        default=100,
        metavar='N',
        help='images in a batch (default: %(default)s)',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        '--rec', metavar='FILE', help='score this file (default: test.rec of the data set)'
    )
    return what


def add_overwrite(parser):
    """Add the consent that ``files.write_outputs`` needs to replace a file of somebody else's."""
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a file even if this project did not write it, or somebody changed it since',
    )


def resumed(parse_args, argv, stored):
    """Return the options of a run that goes on: those it was started with, but for the free ones.

    Parameters
    ----------
    parse_args : callable
        The script's: (words, namespace of defaults) -> options.
    argv : list of str
    stored : dict
        The options in the header of the log.

    Raises
    ------
    UserError
        An option that shapes the run was given with another value.
    """
    kept = {key: value for key, value in stored.items() if key not in FREE}
    options = parse_args(argv, argparse.Namespace(**kept))
    for key, value in kept.items():
        if getattr(options, key) != value:
            raise UserError(
                f'the run was started with --{key.replace("_", "-")} {value} and cannot '
                f'go on with {getattr(options, key)}: leave the option out, or start a '
                'new run'
            )
    return options
