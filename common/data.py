"""Batches for training and evaluation, from .rec files through MXNet's ImageRecordIter."""
import os

import numpy

from common import records
from common.engine import mx
from common.errors import UserError

IMAGE = (3, 32, 32)
PAD = 4  # pixels on each side before the random crop (section 6.1)


class Batches:
    """The training and test batches of one prepared data set.

    Parameters
    ----------
    folder : str
        Holds train.rec, train.idx, test.rec and test.idx.
    dataset : common.datasets.Dataset
    batch : int
        Images in a batch.
    seed : int
        Together with the epoch it decides the order of the images, the crops and the mirroring.
    threads : int
        Threads that decode.

    Raises
    ------
    UserError
        A file is missing or damaged, or holds fewer images than one batch.
    """

    def __init__(self, folder, dataset, batch, seed=0, threads=1):
        self.folder, self.dataset, self.batch, self.seed, self.threads = folder, dataset, batch, seed, threads
        self.train_images, self.test_images = (
            records.check(self._path(split), dataset.classes) for split in ('train', 'test'))
        if batch > min(self.train_images, self.test_images):
            raise UserError('--batch-size %d: %s has %d training and %d test images; take a smaller '
                            'batch' % (batch, folder, self.train_images, self.test_images))

    def _path(self, split):
        return os.path.join(self.folder, split + '.rec')

    @property
    def per_epoch(self):
        """Batches in an epoch. The last one is filled up with images from the epoch's beginning."""
        return -(-self.train_images // self.batch)

    def train(self, epoch):
        """Yield the training batches of an epoch (from 1) as ``mx.io.DataBatch``.

        Images are normalised, and where the data set asks for it padded with zeros, cropped and
        mirrored. The last ``batch.pad`` images of a batch are there a second time. The iterator fills
        the arrays of a batch anew a few batches later: work that is queued on them is waited for, but
        whoever keeps a batch must copy it.
        """
        order, crops = seeds(self.seed, epoch)
        random = numpy.random.RandomState(crops)
        # A new iterator each epoch: what it yields is then a function of seed and epoch, and not of
        # the epochs before. The .idx makes the order a permutation of the whole file.
        path = self._path('train')
        for batch in record_iterator(path, self.dataset, self.batch, self.threads, shuffle=True, seed=order,
                                     path_imgidx=os.path.splitext(path)[0] + '.idx'):
            if self.dataset.augment:
                images = crop_and_mirror(batch.data[0].asnumpy(), random)
                batch.data = [mx.nd.array(images)]
            yield batch

    def test(self):
        """Yield the test batches; count the first ``batch - batch.pad`` images of each and no other."""
        return record_iterator(self._path('test'), self.dataset, self.batch, self.threads)


def seeds(seed, epoch):
    """Return the seeds of an epoch's order and of its crops, below 2**31 as MXNet needs them."""
    return [int(word >> 1) for word in numpy.random.SeedSequence([seed, epoch]).generate_state(2)]


def record_iterator(path, dataset, batch, threads, **options):
    """Return an ``ImageRecordIter`` of normalised images (batch, 3, 32, 32), RGB."""
    statistics = {'%s_%s' % (kind, channel): value for kind, values in
                  (('mean', dataset.mean), ('std', dataset.std)) for channel, value in zip('rgb', values)}
    return mx.io.ImageRecordIter(
        path_imgrec=path, data_shape=IMAGE, batch_size=batch, preprocess_threads=threads,
        label_name='softmax_label', verbose=False, **statistics, **options)


def crop_and_mirror(images, random):
    """Pad with zeros, crop each image at a random place, and mirror half of them (section 6.1).

    ImageRecordIter can pad too, but before it normalises and with one grey level; zeros after the
    normalisation are each channel's own mean.

    Parameters
    ----------
    images : numpy.ndarray
        (n, channels, height, width), normalised.
    random : numpy.random.RandomState

    Returns
    -------
    numpy.ndarray
        Of the same shape.
    """
    count, _, height, width = images.shape
    padded = numpy.pad(images, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    top, left = random.randint(0, 2 * PAD + 1, (2, count))
    crops = windows[numpy.arange(count), :, top, left]
    mirrored = random.randint(0, 2, count).astype(bool)
    crops[mirrored] = crops[mirrored, :, :, ::-1]
    return crops
