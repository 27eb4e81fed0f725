"""MXNet 1.9.1 on today's machines.

``from engine import mx`` gives MXNet in every other file. It is imported when something of it is
first used, so that a script can read its options, and answer ``--help``, before that.
"""

from engine.contexts import devices
from engine.cpu import cores, processor, set_threads, threads
from engine.loader import mx

__all__ = ['cores', 'devices', 'mx', 'processor', 'set_threads', 'threads']
