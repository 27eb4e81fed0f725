#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Draw the figures of the ensemble study: 2, 4 and 5 from logs, 11 from the networks themselves.

python study/plot_study.py logs/*.jsonl --figure 2 --out figures/figure2.pdf
python study/plot_study.py --figure 11 --out figures/figure11.pdf
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common import options
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'logs', nargs='*', metavar='LOG', help='logs of finished runs; Figure 11 needs none'
    )
    parser.add_argument(
        '--figure',
        type=int,
        choices=(2, 4, 5, 11),
        required=True,
        help='number of the figure. 2: plain and fused networks and ensembles; 4: ensemble sizes; '
        '5: Ensemble-8 and Ensemble-7; 11: depths of the components',
    )
    parser.add_argument(
        '--depth',
        type=int,
        help='for Figure 11: draw the ResNet of this depth for CIFAR, and DFN-IL and DFN-MR of '
        "its size, instead of the paper's networks for ImageNet",
    )
    parser.add_argument(
        '--stand-in',
        metavar='DATASET',
        help="draw runs on this data set in place of CIFAR-10's, as a trial",
    )
    options.add_epochs_filter(parser)
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='file to write, .png, .pdf or .svg'
    )
    options.add_overwrite(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    # Not at the top: matplotlib takes a second, and --help needs none of it.
    from report import component_depths, figures, finished_runs, repetition, study_figures

    if args.figure == 11:
        figure = component_depths.figure11(
            component_depths.cifar_networks(args.depth)
            if args.depth
            else component_depths.imagenet_networks()
        )
    else:
        groups = finished_runs.read_and_tell(args.logs)
        finished_runs.check_stand_in(groups, args.stand_in)
        groups = repetition.with_epochs(groups, args.epochs)
        figure = study_figures.bars(args.figure, groups, args.stand_in)
    figures.save(figure, args.out, args.overwrite)
    print(args.out)


if __name__ == '__main__':
    run_main(main)
