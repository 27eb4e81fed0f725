"""A training run: its log, its checkpoints, and how it goes on after an interruption."""

import contextlib
import os
import sys

from common import checkpoint, log, run_commands, run_lock, run_state, symbol_file
from common.recipe import drop_epochs
from common.resumed_options import with_end
from common.rollback import MOST_ROLLBACKS, ROLLBACK_FACTOR, lowered, rollbacks_of, start_of
from common.tensorboard import Events
from engine import mx
from system import files
from system.errors import UserError, describe
from system.signals import Stop, Stopped

# What MXNet's errors say when the memory of the machine or of a GPU is full.
OUT_OF_MEMORY = ('Failed to allocate', 'out of memory', 'ALLOC_FAILED', 'bad_alloc')


class Run:
    """A run and its files, in worker 0; other workers have a ``common.remote_run.RemoteRun``.

    ``records`` are those of the log. Every checkpoint has them too, so that a log that was lost or
    torn is restored when the run goes on.

    Parameters
    ----------
    options : argparse.Namespace
    header : dict
        The first line of the log.
    recipe : common.recipe.Recipe
    folder : str, optional
        The folder of the checkpoints, if it does not have the run's name.
    """

    def __init__(self, options, header, recipe, folder=None):
        self.options, self.header, self._recipe = options, header, recipe
        self.records, self.rollbacks = [], 0
        self.arrays = None  # a checkpoint's, from which training starts; None: initial weights
        self.events = None  # the ``Events`` for TensorBoard, if ``--tensorboard`` asks for them
        self.usual_folder = os.path.join(options.checkpoint_dir, header['run'])
        self.folder = folder or self.usual_folder
        self.log = os.path.join(options.log_dir, header['run'] + '.jsonl')
        self.lock = run_lock.Lock(self.folder)

    def load(self):
        """Take over the last checkpoint, and write the log as it was then.

        A log of epochs after that checkpoint, as the run of another machine has written it, is kept
        under another name, and so is one that somebody has changed, or that of another run.

        A new number of epochs is written into the state, so that a run that is killed before its
        next checkpoint knows it.
        """
        before = run_state.load(self.folder)
        state = with_end(before, self.options)
        self.header, self.records = state['header'], state['records']
        self.rollbacks = rollbacks_of(self.records)
        self.arrays = checkpoint.load_arrays(run_state.params_path(self.folder, self.epoch))
        reason = log.difference(self.log, self.header, self.records)
        if reason:
            kept = files.set_aside(self.log)
            sys.stderr.write(f'{self.log} {reason}: it is kept as {kept}\n')
        log.restore(self.log, self.header, self.records)
        if state is not before:
            run_state.write(self.folder, run_state.STATE, state)

    def open_events(self):
        """Begin to write events for TensorBoard, if ``--tensorboard`` asks for them."""
        folder = self.options.tensorboard
        if folder:
            self.events = Events(os.path.join(folder, self.header['run']), self.records)

    def check_copy(self):
        """Raise ``UserError`` if the run is a copy that would write the log of the original."""
        if (
            not self.has_usual_folder()
            and os.path.isdir(self.usual_folder)
            and os.path.exists(self.log)
        ):
            raise UserError(
                f'{self.folder} is a copy of {self.usual_folder}, whose log is {self.log}: '
                'name another --log-dir for the copy'
            )

    def has_usual_folder(self):
        """Return whether the folder of the checkpoints has the run's name."""
        return os.path.realpath(self.folder) == os.path.realpath(self.usual_folder)

    @property
    def epoch(self):
        """Epochs that are done."""
        return len(self.records)

    @property
    def recipe(self):
        """The ``Recipe`` to train with, whose learning rate every rollback has lowered."""
        return lowered(self._recipe, self.rollbacks)

    @property
    def start(self):
        """The ``Start`` of training: a checkpoint, another run's parameters, or initial weights."""
        return start_of(self._recipe, self.records, self.arrays)

    def save(self, symbol, trainer, record):
        """Write the checkpoint of an epoch, then its record in the log.

        Raises
        ------
        UserError
            The files cannot be written, for example because the disk is full.
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
        """Print a line, unless it is None."""
        if line is not None:
            print(line, flush=True)

    def score_command(self, symbol):
        """Return the command that scores the run."""
        return run_commands.score(self, symbol)

    def _write_log(self, record):
        """Add a record to the log, or write the whole log again if it is gone."""
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
                f'log: {describe(error)}; "{run_commands.resume(self)}" writes the log again{then}'
            )

    def mend_symbol(self, symbol):
        """Write model-symbol.json again if somebody has removed or changed it."""
        symbol_file.mend(self.folder, symbol)

    def _make_again(self):
        """Make the folder of the checkpoints again, which somebody has removed."""
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
        return f'to go on from epoch {self.epoch + 1}: {run_commands.resume(self)}'


@contextlib.contextmanager
def until_stopped(run):
    """Yield a ``Stop``; a signal ends the process with status 128 + n, and the run is released.

    Raises
    ------
    UserError
        The memory is full.
    """
    try:
        with Stop() as stop:
            yield stop
    except Stopped as signal:
        sys.stderr.write(f'stopped by {signal} after epoch {run.epoch}; {run.advice}\n')
        raise SystemExit(128 + signal.number)
    except (MemoryError, RuntimeError) as error:  # an MXNetError is a RuntimeError
        if not _is_out_of_memory(error):
            raise
        with contextlib.suppress(mx.MXNetError):
            mx.nd.waitall()  # other threads may have failed too, which MXNet would tell at the end
        raise UserError(
            'the memory does not suffice for this network and batch: take more devices, a smaller '
            f'--batch-size or a smaller network; {run.advice}'
        ) from None
    finally:
        run.release()


def _is_out_of_memory(error):
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY)
