"""A run as the workers of a job other than worker 0 see it: they write no files."""

from common.rollback import lowered, rollbacks_of, start_of
from system.errors import UserError


class RemoteRun:
    """Has the methods of ``common.run.Run`` for a worker that does not have the run's files.

    Parameters
    ----------
    header : dict
    recipe : common.recipe.Recipe
    records : list of dict
        Of the epochs that are done.
    arrays : dict, optional
        The checkpoint to go on from.
    """

    def __init__(self, header, recipe, records, arrays=None):
        self.header, self.records, self.arrays = header, records, arrays
        self.recipe = lowered(recipe, rollbacks_of(records))
        self.start = start_of(recipe, records, arrays)
        self.log, self.advice = None, 'worker 0 says how to go on'

    @property
    def epoch(self):
        """Epochs that are done."""
        return len(self.records)

    def save(self, symbol, trainer, record):
        """Count an epoch, which worker 0 saves."""
        self.records = [*self.records, record]

    def roll_back(self, error):
        """Raise ``UserError``: several workers do not go back."""
        raise UserError(f'{error}: lower --lr; {self.advice}')

    def release(self):
        """Do nothing: there is no folder to let go of."""

    def say(self, line):
        """Say nothing: worker 0 does."""

    def score_command(self, symbol):
        """Return None: only worker 0 says it."""
