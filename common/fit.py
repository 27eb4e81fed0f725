"""A run from its first epoch to its last: train, evaluate, save, log; or go on from a checkpoint."""
import math
import os
import sys
import time
from datetime import datetime

from common import checkpoint, engine, log, recipe
from common.errors import UserError, describe
from common.options import FOLDERS
from common.signals import Stop, Stopped
from common.trainer import Diverged, Trainer


ROLLBACK_FACTOR, MOST_ROLLBACKS = 0.1, 3  # of the learning rate, see --on-nan


class Run:
    """The files of one run: its log, its checkpoints, and what they say.

    ``records`` are those of the log, and every checkpoint has them too, so that a log that was lost or
    torn is restored when the run goes on. ``arrays`` are those to go on from, None at the beginning.
    """

    def __init__(self, options, header, decay):
        self.options, self.header, self.decay, self.records, self.arrays = options, header, decay, [], None
        self.folder = os.path.join(options.checkpoint_dir, header['run'])
        self.log = os.path.join(options.log_dir, header['run'] + '.jsonl')
        self.lock = checkpoint.Lock(self.folder)

    def load(self):
        """Take over the last checkpoint, and write the log as it was then."""
        state = checkpoint.load_state(self.folder)
        self.header, self.records = state['header'], state['records']
        self.arrays = checkpoint.load_arrays(checkpoint.params_path(self.folder, self.epoch))
        log.restore(self.log, self.header, self.records)

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
        """Write the checkpoint of an epoch, then its log record. Raises ``UserError`` where the disk is at fault."""
        records = self.records + [record]
        epoch, best = len(records), checkpoint.best(records)
        steps = [step for step in recipe.drop_epochs(self.decay) if step <= epoch]
        state = {'header': self.header, 'epoch': epoch, 'best': best, 'records': records,
                 'kept': sorted({epoch, best, *steps} | {epoch - 1} - {0})}
        try:
            if not os.path.isdir(self.folder):
                self._make_again()
            checkpoint.save(self.folder, symbol, trainer.state(), state)
            self.records = records
            if os.path.exists(self.log):
                log.append(self.log, record)
            else:
                log.restore(self.log, self.header, records)
        except OSError as error:
            raise UserError('epoch %d could not be saved: %s; %s' % (epoch, describe(error), self.advice))

    def _make_again(self):
        """What was trained is in memory: a folder that somebody has removed costs only the older checkpoints."""
        sys.stderr.write('%s is gone: it is made again, with the checkpoints from now on\n' % self.folder)
        self.lock.release()
        self.lock = checkpoint.Lock(self.folder)

    @property
    def advice(self):
        """How to go on after this process has ended."""
        return 'go on with --resume %s, from epoch %d' % (self.name, self.epoch + 1) if self.epoch else 'there is no checkpoint yet: start again'

    @property
    def lr(self):
        """The first learning rate, after rollbacks, of the last epoch that is done."""
        return self.options.lr * ROLLBACK_FACTOR ** self.rollbacks

    @property
    def rollbacks(self):
        """How often the run has gone back, by its records."""
        return self.records[-1].get('rollbacks', 0) if self.records else 0


def start(options, name, facts, decay):
    """Return a new ``Run``; its log, under a name nobody has, begins with the options and ``facts``."""
    header = dict(facts, options=vars(options), versions=engine.versions(), threads=engine.threads(),
                  started=datetime.now().astimezone().isoformat(timespec='seconds'))
    name = '%s-%s' % (name, datetime.now().strftime('%Y%m%d-%H%M%S'))
    path, _ = log.create(options.log_dir, name, header)
    return Run(options, log.read(path)[0], decay)


def resume(options, header, decay):
    """Return the ``Run`` that has this header, with its last checkpoint."""
    run = Run(options, header, decay)
    run.load()  # behind the lock: another process may have written until now
    now = dict(engine.versions(), threads=engine.threads())
    before = dict(run.header['versions'], threads=run.header['threads'])
    changed = ['%s %s instead of %s' % (name, now[name], before[name]) for name in now if now[name] != before.get(name)]
    if changed:
        sys.stderr.write('the run goes on with %s: its results will differ from those of a run that was never stopped, '
                         'as those of another seed do\n' % ', '.join(changed))
    return run


def fit(options, symbol, batches, devices, name, facts, state=None, decay=None):
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
        The state of a checkpoint of the run to go on with.
    decay : recipe.Decay, optional
        How the learning rate drops; default: as in section 6.2.

    SIGINT and SIGTERM end the process after the current batch with status 130 or 143; the last
    checkpoint is that of the epoch before. Loss that is not finite ends it with ``UserError``, or with
    ``--on-nan rollback`` sends it back to the last checkpoint, ``MOST_ROLLBACKS`` times, each with
    ``ROLLBACK_FACTOR`` of the learning rate.
    """
    check_devices(devices, batches.batch, options.kv_store, options.dtype)
    decay = decay or recipe.cifar_decay(options.epochs)
    run = resume(options, state['header'], decay) if state else start(options, name, facts, decay)
    try:
        with Stop() as stop:
            print('run %s, log %s' % (run.header['run'], run.log), flush=True)
            rollbacks = run.rollbacks
            while not _train(run, symbol, batches, devices, stop, rollbacks):
                rollbacks += 1
            print('finished; score it with: python score.py --run %s' % run.name)
    except Stopped as signal:
        sys.stderr.write('stopped by %s after epoch %d; %s\n' % (signal, run.epoch, run.advice))
        raise SystemExit(128 + signal.number)
    finally:
        run.lock.release()
    return run


def _train(run, symbol, batches, devices, stop, rollbacks):
    """Train from the last checkpoint; return whether the run is finished, and False where it must go back."""
    options, lr = run.options, run.options.lr * ROLLBACK_FACTOR ** rollbacks
    trainer = Trainer(symbol, devices, batches, options.epochs, lr, options.seed, options.kv_store, run.arrays, run.epoch,
                      options.dtype, lr_before=run.lr, decay=run.decay)
    try:
        while run.epoch < options.epochs:
            record = one_epoch(trainer, run.epoch + 1, batches.dataset.top5, stop)
            run.save(symbol, trainer, dict(record, rollbacks=rollbacks) if rollbacks else record)
            print(line(run.records[-1], options.epochs), flush=True)
    except Diverged as error:
        if options.on_nan == 'stop':
            raise UserError('%s: lower --lr or add --on-nan rollback; %s' % (error, run.advice))
        if rollbacks == MOST_ROLLBACKS:
            raise UserError('%s, after %d rollbacks: start a run with a lower --lr; the last checkpoint is that of epoch %d' % (
                error, rollbacks, run.epoch))
        sys.stderr.write('%s: back to epoch %d with %g of the learning rate\n' % (error, run.epoch, ROLLBACK_FACTOR))
        if run.epoch:
            run.load()
        return False
    return True


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


def one_epoch(trainer, epoch, top5, stop):
    """Train and evaluate once; return the record for the log. Raises ``Stopped`` and ``Diverged``."""
    began = time.time()
    train, speed = trainer.train(epoch, stop)
    test = trainer.test()
    if not math.isfinite(test.loss):
        raise Diverged('the test loss after epoch %d, learning rate %g, is not finite' % (epoch, trainer.lr(epoch)))
    record = {'epoch': epoch, 'train_loss': round(train.loss, 6), 'train_error': round(train.error, 4),
              'test_loss': round(test.loss, 6), 'test_error': round(test.error, 4)}
    if top5:
        record.update(train_top5=round(train.top5, 4), test_top5=round(test.top5, 4))
    for name in ('components', 'without'):
        if getattr(test, name):
            record['test_' + name] = {component: round(error, 4) for component, error in getattr(test, name).items()}
    return dict(record, lr=trainer.lr(epoch), seconds=round(time.time() - began, 3),
                images_per_second=round(speed, 1))


def line(record, epochs):
    """Return an epoch's record as a line for people."""
    return ('epoch %(epoch)d/{}  lr %(lr)g  train loss %(train_loss).4f error %(train_error).2f%%  test '
            'loss %(test_loss).4f error %(test_error).2f%%  %(images_per_second).0f images/s'
            ).format(epochs) % record
