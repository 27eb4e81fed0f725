#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Train a network on CIFAR-10, CIFAR-100 or SVHN as the paper does (section 6.2).

python train_cifar.py --network mr --depth 56 --gpus 0,1
"""

import argparse
import os

import engine
import symbols
from common import compute, fine_tuning, recipe, start_run, training_options
from common.epoch import line_of, record_of
from common.run import until_stopped
from common.trainer import Diverged, Trainer
from distributed import cluster
from graphs.rewrite import with_bn_momentum
from recordio import datasets
from recordio.record_iterator import Batches
from system.progress import be_quiet
from system.script import outlive_readers, run_main


def parse_args(words=None, defaults=None):
    """Return the options; ``defaults`` are those of the run that is resumed, see start_run.py."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], epilog="The paper's settings are the defaults."
    )
    parser.add_argument(
        '--network',
        choices=sorted(symbols.NETWORKS),
        default='mr',
        help='network to train (default: %(default)s)',
    )
    parser.add_argument(
        '--depth',
        type=int,
        default=56,
        metavar='D',
        help="the network's own depth: d1 for plain, resnet, fuse3, fuse6; d2 = d1/2 + 1 for il, "
        'mr, mr-late, side (default: %(default)s)',
    )
    training_options.add_small_images(parser)
    return parser.parse_args(words, defaults)


def main():
    outlive_readers()
    args = parse_args()
    if args.quiet:
        be_quiet()
    engine.set_threads(args.threads)
    workers = cluster.join(args.kv_store)
    state = start_run.state_to_resume(args, workers)
    if state:
        args = start_run.resumed_options(parse_args, state)

    dataset = datasets.small(args.dataset, args.data_dir)
    dataset = dataset._replace(validation=args.validation)
    args.epochs = args.epochs or dataset.epochs
    symbol = symbols.get_symbol(args.network, args.depth, dataset.classes, args.widen)
    symbol = with_bn_momentum(symbol, args.bn_momentum)
    hardware = compute.from_options(args, workers)
    batches = Batches(
        os.path.join(args.data_dir, args.dataset),
        dataset,
        args.batch_size // workers.size,
        args.seed,
        engine.cores(),
        shard=(workers.rank, workers.size),
    )
    start_run.check_data(batches, state, workers)
    plan = recipe.from_options(args, recipe.cifar_decay(recipe.first_epochs(args)))

    if state:
        run = start_run.resumed_run(args, symbol, state, plan, hardware)
    else:
        name = f'{args.dataset}-{args.network}-{args.depth}{training_options.widening(args)}'
        entries = start_run.header_entries(symbol, batches, hardware)
        initial = fine_tuning.read(args, symbol, batches.shape, workers)
        run = start_run.new_run(args, name, entries, plan, workers, initial)
    run.say(compute.about_batchnorm(hardware, batches, '6.2'))
    run.say(start_run.about_more_epochs(run, batches))
    run.say(f'run {run.header["run"]}, log {run.log}')

    with until_stopped(run) as stop:
        trainer = None
        while run.epoch < args.epochs:
            trainer = trainer or Trainer(symbol, batches, run.recipe, hardware, run.start)
            try:
                trained = trainer.train(run.epoch + 1, stop)
                tested = trainer.test()
                validated = trainer.validate()
            except Diverged as error:
                run.roll_back(error)
                trainer = None  # its memory is free before the next one takes some
                continue
            run.save(symbol, trainer, record_of(trainer, trained, tested, validated))
            run.say(line_of(run.records[-1], args.epochs))
    run.say(f'finished; score it with: {run.score_command(symbol)}')


if __name__ == '__main__':
    run_main(main)
