#!/usr/bin/env python
"""Draw convergence curves from training logs, arranged as Figure 12 or Figure 8 of the paper.

python plot_curves.py logs/A.jsonl logs/B.jsonl --figure 12 --out figures/figure12.pdf
"""
import argparse

from common.errors import run


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument('logs', nargs='+', metavar='LOG', help='logs of runs; those of one setting become one '
                       'curve, their mean, with a band from the lowest to the highest')
    parse.add_argument('--figure', type=int, choices=(8, 12), default=12,
                       help='12: training loss above test error, a column for each pair of depths; 8: top-1 and '
                            'top-5 errors, dashed for training, solid for validation (default: %(default)s)')
    parse.add_argument('--out', required=True, metavar='FILE', help='.png, .pdf or .svg')
    return parse.parse_args()


def main():
    args = parse_args()
    from common import curves, figures
    settings = curves.group(args.logs)
    figure = {8: figures.figure8, 12: figures.figure12}[args.figure](settings)
    figures.save(figure, args.out)
    print('%s shows %s' % (args.out, ', '.join('%s (%d run%s, %d epochs)' % (
        setting.title, setting.runs, 's' * (setting.runs > 1), len(setting.epochs)) for setting in settings)))


if __name__ == '__main__':
    run(main)
