"""Signals as a wish to stop after the current batch."""

import signal

from system.script import ENDING


class Stopped(Exception):
    """The user asked the run to stop; ``number`` is the signal's."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stop:
    """Notes the first signal of ``SIGNALS``; a second one ends the process at once, as if unhandled.

    An exception raised inside a handler could fall into one of MXNet's callbacks, which would
    swallow it and leave half an update. ``check`` raises it where nothing is half done.
    """

    SIGNALS = (signal.SIGINT, *ENDING)

    def __enter__(self):
        self.number = None
        # nohup has SIGHUP ignored.
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
