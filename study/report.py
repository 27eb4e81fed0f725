#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Write one HTML page about runs: a sortable table, curves, the paper's tables, and commands.

python study/report.py logs/*.jsonl --out report.html
python study/report.py logs --out report.html --watch    # renew it while runs go on
"""

import argparse
import os
import signal
import sys
import time

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common import options
from system import files
from system.errors import UserError, tell
from system.script import run_main
from system.signals import Stop

PAUSE = 0.5  # seconds between two looks at the logs
REST = 4  # times as long as the page took, until it is written again; a whole grid takes seconds
RELOAD = 10  # seconds after which a reader's page loads itself again


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'logs',
        nargs='+',
        metavar='LOG',
        help='logs of runs, or folders of them; runs that differ in their seed alone are one row '
        'and one curve',
    )
    parser.add_argument('--out', required=True, metavar='FILE', help='page to write, .html')
    parser.add_argument(
        '--watch',
        action='store_true',
        help='write the page again whenever a log changes, until Ctrl-C; a page in a browser '
        f'loads itself again every {RELOAD} seconds',
    )
    parser.add_argument(
        '--stand-in',
        metavar='DATASET',
        help="fill CIFAR-10's and ImageNet's cells with runs on this data set, as a trial; "
        'cifar10 itself stands for images that are not the official ones',
    )
    options.add_epochs_filter(parser, 'fill the tables with runs of N epochs only')
    options.add_overwrite(parser)
    return parser.parse_args()


def write(args, told, reload=None):
    """Write the page, and say what is left out unless ``told``, a set, has it already."""
    from report import page, repetition

    text, notes = page.build(repetition.logs_in(args.logs), args.stand_in, reload, args.epochs)
    files.write_output(args.out, text.encode(), args.overwrite)
    for note in dict.fromkeys(notes):
        if note not in told:
            tell(note)
    told.update(notes)


def watch(args, told):
    """Write the page at every change of a log until a signal comes; return the signal's number."""
    with Stop() as stop:
        before, not_before = None, 0
        while stop.number is None:
            now, start = state_of(args.logs), time.monotonic()
            if now != before and start >= not_before:
                renew(args, told, first=before is None)
                before, end = now, time.monotonic()
                not_before = end + REST * (end - start)
            time.sleep(PAUSE)
        write(args, told)  # the last page does not load itself again
    return stop.number


def renew(args, told, first):
    """Write the page; after the first time, an error in the logs leaves the page as it is."""
    try:
        write(args, told, RELOAD)
    except UserError as error:
        if first:
            raise
        tell(f'{args.out} stays as it is: {error}')
        return
    if first:
        print(f'{args.out} is renewed when a log changes; Ctrl-C ends this', flush=True)


def state_of(logs):
    """Return what changes when a log is written, or another one appears."""
    from report import repetition

    state = []
    for path in repetition.logs_in(logs):
        try:
            found = os.stat(path)
        except OSError:
            continue  # it has just been removed
        state.append((path, found.st_mtime_ns, found.st_size))
    return state


def main():
    args = parse_args()
    if not args.out.endswith('.html'):
        raise UserError(f'--out {args.out}: the name ends in .html')
    told = set()
    if not args.watch:
        write(args, told)
        print(args.out)
        return
    number = watch(args, told)
    print(f'{args.out} is as the logs are now')
    if number != signal.SIGINT:
        raise SystemExit(128 + number)


if __name__ == '__main__':
    run_main(main)
