#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Train an ensemble of the components of N_f3, or one component (sections 3 and 4, Tables 1 to 3).

python study/train_ensemble.py --depth 26                  # Ensemble-8: all, with shared weights
python study/train_ensemble.py --depth 26 --without RRR    # Ensemble-7
python study/train_ensemble.py --depth 26 --no-sharing     # all, each with weights of its own
python study/train_ensemble.py --depth 26 --component LLR  # one component alone
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

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
from symbols import ensemble
from system.progress import be_quiet
from system.script import outlive_readers, run_main


def parse_args(words=None, defaults=None):
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], epilog='All other options are those of train_cifar.py.'
    )
    parser.add_argument(
        '--depth',
        type=int,
        default=26,
        metavar='D',
        help='d1, the depth of the component RRR, 3k + 2; the paper has 14 to 110 '
        '(default: %(default)s)',
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--component', choices=ensemble.NAMES, help='train only this component')
    which.add_argument(
        '--without', choices=ensemble.NAMES, help='leave this component out; RRR gives Ensemble-7'
    )
    parser.add_argument(
        '--no-sharing',
        dest='sharing',
        action='store_false',
        help='give each component weights of its own (default: they share them)',
    )
    training_options.add_small_images(parser)
    args = parser.parse_args(words, defaults)
    args.network = network_of(args)
    return args


def network_of(args):
    """Return what logs call the network that the options ask for."""
    if args.component:
        return args.component
    name = f'{"ensemble" if args.sharing else "separate"}{len(ensemble.NAMES) - bool(args.without)}'
    return name if args.without in (None, ensemble.DEEPEST) else f'{name}-without-{args.without}'


def get_symbol(args, classes):
    """Return the network that the options ask for."""
    units = symbols.ensemble_units(args.depth)
    if args.component:
        return ensemble.component(args.component, units, classes, args.widen)
    names = [name for name in ensemble.NAMES if name != args.without]
    return ensemble.get_symbol(units, classes, args.widen, names, args.sharing)


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
    symbol = with_bn_momentum(get_symbol(args, dataset.classes), args.bn_momentum)
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
        of = '-of' if args.component else ''
        name = f'{args.dataset}-{args.network}{of}-{args.depth}{training_options.widening(args)}'
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
