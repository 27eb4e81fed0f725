"""The options of training."""

import argparse
import re

from common import tensorboard
from common.options import add_devices, add_folders, add_quiet, number
from common.recipe import MOMENTUM, WEIGHT_DECAY
from recordio.dataset_table import DATASETS, OWN
from symbols.layers import BN_MOMENTUM

MOST_EPOCHS = 100000  # beyond what anybody trains; a slip of the finger should not run for ever
KVSTORES = ('device', 'local', 'nccl', 'dist_sync', 'dist_device_sync', 'dist_async')
LEAST_LR, MOST_LR = 1e-30, 1e30


def learning_rate(text):
    """Return a learning rate: 0, or a number that single precision can multiply a gradient by."""
    value = number(float, 0)(text)
    if value and not LEAST_LR <= value <= MOST_LR:
        raise argparse.ArgumentTypeError(
            f'{text} cannot train: give 0, or a number from {LEAST_LR:g} to {MOST_LR:g}'
        )
    return value


def tag(text):
    """Return the value of ``--name``, which becomes part of file names, or refuse it."""
    if not re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._-]{0,39}', text):
        raise argparse.ArgumentTypeError(
            f'{text!r} cannot be part of a file name: take letters, digits, "-", "_" and ".", at '
            'most 40 and a letter or digit first'
        )
    return text


def run_or_file(text):
    """Return the value of ``--resume`` or ``--init-from``, or refuse an empty one.

    It is what a shell makes of a variable that is not set, and would begin a new run.
    """
    if not text:
        raise argparse.ArgumentTypeError('it is empty: name a run')
    return text


def add_recipe(parser, epochs, lr, batch):
    """Add the options that all training scripts have: recipe, run, kvstore, devices and folders.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    epochs : str
        The default number of epochs, as the help says it.
    lr : str
        How the learning rate falls, as the help says it.
    batch : int
        Default of ``--batch-size``.
    """
    group = parser.add_argument_group('recipe')
    group.add_argument(
        '--epochs',
        type=number(int, 1, MOST_EPOCHS),
        metavar='N',
        help=f'number of epochs (default: {epochs})',
    )
    group.add_argument(
        '--batch-size',
        type=number(int, 1),
        default=batch,
        metavar='N',
        help='images in a batch, over all devices and workers (default: %(default)s)',
    )
    group.add_argument(
        '--lr',
        type=learning_rate,
        default=0.1,
        help=f'first learning rate; {lr} (default: %(default)s)',
    )
    _add_optimizer(group)
    group.add_argument(
        '--seed',
        type=number(int, 0),
        default=1,
        help='random seed for the initial weights, the order of the images and the crops; '
        'vary it to repeat an experiment (default: %(default)s)',
    )
    group.add_argument(
        '--validation',
        type=number(float, 0, 0.9),
        default=0,
        metavar='FRACTION',
        help='hold out this share of the training images of each class, the same ones for every '
        'seed, and choose the best epoch on them (default: %(default)s)',
    )
    _add_numerics(group)
    add_run(parser)
    add_kvstore(parser)
    add_devices(parser)
    add_folders(parser)


def _add_numerics(group):
    group.add_argument(
        '--bn-momentum',
        type=number(float, 0, 1),
        default=BN_MOMENTUM,
        metavar='M',
        help='share of its old value that a moving statistic of BatchNorm keeps at an update '
        '(default: %(default)s)',
    )
    group.add_argument(
        '--dtype',
        choices=('float32', 'float16'),
        default='float32',
        help='float16: half precision with loss scaling, on GPUs, not verified there '
        '(default: %(default)s)',
    )
    group.add_argument(
        '--on-nan',
        choices=('stop', 'rollback'),
        default='stop',
        help='when the loss is not finite: stop, or go back to the last checkpoint with a '
        'tenth of the learning rate, three times at most (default: %(default)s)',
    )


def _add_optimizer(group):
    group.add_argument(
        '--momentum',
        type=number(float, 0, 1),
        default=MOMENTUM,
        metavar='M',
        help='Nesterov momentum (default: %(default)s)',
    )
    group.add_argument(
        '--weight-decay',
        type=number(float, 0, 1),
        default=WEIGHT_DECAY,
        metavar='W',
        help='weight decay of every parameter (default: %(default)s)',
    )
    group.add_argument(
        '--decay',
        choices=('steps', 'cosine'),
        default='steps',
        help="how the learning rate falls: in the paper's steps, or as half a cosine to 0 at the "
        'end (default: %(default)s)',
    )
    group.add_argument(
        '--warmup',
        type=number(float, 0, MOST_EPOCHS),
        default=0,
        metavar='EPOCHS',
        help='epochs, fractions allowed, over which the learning rate first rises from 0 '
        '(default: %(default)s)',
    )


def add_run(parser):
    """Add what a run is called, what it begins from or goes on with, and what it reports."""
    group = parser.add_argument_group('run')
    group.add_argument(
        '--name',
        type=tag,
        metavar='TAG',
        help='a word of your own in the name of the run, before the time',
    )
    group.add_argument(
        '--init-from',
        type=run_or_file,
        metavar='RUN|FILE',
        help='fine-tuning: begin with the parameters of the last checkpoint of this run, or of '
        'this .params file; a head of another number of classes is made anew',
    )
    group.add_argument(
        '--resume',
        type=run_or_file,
        metavar='RUN',
        help='go on with this run from its last checkpoint; with a larger --epochs, with a run '
        'that is finished',
    )
    parser.set_defaults(epochs_before=None)  # see resumed_options.py
    group.add_argument(
        '--tensorboard',
        type=tensorboard.folder,
        metavar='DIR',
        help='also write the numbers of every epoch as events for TensorBoard, to DIR/RUN; needs '
        'the package tensorboardX',
    )
    add_quiet(group)


def add_kvstore(parser):
    """Add how devices and workers sum their gradients."""
    group = parser.add_argument_group('several devices and workers')
    group.add_argument(
        '--kv-store',
        choices=KVSTORES,
        default='device',
        help="MXNet's kvstore, which sums the gradients of the devices; those that begin with "
        'dist_ also sum those of several workers, see launch.py (default: %(default)s)',
    )
    group.add_argument(
        '--gradient-compression',
        choices=('none', '2bit'),
        default='none',
        help='between workers and servers; 2bit sends -T, 0 or T for each number and keeps the '
        'rest for the next update (default: %(default)s)',
    )
    group.add_argument(
        '--compression-threshold',
        type=number(float, 1e-6),
        default=0.5,
        metavar='T',
        help='the T of 2bit, for gradients summed over the images of a worker '
        '(default: %(default)s)',
    )


def add_small_images(parser):
    """Add the options that all training scripts for images of 32x32 pixels have."""
    parser.add_argument(
        '--widen',
        type=number(int, 1),
        default=1,
        metavar='FACTOR',
        help='factor on the channels; 4 for DFN-MR2 and DFN-MR3 (default: %(default)s)',
    )
    dataset = parser.add_argument(
        '--dataset',
        default='cifar10',
        metavar='NAME',
        help=f'data set: {", ".join(sorted(DATASETS))}, or the name of a folder with '
        'train.rec and test.rec of your own images of 32x32 pixels (default: %(default)s)',
    )
    dataset.completer = lambda **_: sorted(DATASETS)  # what argcomplete asks for
    epochs = ', '.join(f'{dataset.epochs} for {name}' for name, dataset in DATASETS.items())
    epochs += f', {OWN.epochs} for images of your own'
    add_recipe(parser, epochs, 'x0.1 at 1/2, 3/4 and 7/8 of the epochs', batch=64)


def widening(args):
    """Return the part of a run's name that stands for ``--widen``, such as ``-w4``."""
    return f'-w{args.widen}' if args.widen > 1 else ''
