"""The lock on the folder of a run."""

import os

from system import files
from system.errors import UserError


class Lock:
    """Holds the folder of a run, so that no second process trains into it."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        try:
            self.descriptor = files.take_lock(os.path.join(folder, 'lock'), wait=False)
        except BlockingIOError:
            raise UserError(
                f'another process is training the run in {folder}: wait for it, or stop it'
            ) from None

    def release(self):
        """Let another process train into the folder; more than once does no harm."""
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor = None
