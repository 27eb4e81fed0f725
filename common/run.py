"""The files of a run: its log, its checkpoints, and what they say."""
import os
import sys
from datetime import datetime

from common import checkpoint, engine, log, recipe
from common.errors import UserError, describe
from common.options import FOLDERS

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
        self.release()
        self.lock = checkpoint.Lock(self.folder)

    def release(self):
        """Let others train into the folder."""
        self.lock.release()

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


def resume(options, header, decay, workers=1):
    """Return the ``Run`` that has this header, with its last checkpoint."""
    run = Run(options, header, decay)
    run.load()  # behind the lock: another process may have written until now
    now = dict(engine.versions(), threads=engine.threads(), workers=workers)
    before = dict(run.header['versions'], threads=run.header['threads'], workers=run.header.get('workers', 1))
    changed = ['%s %s instead of %s' % (name, now[name], before[name]) for name in now if now[name] != before.get(name)]
    if changed:
        sys.stderr.write('the run goes on with %s: its results will differ from those of a run that was never stopped, '
                         'as those of another seed do\n' % ', '.join(changed))
    return run


class Guest(Run):
    """The run as a worker of several knows it that is not the first: it has no files."""

    def __init__(self, options, header, decay):
        self.options, self.header, self.decay, self.records, self.arrays = options, header, decay, [], None

    def save(self, symbol, trainer, record):
        self.records = self.records + [record]

    def release(self):
        pass


def joined(options, name, facts, state, decay, cluster):
    """Return the ``Run`` of a cluster's first worker, a new one or that of ``state``, and to the others the same as ``Guest``."""
    run = None
    if not cluster.rank:
        run = resume(options, state['header'], decay, cluster.size) if state else start(options, name, facts, decay)
    if cluster.size > 1:
        header, records = cluster.first_json(run and [run.header, run.records])
        if cluster.rank:
            run = Guest(options, header, decay)
            run.records = records
        if records:
            run.arrays = checkpoint.by_kind(cluster.first_arrays(checkpoint.flat(run.arrays) if run.arrays else {}))
    return run

