"""Print what a network consists of, or draw it: python -m symbols --network mr --depth 56."""
import argparse

import symbols
from common.errors import UserError, run
from symbols import diagrams, draw, paths, summary


def options():
    parser = argparse.ArgumentParser(prog='python -m symbols', description=__doc__)
    parser.add_argument('--network', choices=sorted(symbols.NETWORKS), default='mr',
                        help='which network (default: %(default)s)')
    parser.add_argument('--depth', type=int, default=56,
                        help="the network's own depth: d2 = d1/2 + 1 for il, mr, side (default: %(default)s)")
    parser.add_argument('--classes', type=int, default=10, help='number of classes (default: %(default)s)')
    parser.add_argument('--widen', type=int, default=1, help='factor on the channels (default: %(default)s)')
    parser.add_argument('--plot', metavar='FILE',
                        help="draw the network as Figures 3 and 7 do, .pdf, .png or .svg; needs graphviz's dot")
    parser.add_argument('--figure', type=int, choices=sorted(diagrams.FIGURES), metavar='N',
                        help='draw this figure of the paper to --plot instead: %s' % ', '.join(map(str, sorted(diagrams.FIGURES))))
    return parser.parse_args()


def print_layers(symbol):
    print('%-40s %-26s %-14s %12s %14s' % ('layer', 'kind', 'output', 'parameters', 'multiply-adds'))
    for layer in summary.layers(symbol):
        print('%-40s %-26s %-14s %12s %14s' % (
            layer.name, layer.kind, 'x'.join(map(str, layer.output)), format(layer.parameters, ','),
            format(layer.multiply_adds, ',')))


def print_totals(symbol):
    layers = summary.layers(symbol)
    total, adds = summary.parameters(symbol), sum(layer.multiply_adds for layer in layers)
    print('\ndepth          %d weighted layers on the longest path, %d in all' % (paths.depth(symbol), len(layers)))
    print('parameters     %s (%.1fM), BatchNorm included' % (format(total, ','), total / 1e6))
    print('multiply-adds  %s an image (%.1fM)' % (format(adds, ','), adds / 1e6))


def print_paths(symbol):
    counts = paths.histogram(symbol)
    print('ensemble size  %s paths, depth %.2f +- %.2f\n' % (
        format(sum(counts.values()), ','), *paths.mean_and_deviation(counts)))
    widest = max(counts.values())
    print('depth  paths')
    for depth, count in counts.items():
        print('%5d  %-40s %s' % (depth, '#' * (40 * count // widest) or '.', format(count, ',')))


def main():
    args = options()
    if args.figure:
        if not args.plot:
            raise UserError('--figure %d: name the file with --plot' % args.figure)
        draw.save(draw.side_by_side(diagrams.panels(args.figure)), args.plot)
        print('drawn to %s' % args.plot)
        return
    symbol = symbols.get_symbol(args.network, args.depth, args.classes, args.widen)
    print_layers(symbol)
    print_totals(symbol)
    print_paths(symbol)
    if args.plot:
        draw.save(draw.graph(symbol, '%s, depth %d' % (symbols.NETWORKS[args.network].title, args.depth)), args.plot)
        print('\ndrawn to %s' % args.plot)


if __name__ == '__main__':
    run(main)
