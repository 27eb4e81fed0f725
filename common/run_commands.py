"""The commands that resume and score a run, as messages print them, ready for the shell.

``run`` is a ``common.run.Run`` in all functions.
"""

import os
import shlex

from common import log
from common.options import FOLDERS
from symbols import ensemble
from system.errors import command


def name_of(run):
    """Return what ``--resume`` and ``score.py --run`` call a run, quoted for the shell.

    That is its name, or the path of its checkpoint folder if that has another name, followed by the
    options for folders that are not the usual ones.
    """
    words = [run.header['run'] if run.has_usual_folder() else run.folder]
    for key, default in FOLDERS.items():
        if getattr(run.options, key) != default:
            words += ['--' + key.replace('_', '-'), getattr(run.options, key)]
    return ' '.join(map(shlex.quote, words))


def resume(run):
    """Return the command that goes on with a run; in a job of launch.py only its options."""
    options = f'--resume {name_of(run)}'
    options += _devices(run)
    if run.header['options'].get('threads'):
        options += f' --threads {run.header["options"]["threads"]}'
    if run.options.tensorboard:
        options += f' --tensorboard {shlex.quote(run.options.tensorboard)}'
    if 'DMLC_ROLE' in os.environ:
        return options
    return f'{command(log.script_of(run.header))} {options}'


def _devices(run):
    """Return the option that names the devices, '' if they are those the run was started with."""
    gpus, cpus = run.options.gpus, run.options.cpus
    before = run.header['options']
    if (gpus, cpus) == (before.get('gpus'), before.get('cpus')):
        return ''
    return f' --gpus {",".join(map(str, gpus))}' if gpus else f' --cpus {cpus}'


def score(run, symbol):
    """Return the command that scores a run, whose network is ``symbol``."""
    ensembles = ensemble.names_of(symbol.list_outputs())
    script = 'study/score_ensemble.py' if ensembles else 'score.py'
    return f'{command(script)} --run {name_of(run)}'
