#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Train a whole grid of runs: the commands of a text file, several at a time.

python study/run_experiments.py experiments/fashion-mnist.txt --jobs 2 --nice 19
# Two runs at a time, on two GPUs each.
python study/run_experiments.py experiments/table4.txt --gpus 0,1 2,3
# Each line in a task of its own, on a cluster with SLURM.
python study/run_experiments.py experiments/table4.txt --gpus 0,1 --slurm | sbatch --time=1-0

Finished runs are skipped and unfinished ones are resumed from their last checkpoint, so the same
command continues after an interruption. A run that fails does not stop the others; failures are
listed at the end.
"""

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT

from common import options
from study import grid, slurm
from study.grid_jobs import Timetable
from study.grid_runner import Runner, runs_in
from system.progress import duration
from system.script import outlive_readers, run_main


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'file',
        metavar='FILE',
        help='text file with one training command a line; # begins a comment',
    )
    at_a_time = parser.add_mutually_exclusive_group()
    at_a_time.add_argument(
        '--jobs',
        type=options.number(int, 1),
        metavar='N',
        help='number of runs at a time, each on processor cores of its own (default: 1)',
    )
    at_a_time.add_argument(
        '--gpus',
        nargs='+',
        type=options.gpu_list,
        metavar='LIST',
        help='one run at a time on each of these lists of GPUs, such as 0,1 2,3',
    )
    parser.add_argument(
        '--nice',
        type=options.number(int, 0, 19),
        default=0,
        metavar='N',
        help='niceness of the runs; 19 is the lowest priority (default: %(default)s)',
    )
    parser.add_argument(
        '--line',
        type=options.number(int, 1),
        metavar='N',
        help='run only line N of the file, as the tasks of --slurm do',
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        '--dry-run',
        action='store_true',
        help='only print what would run, and how long it would take at the speed of earlier runs',
    )
    instead.add_argument(
        '--slurm',
        action='store_true',
        help='only print a script for sbatch, which runs each line as a task of a job array',
    )
    options.add_folders(parser)
    return parser.parse_args()


def print_plan(lines, args):
    """Print the state of every line and how long the unfinished ones take."""
    runs = runs_in(args.log_dir)
    times, left, unknown = Timetable(runs), 0, 0
    for line in lines:
        state = grid.state_of(line, runs, args.checkpoint_dir)
        seconds = times.seconds_left(line, state)
        left, unknown = left + (seconds or 0), unknown + (seconds is None)
        takes = 'time unknown' if seconds is None else duration(seconds)
        print(f'line {line.number:3}  {grid.describe(state, takes):45}  {line.text}')
    jobs = len(args.gpus) if args.gpus else args.jobs or 1
    print(
        f'in all {duration(left / jobs)} with {jobs} at a time'
        + (f', without {unknown} runs whose time is unknown' if unknown else '')
    )


def main():
    args = parse_args()
    folders = [
        word
        for key in options.FOLDERS
        for word in ('--' + key.replace('_', '-'), getattr(args, key))
    ]
    lines = grid.read(args.file, folders)
    if args.line:
        lines = [grid.with_number(lines, args.line, args.file)]
    if args.dry_run:
        print_plan(lines, args)
        return
    if args.slurm:
        script = slurm.script(args, lines)
        # Without this folder SLURM could not write what a task prints, and would end it.
        os.makedirs(slurm.output_folder(args), exist_ok=True)
        print(script)
        return
    outlive_readers()
    runner = Runner(lines, args)
    runner.run()
    for job in runner.failures:
        print(
            f'line {job.line.number} failed: {job.line.text}\n    {job.last_line()}',
            file=sys.stderr,
        )
    if runner.failures:
        raise SystemExit(1)


if __name__ == '__main__':
    run_main(main)
