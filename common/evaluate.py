"""Loss and error, over every image exactly once."""
from collections import deque, namedtuple

import numpy

from common.engine import mx

# loss: mean cross entropy in nats; error, top5: top-1 and top-5 error in %.
Result = namedtuple('Result', 'loss error top5')

LAG = 2  # batches the sums stay behind the computation, so that reading them waits for nothing
LEAST_PROBABILITY = 1e-12  # inside the logarithm


class Meter:
    """Sums loss and errors over batches without making the computation wait."""

    def __init__(self):
        self.images, self.batches = 0, 0
        self.sums, self.pending = numpy.zeros(3), deque()

    def add(self, probability, label, pad=0):
        """Count a batch but for its last ``pad`` images.

        Parameters
        ----------
        probability : mx.nd.NDArray
            (batch, classes), the softmax output.
        label : mx.nd.NDArray
            (batch,)
        """
        count = len(label) - pad
        # The label is a new batch's and ready; the output is copied, because the next batch overwrites it.
        self.pending.append((probability.copy(), label.asnumpy()[:count].astype(int)))
        if len(self.pending) > LAG:
            self._settle()

    def _settle(self):
        copy, label = self.pending.popleft()
        probability = copy.asnumpy()[:len(label)].astype(numpy.float64)
        own = probability[numpy.arange(len(label)), label][:, None]
        # How many classes are at least as likely as the right one. With NaN it is none, and wrong.
        rank = (probability >= own).sum(axis=1)
        self.images += len(label)
        self.batches += 1
        self.sums += (-numpy.log(own + LEAST_PROBABILITY).sum(), *(((rank >= 1) & (rank <= k)).sum() for k in (1, 5)))

    @property
    def loss(self):
        """The mean loss of the batches summed so far, for a progress bar; nan before the first."""
        return self.sums[0] / self.images if self.images else float('nan')

    def result(self):
        """Return the ``Result`` of all that was added; waits for it."""
        while self.pending:
            self._settle()
        loss, right, right5 = self.sums
        return Result(loss / self.images, 100 * (1 - right / self.images), 100 * (1 - right5 / self.images))


def evaluate(module, batches):
    """Return the ``Result`` of a bound ``mx.mod.Module`` on an iterator of ``mx.io.DataBatch``."""
    barrier()
    meter = Meter()
    for batch in batches:
        module.forward(batch, is_train=False)
        meter.add(module.get_outputs()[0], batch.label[0], batch.pad)
    result = meter.result()
    barrier()
    return result


def barrier():
    """Wait for all queued work; called at every change between training and evaluation.

    An executor keeps one is_train flag for each operator and sets it when the operator is queued, not
    when it runs. Without this wait, training steps that are still queued run as evaluation: BatchNorm
    uses its moving statistics, and the network does not learn.
    """
    mx.nd.waitall()
