"""Batches for training and evaluation, from .rec files through MXNet's ImageRecordIter."""

import functools
import os
from typing import NamedTuple

import numpy

from engine import mx
from recordio import augmentation, datasets, records
from system.errors import UserError, command

PAD = 4  # pixels on each side before the random crop (section 6.1)


class Reading(NamedTuple):
    """How a record file is read."""

    threads: int = 1  # that decode; MXNet starts at most half of the processors less one
    # (rank, size): the images of one worker of several. Each gives the same number of batches.
    shard: tuple = (0, 1)
    # Each pass comes in an order of its own, a permutation of the whole file that this seed and the
    # number of the pass decide. None: in the order of the file.
    shuffle_seed: int | None = None
    shrink: bool = False  # take a smaller batch, instead of an error, if there are fewer images


class Batches:
    """The training and test batches of one prepared data set.

    Parameters
    ----------
    folder : str
        Holds train.rec, train.idx, test.rec and test.idx.
    dataset : recordio.datasets.Dataset
    batch : int
        Images in a batch.
    seed : int
        Together with the epoch it decides the order of the images, and of small images the crops
        and the mirroring.
    threads : int
        Threads that decode; MXNet starts at most half of the processors less one.
    shard : tuple of int
        (rank, size): give the images of one worker of several. Together they give each image once.

    Raises
    ------
    UserError
        A file is missing or damaged, or holds fewer images than one batch.
    """

    def __init__(self, folder, dataset, batch, seed=0, threads=1, shard=(0, 1)):
        self.dataset, self.batch, self.seed, self.shard = dataset, batch, seed, shard
        self.folder = folder
        self.shape = dataset.shape
        reading = Reading(threads, shard)
        train, test = (os.path.join(folder, name + '.rec') for name in ('train', 'test'))
        self._train = Records(train, dataset, batch, reading._replace(shuffle_seed=seed))
        self._test = Records(test, dataset, batch, reading)
        self.train_images, self.test_images = self._train.total, self._test.total

    @functools.cached_property
    def identity(self):
        """What tells these images from others, see ``datasets.identity``."""
        return datasets.identity(self.folder)

    @property
    def per_epoch(self):
        """Batches in an epoch, of each worker. The last one is filled up with images from the epoch's beginning."""
        return self._train.passes

    def train(self, epoch):
        """Yield the training batches of an epoch (from 1) as ``mx.io.DataBatch``.

        Images are normalised, and where the data set asks for it padded with zeros, cropped and
        mirrored; photographs see augmentation.py. The last ``batch.pad`` images of a batch are there
        a second time. The iterator fills the arrays of a batch anew a few batches later: work that
        is queued on them is waited for, but whoever keeps a batch must copy it.
        """
        words = [self.seed, epoch] + [self.shard[0]] * (self.shard[0] > 0)
        random = numpy.random.RandomState(numpy.random.SeedSequence(words).generate_state(4))
        for batch in self._train.batches(epoch):
            if self.dataset.augment and not self.dataset.short:
                batch.data = [mx.nd.array(crop_and_mirror(batch.data[0].asnumpy(), random))]
            yield batch

    def test(self):
        """Yield the test batches; count the first ``batch - batch.pad`` images of each and no other."""
        return self._test.batches()


class Records:
    """The batches of one .rec file, normalised, RGB, through one ``ImageRecordIter``.

    The iterator is kept and reset, because MXNet never gives back all the memory of one. It is told
    not to fill up the last batch, because it would begin the next pass behind the images it filled
    with; what it leaves in their place is replaced here.

    Parameters
    ----------
    path : str
        The .rec file; the .idx file lies beside it.
    dataset : recordio.datasets.Dataset
    batch : int
        Images in a batch.
    reading : Reading

    Raises
    ------
    UserError
        The file is missing or damaged, or holds fewer images than one batch.
    """

    def __init__(self, path, dataset, batch, reading=Reading()):
        self.total = records.check(path, dataset.classes, None if dataset.short else records.SHAPE)
        batch = min(batch, self.total) if reading.shrink else batch
        (rank, size), shuffle_seed = reading.shard, reading.shuffle_seed
        # MXNet gives so many to each worker, and to the last what remains.
        most = -(-self.total // size)
        self.images, self.passes = min(most, max(0, self.total - rank * most)), -(-most // batch)
        if batch > self.images:
            share = '' if size == 1 else f', {self.images} for worker {rank} of {size}'
            raise UserError(
                f'--batch-size {batch * size}: {path} has {self.total} images{share}; take a '
                'smaller batch'
            )
        self.batch, self.number = batch, 0
        self.options = dict(
            path_imgrec=path,
            data_shape=dataset.shape,
            batch_size=batch,
            preprocess_threads=reading.threads,
            verbose=False,
            label_name='softmax_label',
            round_batch=False,
            **_statistics(dataset),
        )
        if size > 1 or shuffle_seed is not None:
            self.options.update(
                path_imgidx=os.path.splitext(path)[0] + '.idx', num_parts=size, part_index=rank
            )
        if shuffle_seed is not None:
            self.options.update(shuffle=True)
        elif dataset.short:
            self.options.update(augmentation.for_scoring(dataset))
        self.dataset, self.rank, self.seed = dataset, rank, shuffle_seed

    def batches(self, number=None):
        """Yield the batches of a pass, by default the next; the first is number 1."""
        seen, head = 0, None
        short = -self.images % self.batch
        for batch in self._decoded(self.number + 1 if number is None else number):
            seen += self.batch
            batch.pad = max(0, seen - self.images)
            if head is None:
                # Here lies the filling; it is kept only where it will be needed.
                head = (
                    [array.copy() for array in batch.data + batch.label]
                    if self.passes * self.batch > self.images
                    else []
                )
            if batch.pad:
                for array, filling in zip(batch.data + batch.label, head):
                    array[-short:] = filling[:short]
            yield batch
        for _ in range(
            self.passes - seen // self.batch
        ):  # a worker with fewer images than the others
            yield mx.io.DataBatch(head[:1], head[1:], pad=self.batch)

    def _decoded(self, number):
        try:
            self._begin(number)
            yield from self.iterator
        except mx.MXNetError:  # of JPEG files ``records.check`` sees the header only
            path = self.options['path_imgrec']
            raise UserError(
                f'{path} holds an image that does not decode: '
                f'"{command("data/verify.py", path)}" says which'
            )

    def _begin(self, number):
        # Each reset shuffles anew, from what the shuffle before has left of the generator.
        if number <= self.number or not self.number:
            self.number = number if self.dataset.short else 1
            self.iterator = mx.io.ImageRecordIter(**self.options, **self._seeds(self.number))
        while self.number < number:
            self.iterator.reset()
            self.number += 1

    def _seeds(self, number):
        """Return what decides the order of a first pass, and how photographs are cropped from then on.

        Their crops are ImageRecordIter's own, and it cannot be told to skip those of earlier
        passes.
        """
        if self.seed is None:
            return {}
        if not self.dataset.short:
            return {'seed': _int32(self.seed)}
        return dict(
            augmentation.for_training(self.dataset, _int32(self.seed, number, self.rank)),
            seed=_int32(self.seed, number),
        )


def _int32(*words):
    return int(numpy.random.SeedSequence(words).generate_state(1)[0] >> 1)


def _statistics(dataset):
    return {
        f'{kind}_{channel}': value
        for kind, values in (('mean', dataset.mean), ('std', dataset.std))
        for channel, value in zip('rgb', values)
    }


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
