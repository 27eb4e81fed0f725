"""The processes of a grid of runs, and how long they take."""

import os
import signal
import statistics
import subprocess
import sys

from common.options import FOLDERS
from system.errors import UserError
from system.processes import die_with_parent

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What the speed of a run depends on.
SPEED = ('network', 'depth', 'dataset', 'widen', 'image_size', 'dtype', 'batch_size')


def cores_for(jobs):
    """Return that many disjoint lists of this process's cores, of about the same length.

    Raises
    ------
    UserError
        There are fewer cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    if jobs > len(cores):
        raise UserError(f'--jobs {jobs}: there are {len(cores)} cores; take at most as many jobs')
    return [cores[place::jobs] for place in range(jobs)]


class Job:
    """One training process, on cores or GPUs that no other job of the grid has."""

    def __init__(self, line, state, place, args):
        self.line, self.place = line, place
        folder = os.path.join(args.log_dir, 'output')
        os.makedirs(folder, exist_ok=True)
        name = os.path.splitext(os.path.basename(args.file))[0]
        self.output = os.path.join(folder, f'{name}-line{line.number}.txt')
        script, *own = line.words
        command = [
            sys.executable,
            os.path.join(ROOT, script),
            *(['--resume', state.unfinished] if state.unfinished else own),
        ]
        for key in FOLDERS:
            command += ['--' + key.replace('_', '-'), getattr(args, key)]
        kind, what = place
        command += (
            ['--gpus', ','.join(map(str, what))]
            if kind == 'gpus'
            else ['--cpus', '1', '--threads', str(len(what))]
        )

        def before():
            die_with_parent()
            os.setpgrp()  # Ctrl-C reaches the grid alone, which then stops its jobs in good order
            os.nice(args.nice)
            if kind == 'cores':
                os.sched_setaffinity(0, what)

        with open(self.output, 'ab') as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=before,
            )

    def running(self):
        return self.process.poll() is None

    @property
    def status(self):
        return self.process.returncode

    def stop(self):
        """Ask the run to stop after its batch; its checkpoint is that of the epoch before."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds):
        try:
            self.process.wait(max(0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self):
        """Return the last line that the run printed."""
        with open(self.output, encoding='utf-8', errors='replace') as file:
            lines = [line.strip() for line in file if line.strip()]
        return lines[-1] if lines else 'it said nothing'


class Timetable:
    """How long runs take, by the median epoch of earlier runs of the same network and data."""

    def __init__(self, runs):
        self.epochs = {}
        for run in runs:
            key = tuple(run.setting.get(name) for name in SPEED)
            self.epochs.setdefault(key, []).extend(
                record['seconds'] for record in run.records if 'seconds' in record
            )

    def seconds_left(self, line, state):
        """Return how long a line still takes, or None where no run like it tells."""
        if state.finished:
            return 0
        known = self.epochs.get(tuple(line.setting.get(name) for name in SPEED))
        return (
            statistics.median(known) * (line.options['epochs'] - state.epochs_done)
            if known
            else None
        )
