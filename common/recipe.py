"""The paper's training recipe (sections 6.2 and 6.5): initialisation, learning rate, Nesterov momentum."""

from collections import namedtuple

import numpy

import engine
from engine import mx, native

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
# drops: after so many epochs, which may be broken numbers, the learning rate becomes a factor-th.
Decay = namedtuple('Decay', 'drops factor')
LEAST = 1e-37  # learning rate that MXNet's operators read; what is smaller changes no weight
MOST = 60  # tensors in one call of MXNet's multi-tensor operators


def initializer():
    """Return the initial weights: He normal, fan-in, and uniform in +-sqrt(1 / fan-in) for FC.

    BatchNorm starts with gamma 1 and beta 0, the bias of FC with 0.
    """
    uniform = mx.init.Xavier(rnd_type='uniform', factor_type='in', magnitude=1)
    he_normal = mx.init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2)
    return mx.init.Mixed(['(.*_)?fc_.*', '.*'], [uniform, he_normal])


class Schedule(mx.lr_scheduler.LRScheduler):
    """The learning rate of the n-th update, n from 1.

    It depends on n alone, so that a resumed run, or a server of a distributed one, needs no
    history.

    Parameters
    ----------
    lr : float
        The first.
    decay : Decay
    per_epoch : int
        Updates in an epoch.
    """

    def __init__(self, lr, decay, per_epoch):
        super().__init__(base_lr=lr)
        self.drops, self.factor = [round(per_epoch * drop) for drop in decay.drops], decay.factor

    def __call__(self, update):
        return self.base_lr / self.factor ** sum(update > drop for drop in self.drops)


def cifar_decay(epochs):
    """Return the ``Decay`` of section 6.2: a tenth after each of 1/2, 3/4 and 7/8 of the epochs."""
    return Decay(tuple(epochs * part for part in (1 / 2, 3 / 4, 7 / 8)), 10)


def stepwise_decay(epochs, step, factor):
    """Return the ``Decay`` of section 6.5 (a tenth every 30 epochs) and of appendix A.1 (half every 10)."""
    return Decay(tuple(range(step, epochs, step)), factor)


def drop_epochs(decay):
    """Return the epochs at whose end, or in the course of the next, the learning rate drops."""
    return sorted({int(drop) for drop in decay.drops} - {0})


@mx.optimizer.register
class Nesterov(mx.optimizer.Optimizer):
    """SGD with Nesterov momentum and weight decay on every parameter.

    With d = gradient / batch + decay * w, an update is v = momentum * v - lr * d and w = w +
    momentum * v - lr * d. It differs from MXNet's own ``NAG`` in three things, each of which
    changes the numbers:

    * MXNet leaves beta and biases without decay; the recipe decays them.
    * MXNet's operator overwrites w and then decays the new one into the momentum. Here the decay is
      added to the gradient first.
    * v carries the learning rate it was made with. Where the rate drops, v is scaled by the same
      factor, so that the update is that of a momentum without learning rate, as in MXNet 0.9.

    Parameters
    ----------
    velocity_lr : float
        The learning rate that the velocities of a resumed run carry.
    """

    def __init__(self, momentum=MOMENTUM, velocity_lr=None, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.aggregate_num = 1 << 20  # all tensors in one call of update
        self.velocity_lr = {}
        self.first_velocity_lr = velocity_lr

    def create_state(self, index, weight):
        return mx.nd.zeros(weight.shape, weight.context, dtype=weight.dtype)

    def update(self, index, weight, grad, state):
        if not isinstance(index, (tuple, list)):
            index, weight, grad, state = [index], [weight], [grad], [state]
        self._update_count(index)
        lrs = [lr if lr > LEAST else 0.0 for lr in self._get_lrs(index)]
        for i, v, lr in zip(index, state, lrs):
            self._follow(i, v, lr)
        on_cpu = all(w.context.device_type == 'cpu' and w.dtype == numpy.float32 for w in weight)
        if on_cpu and len(set(lrs)) == 1 and engine.native_operators():
            native.function('_dfn_nesterov')(
                *weight,
                *grad,
                *state,
                tensors=len(weight),
                lr=lrs[0],
                momentum=self.momentum,
                decay=self.wd,
                rescale=self.rescale_grad,
            )
        else:
            self._decay(weight, grad)
            for w, g, v, lr in zip(weight, grad, state, lrs):
                mx.nd.nag_mom_update(
                    w,
                    g,
                    v,
                    out=w,
                    lr=lr,
                    wd=0,
                    momentum=self.momentum,
                    rescale_grad=self.rescale_grad,
                )

    def _decay(self, weight, grad):
        """grad + decay / rescale * w, for many tensors in one call.

        It is a plain SGD step of "weight" grad against "gradient" w with a negative learning rate.
        """
        for start in range(0, len(grad), MOST):
            some = grad[start : start + MOST]
            pairs = [array for pair in zip(some, weight[start : start + MOST]) for array in pair]
            mx.nd.multi_sgd_update(
                *pairs,
                out=list(some),
                num_weights=len(some),
                wds=[0] * len(some),
                lrs=[-self.wd / self.rescale_grad] * len(some),
            )

    def _follow(self, index, velocity, lr):
        """Scale a velocity that was made with another learning rate."""
        before = self.velocity_lr.get(index, self.first_velocity_lr)
        if before not in (None, lr):
            velocity *= lr / before
        self.velocity_lr[index] = lr

    update_multi_precision = update
