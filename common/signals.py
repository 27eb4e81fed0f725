"""SIGINT and SIGTERM as a wish to stop after the current batch."""
import signal


class Stopped(Exception):
    """The user asked the run to stop; ``number`` is the signal's."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stop:
    """Notes the first SIGINT or SIGTERM; a second one ends the process at once, as if unhandled.

    An exception raised inside a handler could fall into one of MXNet's callbacks, which would swallow it
    and leave half an update. ``check`` raises it where nothing is half done.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self):
        self.number = None
        self.before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def _note(self, number, frame):
        self.number = number
        for each in self.SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def check(self):
        """Raise ``Stopped`` if a signal has come."""
        if self.number is not None:
            raise Stopped(self.number)

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)
