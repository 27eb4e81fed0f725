#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Write the results of the study's runs into documents, replacing older results.

python study/update_results.py logs/results/*.jsonl --into README.md docs/results.md
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from system import files
from system.errors import UserError
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog='The results stand between the comments <!-- begin NAME --> and <!-- end NAME -->, '
        'where NAME is networks, runs, tables, verdicts or decided. Nothing else of a document '
        'changes.',
    )
    parser.add_argument(
        'logs', nargs='+', metavar='LOG', help='logs of runs; those of unfinished runs are left out'
    )
    parser.add_argument(
        '--into', nargs='+', required=True, metavar='DOCUMENT', help='Markdown files to update'
    )
    parser.add_argument(
        '--stand-in',
        metavar='DATASET',
        default='fashion-mnist',
        help='data set of the study, in place of CIFAR-10 (default: %(default)s)',
    )
    return parser.parse_args()


def read(path):
    """Return the text of a document, its line ends as they are.

    Raises ``UserError`` if it cannot be read.
    """
    if not os.path.isfile(path):
        raise UserError(f'{path} is not a file: name Markdown documents after --into')
    try:
        with open(path, encoding='utf-8', newline='') as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path} cannot be read: {error}; name another document after --into')


def main():
    args = parse_args()
    # Not at the top: scipy.stats takes a second, and --help needs none of it.
    from report import claims, finished_runs, marked_blocks, study_summary

    before = {path: read(path) for path in args.into}
    groups = finished_runs.read_and_tell(args.logs)
    claims.check_runs(groups, args.stand_in)
    contents = study_summary.blocks(groups, args.stand_in)
    after = {path: marked_blocks.fill(text, contents, path) for path, text in before.items()}
    for path, text in after.items():
        if text != before[path]:
            files.write_text(os.path.realpath(path), text)
        print(path + ('' if text != before[path] else ' is up to date'))


if __name__ == '__main__':
    run_main(main)
