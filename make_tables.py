#!/usr/bin/env python
"""Fill the paper's result tables from training logs, the paper's numbers beside ours.

python make_tables.py logs/*.jsonl --out tables
"""
import argparse
import os
import sys

from common.errors import run


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0], epilog='A cell without a finished run stays empty.')
    parse.add_argument('logs', nargs='+', metavar='LOG', help='logs of runs; several of one setting become mean and deviation')
    parse.add_argument('--table', type=int, nargs='+', choices=range(1, 8), metavar='N', help='1 to 7 (default: those that have a run)')
    parse.add_argument('--out', metavar='DIR', help='write tableN.md, .csv and .tex there (default: print Markdown)')
    parse.add_argument('--stand-in', metavar='DATASET', help="fill CIFAR-10's cells with runs on this data set, as a trial")
    return parse.parse_args()


def main():
    args = parse_args()
    from common import files, table_formats, tables
    runs, others = tables.finished(args.logs)
    for path in others:
        sys.stderr.write('%s is not finished and is left out\n' % path)
    chosen = [tables.build(number, runs, args.stand_in) for number in args.table or range(1, 8)]
    for table in chosen:
        if not (args.table or table.epochs):
            continue
        if not args.out:
            print(table_formats.markdown(table, args.stand_in))
            continue
        os.makedirs(args.out, exist_ok=True)
        for ending, write in table_formats.FORMATS.items():
            path = os.path.join(args.out, 'table%d%s' % (table.number, ending))
            files.write_text(path, write(table, args.stand_in))
            print(path)
    if not args.table and not any(table.epochs for table in chosen):
        print('no table has a cell for these runs: name finished runs of its settings, or --table N for an empty one')


if __name__ == '__main__':
    run(main)
