"""SGD with Nesterov momentum as the paper's authors ran it, and its learning rate.

These are subclasses of MXNet's, so importing this file imports MXNet.
"""

import math

import numpy

from engine import mx, operators

LEAST = 1e-37  # a smaller learning rate counts as 0: it changes no weight, and MXNet cannot read it
MOST = 60  # the most tensors in one call of MXNet's multi-tensor operators


class Schedule(mx.lr_scheduler.LRScheduler):
    """The learning rate of the n-th update, n from 1: warm-up, then drops or half a cosine.

    It depends on n alone, so that a resumed run, or a server of a distributed one, needs no
    history. In a warm-up of w updates, update n has n / w of the rate that it would have without
    one. A cosine begins after the warm-up with the first rate, and would be 0 at the update after
    the last.

    Parameters
    ----------
    lr : float
        The first learning rate.
    decay : common.recipe.Decay
    per_epoch : int
        Updates in an epoch.
    """

    def __init__(self, lr, decay, per_epoch):
        super().__init__(base_lr=lr)
        self.drops, self.factor = [round(per_epoch * drop) for drop in decay.drops], decay.factor
        self.ends = [per_epoch * end for end in decay.cosine]
        self.warmup = round(per_epoch * decay.warmup)

    def __call__(self, update):
        rate = self.base_lr / self.factor ** sum(update > drop for drop in self.drops)
        if update <= self.warmup:
            return rate * update / self.warmup
        if self.ends:
            end = next((end for end in self.ends if update <= end), self.ends[-1])
            done = min(1, (update - 1 - self.warmup) / (end - self.warmup))
            rate *= (1 + math.cos(math.pi * done)) / 2
        return rate


@mx.optimizer.register
class Nesterov(mx.optimizer.Optimizer):
    """SGD with Nesterov momentum and weight decay on every parameter.

    With d = gradient / batch + decay * w, an update is v = momentum * v - lr * d and w = w +
    momentum * v - lr * d. It differs from MXNet's own ``NAG`` in three things, each of which
    changes the numbers:

    * MXNet leaves beta and biases without decay; the recipe decays them.
    * MXNet's operator overwrites w and then decays the new one into the momentum. Here the decay is
      added to the gradient first.
    * v contains the learning rate of the updates that it was made with. When the rate changes, v
      is multiplied by the same factor, so that the update is that of a momentum without learning
      rate, as in MXNet 0.9. In a warm-up and with a cosine this happens at every update. A rate of
      0 makes v 0.

    Parameters
    ----------
    velocity_lr : float
        The learning rate that the velocities of a resumed run contain.
    """

    def __init__(self, momentum, velocity_lr=None, **kwargs):
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
        if on_cpu and len(set(lrs)) == 1 and operators.load():
            operators.function('_dfn_nesterov')(
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
        """Add decay / rescale * w to each gradient, for many tensors in one call.

        MXNet's operator for a plain SGD step does it: the gradient is its "weight", w is its
        "gradient", and the learning rate is negative.
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
        """Scale a velocity that was made with another learning rate to the present one."""
        before = self.velocity_lr.get(index, self.first_velocity_lr)
        if before and before != lr:
            velocity *= lr / before
        self.velocity_lr[index] = lr

    update_multi_precision = update
