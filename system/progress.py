"""Progress within an epoch, and how long it and the run will take: a bar on a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm

EVERY = 60  # seconds between plain lines, and before the first estimate


class Pace:
    """How fast a run is over its epochs, and so how long it will take.

    Parameters
    ----------
    epochs : int
        Of the whole run.
    """

    def __init__(self, epochs):
        self.epochs, self.start, self.told = epochs, time.time(), False
        self.first = self.epoch = self.began = self.whole = None

    def begin(self, epoch):
        """Note that an epoch begins, and with it the end of the one before: trained, tested and saved."""
        now = time.time()
        if self.began is not None:
            self.whole = now - self.began
        self.first, self.epoch, self.began = self.first or epoch, epoch, now

    def left(self, share):
        """Return the seconds that the epoch's training and the run will still take, a ``share`` of the epoch being done."""
        trained = time.time() - self.began
        rest = trained / share - trained
        return rest, rest + (self.epochs - self.epoch) * (self.whole or trained / share)

    def estimate(self, share):
        """Return a sentence about the whole run, once: when it has been running for a minute; else None."""
        if self.told or time.time() - self.start < EVERY:
            return None
        self.told = True
        seconds = time.time() - self.start + self.left(share)[1]
        which = (
            f'epoch {self.first} takes'
            if self.first == self.epochs
            else f'epochs {self.first} to {self.epochs} take'
        )
        return f'at this speed {which} about {duration(seconds)} in all'


def duration(seconds):
    """Return a length of time in its two largest units."""
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
    """A progress bar that a signal may end while it is being made: then nothing is closed."""

    disable = True  # until tqdm's constructor decides about it


class Progress:
    """Counts the images of one epoch; a context manager, which takes the bar away at the end.

    Parameters
    ----------
    title : str
    total : int
        Images in the epoch.
    pace : Pace
    quiet : bool
        Show nothing.
    """

    def __init__(self, title, total, pace, quiet=False):
        self.title, self.total, self.pace, self.quiet, self.done = title, total, pace, quiet, 0
        self.start = self.told = time.time()
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
        """Count ``images`` more, with the mean loss so far."""
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
        elif time.time() - self.told >= EVERY:
            self._print_line(loss, share)

    def _print_line(self, loss, share):
        self.told = time.time()
        epoch, run = map(duration, self.pace.left(share))
        print(
            f'{self.title}: {self.done} of {self.total} images, loss {loss:.3f}, '
            f'{self.done / (self.told - self.start):.0f} images/s, {epoch} left, {run} of the run',
            flush=True,
        )
