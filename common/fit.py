"""A run from its first epoch to its last: train, evaluate, save, log; or go on from a checkpoint."""

import math
import sys
import time

from common import recipe
from common.run import MOST_ROLLBACKS, ROLLBACK_FACTOR, joined
from common.trainer import Diverged, Trainer
from distributed.cluster import ALONE
from symbols import ensemble
from system.errors import UserError, command
from system.signals import Stop, Stopped

# Devices that train, and images of a batch on each, by section of the paper: 6.2, 6.5 and appendix
# A.1.
PAPER_DEVICES = {'6.2': (2, 32), '6.5': (8, 32), 'a1': (4, 64)}


def fit(options, symbol, batches, devices, name, facts, state=None, decay=None, cluster=ALONE):
    """Train ``symbol`` up to ``options.epochs`` and return the ``Run``.

    Parameters
    ----------
    options : argparse.Namespace
        epochs, lr, seed, kv_store, log_dir and checkpoint_dir.
    batches : recordio.data.Batches
    devices : list of mx.Context
    name : str
        What the name of the run begins with.
    facts : dict
        More for the header of the log.
    state : dict, optional
        The state of a checkpoint of the run to go on with.
    decay : recipe.Decay, optional
        How the learning rate drops; default: as in section 6.2.
    cluster : cluster.Cluster
        The workers that train together. The first has the files and speaks.

    SIGINT, SIGTERM and the other signals of ``Stop`` end the process after the current batch with
    status 128 + n; the last checkpoint is that of the epoch before. Loss that is not finite ends it
    with ``UserError``, or with ``--on-nan rollback`` sends it back to the last checkpoint,
    ``MOST_ROLLBACKS`` times, each with ``ROLLBACK_FACTOR`` of the learning rate.
    """
    check_devices(devices, batches.batch, options.kv_store, options.dtype)
    run = joined(options, name, facts, state, decay or recipe.cifar_decay(options.epochs), cluster)
    try:
        if state and not cluster.rank:
            run.mend_symbol(symbol)
        with Stop() as stop:
            if not cluster.rank:
                print(f'run {run.header["run"]}, log {run.log}', flush=True)
            rollbacks = run.rollbacks
            while not _train(run, symbol, batches, devices, stop, rollbacks, cluster):
                rollbacks += 1
            if not cluster.rank:
                print(f'finished; score it with: {score_command(symbol, run)}')
    except Stopped as signal:
        sys.stderr.write(f'stopped by {signal} after epoch {run.epoch}; {run.advice}\n')
        raise SystemExit(128 + signal.number)
    finally:
        run.release()
    return run


def score_command(symbol, run):
    """Return the command that scores a finished run."""
    script = 'study/score_ensemble.py' if ensemble.names_of(symbol.list_outputs()) else 'score.py'
    return f'{command(script)} --run {run.name}'


def _train(run, symbol, batches, devices, stop, rollbacks, cluster):
    """Train from the last checkpoint; return whether the run is finished, and False where it must go back."""
    options, lr = run.options, run.options.lr * ROLLBACK_FACTOR**rollbacks
    trainer = Trainer(
        symbol,
        devices,
        batches,
        options.epochs,
        lr,
        options.seed,
        options.kv_store,
        run.arrays,
        run.epoch,
        options.dtype,
        lr_before=run.lr,
        decay=run.decay,
        cluster=cluster,
        compression=compression(options),
    )
    try:
        while run.epoch < options.epochs:
            record = one_epoch(trainer, run.epoch + 1, batches.dataset.top5, stop)
            run.save(symbol, trainer, dict(record, rollbacks=rollbacks) if rollbacks else record)
            if not cluster.rank:
                print(line(run.records[-1], options.epochs), flush=True)
    except Diverged as error:
        if options.on_nan == 'stop':
            raise UserError(f'{error}: lower --lr or add --on-nan rollback; {run.advice}')
        if rollbacks == MOST_ROLLBACKS:
            last = (
                f'the last checkpoint is that of epoch {run.epoch}'
                if run.epoch
                else 'there is no checkpoint'
            )
            raise UserError(
                f'{error}, after {rollbacks} rollbacks: start a run with a lower --lr; {last}'
            )
        sys.stderr.write(
            f'{error}: back to epoch {run.epoch} with {ROLLBACK_FACTOR:g} of the learning rate\n'
        )
        if run.epoch:
            run.load()
        return False
    return True


def compression(options):
    """Return MXNet's parameters of gradient compression, or None."""
    if options.gradient_compression == 'none':
        return None
    return {'type': options.gradient_compression, 'threshold': options.compression_threshold}


def check_devices(devices, batch, kvstore, dtype='float32'):
    """Raise ``UserError`` for what the devices cannot do: share a batch, a kvstore, half precision."""
    if batch % len(devices):
        raise UserError(
            f'--batch-size {batch} cannot be split over {len(devices)} devices evenly: '
            f'choose a multiple of {len(devices)}'
        )
    if kvstore == 'nccl' and devices[0].device_type == 'cpu':
        raise UserError('--kv-store nccl sums on GPUs only: use --kv-store device on CPUs')
    if dtype == 'float16' and devices[0].device_type == 'cpu':
        raise UserError(
            '--dtype float16 is for GPUs (MXNet has no half-precision convolution for '
            'the CPU): leave it '
            'out, or name --gpus'
        )


def about_batchnorm(devices, images, section):
    """Return a line on what BatchNorm's statistics are taken over, or None where it is as in the paper.

    Parameters
    ----------
    devices : int
        Over all workers.
    images : int
        Of a batch on each device.
    section : str
        A key of ``PAPER_DEVICES``.
    """
    theirs, each = PAPER_DEVICES[section]
    if (devices, images) == (theirs, each):
        return None
    where = f'each of {devices} devices' if devices > 1 else '1 device'
    than = (
        ''
        if images == each
        else f', which makes them {"noisier" if images > each else "less noisy"} there'
    )
    return (
        f"BatchNorm's mean and variance are over {images} images on {where}; the paper "
        f'trains on {theirs} devices, over '
        f'{each} images on each{than}'
    )


def one_epoch(trainer, epoch, top5, stop):
    """Train and evaluate once; return the record for the log. Raises ``Stopped`` and ``Diverged``."""
    began = time.time()
    train, speed = trainer.train(epoch, stop)
    test = trainer.test()
    if not math.isfinite(test.loss):
        raise Diverged(
            f'the test loss after epoch {epoch}, learning rate {trainer.lr(epoch):g}, is not finite'
        )
    record = {
        'epoch': epoch,
        'train_loss': round(train.loss, 6),
        'train_error': round(train.error, 4),
        'test_loss': round(test.loss, 6),
        'test_error': round(test.error, 4),
    }
    if top5:
        record.update(train_top5=round(train.top5, 4), test_top5=round(test.top5, 4))
    for name in ('components', 'without'):
        if getattr(test, name):
            record['test_' + name] = {
                component: round(error, 4) for component, error in getattr(test, name).items()
            }
    return dict(
        record,
        lr=trainer.lr(epoch),
        seconds=round(time.time() - began, 3),
        images_per_second=round(speed, 1),
    )


def line(record, epochs):
    """Return an epoch's record as a line for people."""
    return (
        f'epoch %(epoch)d/{epochs}  lr %(lr)g  train loss %(train_loss).4f error '
        '%(train_error).2f%%  test '
        'loss %(test_loss).4f error %(test_error).2f%%  %(images_per_second).0f images/s'
    ) % record
