"""Training images that are held out, to choose a checkpoint on images that nobody tests on.

Which they are depends on the record file and their share alone: not on the seed, the workers, or
the threads. ImageRecordIter cannot leave records out, so it reads all of them, with a list of
labels in which those that are held out have a label that no image has; ``without`` drops them.
"""

import contextlib
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy

from engine import mx
from recordio import images, records
from recordio.network_input import centre, normalised
from system.errors import UserError

LEFT_OUT = -1  # label of an image that is held out
SEED = 20161123  # of the choice; it must never change


def chosen(path, share):
    """Return which images of a file are held out, an array of bool in the order of the file.

    Of each class it is the same share, rounded, and at least one image.

    Raises
    ------
    UserError
        A class has a single image.
    """
    labels = records.labels(path)
    random, held = numpy.random.RandomState(SEED), numpy.zeros(len(labels), bool)
    for label in numpy.unique(labels):
        own = numpy.flatnonzero(labels == label)
        if len(own) < 2:
            raise UserError(
                f'{path} has a single image of class {int(label)}, of which none can be held out: '
                'leave --validation out, or add images'
            )
        count = min(max(1, round(share * len(own))), len(own) - 1)
        held[random.permutation(own)[:count]] = True
    return held


@contextlib.contextmanager
def list_of_labels(path, held):
    """Yield the name of a temporary list for ImageRecordIter's ``path_imglist``.

    Raises
    ------
    UserError
        The records have no numbers of their own, or MXNet cannot read the temporary file.
    """
    labels = numpy.where(held, LEFT_OUT, records.labels(path)).astype(int)
    numbers = records.numbers(path)
    if len(numpy.unique(numbers)) < len(numbers):
        raise UserError(
            f'{path} has several images with one number, so none can be held out: pack it again, '
            'see docs/data.md'
        )
    with tempfile.NamedTemporaryFile('w', suffix='.lst') as file:
        records.check_signs(file.name, 'name another folder in the variable TMPDIR')
        file.writelines(f'{number}\t{label}\t-\n' for number, label in zip(numbers, labels))
        file.flush()
        yield file.name


def without(batches, size, total):
    """Yield batches of ``size`` images that are not held out; the last may end in zeros.

    Parameters
    ----------
    batches : iterator of mx.io.DataBatch
        Of ``size`` images; those that are held out have the label ``LEFT_OUT``.
    size : int
    total : int
        Images in all batches; what follows them in the last batch is dropped.
    """
    parts, count = [], 0  # (data, label) of the images of the next batch
    for batch in batches:
        labels = batch.label[0].asnumpy()[:total]
        total -= len(labels)
        rows = numpy.flatnonzero(labels != LEFT_OUT)
        if not len(rows):
            continue
        rows_there = mx.nd.array(rows)
        parts.append([mx.nd.take(array, rows_there) for array in (batch.data[0], batch.label[0])])
        count += len(rows)
        if count >= size:
            data, label = _joined(parts)
            yield mx.io.DataBatch([data[:size]], [label[:size]])
            count -= size
            parts = [[data[size:], label[size:]]] if count else []
    if count:
        data, label = _joined(parts)
        filling = [mx.nd.zeros((size - count, *array.shape[1:])) for array in (data, label)]
        parts = [[data, label], filling] if count < size else [[data, label]]
        yield mx.io.DataBatch(*([array] for array in _joined(parts)))


def _joined(parts):
    if len(parts) == 1:
        return parts[0]
    return [mx.nd.concat(*arrays, dim=0) for arrays in zip(*parts)]


class HeldOut:
    """The batches of the images of a file that are held out, as they would be tested.

    Parameters
    ----------
    path : str
        The .rec file, which ``records.check`` has passed.
    dataset : recordio.datasets.Dataset
        Its ``validation`` is the share that is held out.
    batch : int
    reading : recordio.record_iterator.Reading
        Its number of threads, and its shard of the images.
    """

    def __init__(self, path, dataset, batch, reading):
        self.path, self.dataset, self.batch, self.threads = path, dataset, batch, reading.threads
        rank, size = reading.shard
        held = numpy.flatnonzero(chosen(path, dataset.validation))
        self.total, self.own = len(held), held[rank::size]

    def batches(self):
        """Yield batches of normalised images; the last ``pad`` of each must not be counted."""
        data = numpy.zeros((self.batch, *self.dataset.shape), 'float32')
        label = numpy.zeros(self.batch, 'float32')
        with ThreadPoolExecutor(self.threads) as pool:
            for start in range(0, len(self.own), self.batch):
                found = list(
                    records.labelled_images(self.path, self.own[start : start + self.batch])
                )
                label[: len(found)] = [each for each, _ in found]
                decoded = pool.map(self._decoded, (image for _, image in found))
                for row, image in enumerate(decoded):
                    data[row] = image
                yield mx.io.DataBatch(
                    [mx.nd.array(data)], [mx.nd.array(label)], pad=self.batch - len(found)
                )

    def _decoded(self, image):
        pixels = images.decode(bytes(image))
        if self.dataset.short:
            pixels = centre(pixels, self.dataset.size)
        return normalised(pixels, self.dataset)
