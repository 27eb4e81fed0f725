"""A network bound to its devices: one training pass, one evaluation, and its whole state."""
import math
import time

from common import recipe
from common.engine import mx
from common.evaluate import Meter, barrier, evaluate
from common.progress import Progress
from symbols import fast, half


class Diverged(Exception):
    """The loss is not finite; the text says where."""


class Trainer:
    """Trains a symbol with the paper's recipe.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    devices : list of mx.Context
        A batch is split over them evenly.
    batches : common.data.Batches
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
        ``float16`` computes feature maps in half precision, on GPUs (symbols/half.py).
    lr_before : float, optional
        The first learning rate that the arrays were trained with, if not ``lr``.
    decay : recipe.Decay, optional
        How the learning rate drops; default: as in section 6.2.
    """

    def __init__(self, symbol, devices, batches, epochs, lr, seed=0, kvstore='device', arrays=None, epoch=0, dtype='float32',
                 lr_before=None, decay=None):
        self.batches = batches
        self.loss_scale = half.LOSS_SCALE if dtype == 'float16' else 1
        self.decay = decay or recipe.cifar_decay(epochs)
        self.schedule = recipe.Schedule(lr, self.decay, batches.per_epoch)
        # The faster graphs are for the CPU.
        on_cpu = all(device.device_type == 'cpu' for device in devices)
        if dtype == 'float16':
            symbol = half.half(symbol)
        self.module = self._bind(fast.for_training(symbol) if on_cpu else symbol, devices)
        arrays = arrays or {'arg': None, 'aux': None, 'momentum': {}}
        mx.random.seed(seed)
        self.module.init_params(recipe.initializer(), arg_params=arrays['arg'], aux_params=arrays['aux'])
        self._init_optimizer(kvstore, lr, epoch * batches.per_epoch, lr_before or lr)
        self._set_momentum(arrays['momentum'])
        # A second graph over the same parameters, where training's has no way to run as evaluation.
        self.tester = self.module
        inference = fast.for_inference(symbol) if on_cpu else symbol
        if inference is not symbol:
            self.tester = self._bind(inference, devices, for_training=False, shared_module=self.module)

    def _bind(self, symbol, devices, **options):
        module = mx.mod.Module(symbol, context=devices)
        module.bind(data_shapes=[('data', (self.batches.batch,) + self.batches.shape)],
                    label_shapes=[('softmax_label', (self.batches.batch,))], **options)
        return module

    def _init_optimizer(self, kvstore, lr, updates, lr_before):
        before = recipe.Schedule(lr_before, self.decay, self.batches.per_epoch)(updates) if updates else None
        self.optimizer = recipe.Nesterov(
            learning_rate=lr, lr_scheduler=self.schedule, wd=recipe.WEIGHT_DECAY, begin_num_update=updates,
            rescale_grad=1 / (self.batches.batch * self.loss_scale), velocity_lr=before)
        self.module.init_optimizer(kvstore=kvstore, optimizer=self.optimizer)

    def train(self, epoch, stop):
        """Train for one epoch; return its ``Result`` and images/s. Raises ``Stopped`` and ``Diverged``."""
        meter, start = Meter(), time.time()
        progress = Progress('epoch %d' % epoch, self.batches.train_images)
        for batch in self.batches.train(epoch):
            stop.check()
            self.module.forward(batch, is_train=True)
            self.module.backward()
            self.module.update()
            meter.add(self.module.get_outputs(), batch.label[0], batch.pad)
            progress.add(self.batches.batch - batch.pad, meter.loss)
            self._check_finite(meter, epoch)
        barrier()
        progress.close()
        self._share_statistics()
        result = meter.result()
        self._check_finite(meter, epoch)
        return result, self.batches.train_images / (time.time() - start)

    def _check_finite(self, meter, epoch):
        # The sum of the losses stays what it is once it is not finite, and it is looked at after every batch.
        if meter.images and not math.isfinite(meter.loss):
            update = (epoch - 1) * self.batches.per_epoch + meter.batches
            raise Diverged('the training loss is not finite in epoch %d, batch %d, learning rate %g' % (
                epoch, meter.batches, self.schedule(update)))

    def _share_statistics(self):
        """Give every device the mean of their BatchNorm statistics, which a checkpoint has.

        Each device moves its own. Without this the error in the log would be that of a network that no
        checkpoint holds, and a resumed run would not be the one that was stopped.
        """
        if len(self.module._context) > 1:
            self.module.set_params(*self.module.get_params())

    def test(self):
        """Return the ``Result`` on the test images."""
        return evaluate(self.tester, self.batches.test())

    def lr(self, epoch):
        """Return the learning rate of the first update of an epoch."""
        return self.schedule((epoch - 1) * self.batches.per_epoch + 1)

    def state(self):
        """Return {'arg': parameters, 'aux': BatchNorm's moving statistics, 'momentum': velocities}."""
        arguments, auxiliary = self.module.get_params()
        updater, indices = self._updater()
        return {'arg': arguments, 'aux': auxiliary,
                'momentum': {name: updater.states[index[0]] for name, index in indices.items()
                             if index[0] in updater.states}}

    def _set_momentum(self, momentum):
        updater, indices = self._updater()
        for name, array in momentum.items():
            for index in indices[name]:
                updater.states[index] = array.copy()
                updater.states_synced[index] = False  # moved to its device at the first update

    def _updater(self):
        """Return the object that holds the velocities, and its indices for each parameter.

        MXNet keeps it in the kvstore or in the module, depending on the number of devices, and offers
        only its pickle.
        """
        names, devices = self.module._param_names, len(self.module._context)
        if self.module._update_on_kvstore:
            return self.module._kvstore._updater, {name: [name] for name in names}
        return self.module._updater, {name: [number * devices + device for device in range(devices)]
                                      for number, name in enumerate(names)}
