"""A job of several processes, on one machine or on several, that start and end together.

The members of a job are the scheduler and the servers of MXNet's parameter server, and the workers.
Each is started and ended by distributed/start_process.py on its host.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from system.errors import UserError, WorkerLost
from system.script import ENDING, outlive_readers

# Seconds that worker 0 has to end by itself after a signal, and that the servers have to end after
# the last worker.
GRACE = 15
SETTLE = 1  # seconds to wait after a failure is noticed: its cause may be noticed only then
POLL = 0.05  # seconds between two checks of which processes have ended


class Member(NamedTuple):
    """One process of a job."""

    role: str  # scheduler, server or worker
    number: int  # among the members of its role, from 0
    host: str | None  # None: this machine
    command: list  # of str
    environment: dict  # variables, added to those of the host

    @property
    def name(self):
        """What messages call it, such as "worker 1"."""
        return self.role if self.role == 'scheduler' else f'{self.role} {self.number}'


def _is_signal(status):
    """Return whether an exit status is 128 + the number of a signal, as in a shell."""
    return 128 < status < 160


class Job:
    """Runs its members until every worker has finished or one member fails.

    Parameters
    ----------
    members : list of Member
    directory : str
        Working directory of the members.
    root : str
        Directory of this repository on the hosts.
    python : str
        The interpreter on the hosts.
    ssh : list of str
        The command that reaches a host.
    """

    def __init__(self, members, directory, root, python, ssh):
        self.members, self.directory = members, directory
        self.root, self.python, self.ssh = root, python, ssh
        self.processes = {}  # {name of a member: its process, or the ssh that leads to it}
        self.threads = []  # they copy the output of the members
        self.ended = []  # members in the order in which they ended
        self.signal = None  # the signal that asks the job to end
        self.run_name = None  # of the training run, as worker 0 prints it

    def run(self):
        """Run the job; return 0, or 128 + the number of the signal that ended it.

        Raises
        ------
        UserError
            A member failed, or cannot be started.
        """
        outlive_readers()  # else members would block when nobody reads their output
        before = {
            number: signal.signal(number, self._note_signal)
            for number in (signal.SIGINT, *ENDING)
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        }
        try:
            for member in self.members:
                self._start(member)
            self._wait()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 128 + self.signal if self.signal else 0

    def _note_signal(self, number, frame):
        self.signal = number

    def _start(self, member):
        """Start a member on its host, through start_process.py, and threads for its output."""
        command = [self.python, os.path.join(self.root, 'distributed', 'start_process.py')]
        if member.host:
            command = self.ssh + [member.host, ' '.join(map(shlex.quote, command))]
        try:
            # In a session of its own, so that Ctrl-C reaches only this process, which passes it on.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f'{command[0]} cannot be started ({error.strerror})')
        self.processes[member.name] = process
        start = dict(
            command=member.command, directory=self.directory, environment=member.environment
        )
        self._send_line(member, json.dumps(start))
        for stream, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            thread = threading.Thread(
                target=self._copy_output, args=(member, stream, target), daemon=True
            )
            thread.start()
            self.threads.append(thread)

    def _send_line(self, member, line):
        """Write a line to the start_process.py of a member."""
        try:
            self.processes[member.name].stdin.write(line.encode() + b'\n')
            self.processes[member.name].stdin.flush()
        except OSError:
            pass  # it has ended, which ``_wait`` notices

    def _copy_output(self, member, stream, target):
        """Copy the output of a member; each line but those of worker 0 gets the member's name."""
        first = member.name == 'worker 0'
        for line in stream:
            line = line.decode('utf-8', 'replace')
            if first and self.run_name is None:
                found = re.match(r'run (\S+), log ', line)
                self.run_name = found and found.group(1)
            target.write(line if first else f'{member.name}: {line}')
            target.flush()

    def _poll(self):
        """Note which members have ended since the last call."""
        self.ended += [
            member
            for member in self.members
            if member not in self.ended and self._status(member) is not None
        ]

    def _status(self, member):
        """Return the exit status of a member, None while it runs."""
        return self.processes[member.name].poll()

    def _wait(self):
        """Wait for the workers to end, and then ``GRACE`` seconds at most for the other members.

        A signal is passed on to worker 0, which says how to go on.

        Raises
        ------
        UserError
            A member failed.
        """
        workers = [member for member in self.members if member.role == 'worker']
        signalled = None  # when the signal was passed on
        complete = time.time()  # when the scheduler and all servers were last seen running
        while any(self._status(member) is None for member in workers):
            self._poll()
            if all(member.role == 'worker' for member in self.ended):
                complete = time.time()
            # Servers end after the last worker. One that ends before it has failed, whatever its
            # status; but workers may need a moment to end too.
            failed = any(map(self._status, self.ended)) or time.time() > complete + GRACE
            if self.signal and not signalled:
                signalled = time.time()
                self._send_line(workers[0], str(int(self.signal)))
            if signalled and (failed or time.time() > signalled + GRACE):
                return
            if failed:
                self._fail()
            time.sleep(POLL)
        self._poll()
        if any(self._status(member) for member in workers) and not self.signal:
            self._fail()
        end = time.time() + GRACE
        while time.time() < end and any(
            process.poll() is None for process in self.processes.values()
        ):
            time.sleep(POLL)

    def _fail(self):
        """Raise a ``UserError`` that names the member that failed first."""
        end = time.time() + SETTLE
        while time.time() < end:
            self._poll()
            time.sleep(POLL)
        member = self._cause()
        status = self._status(member)
        how = (
            f'was killed by {signal.Signals(status - 128).name}'
            if _is_signal(status)
            else f'ended with status {status}'
        )
        host = f' on {member.host}' if member.host else ''
        then = (
            f'go on with --resume {self.run_name}, if an epoch was finished'
            if self.run_name
            else 'then start again'
        )
        raise UserError(
            f'{member.name}{host} {how}, and the other processes of the job were stopped: read its '
            f'last message above; {then}'
        )

    def _cause(self):
        """Return the member whose failure made the others fail.

        That is a member that was killed by a signal. Without one it is a member that failed for
        another reason than a lost connection to a worker, and workers are named before the
        scheduler and the servers, which fail when a worker does.
        """

        def unlikelihood(member):
            status = self._status(member)
            return not _is_signal(status), status in (0, WorkerLost.status), member.role != 'worker'

        return min(self.ended, key=unlikelihood)  # of several the one that ended first

    def _end(self):
        """Kill the members that are left, by closing their standard input, and wait for them."""
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
