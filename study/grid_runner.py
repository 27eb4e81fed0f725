"""Runs the lines of a grid's file, several at a time, until all are done or a signal comes."""

import glob
import os
import signal
import sys
import time

from report import repetition
from study import grid, slurm
from study.grid_jobs import Job, Timetable, cores_for
from system.errors import UserError
from system.progress import duration
from system.signals import Stop

PAUSE = 0.5  # seconds between two checks of the jobs
PATIENCE = 60  # seconds that jobs have to stop before they are killed
# Seconds that a task of SLURM waits for another process with its line: the task of a job that was
# just cancelled may still be stopping.
WAIT_FOR_LINE = 60


def runs_in(log_dir):
    """Return the runs whose logs are in a folder; print a line for each log that cannot be read."""
    runs = []
    for path in sorted(glob.glob(os.path.join(log_dir, '*.jsonl'))):
        try:
            runs += repetition.read([path])
        except UserError as error:
            print(f'left out: {error}', file=sys.stderr)
    return runs


def slots_of(args):
    """Return what each of the runs at a time computes on, see ``Job``."""
    if args.gpus:
        return [('gpus', gpus) for gpus in args.gpus]
    allotted = slurm.cores() if args.line else None
    if allotted and allotted < len(os.sched_getaffinity(0)):
        # This SLURM does not bind its tasks to cores, so nobody knows which ones are free.
        return [('threads', range(allotted))]
    return [('cores', cores) for cores in cores_for(args.jobs or 1)]


class Runner:
    """Runs the lines of a file until all are done or a signal asks the process to stop."""

    def __init__(self, lines, args):
        self.args, self.locks = args, grid.LineLocks(args.file)
        self.waiting, self.jobs, self.failures, self.done = list(lines), [], [], 0
        self.slots, self.total, self.stopped_by = slots_of(args), len(lines), None
        self.free = list(self.slots)
        self.end_of_wait = time.time() + (WAIT_FOR_LINE if args.line else 0)

    def run(self):
        """Run all lines. A signal that stops the process ends it here, by ``SystemExit``."""
        for signum in Stop.SIGNALS:
            # nohup ignores SIGHUP, which stays so.
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._note)
        try:
            while (self.waiting or self.jobs) and self.stopped_by is None:
                while self.waiting and self.free:
                    self._start(self.waiting.pop(0))
                time.sleep(PAUSE)
                self._collect()
        except BaseException:
            self._stop_jobs()  # the kernel would kill them at the end of this process
            raise
        if self.stopped_by is not None:
            self._stop()

    def _note(self, signum, frame):
        self.stopped_by = signum

    def _start(self, line):
        """Start the run of a line, unless it is finished or another process runs it."""
        if not self._claim(line):
            print(f'line {line.number}: another process runs it', flush=True)
            return
        # The logs are read again for every line, because another process may have finished it.
        runs = runs_in(self.args.log_dir)
        state = grid.state_of(line, runs, self.args.checkpoint_dir)
        if state.finished:
            self.done += 1
            self.locks.release(line)
            print(f'line {line.number}: finished before, {state.finished}', flush=True)
            return
        self.jobs.append(Job(line, state, self.free[0], self.args))
        del self.free[0]
        how = f'resumes at epoch {state.epochs_done + 1}' if state.unfinished else 'begins'
        takes = Timetable(runs).seconds_left(line, state)
        about = f', about {duration(takes)}' if takes else ''
        print(f'line {line.number}: {how}{about}: {line.text}', flush=True)

    def _claim(self, line):
        """Return whether the line is this process's now; a task of SLURM waits for it a while."""
        while not self.locks.take(line):
            if time.time() >= self.end_of_wait or self.stopped_by is not None:
                return False
            time.sleep(PAUSE)
        return True

    def _collect(self):
        """Report the jobs that have ended."""
        for job in [job for job in self.jobs if not job.running()]:
            self.jobs.remove(job)
            self.free.append(job.slot)
            self.locks.release(job.line)
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
        self._stop_jobs()
        print(
            f'stopped by {signal.Signals(self.stopped_by).name}; {self._how_to_go_on()}',
            file=sys.stderr,
        )
        raise SystemExit(128 + self.stopped_by)

    def _stop_jobs(self):
        for job in self.jobs:
            job.stop()
        end = time.time() + PATIENCE
        for job in self.jobs:
            job.wait(end - time.time())

    def _how_to_go_on(self):
        """Return how the stopped runs go on; a task of SLURM is queued again at its time limit."""
        if not (self.args.line and self.stopped_by == slurm.WARNING and slurm.in_a_task()):
            return 'the same command resumes the runs'
        runs = runs_in(self.args.log_dir)
        for job in self.jobs:
            state = grid.state_of(job.line, runs, self.args.checkpoint_dir)
            if not state.finished and state.epochs_done == job.state.epochs_done:
                return 'the time limit is too short for one epoch: submit it with a longer --time'
        return slurm.requeue()
