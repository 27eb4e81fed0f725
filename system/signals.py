"""Signals that stop a run after the current batch."""

import signal

from system.script import ENDING


class Stopped(Exception):
    """A signal asks the run to stop; ``number`` is the number of the signal."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stop:
    """Notes the first of ``SIGNALS`` that comes; a second one ends the process at once.

    A handler that raised an exception could interrupt one of MXNet's callbacks, which would ignore
    the exception and leave an update half done. So ``check`` raises it, between two batches.
    """

    SIGNALS = (signal.SIGINT, *ENDING)

    def __enter__(self):
        self.number = None
        # nohup ignores SIGHUP, which stays so.
        caught = [
            number
            for number in self.SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        self.before = {number: signal.signal(number, self._note) for number in caught}
        return self

    def _note(self, number, frame):
        self.number = number
        for each in self.before:
            signal.signal(each, signal.SIG_DFL)

    def check(self):
        """Raise ``Stopped`` if a signal has come."""
        if self.number is not None:
            raise Stopped(self.number)

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)
