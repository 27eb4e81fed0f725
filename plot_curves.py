#!/usr/bin/env python
"""Draw convergence curves from training logs, arranged as Figure 12 or Figure 8 of the paper.

python plot_curves.py logs/A.jsonl logs/B.jsonl --figure 12 --out figures/figure12.pdf
"""

import argparse
import sys

from common import options
from system.errors import UserError
from system.script import run_main


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument(
        'logs',
        nargs='+',
        metavar='LOG',
        help='logs of runs; those that differ in their seed alone become one curve, '
        'their mean, with a band from the lowest to the highest',
    )
    parse.add_argument(
        '--figure',
        type=int,
        choices=(8, 12),
        default=12,
        help='12: training loss above test error, a column for each pair of depths; '
        '8: top-1 error, dotted for training, with markers for validation '
        '(default: %(default)s)',
    )
    parse.add_argument('--top5', action='store_true', help='Figure 8 with top-5 errors too')
    parse.add_argument('--out', required=True, metavar='FILE', help='.png, .pdf or .svg')
    options.add_overwrite(parse)
    return parse.parse_args()


def main():
    args = parse_args()
    if args.top5 and args.figure != 8:
        raise UserError('--top5 is for Figure 8: add --figure 8')
    from report import curves, figures

    found, notes = curves.group(args.logs)
    for note in notes:
        sys.stderr.write(f'{note}\n')
    figure = figures.figure8(found, args.top5) if args.figure == 8 else figures.figure12(found)
    figures.save(figure, args.out, args.overwrite)
    print(f'{args.out} shows {", ".join(map(described, found))}')
    for sentence in curves.gaps(found) if args.figure == 8 else ():
        print(sentence)


def described(curves):
    """Return what a curve is of: ResNet-110 on CIFAR-10 (5 runs, 400 epochs)."""
    runs, epochs = curves.runs, len(curves.epochs)
    return f'{curves.title} ({runs} run{"s" * (runs > 1)}, {epochs} epoch{"s" * (epochs > 1)})'


if __name__ == '__main__':
    run_main(main)
