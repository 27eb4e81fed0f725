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

from common.errors import UserError

# role: scheduler, server or worker; number: among its like; host: None is this machine; command, environment: of its process.
Part = namedtuple('Part', 'role number host command environment')
Part.name = property(lambda self: self.role if self.role == 'scheduler' else '%s %d' % (self.role, self.number))

GRACE = 15  # seconds for an end in good order: of the first worker after a signal, of servers after the last worker
SETTLE = 1  # second in which others may fail of the same cause, and say so


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
        self.parts, self.directory, self.root, self.python, self.ssh = parts, directory, root, python, ssh
        self.processes, self.signal, self.run_name, self.threads = {}, None, None, []

    def run(self):
        """Return 0, or 128 and the number of the signal that ended the job. Raises ``UserError`` where a part fails."""
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
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
        command = [self.python, os.path.join(self.root, 'common', 'part.py')]
        if part.host:
            command = self.ssh + [part.host, ' '.join(map(shlex.quote, command))]
        try:
            # A session of its own: Ctrl-C is for this process, which passes it on.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            raise UserError('%s cannot be started (%s)' % (command[0], error.strerror))
        self.processes[part.name] = process
        self._tell(part, json.dumps({'command': part.command, 'directory': self.directory, 'environment': part.environment}))
        for stream, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            thread = threading.Thread(target=self._pass_on, args=(part, stream, target), daemon=True)
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
            target.write(line if first else '%s: %s' % (part.name, line))
            target.flush()

    def _wait(self):
        workers, told, last = [part for part in self.parts if part.role == 'worker'], None, time.time()
        while any(self.processes[part.name].poll() is None for part in workers):
            ended = [part for part in self.parts if self.processes[part.name].poll() is not None]
            # Servers end with the last worker, and not before it.
            last = last if any(part.role != 'worker' for part in ended) else time.time()
            failed = [part for part in ended if self.processes[part.name].returncode or time.time() > last + GRACE]
            if self.signal and not told:
                told = time.time()
                self._tell(workers[0], str(int(self.signal)))
            if told and (failed or time.time() > told + GRACE):
                return
            if failed:
                self._fail(failed)
            time.sleep(0.05)
        failed = [part for part in workers if self.processes[part.name].returncode]
        if failed and not self.signal:
            self._fail(failed)
        end = time.time() + GRACE
        while time.time() < end and any(process.poll() is None for process in self.processes.values()):
            time.sleep(0.05)

    def _fail(self, failed):
        time.sleep(SETTLE)
        # A worker that finds another gone fails too; the cause is the one that was killed, or came first.
        part = max(failed, key=lambda each: (self.processes[each.name].returncode > 128, each.role == 'worker'))
        status = self.processes[part.name].returncode
        how = 'was killed by %s' % signal.Signals(status - 128).name if 128 < status < 160 else 'ended with status %d' % status
        raise UserError('%s%s %s, and the other parts were stopped: see what it said; %s' % (
            part.name, ' on ' + part.host if part.host else '', how,
            'go on with --resume %s, if an epoch was finished' % self.run_name if self.run_name else 'then start again'))

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
