#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Draw convergence curves from training logs, arranged as Figure 12 or Figure 8 of the paper.

python plot_curves.py logs/A.jsonl logs/B.jsonl --figure 12 --out figures/figure12.pdf
"""

import argparse
import sys

from common import options
from system.errors import UserError
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'logs',
        nargs='+',
        metavar='LOG',
        help='logs of runs; runs that differ in their seed alone become one curve: their mean, '
        'with a band from the lowest to the highest',
    )
    parser.add_argument(
        '--figure',
        type=int,
        choices=(8, 12),
        default=12,
        help='number of the figure. 12: training loss above test error, with a column for each '
        'pair of depths; 8: top-1 error, dotted for training and with markers for validation '
        '(default: %(default)s)',
    )
    parser.add_argument('--top5', action='store_true', help='for Figure 8: draw top-5 errors too')
    parser.add_argument(
        '--most-error',
        type=options.number(float, 0.1, 100),
        metavar='PERCENT',
        help='upper end of the axis of errors, so that peaks of the first epochs do not hide how '
        'the last ones differ (default: all errors are inside)',
    )
    options.add_epochs_filter(parser)
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='file to write, .png, .pdf or .svg'
    )
    options.add_overwrite(parser)
    return parser.parse_args()


def describe(curves):
    """Return what a ``curves.Curves`` shows: "ResNet-110 on CIFAR-10 (5 runs, 400 epochs)"."""
    runs, epochs = curves.runs, len(curves.epochs)
    return f'{curves.title} ({runs} run{"s" * (runs > 1)}, {epochs} epoch{"s" * (epochs > 1)})'


def main():
    args = parse_args()
    if args.top5 and args.figure != 8:
        raise UserError('--top5 is for Figure 8: add --figure 8')
    # Not at the top: matplotlib takes a second, and --help needs none of it.
    from report import curves, figures, repetition

    found, notes = curves.group(args.logs)
    for note in notes:
        sys.stderr.write(f'{note}\n')
    found = repetition.with_epochs(found, args.epochs)
    if args.figure == 8:
        figure = figures.figure8(found, args.top5, args.most_error)
    else:
        figure = figures.figure12(found, args.most_error)
    figures.save(figure, args.out, args.overwrite)
    print(f'{args.out} shows {", ".join(map(describe, found))}')
    for sentence in curves.gaps(found) if args.figure == 8 else ():
        print(sentence)


if __name__ == '__main__':
    run_main(main)
