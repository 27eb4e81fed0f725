"""Child processes that end with their parent, and signals while a child is started."""

import contextlib
import ctypes
import os
import signal
import sys
import time

from system.script import ENDING

AUTOGROUP = '/proc/self/autogroup'
PR_SET_PDEATHSIG = 1  # option of Linux's prctl
BLOCKED = (signal.SIGINT, *ENDING)


def die_with_parent():
    """On Linux, have the kernel kill this process when its parent ends; called in the child."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def lower_priority(nice):
    """Lower the priority of this process, which leads a session of its own.

    Linux may share the processor out among sessions first ("autogroup"). Then the nice value of a
    process only counts against others of its session, and the session needs one too.
    """
    os.nice(nice)
    # A user who is not root may write this ten times a second, all processes of the machine
    # together, and otherwise gets EAGAIN. It is not worth more than two seconds.
    for _ in range(20 if nice else 0):
        try:
            with open(AUTOGROUP, 'wb', buffering=0) as file:
                if file.write(str(nice).encode()):  # None instead of EAGAIN
                    break
        except OSError:  # a kernel without it, or a container that may not
            break
        time.sleep(0.1)


@contextlib.contextmanager
def signals_blocked():
    """Make signals wait while a process is started.

    Python runs functions of its own around a fork and ignores exceptions raised in them, so the
    exception of a signal handler would be lost there. The child inherits the blocked signals and
    calls ``unblock_signals``. The mask is this thread's: a signal that another thread receives is
    noted by a handler, and raised again at the end.
    """
    noted = []
    caught = [number for number in BLOCKED if callable(signal.getsignal(number))]
    handlers = {
        number: signal.signal(number, lambda number, frame: noted.append(number))
        for number in caught
    }
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in noted:
            signal.raise_signal(number)


def unblock_signals():
    """Unblock the signals; to be called in a child that was started under ``signals_blocked``."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
