"""A network bound to its devices: one training pass, one evaluation, and its whole state."""

import math
import os
import time
import warnings
from typing import NamedTuple

from common import recipe as recipes
from common import worker_sync
from common.evaluate import Meter, Result, evaluate, wait_for_mxnet
from engine import mx, private
from graphs import fast, half
from system.progress import Pace, Progress

CHECK_EVERY = 100  # batches after which several workers check together that their loss is finite


class Diverged(Exception):
    """The loss is not finite; the text says where."""


class Start(NamedTuple):
    """What a run starts from."""

    # The arrays of a checkpoint, see ``Trainer.state``, or None for initial weights. Before the
    # first epoch, in fine-tuning, those of the head may be missing.
    arrays: dict | None = None
    epoch: int = 0  # epochs that they were trained for
    lr: float | None = None  # first learning rate of that training; None: the recipe's


class Trained(NamedTuple):
    """The results of training for one epoch."""

    result: Result  # over the training images, as they were when each batch was computed
    images_per_second: float  # without the evaluation
    began: float  # time.time() at the beginning of the epoch


class Trainer:
    """Trains a symbol.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    batches : recordio.record_iterator.Batches
        Those of this worker.
    recipe : common.recipe.Recipe
    compute : common.compute.Compute
    start : Start
    """

    def __init__(self, symbol, batches, recipe, compute, start=Start()):
        self.batches, self.recipe, self.compute = batches, recipe, compute
        self.workers, self.epoch = compute.workers, start.epoch
        # With dist_async the batch of each worker is an update of its own on the servers.
        self.per_epoch = batches.per_epoch * (self.workers.size if compute.asynchronous else 1)
        self.schedule = self._schedule(recipe.lr)
        self.pace = Pace(recipe.epochs)
        if recipe.dtype == 'float16':
            symbol = half.half(symbol)
        # The graphs of graphs/fast.py are for the CPU.
        self.module = self._bind(fast.for_training(symbol) if compute.on_cpu else symbol)
        arrays = start.arrays or {'arg': None, 'aux': None, 'momentum': {}}
        mx.random.seed(recipe.seed)
        self.module.init_params(
            recipes.initializer(),
            arg_params=arrays['arg'],
            aux_params=arrays['aux'],
            allow_missing=not start.epoch,
        )
        self._init_optimizer(start)
        self._set_momentum(arrays['momentum'])
        # A second graph over the same parameters, if the graph for training cannot evaluate.
        self.tester = self.module
        inference = fast.for_inference(symbol) if compute.on_cpu else symbol
        if inference is not symbol:
            self.tester = self._bind(inference, for_training=False, shared_module=self.module)

    def _bind(self, symbol, **options):
        module = mx.mod.Module(
            symbol, context=self.compute.devices, compression_params=self.compute.compression
        )
        module.bind(
            data_shapes=[('data', (self.batches.batch, *self.batches.shape))],
            label_shapes=[('softmax_label', (self.batches.batch,))],
            **options,
        )
        return module

    def _schedule(self, lr):
        # Not at the top of the file: it imports MXNet, for which --help should not wait.
        from engine.optimizer import Schedule

        return Schedule(lr, self.recipe.decay, self.per_epoch)

    def _init_optimizer(self, start):
        """Choose the update, and the kvstore that sums the gradients over devices and workers.

        MXNet sums gradients over images too; ``rescale_grad`` divides them by the images of the
        batch, over all workers.
        """
        from engine.optimizer import Nesterov  # see _schedule

        updates = start.epoch * self.per_epoch
        last_lr = self._schedule(start.lr or self.recipe.lr)(updates) if updates else None
        loss_scale = half.LOSS_SCALE if self.recipe.dtype == 'float16' else 1
        optimizer = Nesterov(
            learning_rate=self.recipe.lr,
            lr_scheduler=self.schedule,
            momentum=self.recipe.momentum,
            wd=self.recipe.weight_decay,
            begin_num_update=updates,
            rescale_grad=1 / (self.batches.batch * self.workers.size * loss_scale),
            velocity_lr=last_lr,
        )
        kvstore = self.compute.kvstore
        if kvstore.startswith('dist'):
            # The servers only sum, and every worker makes the same update: so the momentum is in
            # the workers, which write checkpoints. With dist_async, where the workers have no
            # common step, the servers make the update.
            os.environ['MXNET_UPDATE_ON_KVSTORE'] = str(int(self.compute.asynchronous))
            kvstore = worker_sync.create_kvstore(kvstore)
        with warnings.catch_warnings():
            # With dist_async MXNet warns that it would divide by the images of one worker.
            warnings.simplefilter('ignore')
            self.module.init_optimizer(kvstore=kvstore, optimizer=optimizer)

    def train(self, epoch, stop):
        """Train for an epoch, counted from 1.

        Returns
        -------
        Trained

        Raises
        ------
        Stopped
            A signal asked for it, which ``stop``, a ``system.signals.Stop``, has noticed.
        Diverged
            The loss is not finite.
        """
        meter, began = Meter(), time.time()
        self.epoch = epoch
        self.pace.begin(epoch)
        with Progress(
            f'epoch {epoch}', self.batches.train_images, self.pace, quiet=self.workers.rank > 0
        ) as progress:
            for batch in self.batches.train(epoch):
                stop.check()
                self.module.forward(batch, is_train=True)
                self.module.backward()
                self.module.update()
                meter.add(self.module.get_outputs(), batch.label[0], batch.pad)
                progress.add((self.batches.batch - batch.pad) * self.workers.size, meter.loss)
                self._check_finite(meter, epoch)
            wait_for_mxnet()
        worker_sync.synchronise(self.module, self.compute)
        result = meter.result(self.workers)
        self._check_finite(meter, epoch, result.loss)
        return Trained(result, self.batches.train_images / (time.time() - began), began)

    def _check_finite(self, meter, epoch, loss=None):
        # Once the sum of the losses is not finite, it stays so. One worker looks at it after every
        # batch. Several must all stop at the same batch, so they exchange it every ``CHECK_EVERY``.
        if loss is None:
            if self.workers.size > 1 and (not meter.batches or meter.batches % CHECK_EVERY):
                return
            loss = self.workers.sum([meter.sums[0]])[0] if meter.images else 0
        if not math.isfinite(loss):
            update = (epoch - 1) * self.batches.per_epoch + meter.batches
            raise Diverged(
                f'the training loss is not finite in epoch {epoch}, batch '
                f'{meter.batches}, learning rate {self.schedule(update):g}'
            )

    def test(self):
        """Return the ``Result`` on the test images.

        Raises
        ------
        Diverged
            The loss is not finite.
        """
        return self._evaluated(self.batches.test(), 'test')

    def validate(self):
        """Return the ``Result`` on the training images that are held out, None without any.

        Raises
        ------
        Diverged
            The loss is not finite.
        """
        if not self.batches.validation_images:
            return None
        return self._evaluated(self.batches.validation(), 'validation')

    def _evaluated(self, batches, what):
        result = evaluate(self.tester, batches, self.workers)
        if not math.isfinite(result.loss):
            raise Diverged(
                f'the {what} loss after epoch {self.epoch}, learning rate {self.lr(self.epoch):g}, '
                'is not finite'
            )
        return result

    def lr(self, epoch):
        """Return the learning rate of the first update of an epoch."""
        return self.schedule((epoch - 1) * self.per_epoch + 1)

    def state(self):
        """Return {'arg': parameters, 'aux': BatchNorm's moving statistics, 'momentum': velocities}.

        With ``dist_async`` the velocities are the servers' and stay there.
        """
        arguments, auxiliary = self.module.get_params()
        if self.compute.asynchronous:
            return {'arg': arguments, 'aux': auxiliary, 'momentum': {}}
        updater, indices = private.updater(self.module)
        return {
            'arg': arguments,
            'aux': auxiliary,
            'momentum': {
                name: updater.states[index[0]]
                for name, index in indices.items()
                if index[0] in updater.states
            },
        }

    def _set_momentum(self, momentum):
        if self.compute.asynchronous:
            return
        updater, indices = private.updater(self.module)
        for name, array in momentum.items():
            for index in indices[name]:
                updater.states[index] = array.copy()
                updater.states_synced[index] = False  # moved to its device at the first update
