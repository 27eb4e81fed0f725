"""Processes that end when the one that started them does."""
import ctypes
import signal

PR_SET_PDEATHSIG = 1  # of Linux's prctl


def die_with_parent():
    """Have the kernel kill this process when its parent ends, however it ends; called in the child."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
