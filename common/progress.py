"""Progress within an epoch: a bar on a terminal, now and then a plain line elsewhere."""
import sys
import time

from tqdm import tqdm

EVERY = 60  # seconds between plain lines


class Progress:
    """Counts the images of one pass.

    Parameters
    ----------
    title : str
    total : int
        Images in the pass.
    quiet : bool
        Show nothing.
    """

    def __init__(self, title, total, quiet=False):
        self.title, self.total, self.done = title, total, 0
        self.start = self.told = time.time()
        self.bar = tqdm(total=total, desc=title, unit=' images', leave=False, disable=quiet or not sys.stderr.isatty())
        self.quiet = quiet

    def add(self, images, loss):
        """Count ``images`` more, with the mean loss so far."""
        self.done += images
        if loss == loss:  # nan until the first batch is summed
            self.bar.set_postfix(loss='%.3f' % loss, refresh=False)
        self.bar.update(images)
        if self.bar.disable and not self.quiet and time.time() - self.told >= EVERY:
            self.told = time.time()
            print('%s: %d of %d images, loss %.3f, %.0f images/s' % (
                self.title, self.done, self.total, loss, self.done / (self.told - self.start)), flush=True)

    def close(self):
        self.bar.close()
