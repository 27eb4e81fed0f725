"""A job of several processes, on one machine or on several: started together, and ended together."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple

from system.errors import Lost, UserError
from system.script import ENDING, outlive_readers

# role: scheduler, server or worker; number: among its like; host: None is this machine; command,
# environment: of its process.
Part = namedtuple('Part', 'role number host command environment')
Part.name = property(
    lambda self: self.role if self.role == 'scheduler' else f'{self.role} {self.number}'
)

# Seconds for an end in good order: of the first worker after a signal, of servers after the last
# worker.
GRACE = 15
SETTLE = (
    1  # second after the first failure in which others may fail of the same cause, or be the cause
)
POLL = 0.05  # seconds between two looks at the processes


def _by_signal(status):
    """Return whether an exit status is 128 and the number of a signal, as a shell has it."""
    return 128 < status < 160


class Job:
    """Runs the parts until every worker has finished or one part fails.

    Parameters
    ----------
    parts : list of Part
    directory : str
        Where the parts run.
    root : str
        Of this repository on the hosts.
    python : str
        The interpreter there.
    ssh : list of str
        The command that reaches a host.
    """

    def __init__(self, parts, directory, root, python, ssh):
        self.parts, self.directory, self.root, self.python, self.ssh = (
            parts,
            directory,
            root,
            python,
            ssh,
        )
        self.processes, self.signal, self.run_name, self.threads = {}, None, None, []
        self.ended = []  # parts in the order of their ends

    def run(self):
        """Return 0, or 128 and the number of the signal that ended the job. Raises ``UserError`` where a part fails."""
        outlive_readers()  # else the parts would wait for ever to be read
        before = {
            number: signal.signal(number, self._note)
            for number in (signal.SIGINT, *ENDING)
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        }
        try:
            for part in self.parts:
                self._start(part)
            self._wait()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 128 + self.signal if self.signal else 0

    def _note(self, number, frame):
        self.signal = number

    def _start(self, part):
        command = [self.python, os.path.join(self.root, 'distributed', 'start_process.py')]
        if part.host:
            command = self.ssh + [part.host, ' '.join(map(shlex.quote, command))]
        try:
            # A session of its own: Ctrl-C is for this process, which passes it on.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f'{command[0]} cannot be started ({error.strerror})')
        self.processes[part.name] = process
        self._tell(
            part,
            json.dumps(
                {
                    'command': part.command,
                    'directory': self.directory,
                    'environment': part.environment,
                }
            ),
        )
        for stream, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            thread = threading.Thread(
                target=self._pass_on, args=(part, stream, target), daemon=True
            )
            thread.start()
            self.threads.append(thread)

    def _tell(self, part, line):
        try:
            self.processes[part.name].stdin.write(line.encode() + b'\n')
            self.processes[part.name].stdin.flush()
        except OSError:
            pass  # it has ended, which ``_wait`` sees

    def _pass_on(self, part, stream, target):
        """Copy the output of a part, with its name in front where it is not the first worker."""
        first = part.name == 'worker 0'
        for line in stream:
            line = line.decode('utf-8', 'replace')
            if first and self.run_name is None:
                found = re.match(r'run (\S+), log ', line)
                self.run_name = found and found.group(1)
            target.write(line if first else f'{part.name}: {line}')
            target.flush()

    def _look(self):
        """Note which parts have ended since the last look."""
        self.ended += [
            part for part in self.parts if part not in self.ended and self._status(part) is not None
        ]

    def _status(self, part):
        return self.processes[part.name].poll()

    def _wait(self):
        workers, told, last = (
            [part for part in self.parts if part.role == 'worker'],
            None,
            time.time(),
        )
        while any(self._status(part) is None for part in workers):
            self._look()
            # Servers end with the last worker, and not before it.
            last = last if any(part.role != 'worker' for part in self.ended) else time.time()
            failed = any(self._status(part) for part in self.ended) or time.time() > last + GRACE
            if self.signal and not told:
                told = time.time()
                self._tell(workers[0], str(int(self.signal)))
            if told and (failed or time.time() > told + GRACE):
                return
            if failed:
                self._fail()
            time.sleep(POLL)
        self._look()
        if any(self._status(part) for part in workers) and not self.signal:
            self._fail()
        end = time.time() + GRACE
        while time.time() < end and any(
            process.poll() is None for process in self.processes.values()
        ):
            time.sleep(POLL)

    def _fail(self):
        """Raise ``UserError``, which names the part that is to blame."""
        end = time.time() + SETTLE
        while time.time() < end:
            self._look()
            time.sleep(POLL)
        part = self._cause()
        status = self._status(part)
        how = (
            f'was killed by {signal.Signals(status - 128).name}'
            if _by_signal(status)
            else f'ended with status {status}'
        )
        where = f' on {part.host}' if part.host else ''
        then = (
            f'go on with --resume {self.run_name}, if an epoch was finished'
            if self.run_name
            else 'then start again'
        )
        raise UserError(
            f'{part.name}{where} {how}, and the other parts were stopped: see what it said; {then}'
        )

    def _cause(self):
        """Return the part whose failure made the others fail.

        One that was killed, or else the first that did not just miss another (``Lost``); servers
        and the scheduler fail where a worker does.
        """

        def innocence(part):
            status = self._status(part)
            return not _by_signal(status), status in (0, Lost.status), part.role != 'worker'

        return min(self.ended, key=innocence)  # of equals the first

    def _end(self):
        """Kill what is left, by closing its input, and wait for it."""
        for process in self.processes.values():
            try:
                process.stdin.close()
            except OSError:
                pass
        for process in self.processes.values():
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
        for thread in self.threads:
            thread.join(1)
