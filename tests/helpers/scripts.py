"""Running a script of the repository as a user does."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run_script(*arguments, status=0, stderr=False, cwd=ROOT, timeout=300, **variables):
    """Run a script of the repository; return its stdout, or its stderr where ``status`` is not 0 or
    ``stderr`` is asked for.
    """
    command = [sys.executable] + [str(argument) for argument in arguments]
    environment = dict(os.environ, PYTHONPATH=ROOT, **variables)
    done = subprocess.run(
        command, cwd=str(cwd), env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status or stderr else done.stdout


def user_error(*arguments, **options):
    """Run a script that must fail; return its one sentence."""
    said = run_script(*arguments, status=2, **options)
    lines = [line for line in said.splitlines() if ': error: ' in line]
    assert 'Traceback' not in said and len(lines) == 1 and said.rstrip().endswith(lines[0]), said
    return lines[0]


def open_terminal(rows=24, columns=80):
    """Return the two ends of a terminal of that size; on one without a size tqdm shows no bar."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
    return ours, theirs
