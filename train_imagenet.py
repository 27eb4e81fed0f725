#!/usr/bin/env python
"""Train a network on ImageNet, or on photographs of your own, as the paper does (section 6.5, appendix A.1).

python train_imagenet.py --network mr --depth 44 --gpus 0,1,2,3,4,5,6,7
python train_imagenet.py --network resnet --depth 50 --schedule a1 --gpus 0,1,2,3
"""

import argparse

from common import options, training
from recordio.photographs import AUGMENTATIONS
from symbols import imagenet
from system.errors import run

SCHEDULES = {
    '6.5': (30, 10),
    'a1': (10, 2),
}  # section: epochs between two drops of the learning rate, its divisor

DEPTHS = {'resnet': 101, 'mr': 44, 'dfn1': 50, 'dfn2': 50}  # those of Figures 8 and 9


def parser():
    parse = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], epilog="The paper's settings are the defaults."
    )
    parse.add_argument(
        '--network',
        choices=sorted(imagenet.NETWORKS),
        default='mr',
        help='dfn1 and dfn2 are reconstructions from a drawing, and dfn1 has 40.1M '
        'parameters, see symbols/imagenet.py '
        '(default: %(default)s)',
    )
    parse.add_argument(
        '--depth',
        type=int,
        help='; '.join(
            f'{name}: {", ".join(map(str, depths))}' for name, depths in imagenet.NETWORKS.items()
        )
        + f' (default: {", ".join(f"{depth} for {name}" for name, depth in DEPTHS.items())})',
    )
    parse.add_argument(
        '--dataset',
        default='imagenet',
        metavar='NAME',
        help='folder that data/prepare.py has made of photographs (default: %(default)s)',
    )
    parse.add_argument(
        '--image-size',
        type=options.number(int, 32, 1024),
        default=224,
        metavar='PIXELS',
        help='height and width of the crops; the scales of section 6.5 are in proportion '
        '(default: %(default)s)',
    )
    parse.add_argument(
        '--schedule',
        choices=sorted(SCHEDULES),
        default='6.5',
        help='6.5: learning rate x0.1 every 30 epochs; a1: x0.5 every 10 (default: %(default)s)',
    )
    parse.add_argument(
        '--drop-every',
        type=options.number(int, 1),
        metavar='N',
        help='epochs instead of those 30 or 10',
    )
    parse.add_argument(
        '--augment',
        choices=sorted(AUGMENTATIONS),
        default='paper',
        help="paper: section 6.5's, shorter side in [256, 480], crop, mirror, PCA colour "
        'noise; authors-2016: '
        'crops of 196 to 480 pixels of 480, contrast, illumination; authors-2018: as '
        'paper with aspect ratio '
        'and HSL instead of PCA noise (default: %(default)s)',
    )
    training.add_recipe(parse, '100', 'see --schedule', batch=256)
    return parse


def plan(args, dataset):
    from common import recipe

    args.depth = args.depth or DEPTHS[args.network]
    step, factor = SCHEDULES[args.schedule]
    args.drop_every = args.drop_every or step  # the log has what is done, as for --epochs
    return training.Plan(
        imagenet.get_symbol(args.network, args.depth, dataset.classes),
        f'{args.network}-{args.depth}',
        recipe.stepwise_decay(args.epochs, args.drop_every, factor),
    )


if __name__ == '__main__':
    run(lambda: training.train(parser(), plan))
