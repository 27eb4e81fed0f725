"""What the training scripts share: options of every run, and the way from them to ``fit``."""

import os
import sys
from collections import namedtuple

import engine
from common import log, options
from common.options import number
from graphs.graph import with_bn_momentum
from symbols.layers import BN_MOMENTUM
from system.errors import UserError, outlive_readers

# symbol: what is trained; title: of it, in the name of the run; decay: recipe.Decay of the learning
# rate.
Plan = namedtuple('Plan', 'symbol title decay')
MOST_EPOCHS = 100000  # beyond what anybody trains; a slip of the finger should not run for ever
KVSTORES = ('device', 'local', 'nccl', 'dist_sync', 'dist_device_sync', 'dist_async')


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
        type=options.learning_rate,
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
    options.add_devices(parse)
    options.add_folders(parse)


def train(parse, plan):
    """Train as the options that ``parse`` parses say; ``plan(options, dataset)`` returns the ``Plan``."""
    outlive_readers()
    args, state, script = parse.parse_args(), None, os.path.basename(sys.argv[0])
    engine.set_threads(args.threads)
    from distributed import cluster

    workers = cluster.join(args.kv_store)
    # MXNet is loaded from here on, when the options are known to be right.
    from common import fit
    from recordio import datasets
    from recordio.data import Batches

    if args.resume:
        state = _state(args, workers)
        if state['header'].get('script', script) != script:
            raise UserError(
                f'{args.resume} is a run of {log.script_of(state["header"])}: go on with it there'
            )
        args = options.resumed(parse, sys.argv[1:], state['header']['options'])
    check_workers(args, workers)
    dataset = datasets.get(args.dataset, args.data_dir, getattr(args, 'image_size', None))
    if getattr(args, 'augment', None):
        dataset = dataset._replace(augment=args.augment)
    args.epochs = args.epochs or dataset.epochs
    symbol, title, decay = plan(args, dataset)
    symbol = with_bn_momentum(symbol, args.bn_momentum)
    devices = engine.devices(args.gpus, args.cpus)
    batches = Batches(
        os.path.join(args.data_dir, args.dataset),
        dataset,
        args.batch_size // workers.size,
        args.seed,
        engine.cores(),
        part=(workers.rank, workers.size),
    )
    identity = datasets.identity(os.path.join(args.data_dir, args.dataset))
    check_data(args, identity, state, workers)
    line = fit.about_batchnorm(
        len(devices) * workers.size, batches.batch // len(devices), getattr(args, 'schedule', '6.2')
    )
    if line and not workers.rank:
        print(line, flush=True)
    from graphs.summary import parameters

    facts = {
        'script': script,
        'parameters': parameters(symbol, dataset.shape),
        'devices': [str(device) for device in devices],
        'workers': workers.size,
        'data': identity,
        **{name: identity[name] for name in ('train_images', 'test_images')},
    }
    fit.fit(args, symbol, batches, devices, f'{args.dataset}-{title}', facts, state, decay, workers)


def _state(args, workers):
    """Return the state of the run to go on with, which only the first worker needs to have at hand."""
    from common import checkpoint

    state = None
    if not workers.rank:
        folder = checkpoint.find(args.resume, args.checkpoint_dir)
        state = checkpoint.load_state(folder, warn=False)  # it is loaded again behind a lock
    return workers.first_json(state)


def check_data(args, identity, state, workers):
    """Raise ``UserError`` where a run would go on with other data, or a worker has other data.

    ``identity`` is that of ``datasets.identity``; of a run that is older than it, the log has the
    number of images.
    """
    folder = os.path.join(args.data_dir, args.dataset)
    first = workers.first_json(identity)
    known = first
    if state:  # runs of before have the numbers of images alone
        known = state['header'].get('data') or state['header']
    for key in ('train_images', 'test_images', 'classes', 'manifest_sha256'):
        if key in known and known[key] != identity[key]:
            who = (
                f'the run {state["header"]["run"]} was started with'
                if state
                else 'the first worker has'
            )
            raise UserError(
                f'{folder} holds other data than {who} ({key} is {identity[key]} instead '
                f'of {known[key]}): name the folder of the same data with --data-dir'
                + (', or start a new run' if state else '')
            )


def check_workers(args, workers):
    """Raise ``UserError`` for what several workers cannot do, or one alone."""
    if args.batch_size % workers.size:
        raise UserError(
            f'--batch-size {args.batch_size} cannot be split over {workers.size} workers '
            f'evenly: choose a multiple of {workers.size}'
        )
    if workers.size > 1 and args.on_nan == 'rollback':
        raise UserError('--on-nan rollback is for one process: leave it out')
    if args.gradient_compression != 'none' and not args.kv_store.startswith('dist'):
        raise UserError(
            '--gradient-compression is for several workers: add --kv-store dist_sync, or '
            'leave it out'
        )
