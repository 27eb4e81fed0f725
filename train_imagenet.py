#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Train a network on ImageNet or on photographs of your own, as in section 6.5 and appendix A.1.

python train_imagenet.py --network mr --depth 44 --gpus 0,1,2,3,4,5,6,7
python train_imagenet.py --network resnet --depth 50 --schedule a1 --gpus 0,1,2,3
"""

import argparse
import os

import engine
from common import compute, fine_tuning, options, recipe, start_run, training_options
from common.epoch import line_of, record_of
from common.run import until_stopped
from common.trainer import Diverged, Trainer
from distributed import cluster
from graphs.rewrite import with_bn_momentum
from recordio import datasets
from recordio.augmentation import AUGMENTATIONS
from recordio.record_iterator import Batches
from symbols import imagenet
from system.errors import UserError
from system.progress import be_quiet
from system.script import outlive_readers, run_main


def parse_args(words=None, defaults=None):
    """Return the options; ``defaults`` are those of the run that is resumed, see start_run.py."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], epilog="The paper's settings are the defaults."
    )
    parser.add_argument(
        '--network',
        choices=sorted(imagenet.NETWORKS),
        default='mr',
        help='network to train; dfn1 and dfn2 are reconstructions from a drawing, and dfn1 has '
        '40.1M parameters, see symbols/imagenet.py (default: %(default)s)',
    )
    parser.add_argument(
        '--depth',
        type=int,
        metavar='D',
        help='depth of the network; '
        + '; '.join(
            f'{name}: {", ".join(map(str, depths))}' for name, depths in imagenet.NETWORKS.items()
        )
        + ' (default: '
        + ', '.join(f'{depth} for {name}' for name, depth in imagenet.DEPTHS.items())
        + ')',
    )
    _add_photographs(parser)
    training_options.add_recipe(parser, '100', 'see --schedule', batch=256)
    args = parser.parse_args(words, defaults)
    args.depth = args.depth or imagenet.DEPTHS[args.network]
    if args.decay == 'cosine' and args.drop_every:
        raise UserError('--drop-every is for --decay steps: leave it out with a cosine')
    if args.decay == 'steps':
        args.drop_every = args.drop_every or recipe.SCHEDULES[args.schedule].every
    return args


def _add_photographs(parser):
    parser.add_argument(
        '--dataset',
        default='imagenet',
        metavar='NAME',
        help='data set of photographs that data/prepare.py made, or of train.rec and test.rec of '
        'your own (default: %(default)s)',
    )
    parser.add_argument(
        '--image-size',
        type=options.number(int, 32, 1024),
        default=224,
        metavar='PIXELS',
        help='height and width of the crops; the scales of section 6.5 are in proportion '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--schedule',
        choices=sorted(recipe.SCHEDULES),
        default='6.5',
        help='section of the paper with the schedule; 6.5: learning rate x0.1 every 30 epochs; '
        'a1: x0.5 every 10 (default: %(default)s)',
    )
    parser.add_argument(
        '--drop-every',
        type=options.number(int, 1),
        metavar='N',
        help='epochs between two drops of the learning rate (default: 30 for 6.5, 10 for a1)',
    )
    parser.add_argument(
        '--augment',
        choices=sorted(AUGMENTATIONS),
        default='paper',
        help="paper: section 6.5's, shorter side in [256, 480], crop, mirror, PCA colour noise; "
        'authors-2016: crops of 196 to 480 pixels of 480, contrast, illumination; authors-2018: '
        'as paper with aspect ratio and HSL instead of PCA noise (default: %(default)s)',
    )


def steps_of(args):
    """Return the ``common.recipe.Decay`` of ``--schedule``, None with a cosine."""
    if args.decay == 'cosine':
        return None
    factor = recipe.SCHEDULES[args.schedule].factor
    return recipe.stepwise_decay(args.epochs, args.drop_every, factor)


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

    dataset = datasets.photographs(args.dataset, args.data_dir, args.image_size)
    dataset = dataset._replace(augment=args.augment, validation=args.validation)
    args.epochs = args.epochs or dataset.epochs
    symbol = imagenet.get_symbol(args.network, args.depth, dataset.classes)
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
    plan = recipe.from_options(args, steps_of(args))

    if state:
        run = start_run.resumed_run(args, symbol, state, plan, hardware)
    else:
        name = f'{args.dataset}-{args.network}-{args.depth}'
        entries = start_run.header_entries(symbol, batches, hardware)
        initial = fine_tuning.read(args, symbol, batches.shape, workers)
        run = start_run.new_run(args, name, entries, plan, workers, initial)
    run.say(compute.about_batchnorm(hardware, batches, args.schedule))
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
