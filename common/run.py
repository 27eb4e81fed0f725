"""A training run: its log, its checkpoints, and how it goes on after an interruption."""

import contextlib
import json
import os
import shlex
import sys

from common import checkpoint, log, run_lock, run_state, symbol_file
from common.options import FOLDERS
from common.recipe import drop_epochs
from common.resumed_options import with_more_epochs
from common.rollback import MOST_ROLLBACKS, ROLLBACK_FACTOR, lowered, rollbacks_of, start_of
from common.tensorboard import Events
from symbols import ensemble
from system import files, schema
from system.errors import UserError, command, describe
from system.signals import Stop, Stopped

_parse_header = schema.checker(
    {'type': 'object', 'required': ['run'], 'properties': {'run': {'type': 'string'}}}
)


class Run:
    """A run and its files.

    ``records`` are those of the log, and every checkpoint has them too, so that a log that was lost
    or torn is restored when the run goes on.

    Parameters
    ----------
    options : argparse.Namespace
    header : dict
        The first line of the log.
    recipe : common.recipe.Recipe
    folder : str, optional
        Of the checkpoints, where it does not have the run's name.
    """

    def __init__(self, options, header, recipe, folder=None):
        self.options, self.header, self._recipe = options, header, recipe
        self.records, self.arrays, self.rollbacks, self.events = [], None, 0, None
        self.usual_folder = os.path.join(options.checkpoint_dir, header['run'])
        self.folder = folder or self.usual_folder
        self.log = os.path.join(options.log_dir, header['run'] + '.jsonl')
        self.lock = run_lock.Lock(self.folder)

    def load(self):
        """Take over the last checkpoint, and write the log as it was then."""
        state = with_more_epochs(self.folder, run_state.load(self.folder), self.options)
        self.header, self.records = state['header'], state['records']
        self.rollbacks = rollbacks_of(self.records)
        self.arrays = checkpoint.load_arrays(run_state.params_path(self.folder, self.epoch))
        if not self._log_is_own():
            kept = files.set_aside(self.log)
            sys.stderr.write(f'{self.log} is not the log of this run: it is kept as {kept}\n')
        log.restore(self.log, self.header, self.records)

    def follow(self):
        """Write events for TensorBoard from now on, where ``--tensorboard`` asks for them."""
        folder = self.options.tensorboard
        if folder:
            self.events = Events(os.path.join(folder, self.header['run']), self.records)

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
    def recipe(self):
        """The ``Recipe`` to go on with, in which every rollback has lowered the learning rate."""
        return lowered(self._recipe, self.rollbacks)

    @property
    def start(self):
        """The ``Start`` of training: the last checkpoint, what the run begins from, or nothing."""
        return start_of(self._recipe, self.records, self.arrays)

    @property
    def name(self):
        """What ``--resume`` and ``score.py`` call the run, as it can be pasted into a shell.

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
        if self.rollbacks:
            record = dict(record, rollbacks=self.rollbacks)
        records = [*self.records, record]
        epoch, best = len(records), run_state.best(records)
        steps = [step for step in drop_epochs(self._recipe.decay) if step <= epoch]
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
        if self.events:
            self.events.add(record)

    def roll_back(self, error):
        """Go back to the last checkpoint with a lower learning rate, if ``--on-nan`` says so.

        Parameters
        ----------
        error : common.trainer.Diverged

        Raises
        ------
        UserError
            The run is to stop, or has gone back ``MOST_ROLLBACKS`` times already.
        """
        if self.options.on_nan == 'stop':
            raise UserError(f'{error}: lower --lr or add --on-nan rollback; {self.advice}')
        if self.rollbacks == MOST_ROLLBACKS:
            last = 'there is no checkpoint'
            if self.epoch:
                last = f'the last checkpoint is that of epoch {self.epoch}'
            raise UserError(
                f'{error}, after {self.rollbacks} rollbacks: start a run with a lower --lr; {last}'
            )
        sys.stderr.write(
            f'{error}: back to epoch {self.epoch} with {ROLLBACK_FACTOR:g} of the learning rate\n'
        )
        rollbacks = self.rollbacks + 1
        if self.epoch:
            self.load()
        self.rollbacks = rollbacks

    def say(self, line):
        """Print a line for people; None is none."""
        if line is not None:
            print(line, flush=True)

    def score_command(self, symbol):
        """Return the command that scores the run."""
        ensembles = ensemble.names_of(symbol.list_outputs())
        script = 'study/score_ensemble.py' if ensembles else 'score.py'
        return f'{command(script)} --run {self.name}'

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
        symbol_file.mend(self.folder, symbol)

    def _make_again(self):
        """Make a folder again that somebody has removed; that costs only the older checkpoints."""
        sys.stderr.write(
            f'{self.folder} is gone: it is made again, with the checkpoints from now on\n'
        )
        self.release()
        self.lock = run_lock.Lock(self.folder)

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
        """The command that goes on with the run; in a job of launch.py the options alone."""
        options = f'--resume {self.name}'
        if self.options.tensorboard:
            options += f' --tensorboard {shlex.quote(self.options.tensorboard)}'
        if 'DMLC_ROLE' in os.environ:
            return options
        return f'{command(log.script_of(self.header))} {options}'


@contextlib.contextmanager
def until_stopped(run):
    """Yield a ``Stop``; a signal ends the process with status 128 + n, and the run is released."""
    try:
        with Stop() as stop:
            yield stop
    except Stopped as signal:
        sys.stderr.write(f'stopped by {signal} after epoch {run.epoch}; {run.advice}\n')
        raise SystemExit(128 + signal.number)
    finally:
        run.release()
