"""Loss and error, over every image exactly once."""

from collections import deque
from typing import NamedTuple

import numpy

from distributed.cluster import ALONE
from engine import mx
from symbols import ensemble

LAG = 2  # the sums are taken this many batches late, when reading an output waits for nothing
LEAST_PROBABILITY = 1e-12  # inside the logarithm


class Result(NamedTuple):
    """Loss and errors on some images: of a network, or of an ensemble's mean softmax output."""

    loss: float  # mean cross entropy in nats
    error: float  # top-1 error in %
    top5: float  # top-5 error in %
    components: dict  # {name: top-1 error} of each component of an ensemble alone (Table 2)
    without: dict  # {name: top-1 error} of the ensemble without that component (Table 3)
    # (classes, classes): numbers of images by true and by predicted class, where it is asked for.
    confusion: numpy.ndarray | None = None


class Meter:
    """Sums loss and errors over batches without making the computation wait.

    Parameters
    ----------
    names : tuple of str
        The components of an ensemble, to have each one's error as well.
    classes : int
        Number of classes, to have the confusion matrix as well.
    """

    def __init__(self, names=(), classes=0):
        self.images, self.batches, self.names = 0, 0, names
        self.sums, self.pending = numpy.zeros(3), deque()
        self.own, self.without = numpy.zeros(len(names)), numpy.zeros(len(names))
        self.confusion = numpy.zeros((classes, classes), int) if classes else None

    def add(self, outputs, label, pad=0):
        """Count a batch but for its last ``pad`` images.

        Parameters
        ----------
        outputs : list of mx.nd.NDArray
            (batch, classes), the softmax output, or those of an ensemble's components.
        label : mx.nd.NDArray
            (batch,)
        """
        count = len(label) - pad
        # The label is a new batch's and ready; the output is copied, because the next batch
        # overwrites it.
        self.pending.append(
            ([output.copy() for output in outputs], label.asnumpy()[:count].astype(int))
        )
        if len(self.pending) > LAG:
            self._settle()

    def _settle(self):
        """Add the oldest batch that is pending to the sums."""
        copies, label = self.pending.popleft()
        outputs = [copy.asnumpy()[: len(label)].astype(numpy.float64) for copy in copies]
        mean = sum(outputs) / len(outputs)
        own = mean[numpy.arange(len(label)), label]
        self.images += len(label)
        self.batches += 1
        self.sums += (
            -numpy.log(own + LEAST_PROBABILITY).sum(),
            _right(mean, label, 1),
            _right(mean, label, 5),
        )
        if self.confusion is not None:
            numpy.add.at(self.confusion, (label, _predicted(mean, label)), 1)
        if self.names:
            self.own += [_right(output, label, 1) for output in outputs]
            self.without += [_right(mean * len(outputs) - output, label, 1) for output in outputs]

    @property
    def loss(self):
        """The mean loss of the batches summed so far, for a progress bar; nan before the first."""
        return self.sums[0] / self.images if self.images else float('nan')

    def result(self, cluster=ALONE):
        """Wait for all batches that were added, and return the ``Result`` of all workers' sums."""
        while self.pending:
            self._settle()
        sums = cluster.sum(numpy.concatenate([[self.images], self.sums, self.own, self.without]))
        self.images, self.sums, (self.own, self.without) = (
            int(sums[0]),
            sums[1:4],
            sums[4:].reshape(2, -1),
        )
        loss, right, right5 = self.sums
        return Result(
            loss / self.images,
            self._error(right),
            self._error(right5),
            *(
                {name: self._error(count) for name, count in zip(self.names, counts)}
                for counts in (self.own, self.without)
            ),
            None if self.confusion is None else cluster.sum(self.confusion).astype(int),
        )

    def _error(self, right):
        return 100 * (1 - right / self.images)


def _right(scores, label, k):
    """Return how many labels are among the k classes with the highest scores."""
    own = scores[numpy.arange(len(label)), label][:, None]
    # How many classes are at least as likely as the right one. With NaN it is none, and wrong.
    rank = (scores >= own).sum(axis=1)
    return ((rank >= 1) & (rank <= k)).sum()


def _predicted(scores, label):
    """Return the predicted classes; where several are equally likely, a wrong one is taken."""
    rows = numpy.arange(len(label))
    others = scores.copy()
    others[rows, label] = -1
    wrong = others.argmax(axis=1)
    return numpy.where(scores[rows, label] > others[rows, wrong], label, wrong)


def evaluate(module, batches, cluster=ALONE, classes=0):
    """Return the ``Result`` of a module, over the batches of every worker.

    Parameters
    ----------
    module : mx.mod.Module
        Bound.
    batches : iterator of mx.io.DataBatch
        Those of this worker.
    cluster : distributed.cluster.Cluster
    classes : int
        Their number, for the confusion matrix; 0: without it.
    """
    wait_for_mxnet()
    meter = Meter(ensemble.names_of(module.output_names), classes)
    for batch in batches:
        module.forward(batch, is_train=False)
        meter.add(module.get_outputs(), batch.label[0], batch.pad)
    result = meter.result(cluster)
    wait_for_mxnet()
    return result


def wait_for_mxnet():
    """Wait for all that MXNet has queued, at every change between training and evaluation.

    An executor keeps one is_train flag for each operator and sets it when the operator is queued,
    not when it runs. Without this wait, training steps that are still queued run as evaluation:
    BatchNorm uses its moving statistics, and the network does not learn.
    """
    mx.nd.waitall()
