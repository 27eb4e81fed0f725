#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""List runs from their logs: how far they are, their errors and their speed.

python study/list_runs.py logs
python study/list_runs.py logs/cifar10-*.jsonl other/logs
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from report import repetition, run_list
from system.errors import UserError, tell
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'logs',
        nargs='*',
        default=['logs'],
        metavar='LOG',
        help='logs of runs, or folders of them (default: logs)',
    )
    return parser.parse_args()


def read(paths):
    """Return the runs of logs; a line on stderr names each log that cannot be read."""
    runs = []
    for path in paths:
        try:
            runs += repetition.read([path])
        except UserError as error:
            tell(f'left out: {error}')
    return runs


def main():
    args = parse_args()
    runs = read(repetition.logs_in(args.logs))
    if not runs:
        raise UserError(f'no log in {", ".join(args.logs)} can be read: name logs, or their folder')
    print(run_list.table(runs))


if __name__ == '__main__':
    run_main(main)
