"""Processes that end when the one that started them does."""

import contextlib
import ctypes
import signal
import sys

from system.script import ENDING

PR_SET_PDEATHSIG = 1  # of Linux's prctl
WAITING = (signal.SIGINT, *ENDING)


def die_with_parent():
    """Have the kernel kill this process when its parent ends, however it ends; called in the child."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def signals_wait():
    """Have signals wait while a process is started.

    Python runs functions of its own around a fork and drops what is raised in them, so a signal
    that should end this process would be lost there. The child begins with signals waiting too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def signals_come():
    """Have signals wait no longer; called in a child that was started while they did."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WAITING)
