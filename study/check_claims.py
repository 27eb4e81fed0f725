#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Test the paper's claims on the runs of the study: differences, intervals and verdicts.

python study/check_claims.py logs/results/*.jsonl
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common import options
from system import files
from system.errors import UserError, tell
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog='docs/claims.md has the claims and the rule. The exit status is 0 whatever the '
        'verdicts.',
    )
    parser.add_argument(
        'logs', nargs='+', metavar='LOG', help='logs of runs; those of unfinished runs are left out'
    )
    parser.add_argument(
        '--stand-in',
        metavar='DATASET',
        default='fashion-mnist',
        help='data set whose runs are tested, in place of CIFAR-10 (default: %(default)s)',
    )
    parser.add_argument(
        '--out', metavar='FILE', help='Markdown file to write, .md (default: print it)'
    )
    options.add_overwrite(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    # Not at the top: scipy.stats takes a second, and --help needs none of it.
    from report import claim_formats, claims, finished_runs, verdicts

    if args.out and not args.out.endswith('.md'):
        raise UserError(f'--out {args.out}: the name ends in .md')
    groups = finished_runs.read_and_tell(args.logs)
    claims.check_runs(groups, args.stand_in)
    findings = verdicts.find_all(groups, args.stand_in)
    for note in verdicts.not_compared(findings, groups):
        tell(note)
    page = claim_formats.markdown(findings, args.stand_in)
    if not args.out:
        print(page, end='')
        return
    files.write_output(args.out, page.encode(), args.overwrite)
    print(args.out)


if __name__ == '__main__':
    run_main(main)
