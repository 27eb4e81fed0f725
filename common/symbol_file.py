"""The model-symbol.json of a run: writing it, reading it, and mending it."""

import hashlib
import os
import sys

from common import log, run_state
from common.options import FOLDERS
from graphs import untrusted_symbol
from system import files
from system.errors import UserError, command


def write(folder, symbol, known):
    """Write the symbol unless its file is there and whole; return the SHA-256 of the file.

    ``known`` has the SHA-256 of the run's own files by name.
    """
    path = os.path.join(folder, run_state.SYMBOL)
    found = run_state.digest(path)
    # This comes before the symbol is made into text, because that costs memory which MXNet never
    # frees.
    if found is not None and found == known.get(run_state.SYMBOL):
        return found
    text = symbol.tojson()
    wanted = hashlib.sha256(text.encode()).hexdigest()
    if found == wanted:
        return found
    run_state.keep_foreign(path, [])
    files.write_text(path, text)
    return wanted


def load(path):
    """Return the symbol of a model-symbol.json file, or raise ``UserError``."""
    try:
        with open(path) as file:
            return untrusted_symbol.load(file.read(untrusted_symbol.MOST_BYTES + 1))
    except FileNotFoundError:
        raise UserError(f'{path} is not there: name the model-symbol.json of a run')
    except ValueError as error:
        raise UserError(
            f'{path} is not a network of this project ({error}): name the '
            'model-symbol.json of a run'
        )


def mend(folder, symbol):
    """Write the symbol of a run again where somebody has removed or changed it."""
    state = run_state.load(folder, warn=False)
    if run_state.is_whole(folder, run_state.SYMBOL, state):
        return
    path = os.path.join(folder, run_state.SYMBOL)
    was_there = os.path.exists(path)
    digest = write(folder, symbol, state['files'])
    if digest != state['files'].get(run_state.SYMBOL):  # another version of MXNet writes other JSON
        state = dict(state, files={**state['files'], run_state.SYMBOL: digest})
        run_state.write(folder, run_state.STATE, state)
    sys.stderr.write(f'{path} was {"damaged" if was_there else "gone"} and is written again\n')


def check(folder, state):
    """Raise ``UserError`` if the symbol is gone or changed; it names the command that mends it."""
    if run_state.is_whole(folder, run_state.SYMBOL, state):
        return
    path = os.path.join(folder, run_state.SYMBOL)
    how = 'damaged' if os.path.exists(path) else 'gone'
    header = state['header']
    words = [log.script_of(header), '--resume', folder]
    if header['options'].get('log_dir', FOLDERS['log_dir']) != FOLDERS['log_dir']:
        words += ['--log-dir', header['options']['log_dir']]
    raise UserError(f'{path} is {how}: "{command(*words)}" writes it again')
