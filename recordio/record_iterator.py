"""Batches for training and evaluation, read from .rec files by MXNet's ImageRecordIter.

``Batches`` gives the training and test batches of a data set; ``Records`` reads a single file.
"""

import functools
import os
from typing import NamedTuple

import numpy

from engine import mx
from recordio import augmentation, datasets, held_out, records
from system.errors import UserError, command


class Reading(NamedTuple):
    """How a record file is read."""

    threads: int = 1  # that decode; MXNet starts at most half as many as processors, less one
    # (rank, size): read only the shard of one worker. Each shard has the same number of batches.
    shard: tuple = (0, 1)
    # Seed of the order of the images, which is another permutation of the shard in each pass. None:
    # in the order of the file.
    shuffle_seed: int | None = None
    held_out: float = 0  # share of the images of each class that is left out
    shrink: bool = False  # if the file has fewer images than a batch, make the batch smaller


class Batches:
    """The training and test batches of one prepared data set.

    Parameters
    ----------
    folder : str
        Holds train.rec, train.idx, test.rec and test.idx.
    dataset : recordio.datasets.Dataset
    batch : int
        Number of images in a batch.
    seed : int
        Decides, together with the epoch, the order of the images, the crops and the mirroring.
    threads : int
        Number of threads that decode; MXNet starts at most half as many as processors, less one.
    shard : tuple of int
        (rank, size): read only the shard of one worker. Together the shards hold each image once.

    Raises
    ------
    UserError
        A file is missing or damaged, or has fewer images than one batch.
    """

    def __init__(self, folder, dataset, batch, seed=0, threads=1, shard=(0, 1)):
        self.dataset, self.batch, self.seed, self.shard = dataset, batch, seed, shard
        self.folder = folder
        self.shape = dataset.shape
        reading = Reading(threads, shard)
        train, test = (os.path.join(folder, name + '.rec') for name in ('train', 'test'))
        for_training = reading._replace(shuffle_seed=seed, held_out=dataset.validation)
        self._train = Records(train, dataset, batch, for_training)
        self._test = Records(test, dataset, batch, reading)
        self.train_images, self.test_images = self._train.total, self._test.total
        self._held_out = None
        if dataset.validation:
            self._held_out = held_out.HeldOut(train, dataset, batch, reading)
        self.validation_images = self._held_out.total if self._held_out else 0

    @functools.cached_property
    def identity(self):
        """What identifies these files in the header of a log, see ``datasets.identity``."""
        return datasets.identity(self.folder)

    @property
    def per_epoch(self):
        """Number of batches in an epoch of each worker.

        The last batch is filled up with images from the beginning of the epoch.
        """
        return self._train.per_pass

    def train(self, epoch):
        """Yield the training batches of an epoch (from 1) as ``mx.io.DataBatch``.

        Images are normalised and, where the data set asks for it, augmented (augmentation.py). The
        last ``batch.pad`` images of a batch are repetitions. The iterator overwrites the arrays of
        a batch a few batches later. It waits for operations that are queued on them, but a caller
        that keeps a batch must copy it.
        """
        rank = self.shard[0]
        words = [self.seed, epoch] + ([rank] if rank else [])
        random = numpy.random.RandomState(numpy.random.SeedSequence(words).generate_state(4))
        for batch in self._train.batches(epoch):
            if self.dataset.augment and not self.dataset.short:
                images = batch.data[0].asnumpy()
                batch.data = [mx.nd.array(augmentation.crop_and_mirror(images, random))]
            yield batch

    def test(self):
        """Yield the test batches; the last ``batch.pad`` images of each must not be counted."""
        return self._test.batches()

    def validation(self):
        """Yield the batches of the training images that are held out, as ``test`` does."""
        return self._held_out.batches()


class Records:
    """The batches of one .rec file, normalised, in RGB, through one ``ImageRecordIter``.

    The iterator is kept and reset, because MXNet never frees all the memory of one. It is told not
    to fill up the last batch, because it would then start the next pass after the images that it
    filled the batch with; this class fills the batch up instead.

    Parameters
    ----------
    path : str
        The .rec file; the .idx file lies beside it.
    dataset : recordio.datasets.Dataset
    batch : int
        Number of images in a batch.
    reading : Reading

    Raises
    ------
    UserError
        The file is missing or damaged, or has fewer images than one batch, or MXNet cannot open a
        file with its path.
    """

    def __init__(self, path, dataset, batch, reading=Reading()):
        records.check_signs(path, 'rename the folder, or name it by a symbolic link')
        self.total = records.check(path, dataset.classes, None if dataset.short else records.SHAPE)
        batch = min(batch, self.total) if reading.shrink else batch
        (rank, size), shuffle_seed = reading.shard, reading.shuffle_seed
        # MXNet gives this many images to each worker, and to the last one what remains.
        most = -(-self.total // size)
        self.read = min(most, max(0, self.total - rank * most))
        self.held, counts = None, [most]  # counts: images of each worker that are not held out
        if reading.held_out:
            self.held = held_out.chosen(path, reading.held_out)
            kept = ~self.held
            counts = [int(kept[most * worker :][:most].sum()) for worker in range(size)]
            self.total = sum(counts)
        self.images = counts[rank] if reading.held_out else self.read
        self.per_pass = -(-max(counts) // batch)  # number of batches
        if batch > self.images:
            shard = '' if size == 1 else f', {self.images} for worker {rank} of {size}'
            raise UserError(
                f'--batch-size {batch * size}: {path} has {self.total} images{shard}; take a '
                'smaller batch'
            )
        self.batch, self.number = batch, 0  # number: of the current pass
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
        """Yield the batches of pass ``number``, by default the next one; the first is number 1."""
        seen, first = 0, None
        missing = -self.images % self.batch  # images of the last batch
        for batch in self._decoded(self.number + 1 if number is None else number):
            seen += self.batch
            batch.pad = max(0, seen - self.images)
            if first is None and self.per_pass * self.batch > self.images:
                first = [array.copy() for array in batch.data + batch.label]
            if batch.pad:
                for array, filling in zip(batch.data + batch.label, first):
                    array[-missing:] = filling[:missing]
            yield batch
        # A worker with fewer images than the others repeats its first batch, which is not counted.
        for _ in range(self.per_pass - seen // self.batch):
            yield mx.io.DataBatch(first[:1], first[1:], pad=self.batch)

    def _decoded(self, number):
        try:
            self._begin(number)
            if self.held is None:
                yield from self.iterator
            else:
                yield from held_out.without(self.iterator, self.batch, self.read)
        except mx.MXNetError:  # ``records.check`` has not decoded the images
            path = self.options['path_imgrec']
            raise UserError(
                f'{path} holds an image that does not decode: '
                f'"{command("data/verify.py", path)}" finds it'
            )

    def _begin(self, number):
        # Each reset shuffles with the state of the generator that the last shuffle has left, so a
        # pass is reached by as many resets.
        if number <= self.number or not self.number:
            self.number = number if self.dataset.short else 1
            self.iterator = self._new_iterator()
        while self.number < number:
            self.iterator.reset()
            self.number += 1

    def _new_iterator(self):
        options = dict(self.options, **self._seeds(self.number))
        if self.held is None:
            return mx.io.ImageRecordIter(**options)
        with held_out.list_of_labels(options['path_imgrec'], self.held) as path:
            return mx.io.ImageRecordIter(**options, path_imglist=path)

    def _seeds(self, number):
        """Return ImageRecordIter's options for the order of the images and for random crops.

        Photographs are cropped by ImageRecordIter, which cannot skip the crops of earlier passes.
        So their seeds depend on the number of the pass from which the iterator starts.
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
    """Return a seed from several numbers, as MXNet takes it."""
    return int(numpy.random.SeedSequence(words).generate_state(1)[0] >> 1)


def _statistics(dataset):
    """Return ImageRecordIter's options of the normalisation."""
    return {
        f'{kind}_{channel}': value
        for kind, values in (('mean', dataset.mean), ('std', dataset.std))
        for channel, value in zip('rgb', values)
    }
