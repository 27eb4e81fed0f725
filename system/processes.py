"""Child processes that end with their parent, and signals while a child is started."""

import contextlib
import ctypes
import signal
import sys

from system.script import ENDING

PR_SET_PDEATHSIG = 1  # option of Linux's prctl
BLOCKED = (signal.SIGINT, *ENDING)


def die_with_parent():
    """On Linux, have the kernel kill this process when its parent ends; called in the child."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def signals_blocked():
    """Block the signals that end a process, while a child process is started.

    Python runs functions of its own around a fork and ignores exceptions raised in them, so the
    exception of a signal handler would be lost there. The child inherits the blocked signals and
    calls ``unblock_signals``.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals():
    """Unblock the signals; to be called in a child that was started under ``signals_blocked``."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
