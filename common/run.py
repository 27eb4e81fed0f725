"""The files of a run: its log, its checkpoints, and what they say."""

import json
import os
import shlex
import sys
from datetime import datetime

import engine
from common import checkpoint, log, recipe
from common.options import FOLDERS
from system import files, schema
from system.errors import UserError, command, describe

ROLLBACK_FACTOR, MOST_ROLLBACKS = 0.1, 3  # of the learning rate, see --on-nan
_parse_header = schema.checker(
    {'type': 'object', 'required': ['run'], 'properties': {'run': {'type': 'string'}}}
)


class Run:
    """The files of one run: its log, its checkpoints, and what they say.

    ``records`` are those of the log, and every checkpoint has them too, so that a log that was lost
    or torn is restored when the run goes on. ``arrays`` are those to go on from, None at the
    beginning.
    """

    def __init__(self, options, header, decay, folder=None):
        self.options, self.header, self.decay, self.records, self.arrays = (
            options,
            header,
            decay,
            [],
            None,
        )
        self.usual_folder = os.path.join(options.checkpoint_dir, header['run'])
        self.folder = folder or self.usual_folder
        self.log = os.path.join(options.log_dir, header['run'] + '.jsonl')
        self.lock = checkpoint.Lock(self.folder)

    def load(self):
        """Take over the last checkpoint, and write the log as it was then."""
        state = checkpoint.load_state(self.folder)
        self.header, self.records = state['header'], state['records']
        self.arrays = checkpoint.load_arrays(checkpoint.params_path(self.folder, self.epoch))
        if not self._log_is_own():
            kept = files.set_aside(self.log)
            sys.stderr.write(f'{self.log} is not the log of this run: it is kept as {kept}\n')
        log.restore(self.log, self.header, self.records)

    def _log_is_own(self):
        """Return whether the log, whole or torn, is this run's, or there is none."""
        if not os.path.isfile(self.log):
            return not os.path.lexists(self.log)
        with open(self.log, encoding='utf-8', errors='replace') as file:
            first = file.readline()
        try:
            return _parse_header(first)['run'] == self.header['run']
        except ValueError:
            return json.dumps(self.header).startswith(first)

    def check_copy(self):
        """Raise ``UserError`` where the run is a copy that would write the log of the original."""
        if (
            not self._has_usual_folder()
            and os.path.isdir(self.usual_folder)
            and os.path.exists(self.log)
        ):
            raise UserError(
                f'{self.folder} is a copy of {self.usual_folder}, whose log is {self.log}: '
                'name another --log-dir for the copy'
            )

    def _has_usual_folder(self):
        return os.path.realpath(self.folder) == os.path.realpath(self.usual_folder)

    @property
    def epoch(self):
        """Epochs that are done."""
        return len(self.records)

    @property
    def name(self):
        """How ``--resume`` and ``score.py`` are told which run it is, as it can be pasted into a shell.

        That is its name, or the path of its folder where that has another name, and the options
        that lead to its files where those are not the usual.
        """
        words = [self.header['run'] if self._has_usual_folder() else self.folder]
        for key, default in FOLDERS.items():
            if getattr(self.options, key) != default:
                words += ['--' + key.replace('_', '-'), getattr(self.options, key)]
        return ' '.join(map(shlex.quote, words))

    def save(self, symbol, trainer, record):
        """Write the checkpoint of an epoch, then its log record.

        Raises
        ------
        UserError
            The disk is at fault.
        """
        records = self.records + [record]
        epoch, best = len(records), checkpoint.best(records)
        steps = [step for step in recipe.drop_epochs(self.decay) if step <= epoch]
        state = {
            'header': self.header,
            'epoch': epoch,
            'best': best,
            'records': records,
            'kept': sorted({epoch, best, *steps} | {epoch - 1} - {0}),
        }
        try:
            if not os.path.isdir(self.folder):
                self._make_again()
            checkpoint.save(self.folder, symbol, trainer.state(), state)
        except OSError as error:
            raise UserError(f'epoch {epoch} could not be saved: {describe(error)}; {self.advice}')
        self.records = records
        self._write_log(record)

    def _write_log(self, record):
        """Add a record to the log, which is made again where it is gone."""
        try:
            if os.path.exists(self.log):
                log.append(self.log, record)
            else:
                log.restore(self.log, self.header, self.records)
        except OSError as error:
            more = self.epoch < self.options.epochs
            then = f' and goes on from epoch {self.epoch + 1}' if more else ''
            raise UserError(
                f'the checkpoint of epoch {self.epoch} is saved, but not its line in the '
                f'log: {describe(error)}; "{self.resume_command}" writes the log again{then}'
            )

    def mend_symbol(self, symbol):
        """Write the symbol of a run that goes on again where somebody has removed or changed it."""
        checkpoint.mend_symbol(self.folder, symbol)

    def _make_again(self):
        """What was trained is in memory: a folder that somebody has removed costs only the older checkpoints."""
        sys.stderr.write(
            f'{self.folder} is gone: it is made again, with the checkpoints from now on\n'
        )
        self.release()
        self.lock = checkpoint.Lock(self.folder)

    def release(self):
        """Let others train into the folder."""
        self.lock.release()

    @property
    def advice(self):
        """How to go on after this process has ended."""
        if not self.epoch:
            return 'there is no checkpoint yet: start again'
        return f'to go on from epoch {self.epoch + 1}: {self.resume_command}'

    @property
    def resume_command(self):
        """The command that goes on with the run; the options alone where launch.py has started this process."""
        options = f'--resume {self.name}'
        if 'DMLC_ROLE' in os.environ:
            return options
        return f'{command(log.script_of(self.header))} {options}'

    @property
    def lr(self):
        """The first learning rate, after rollbacks, of the last epoch that is done."""
        return self.options.lr * ROLLBACK_FACTOR**self.rollbacks

    @property
    def rollbacks(self):
        """How often the run has gone back, by its records."""
        return self.records[-1].get('rollbacks', 0) if self.records else 0


def start(options, name, facts, decay):
    """Return a new ``Run``; its log, under a name nobody has, begins with the options and ``facts``."""
    header = dict(
        facts,
        options=vars(options),
        versions=engine.versions(),
        threads=engine.threads(),
        started=datetime.now().astimezone().isoformat(timespec='seconds'),
    )
    name = f'{name}-{datetime.now():%Y%m%d-%H%M%S}'
    path, _ = log.create(options.log_dir, _without_folder(name, options.checkpoint_dir), header)
    return Run(options, log.read(path)[0], decay)


def _without_folder(name, folder):
    """Return the name of a run, with a number where another has its checkpoints under that name."""
    free, number = name, 1
    while os.path.lexists(os.path.join(folder, free)):
        number += 1
        free = f'{name}-{number}'
    return free


def resume(options, header, decay, workers=1):
    """Return the ``Run`` that has this header, with its last checkpoint."""
    run = Run(options, header, decay, checkpoint.find(options.resume, options.checkpoint_dir))
    run.check_copy()
    run.load()  # behind the lock: another process may have written until now
    now = dict(engine.versions(), threads=engine.threads(), workers=workers)
    before = dict(
        run.header['versions'], threads=run.header['threads'], workers=run.header.get('workers', 1)
    )
    changed = [
        f'{name} {now[name]} instead of {before[name]}'
        for name in now
        if now[name] != before.get(name)
    ]
    if changed:
        sys.stderr.write(
            f'the run goes on with {", ".join(changed)}: its results will differ from '
            'those of a run that was never stopped, as those of another seed do\n'
        )
    return run


class Guest(Run):
    """The run as a worker of several knows it that is not the first: it has no files."""

    def __init__(self, options, header, decay):
        self.options, self.header, self.decay, self.records, self.arrays = (
            options,
            header,
            decay,
            [],
            None,
        )

    def save(self, symbol, trainer, record):
        self.records = self.records + [record]

    def release(self):
        pass


def joined(options, name, facts, state, decay, cluster):
    """Return the ``Run`` of a cluster's first worker, a new one or that of ``state``, and to the others the same as ``Guest``."""
    run = None
    if not cluster.rank:
        run = (
            resume(options, state['header'], decay, cluster.size)
            if state
            else start(options, name, facts, decay)
        )
    if cluster.size > 1:
        header, records = cluster.first_json(run and [run.header, run.records])
        if cluster.rank:
            run = Guest(options, header, decay)
            run.records = records
        if records:
            run.arrays = checkpoint.by_kind(
                cluster.first_arrays(checkpoint.flat(run.arrays) if run.arrays else {})
            )
    return run
