"""One side of a comparison as benchmark.py sees it: a process that runs steps of a task."""

import json
import os
import shutil
import subprocess
import sys

from system.errors import UserError
from system.processes import die_with_parent

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Side:
    """One side of the comparison: a process that runs steps of a task when asked to.

    Parameters
    ----------
    spec : dict
        ``module`` is started and runs the class ``side``; ``name`` is printed. See benchmark.py.
    """

    def __init__(self, spec):
        self.name = spec['name']
        self.batch, self.peak, self.steps, self.rates, self.limits = spec['batch'], 0, {}, {}, []
        python = spec.get('python') or sys.executable
        if not shutil.which(python):
            raise UserError(f'--python {python} is no interpreter: give the path of one')
        # In a session of its own, so that Ctrl-C reaches only this process, with which it ends.
        self.process = subprocess.Popen(
            [python, '-m', spec['module'], json.dumps(spec)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            env=dict(os.environ, **spec.get('environment', {})),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self.startup = self._read_answer()['startup']

    def _read_answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise UserError(f'{self.name} did not start or has ended: see its message above')
        answer = json.loads(line)
        self.peak = answer['peak'] / 1024
        return answer

    def ask(self, task, steps):
        """Run some steps of a task; return the answer as a dict."""
        self.process.stdin.write(f'{task} {steps}\n')
        self.process.stdin.flush()
        return self._read_answer()

    def _time(self, task, steps):
        return self.ask(task, steps)['seconds']

    def warm_up(self, task, seconds):
        """Fill caches and start threads, and find how many steps a turn of ``seconds`` has."""
        self._time(task, 2)
        self.steps[task] = max(2, round(seconds / (self._time(task, 3) / 3)))
        self.rates[task] = []

    def turn(self, task):
        """Run a turn and note its images/s."""
        steps = self.steps[task]
        self.rates[task].append(steps * self.batch / self._time(task, steps))

    def limit(self):
        """Measure the machine's peak speed, in floating-point operations a second."""
        for steps in (10, 50):  # the first ones warm up
            answer = self.ask('limit', steps)
        if answer['result']:
            self.limits.append(answer['result'] / answer['seconds'])

    def close(self):
        """End the process, even in the middle of a turn."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
