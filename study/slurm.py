"""SLURM: the script that runs a grid's file as a job array, and queueing one of its tasks again."""

import os
import shlex
import signal
import subprocess
import sys

from common.options import FOLDERS
from system.errors import UserError, describe, printable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CORES = 4  # of a task, unless sbatch is told otherwise
# The signal that the script has SLURM send before the time limit, and how long before. It is not
# SIGTERM, which comes when a user cancels the task: that must not queue the task again.
WARNING, SECONDS_BEFORE = signal.SIGUSR1, 300


def script(args, lines):
    """Return the script for sbatch, in which task n of the job array runs line n of the file.

    Parameters
    ----------
    args : argparse.Namespace
        The options of run_experiments.py.
    lines : list of grid.Line

    Raises
    ------
    UserError
        The options ask for several runs at a time, about which SLURM decides.
    """
    if args.jobs or len(args.gpus or ()) > 1:
        raise UserError(
            'a task of --slurm is one run: leave --jobs out, and give at most one list of --gpus; '
            '"sbatch --array=1-40%8" runs 8 tasks at a time'
        )
    name = os.path.splitext(os.path.basename(args.file))[0]
    output = os.path.join(output_folder(args).replace('%', '%%'), f'{name}-line%a-slurm.txt')
    options = {
        'job-name': name,
        'array': _ranges([line.number for line in lines]),
        'cpus-per-task': str(CORES),
        **({'gres': f'gpu:{len(args.gpus[0])}'} if args.gpus else {}),
        'chdir': os.getcwd(),
        'output': output,
        'open-mode': 'append',
        'signal': f'B:{WARNING.name[3:]}@{SECONDS_BEFORE}',
    }
    return '\n'.join(
        [
            '#!/bin/bash',
            f'# Trains the runs of {printable(args.file)}, each line of it in a task of its own.',
            '# Options given to sbatch come before those below: sbatch --time=1-0 --partition=NAME',
            '# The same script can be submitted again: finished lines end at once, and unfinished',
            '# ones resume from their last checkpoint.',
            *(f'#SBATCH --{key}={shlex.quote(value)}' for key, value in options.items()),
            '#SBATCH --requeue',
            '',
            f'# {SECONDS_BEFORE} seconds before the time limit SLURM sends {WARNING.name}: the run'
            ' stops after its batch, and',
            '# the task is queued again.',
            f'exec {shlex.join(_command(args))} --line "$SLURM_ARRAY_TASK_ID"',
        ]
    )


def output_folder(args):
    """Return the folder for what the tasks print, which must be there before they start."""
    return os.path.join(args.log_dir, 'output')


def _command(args):
    """Return the words that start run_experiments.py with the same options."""
    words = [sys.executable, os.path.join(ROOT, 'study', 'run_experiments.py'), args.file]
    if args.gpus:
        words += ['--gpus', ','.join(map(str, args.gpus[0]))]
    if args.nice:
        words += ['--nice', str(args.nice)]
    for key, default in FOLDERS.items():
        if getattr(args, key) != default:
            words += ['--' + key.replace('_', '-'), getattr(args, key)]
    return words


def _ranges(numbers):
    """Return ascending numbers as text, such as ``4-7,9`` for 4, 5, 6, 7 and 9."""
    ranges = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ','.join(str(a) if a == b else f'{a}-{b}' for a, b in ranges)


def cores():
    """Return how many cores a task of SLURM may use, or None where SLURM does not say."""
    text = os.environ.get('SLURM_CPUS_PER_TASK', '')
    return int(text) if text.isdigit() else None


def in_a_task():
    """Return whether this process runs in a task of a job array."""
    return 'SLURM_ARRAY_TASK_ID' in os.environ


def requeue():
    """Queue the task again in which this process runs; return a sentence on what came of it."""
    # One task has the SLURM_JOB_ID of the whole array, so that does not name a task.
    task = f'{os.environ["SLURM_ARRAY_JOB_ID"]}_{os.environ["SLURM_ARRAY_TASK_ID"]}'
    try:
        done = subprocess.run(['scontrol', 'requeue', task], capture_output=True, text=True)
    except OSError as error:  # there is no scontrol inside a container, say
        refusal = describe(error)
    else:
        refusal = done.stderr.strip() if done.returncode else None
    if refusal:
        return f'SLURM did not queue the task again ({refusal}): submit the script again'
    return 'the task is queued again'
