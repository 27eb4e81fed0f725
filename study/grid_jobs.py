"""The training processes of a grid of runs, and how long runs take."""

import os
import signal
import statistics
import subprocess
import sys

from common.options import FOLDERS
from system.errors import UserError
from system.processes import die_with_parent, lower_priority

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The parts of a setting that the speed of a run depends on.
SPEED_KEYS = ('network', 'depth', 'dataset', 'widen', 'image_size', 'dtype', 'batch_size')


def cores_for(jobs):
    """Return disjoint lists of this process's cores, one for each job and of similar length.

    Raises
    ------
    UserError
        There are fewer cores than jobs.
    """
    cores = sorted(os.sched_getaffinity(0))
    if jobs > len(cores):
        raise UserError(f'--jobs {jobs}: there are {len(cores)} cores; take at most as many jobs')
    return [cores[first::jobs] for first in range(jobs)]


class Job:
    """A training process.

    Parameters
    ----------
    line : grid.Line
    state : grid.State
    slot : tuple
        ('cores', list) or ('gpus', list): the cores or GPUs that the job alone uses. Or
        ('threads', range): as many threads, on whichever cores are free.
    args : argparse.Namespace
        The options of run_experiments.py.
    """

    def __init__(self, line, state, slot, args):
        self.line, self.state, self.slot = line, state, slot
        folder = os.path.join(args.log_dir, 'output')
        os.makedirs(folder, exist_ok=True)
        name = os.path.splitext(os.path.basename(args.file))[0]
        self.output = os.path.join(folder, f'{name}-line{line.number}.txt')
        script, *own = line.words
        command = [
            sys.executable,
            os.path.join(ROOT, script),
            *own,
            *(['--resume', state.unfinished] if state.unfinished else []),
        ]
        for key in FOLDERS:
            command += ['--' + key.replace('_', '-'), getattr(args, key)]
        kind, numbers = slot
        if kind == 'gpus':
            command += ['--gpus', ','.join(map(str, numbers))]
        else:
            command += ['--cpus', '1', '--threads', str(len(numbers))]

        def in_child():
            die_with_parent()
            os.setsid()  # Ctrl-C reaches run_experiments.py alone, which then stops its jobs
            lower_priority(args.nice)
            if kind == 'cores':
                os.sched_setaffinity(0, numbers)

        with open(self.output, 'ab') as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=in_child,
            )

    def running(self):
        """Return whether the process is still running."""
        return self.process.poll() is None

    @property
    def status(self):
        """The exit status, None while the process is running."""
        return self.process.returncode

    def stop(self):
        """Ask the run to stop after its batch. It can be resumed after its last whole epoch."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds):
        """Wait for the process to end, and kill it when the time is over."""
        try:
            self.process.wait(max(0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_line(self):
        """Return the last line that the run printed."""
        with open(self.output, encoding='utf-8', errors='replace') as file:
            lines = [line.strip() for line in file if line.strip()]
        return lines[-1] if lines else 'it printed nothing'


class Timetable:
    """Estimates how long runs take from the median epoch of earlier runs like them."""

    def __init__(self, runs):
        self.epochs = {}
        for run in runs:
            self.epochs.setdefault(self._key(run.setting), []).extend(
                record['seconds'] for record in run.records if 'seconds' in record
            )

    def seconds_left(self, line, state):
        """Return how many seconds a line still takes, or None if no run like it is known."""
        if state.finished:
            return 0
        known = self.epochs.get(self._key(line.setting))
        if not known:
            return None
        return statistics.median(known) * (line.options['epochs'] - state.epochs_done)

    @staticmethod
    def _key(setting):
        return tuple(setting.get(name) for name in SPEED_KEYS)
