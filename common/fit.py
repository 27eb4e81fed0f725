"""A run from its first epoch to its last: train, evaluate, save, log; or go on from a checkpoint."""
import os
import sys
import time
from datetime import datetime

from common import checkpoint, engine, log, recipe
from common.datasets import TOP5_FROM
from common.errors import UserError
from common.options import FOLDERS
from common.signals import Stop, Stopped
from common.trainer import Trainer


class Run:
    """The files of one run: its log, its checkpoints, and what they say.

    ``records`` are those of the log, and every checkpoint has them too, so that a log that was lost or
    torn is restored when the run goes on.
    """

    def __init__(self, options, header, records=(), best=None):
        self.options, self.header, self.records, self.best = options, header, list(records), best
        self.folder = os.path.join(options.checkpoint_dir, header['run'])
        self.log = os.path.join(options.log_dir, header['run'] + '.jsonl')
        self.lock = checkpoint.Lock(self.folder)

    @property
    def epoch(self):
        """Epochs that are done."""
        return len(self.records)

    @property
    def name(self):
        """The name, followed by the options that lead to its files where those are not the usual."""
        folders = ''.join(' --%s %s' % (key.replace('_', '-'), getattr(self.options, key))
                          for key in FOLDERS if getattr(self.options, key) != FOLDERS[key])
        return self.header['run'] + folders

    def save(self, symbol, trainer, record):
        """Write the checkpoint of an epoch, then its log record."""
        self.records.append(record)
        if self.best is None or record['test_error'] < self.records[self.best - 1]['test_error']:
            self.best = self.epoch
        steps = [epoch for epoch in recipe.drop_epochs(self.options.epochs) if epoch <= self.epoch]
        checkpoint.save(self.folder, symbol, trainer.state(), {
            'header': self.header, 'epoch': self.epoch, 'best': self.best, 'records': self.records,
            'kept': sorted({self.epoch, self.best, *steps})})
        log.append(self.log, record)


def start(options, name, facts):
    """Return a new ``Run``; its log, under a name nobody has, begins with the options and ``facts``."""
    header = dict(facts, options=vars(options), versions=engine.versions(), threads=engine.threads(),
                  started=datetime.now().astimezone().isoformat(timespec='seconds'))
    name = '%s-%s' % (name, datetime.now().strftime('%Y%m%d-%H%M%S'))
    path, _ = log.create(options.log_dir, name, header)
    return Run(options, log.read(path)[0])


def resume(options, state):
    """Return the ``Run`` of a checkpoint's state, and the arrays to go on from."""
    run = Run(options, state['header'], state['records'], state['best'])
    log.restore(run.log, run.header, run.records)
    return run, checkpoint.load_arrays(checkpoint.params_path(run.folder, state['epoch']))


def fit(options, symbol, batches, devices, name, facts, state=None):
    """Train ``symbol`` up to ``options.epochs`` and return the ``Run``.

    Parameters
    ----------
    options : argparse.Namespace
        epochs, lr, seed, kv_store, log_dir and checkpoint_dir.
    batches : common.data.Batches
    devices : list of mx.Context
    name : str
        What the name of the run begins with.
    facts : dict
        More for the header of the log.
    state : dict, optional
        The state of a checkpoint to go on from.

    SIGINT and SIGTERM end the process after the current batch with status 130 or 143; the last
    checkpoint is that of the epoch before.
    """
    check_devices(devices, batches.batch, options.kv_store, options.dtype)
    run, arrays = resume(options, state) if state else (start(options, name, facts), None)
    try:
        with Stop() as stop:
            trainer = Trainer(symbol, devices, batches, options.epochs, options.lr, options.seed,
                              options.kv_store, arrays, run.epoch, options.dtype)
            print('run %s, log %s' % (run.header['run'], run.log), flush=True)
            while run.epoch < options.epochs:
                run.save(symbol, trainer, one_epoch(trainer, run.epoch + 1, batches.dataset.classes, stop))
                print(line(run.records[-1], options.epochs), flush=True)
            print('finished; score it with: python score.py --run %s' % run.name)
    except Stopped as signal:
        sys.stderr.write('stopped by %s after epoch %d; %s\n' % (
            signal, run.epoch, 'go on with --resume ' + run.name if run.epoch else 'nothing to resume yet'))
        raise SystemExit(128 + signal.number)
    finally:
        run.lock.release()
    return run


def check_devices(devices, batch, kvstore, dtype='float32'):
    """Raise ``UserError`` for what the devices cannot do: share a batch, a kvstore, half precision."""
    if batch % len(devices):
        raise UserError('--batch-size %d cannot be split over %d devices evenly: choose a multiple of %d'
                        % (batch, len(devices), len(devices)))
    if kvstore == 'nccl' and devices[0].device_type == 'cpu':
        raise UserError('--kv-store nccl sums on GPUs only: use --kv-store device on CPUs')
    if dtype == 'float16' and devices[0].device_type == 'cpu':
        raise UserError('--dtype float16 is for GPUs (MXNet has no half-precision convolution for the CPU): leave it '
                        'out, or name --gpus')


def one_epoch(trainer, epoch, classes, stop):
    """Train and evaluate once; return the record for the log. Raises ``Stopped``."""
    began = time.time()
    train, speed = trainer.train(epoch, stop)
    test = trainer.test()
    record = {'epoch': epoch, 'train_loss': round(train.loss, 6), 'train_error': round(train.error, 4),
              'test_loss': round(test.loss, 6), 'test_error': round(test.error, 4)}
    if classes >= TOP5_FROM:
        record.update(train_top5=round(train.top5, 4), test_top5=round(test.top5, 4))
    return dict(record, lr=trainer.lr(epoch), seconds=round(time.time() - began, 3),
                images_per_second=round(speed, 1))


def line(record, epochs):
    """Return an epoch's record as a line for people."""
    return ('epoch %(epoch)d/{}  lr %(lr)g  train loss %(train_loss).4f error %(train_error).2f%%  test '
            'loss %(test_loss).4f error %(test_error).2f%%  %(images_per_second).0f images/s'
            ).format(epochs) % record
