"""Print the layers of a network, or draw it: python -m symbols --network mr --depth 56."""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from tabulate import tabulate

import symbols
from common import options
from graphs import paths, summary
from report import diagrams, draw
from symbols import imagenet
from system.errors import UserError
from system.script import run_main

# Default depths and classes, and the shape of an image: channels, height, width.
SMALL_DEPTH, SMALL_CLASSES, SMALL_IMAGE = 56, 10, (3, 32, 32)
IMAGENET_CLASSES, IMAGENET_IMAGE = 1000, (3, 224, 224)


def parse_args():
    parser = argparse.ArgumentParser(prog='python -m symbols', description=__doc__)
    parser.add_argument(
        '--network',
        choices=sorted({*symbols.NETWORKS, *imagenet.NETWORKS}),
        default='mr',
        help='name of the network (default: %(default)s)',
    )
    parser.add_argument(
        '--imagenet',
        action='store_true',
        help=f'take a network for ImageNet: {", ".join(sorted(imagenet.NETWORKS))}',
    )
    parser.add_argument(
        '--depth',
        type=int,
        help="the network's own depth, which is d2 = d1/2 + 1 for il, mr and side "
        f"(default: {SMALL_DEPTH}; with --imagenet the paper's)",
    )
    parser.add_argument(
        '--classes',
        type=int,
        help=f'number of classes (default: {SMALL_CLASSES}, with --imagenet {IMAGENET_CLASSES})',
    )
    parser.add_argument(
        '--widen',
        type=int,
        default=1,
        help='factor on the number of channels, not for ImageNet (default: %(default)s)',
    )
    add_drawing(parser)
    return parser.parse_args()


def add_drawing(parser):
    """Add the options for drawing the network or a figure of the paper."""
    parser.add_argument(
        '--plot',
        metavar='FILE',
        help='draw the network like Figures 3 and 7 to this .pdf, .png or .svg file; needs '
        "graphviz's program dot",
    )
    parser.add_argument(
        '--figure',
        type=int,
        choices=sorted(diagrams.FIGURES),
        metavar='N',
        help='draw this figure of the paper to the file of --plot instead: '
        + ', '.join(map(str, sorted(diagrams.FIGURES))),
    )
    options.add_overwrite(parser)


def network_of(args):
    """Return the symbol that the options ask for, the shape of its images, and its title."""
    if args.imagenet:
        if args.widen != 1:
            raise UserError('--widen is for CIFAR and SVHN: leave it or --imagenet out')
        if args.classes is not None and args.classes < 2:
            raise UserError(f'--classes {args.classes}: a network has at least 2 classes')
        depth = imagenet.DEPTHS.get(args.network) if args.depth is None else args.depth
        symbol = imagenet.get_symbol(args.network, depth, args.classes or IMAGENET_CLASSES)
        return symbol, IMAGENET_IMAGE, f'{args.network} for ImageNet, depth {depth}'
    if args.network not in symbols.NETWORKS:
        raise UserError(f'{args.network} is a network for ImageNet: add --imagenet')
    depth = SMALL_DEPTH if args.depth is None else args.depth
    classes = SMALL_CLASSES if args.classes is None else args.classes
    symbol = symbols.get_symbol(args.network, depth, classes, args.widen)
    return symbol, SMALL_IMAGE, f'{symbols.NETWORKS[args.network].title}, depth {depth}'


def print_layers(symbol, image):
    """Print a table with a line for each weighted layer."""
    rows = [
        (
            layer.name,
            layer.kind,
            'x'.join(map(str, layer.output)),
            f'{layer.parameters:,}',
            f'{layer.multiply_adds:,}',
        )
        for layer in summary.layers(symbol, image)
    ]
    header = ('layer', 'kind', 'output', 'parameters', 'multiply-adds')
    alignment = ('left', 'left', 'left', 'right', 'right')
    print(tabulate(rows, header, 'plain', disable_numparse=True, colalign=alignment))


def print_totals(symbol, image):
    """Print depth, number of parameters and multiply-adds."""
    layers = summary.layers(symbol, image)
    total = summary.parameters(symbol, image)
    adds = sum(layer.multiply_adds for layer in layers)
    print(
        f'\ndepth          {paths.depth(symbol)} weighted layers on the longest path, '
        f'{len(layers)} in all'
    )
    print(f'parameters     {total:,} ({total / 1e6:.1f}M), BatchNorm included')
    print(f'multiply-adds  {adds:,} an image ({adds / 1e6:.1f}M)')


def print_paths(symbol):
    """Print how many paths of which depth the network consists of, with a histogram."""
    counts = paths.histogram(symbol)
    mean, deviation = paths.mean_and_deviation(counts)
    print(f'ensemble size  {sum(counts.values()):,} paths, depth {mean:.2f} +- {deviation:.2f}\n')
    most = max(counts.values())
    print('depth  paths')
    for depth, count in counts.items():
        print(f'{depth:5}  {"#" * (40 * count // most) or ".":40} {count:,}')


def main():
    args = parse_args()
    if args.figure:
        if not args.plot:
            raise UserError(f'--figure {args.figure}: name the file with --plot')
        draw.save(draw.side_by_side(diagrams.panels(args.figure)), args.plot, args.overwrite)
        print(f'drawn to {args.plot}')
        return
    symbol, image, title = network_of(args)
    print_layers(symbol, image)
    print_totals(symbol, image)
    print_paths(symbol)
    if args.plot:
        draw.save(draw.graph(symbol, title), args.plot, args.overwrite)
        print(f'\ndrawn to {args.plot}')


if __name__ == '__main__':
    run_main(main)
