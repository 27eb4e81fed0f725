"""A network bound to its devices: one training pass, one evaluation, and its whole state."""

import math
import os
import time
import warnings

import numpy

from common import recipe
from common.evaluate import Meter, barrier, evaluate
from distributed.cluster import ALONE
from engine import mx
from graphs import fast, half
from system.progress import Pace, Progress

TOGETHER = 100  # batches between two looks of several workers at their loss


class Diverged(Exception):
    """The loss is not finite; the text says where."""


class Trainer:
    """Trains a symbol with the paper's recipe.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    devices : list of mx.Context
        A batch is split over them evenly.
    batches : recordio.data.Batches
    epochs, lr : int, float
        Length of the run and first learning rate.
    seed : int
        Of the initial weights.
    kvstore : str
        MXNet's name of the store that sums the gradients of several devices.
    arrays : dict, optional
        A checkpoint's arrays, see ``state``.
    epoch : int
        Epochs that these arrays were trained for.
    dtype : str
        ``float16`` computes feature maps in half precision, on GPUs (graphs/half.py).
    lr_before : float, optional
        The first learning rate that the arrays were trained with, if not ``lr``.
    decay : recipe.Decay, optional
        How the learning rate drops; default: as in section 6.2.
    cluster : cluster.Cluster
        The workers that train together; ``batches`` are this one's.
    compression : dict, optional
        MXNet's parameters of gradient compression.
    """

    def __init__(
        self,
        symbol,
        devices,
        batches,
        epochs,
        lr,
        seed=0,
        kvstore='device',
        arrays=None,
        epoch=0,
        dtype='float32',
        lr_before=None,
        decay=None,
        cluster=ALONE,
        compression=None,
    ):
        self.batches, self.cluster, self.compression = batches, cluster, compression
        self.asynchronous = kvstore == 'dist_async'
        # Of the servers' optimiser each worker's batch is an update.
        self.per_epoch = batches.per_epoch * (cluster.size if self.asynchronous else 1)
        self.loss_scale = half.LOSS_SCALE if dtype == 'float16' else 1
        self.decay = decay or recipe.cifar_decay(epochs)
        self.schedule = recipe.Schedule(lr, self.decay, self.per_epoch)
        self.pace = Pace(epochs)
        # The faster graphs are for the CPU.
        on_cpu = all(device.device_type == 'cpu' for device in devices)
        if dtype == 'float16':
            symbol = half.half(symbol)
        self.module = self._bind(fast.for_training(symbol) if on_cpu else symbol, devices)
        arrays = arrays or {'arg': None, 'aux': None, 'momentum': {}}
        mx.random.seed(seed)
        self.module.init_params(
            recipe.initializer(), arg_params=arrays['arg'], aux_params=arrays['aux']
        )
        self._init_optimizer(kvstore, lr, epoch * self.per_epoch, lr_before or lr)
        self._set_momentum(arrays['momentum'])
        # A second graph over the same parameters, where training's has no way to run as evaluation.
        self.tester = self.module
        inference = fast.for_inference(symbol) if on_cpu else symbol
        if inference is not symbol:
            self.tester = self._bind(
                inference, devices, for_training=False, shared_module=self.module
            )

    def _bind(self, symbol, devices, **options):
        module = mx.mod.Module(symbol, context=devices, compression_params=self.compression)
        module.bind(
            data_shapes=[('data', (self.batches.batch,) + self.batches.shape)],
            label_shapes=[('softmax_label', (self.batches.batch,))],
            **options,
        )
        return module

    def _init_optimizer(self, kvstore, lr, updates, lr_before):
        before = (
            recipe.Schedule(lr_before, self.decay, self.per_epoch)(updates) if updates else None
        )
        self.optimizer = recipe.Nesterov(
            learning_rate=lr,
            lr_scheduler=self.schedule,
            wd=recipe.WEIGHT_DECAY,
            begin_num_update=updates,
            rescale_grad=1 / (self.batches.batch * self.cluster.size * self.loss_scale),
            velocity_lr=before,
        )
        if kvstore.startswith('dist'):
            # The servers only sum, and every worker makes the same update: so momentum is here,
            # where checkpoints are made. Without a common step (dist_async) the update is the
            # servers'.
            os.environ['MXNET_UPDATE_ON_KVSTORE'] = str(int(self.asynchronous))
            kvstore = _distributed(kvstore)
        with warnings.catch_warnings():
            warnings.simplefilter(
                'ignore'
            )  # with dist_async MXNet would divide by the images of one worker
            self.module.init_optimizer(kvstore=kvstore, optimizer=self.optimizer)

    def train(self, epoch, stop):
        """Train for one epoch; return its ``Result`` and images/s. Raises ``Stopped`` and ``Diverged``."""
        meter, start = Meter(), time.time()
        self.pace.begin(epoch)
        with Progress(
            f'epoch {epoch}', self.batches.train_images, self.pace, quiet=self.cluster.rank > 0
        ) as progress:
            for batch in self.batches.train(epoch):
                stop.check()
                self.module.forward(batch, is_train=True)
                self.module.backward()
                self.module.update()
                meter.add(self.module.get_outputs(), batch.label[0], batch.pad)
                progress.add((self.batches.batch - batch.pad) * self.cluster.size, meter.loss)
                self._check_finite(meter, epoch)
            barrier()
        self._share()
        result = meter.result(self.cluster)
        self._check_finite(meter, epoch, result.loss)
        return result, self.batches.train_images / (time.time() - start)

    def _check_finite(self, meter, epoch, loss=None):
        # The sum of the losses stays what it is once it is not finite, and it is looked at after
        # every batch; several workers look at it together, now and then, since they must agree.
        if loss is None:
            if self.cluster.size > 1 and (not meter.batches or meter.batches % TOGETHER):
                return
            loss = self.cluster.sum([meter.sums[0]])[0] if meter.images else 0
        if not math.isfinite(loss):
            update = (epoch - 1) * self.batches.per_epoch + meter.batches
            raise Diverged(
                f'the training loss is not finite in epoch {epoch}, batch '
                f'{meter.batches}, learning rate {self.schedule(update):g}'
            )

    def _share(self):
        """Give every device and worker the mean of their BatchNorm statistics, which a checkpoint has.

        Each device moves its own. Without this the error in the log would be that of a network that
        no checkpoint holds, and a resumed run would not be the one that was stopped. Workers also
        take over the first one's parameters, which differ where updates are not in step, or
        processors round otherwise.
        """
        if self.asynchronous:
            self._pull()
        if len(self.module._context) > 1 or self.cluster.size > 1:
            arguments, auxiliary = self.module.get_params()
            if self.cluster.size > 1:
                arguments, auxiliary = self._agreed(arguments, auxiliary)
            self.module.set_params(arguments, auxiliary)

    def _pull(self):
        """Get the servers' parameters when every worker's last update is in them."""
        self.cluster.barrier()
        for name, arrays in zip(self.module._param_names, self.module._exec_group.param_arrays):
            self.module._kvstore.pull(name, out=arrays)
        self.module._params_dirty = True
        barrier()

    def _agreed(self, arguments, auxiliary):
        first = self.cluster.first_arrays(
            {name: array.asnumpy() for name, array in arguments.items()}
        )
        numbers = [array.asnumpy().ravel() for array in auxiliary.values()]
        means = self.cluster.sum(numpy.concatenate(numbers)) / self.cluster.size
        parts = numpy.split(means, numpy.cumsum([part.size for part in numbers])[:-1])
        return (
            {name: mx.nd.array(array) for name, array in first.items()},
            {
                name: mx.nd.array(part.reshape(array.shape))
                for (name, array), part in zip(auxiliary.items(), parts)
            },
        )

    def test(self):
        """Return the ``Result`` on the test images."""
        return evaluate(self.tester, self.batches.test(), self.cluster)

    def lr(self, epoch):
        """Return the learning rate of the first update of an epoch."""
        return self.schedule((epoch - 1) * self.per_epoch + 1)

    def state(self):
        """Return {'arg': parameters, 'aux': BatchNorm's moving statistics, 'momentum': velocities}.

        With ``dist_async`` the velocities are the servers' and stay there.
        """
        arguments, auxiliary = self.module.get_params()
        if self.asynchronous:
            return {'arg': arguments, 'aux': auxiliary, 'momentum': {}}
        updater, indices = self._updater()
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
        if self.asynchronous:
            return
        updater, indices = self._updater()
        for name, array in momentum.items():
            for index in indices[name]:
                updater.states[index] = array.copy()
                updater.states_synced[index] = False  # moved to its device at the first update

    def _updater(self):
        """Return the object that holds the velocities, and its indices for each parameter.

        MXNet keeps it in the kvstore or in the module, depending on the number of devices, and
        offers only its pickle.
        """
        names, devices = self.module._param_names, len(self.module._context)
        if self.module._update_on_kvstore:
            return self.module._kvstore._updater, {name: [name] for name in names}
        return self.module._updater, {
            name: [number * devices + device for device in range(devices)]
            for number, name in enumerate(names)
        }


def _distributed(name):
    """Return MXNet's kvstore of several workers, whose ``pushpull`` takes compressed gradients too."""
    store = mx.kv.create(name)

    def pushpull(key, value, out=None, priority=0):
        store.push(key, value, priority)
        store.pull(key, value if out is None else out, priority)

    store.pushpull = pushpull
    return store
