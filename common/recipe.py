"""The paper's training recipe (sections 6.2 and 6.5): initial weights and learning rate.

``Decay`` says how the learning rate changes, and ``engine.optimizer.Schedule`` computes it.
"""

from typing import NamedTuple

from engine import mx
from system.errors import UserError

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4


class Decay(NamedTuple):
    """How the learning rate changes: the paper's steps, or half a cosine, after a warm-up."""

    drops: tuple = ()  # epochs, fractions allowed, after which the rate is divided by ``factor``
    factor: float = 1
    # With a cosine instead of drops: the epochs at whose end the rate is 0. A run that was finished
    # and goes on has several, each for a half cosine that begins where the training began: the
    # numbers of epochs that it had before, and the present one (see resumed_options.py).
    cosine: tuple = ()
    warmup: float = 0  # epochs, fractions allowed, over which the rate first rises from 0


class Schedule(NamedTuple):
    """How the learning rate drops on ImageNet."""

    every: int  # epochs between two drops
    factor: int  # the rate is divided by this at each drop


SCHEDULES = {'6.5': Schedule(30, 10), 'a1': Schedule(10, 2)}  # by section of the paper


class Recipe(NamedTuple):
    """What decides the result of a training run, beside the network and the images."""

    epochs: int
    lr: float  # the first learning rate
    decay: Decay
    seed: int = 1  # for the initial weights
    dtype: str = 'float32'  # or float16, for feature maps on GPUs
    momentum: float = MOMENTUM
    weight_decay: float = WEIGHT_DECAY  # of every parameter


def initializer():
    """Return the initial weights: He normal, fan-in, and uniform in +-sqrt(1 / fan-in) for FC.

    BatchNorm starts with gamma 1 and beta 0, the bias of FC with 0.
    """
    uniform = mx.init.Xavier(rnd_type='uniform', factor_type='in', magnitude=1)
    he_normal = mx.init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2)
    return mx.init.Mixed(['(.*_)?fc_.*', '.*'], [uniform, he_normal])


def from_options(args, steps):
    """Return the ``Recipe`` that a training script's options ask for.

    Parameters
    ----------
    args : argparse.Namespace
        See ``training_options.add_recipe``.
    steps : Decay
        The paper's decay, which ``--decay cosine`` replaces.

    Raises
    ------
    UserError
        The warm-up is as long as the training.
    """
    if args.warmup >= args.epochs:
        raise UserError(
            f'--warmup {args.warmup:g} is not shorter than the training of {args.epochs} epochs: '
            'give a smaller number'
        )
    decay = steps
    if args.decay == 'cosine':
        decay = Decay(cosine=(*(args.epochs_before or ()), args.epochs))
    return Recipe(
        args.epochs,
        args.lr,
        decay._replace(warmup=args.warmup),
        args.seed,
        args.dtype,
        args.momentum,
        args.weight_decay,
    )


def first_epochs(args):
    """Return the number of epochs that a run was started with, which a resumed one may exceed."""
    return (args.epochs_before or [args.epochs])[0]


def cifar_decay(epochs):
    """Return the ``Decay`` of section 6.2: a tenth after each of 1/2, 3/4 and 7/8 of the epochs."""
    return Decay(tuple(epochs * part for part in (1 / 2, 3 / 4, 7 / 8)), 10)


def stepwise_decay(epochs, step, factor):
    """Return the ``Decay`` of a rate that is divided by ``factor`` every ``step`` epochs.

    Section 6.5 divides by 10 every 30 epochs, and appendix A.1 by 2 every 10.
    """
    return Decay(tuple(range(step, epochs, step)), factor)


def drop_epochs(decay):
    """Return the last whole epoch before each drop; its checkpoint is kept."""
    return sorted({int(drop) for drop in decay.drops} - {0})
