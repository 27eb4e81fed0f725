#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Fill the paper's result tables from training logs, the paper's numbers beside ours.

python study/make_tables.py logs/*.jsonl --out tables
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common import options
from report import finished_runs, repetition, table_formats, tables
from system import files
from system.errors import UserError
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], epilog='A cell without a finished run stays empty.'
    )
    parser.add_argument(
        'logs',
        nargs='+',
        metavar='LOG',
        help='logs of runs; runs that differ in their seed alone become a mean and a deviation',
    )
    parser.add_argument(
        '--table',
        type=int,
        nargs='+',
        choices=range(1, 8),
        metavar='N',
        help='numbers of tables, 1 to 7 (default: all in which a run fills a cell)',
    )
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='write tableN.md, .csv and .tex into this folder (default: print Markdown)',
    )
    parser.add_argument(
        '--stand-in',
        metavar='DATASET',
        help="fill CIFAR-10's and ImageNet's cells with runs on this data set, as a trial; "
        'cifar10 itself stands for images that are not the official ones',
    )
    options.add_epochs_filter(parser)
    options.add_overwrite(parser)
    return parser.parse_args()


def check_filled(chosen, args, groups):
    """Raise ``UserError`` if no run fills a table that --table asks for, or any table at all."""
    empty = [str(table.number) for table in chosen if not table.filled]
    if empty and (args.table or len(empty) == len(chosen)):
        which = f'Table {" and Table ".join(empty)} gets' if args.table else 'the tables get'
        raise UserError(
            f'{which} nothing from these logs: name finished runs of the settings in the paper'
            f'{"" if args.stand_in else finished_runs.stand_in_hint(groups)}'
        )


def save(chosen, folder, overwrite):
    """Write each table into ``folder`` in every format, or print Markdown if there is no folder."""
    if not folder:
        for table in chosen:
            print(table_formats.markdown(table))
        return
    outputs = {
        os.path.join(folder, f'table{table.number}{ending}'): write(table).encode()
        for table in chosen
        for ending, write in table_formats.FORMATS.items()
    }
    files.write_outputs(outputs, overwrite)
    for path in outputs:
        print(path)


def main():
    args = parse_args()
    groups = finished_runs.read_and_tell(args.logs)
    finished_runs.check_stand_in(groups, args.stand_in)
    groups = repetition.with_epochs(groups, args.epochs)
    chosen = [tables.build(number, groups, args.stand_in) for number in args.table or range(1, 8)]
    check_filled(chosen, args, groups)
    save([table for table in chosen if table.filled], args.out, args.overwrite)


if __name__ == '__main__':
    run_main(main)
