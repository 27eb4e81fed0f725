#!/usr/bin/env python
"""Train a whole grid of runs: the commands of a text file, several at a time.

python study/run_experiments.py experiments/fashion-mnist.txt --jobs 2 --nice 19
# Two runs at a time, on two GPUs each.
python study/run_experiments.py experiments/table4.txt --gpus 0,1 2,3

Finished runs are skipped and unfinished ones are resumed from their last checkpoint, so the same
command continues after an interruption. A run that fails does not stop the others; failures are
listed at the end.
"""

import argparse
import glob
import os
import signal
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT

from common import options
from report import repetition
from study import grid
from study.grid_jobs import Job, Timetable, cores_for
from system.errors import UserError
from system.progress import duration
from system.script import run_main

PAUSE = 0.5  # seconds between two checks of the jobs
PATIENCE = 60  # seconds that jobs have to stop before they are killed


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
        '--dry-run',
        action='store_true',
        help='only print what would run, and how long it would take at the speed of earlier runs',
    )
    options.add_folders(parser)
    return parser.parse_args()


def runs_in(log_dir):
    """Return the runs whose logs are in a folder; print a line for each log that cannot be read."""
    runs = []
    for path in sorted(glob.glob(os.path.join(log_dir, '*.jsonl'))):
        try:
            runs += repetition.read([path])
        except UserError as error:
            print(f'left out: {error}', file=sys.stderr)
    return runs


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


class Grid:
    """Runs the lines of a file until all are done or a signal asks the process to stop."""

    def __init__(self, lines, args):
        self.args, self.claims = args, grid.Claims(args.file)
        self.waiting, self.jobs, self.failures, self.done = list(lines), [], [], 0
        if args.gpus:
            self.slots = [('gpus', gpus) for gpus in args.gpus]
        else:
            self.slots = [('cores', cores) for cores in cores_for(args.jobs or 1)]
        self.total, self.stopped_by = len(lines), None

    def run(self):
        """Run all lines. A signal that stops the process ends it here, by ``SystemExit``."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._note)
        while (self.waiting or self.jobs) and self.stopped_by is None:
            while self.waiting and len(self.jobs) < len(self.slots):
                self._start(self.waiting.pop(0))
            time.sleep(PAUSE)
            self._collect()
        if self.stopped_by is not None:
            self._stop()

    def _note(self, signum, frame):
        self.stopped_by = signum

    def _start(self, line):
        """Start the run of a line, unless it is finished or another process runs it."""
        # The logs are read again for every line, because another process may have finished it.
        runs = runs_in(self.args.log_dir)
        if not self.claims.take(line):
            print(f'line {line.number}: another process runs it', flush=True)
            return
        state = grid.state_of(line, runs, self.args.checkpoint_dir)
        if state.finished:
            self.done += 1
            self.claims.release(line)
            print(f'line {line.number}: finished before, {state.finished}', flush=True)
            return
        taken = [job.slot for job in self.jobs]
        slot = next(slot for slot in self.slots if slot not in taken)
        self.jobs.append(Job(line, state, slot, self.args))
        how = f'resumes at epoch {state.epochs_done + 1}' if state.unfinished else 'begins'
        takes = Timetable(runs).seconds_left(line, state)
        about = f', about {duration(takes)}' if takes else ''
        print(f'line {line.number}: {how}{about}: {line.text}', flush=True)

    def _collect(self):
        """Report the jobs that have ended."""
        for job in [job for job in self.jobs if not job.running()]:
            self.jobs.remove(job)
            self.claims.release(job.line)
            self.done += 1
            if job.status:
                self.failures.append(job)
            outcome = (
                f'failed with status {job.status}, see {job.output}' if job.status else 'finished'
            )
            print(
                f'line {job.line.number}: {outcome}; {self.done} of {self.total} are done',
                flush=True,
            )
            self._print_time_left()

    def _print_time_left(self):
        runs = runs_in(self.args.log_dir)
        times, seconds = Timetable(runs), 0
        for line in [*self.waiting, *(job.line for job in self.jobs)]:
            seconds += (
                times.seconds_left(line, grid.state_of(line, runs, self.args.checkpoint_dir)) or 0
            )
        if seconds:
            print(
                f'about {duration(seconds / len(self.slots))} left for the lines whose '
                'speed is known',
                flush=True,
            )

    def _stop(self):
        """Stop all jobs and exit with the status of the signal."""
        for job in self.jobs:
            job.stop()
        end = time.time() + PATIENCE
        for job in self.jobs:
            job.wait(end - time.time())
        print(
            f'stopped by {signal.Signals(self.stopped_by).name}; the same command resumes the runs',
            file=sys.stderr,
        )
        raise SystemExit(128 + self.stopped_by)


def main():
    args = parse_args()
    folders = [
        word
        for key in options.FOLDERS
        for word in ('--' + key.replace('_', '-'), getattr(args, key))
    ]
    lines = grid.read(args.file, folders)
    if args.dry_run:
        print_plan(lines, args)
        return
    runner = Grid(lines, args)
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
