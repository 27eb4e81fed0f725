"""Progress within an epoch and the time left: a bar on a terminal, else a line every minute."""

import sys
import time

from tqdm import tqdm

from system.errors import discard

EVERY = 60  # seconds between plain lines, and before the first estimate


class Pace:
    """The speed of a run, from which the time that is left is estimated.

    Parameters
    ----------
    epochs : int
        Number of epochs of the whole run.
    """

    def __init__(self, epochs):
        self.epochs, self.start, self.estimated = epochs, time.time(), False
        self.first = self.epoch = None  # numbers of the first epoch of this process and the current
        self.epoch_start = self.epoch_seconds = None  # seconds of the epoch before, as a whole

    def begin(self, epoch):
        """Note that an epoch begins; the one before has been trained, tested and saved."""
        now = time.time()
        if self.epoch_start is not None:
            self.epoch_seconds = now - self.epoch_start
        self.first, self.epoch, self.epoch_start = self.first or epoch, epoch, now

    def left(self, share):
        """Return the seconds left of the epoch's training, and those left of the run.

        Parameters
        ----------
        share : float
            The share of the epoch's images that have been trained on, above 0 and at most 1.
        """
        trained = time.time() - self.epoch_start
        rest = trained / share - trained
        later = (self.epochs - self.epoch) * (self.epoch_seconds or trained / share)
        return rest, rest + later

    def estimate(self, share):
        """Return a sentence on the length of the run, once, after the first minute; else None."""
        if self.estimated or time.time() - self.start < EVERY:
            return None
        self.estimated = True
        seconds = time.time() - self.start + self.left(share)[1]
        which = (
            f'epoch {self.first} takes'
            if self.first == self.epochs
            else f'epochs {self.first} to {self.epochs} take'
        )
        return f'at this speed {which} about {duration(seconds)} in all'


def duration(seconds):
    """Return a number of seconds as text, in one or two units, such as "3 h 20 min"."""
    minutes = round(seconds / 60)
    hours = round(seconds / 3600)
    if seconds < 100:
        return f'{seconds:.0f} s'
    if minutes < 60:
        return f'{minutes} min'
    if hours < 24:
        return f'{minutes // 60} h {minutes % 60} min'
    return f'{hours // 24} d {hours % 24} h'


class Bar(tqdm):
    """A progress bar that can be closed even if a signal has interrupted its constructor."""

    hidden = False  # whether no bar is shown in this process, see ``be_quiet``
    disable = True  # what ``close`` finds before tqdm's constructor has set it

    def __init__(self, *arguments, disable=None, **options):
        super().__init__(*arguments, disable=self.hidden or disable, **options)


def be_quiet():
    """Show no progress in this process any more, and print only warnings and errors, on stderr."""
    Bar.hidden = True
    sys.stdout.flush()
    discard(sys.stdout)


class Progress:
    """Counts the images of one epoch and shows them; a context manager, which removes the bar.

    Parameters
    ----------
    title : str
        What is shown in front of the numbers.
    total : int
        Number of images in the epoch.
    pace : Pace
    quiet : bool
        Show nothing.
    """

    def __init__(self, title, total, pace, quiet=False):
        self.title, self.total, self.pace, self.quiet, self.done = title, total, pace, quiet, 0
        self.start = self.printed = time.time()
        self.bar = Bar(
            total=total,
            desc=title,
            unit=' images',
            leave=False,
            disable=quiet or not sys.stderr.isatty(),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def add(self, images, loss):
        """Count ``images`` more; ``loss`` is the mean loss of the epoch so far."""
        self.done += images
        if self.quiet:
            return
        share = min(self.done / self.total, 1)
        sentence = self.pace.estimate(share)
        if sentence:
            self.bar.write(sentence, file=sys.stdout)
            sys.stdout.flush()
        if not self.bar.disable:
            self.bar.set_postfix_str(
                f'loss {loss:.3f}, run {duration(self.pace.left(share)[1])} left', refresh=False
            )
            self.bar.update(images)
        elif time.time() - self.printed >= EVERY:
            self._print_line(loss, share)

    def _print_line(self, loss, share):
        self.printed = time.time()
        speed = self.done / (self.printed - self.start)
        epoch, run = map(duration, self.pace.left(share))
        print(
            f'{self.title}: {self.done} of {self.total} images, loss {loss:.3f}, '
            f'{speed:.0f} images/s, {epoch} left, {run} of the run',
            flush=True,
        )
