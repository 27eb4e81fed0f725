"""A grid as a job array of SLURM: the script, its tasks, and a real SLURM of one node."""

import glob
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import pytest
import slurm_cluster
from scripts import ROOT, run_script, user_error
from training_runs import small_cifar, start

from common import log
from study.grid import LineLocks

LINE = 'train_cifar.py --network plain --depth 5 --dataset cifar10 --batch-size 20'
EPOCHS = 40
FIRST, SECOND = 2, 4  # the lines of the grid that have a command
TASK = {'SLURM_ARRAY_JOB_ID': '1', 'SLURM_ARRAY_TASK_ID': '2', 'SLURM_CPUS_PER_TASK': '1'}
SECONDS = 120


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return small_cifar(tmp_path_factory.mktemp('slurm'), fashion, 100, 40)


@pytest.fixture
def grid(tmp_path):
    """The command that runs a grid of two lines, and the folder of its files."""
    folder = tmp_path / "it's 100 %"
    folder.mkdir()
    (folder / 'grid.txt').write_text(
        f'# two seeds\n{LINE} --epochs {EPOCHS}\n\n{LINE} --epochs {EPOCHS} --seed 2\n'
    )
    words = ('study/run_experiments.py', folder / 'grid.txt', '--log-dir', folder / 'logs')
    return (*words, '--checkpoint-dir', folder / 'checkpoints'), folder


def epochs_of(folder):
    """Return {seed: epochs} of the logs in a folder; no seed may have two."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(str(folder)), 'logs', '*.jsonl')):
        header, records = log.read(path)
        seed = header['options']['seed']
        assert seed not in found
        found[seed] = len(records)
    return found


def wait_for(condition, process=None):
    end = time.time() + SECONDS
    while not condition():
        assert time.time() < end and (process is None or process.poll() is None)
        time.sleep(0.05)


def test_the_script_has_a_task_for_each_line(grid):
    command, folder = grid
    text = run_script(*command, '--slurm', '--gpus', '0,1', '--nice', '3')
    assert f'#SBATCH --array={FIRST},{SECOND}\n' in text and '#SBATCH --gres=gpu:2\n' in text
    assert (folder / 'logs' / 'output').is_dir()
    *words, last = shlex.split(text.splitlines()[-1])
    assert last == '$SLURM_ARRAY_TASK_ID' and words[-1] == '--line'
    plan = run_script(*words[2:], str(SECOND), '--dry-run')
    assert plan.startswith(f'line   {SECOND}') and '--seed 2' in plan and 'seed 1' not in plan
    subprocess.run(['bash', '-n'], input=text, text=True, check=True)


def test_a_line_break_in_a_name_is_no_command(grid):
    command, folder = grid
    odd = str(folder / 'grid.txt\ntouch odd')
    shutil.copy(folder / 'grid.txt', odd)
    words = [odd if str(word) == str(folder / 'grid.txt') else word for word in command]
    lines = run_script(*words, '--slurm').splitlines()
    assert lines[1].startswith('#') and 'touch odd' in lines[1]
    comments = itertools.takewhile(lambda line: not line.startswith('exec'), lines)
    assert all(line.startswith('#') or not line for line in comments)


def test_neighbouring_lines_are_a_range(grid):
    command, folder = grid
    lines = ['', LINE, LINE + ' --seed 2', LINE + ' --seed 3', '', LINE + ' --seed 4']
    (folder / 'grid.txt').write_text('\n'.join(lines))
    assert '#SBATCH --array=2-4,6\n' in run_script(*command, '--slurm')


@pytest.mark.parametrize(
    'options,words',
    [
        (('--slurm', '--jobs', '2'), 'leave --jobs out'),
        (('--slurm', '--gpus', '0', '1'), 'at most one list'),
        (('--line', '3'), 'no training command in line 3'),
        (('--slurm', '--dry-run'), 'not allowed with'),
    ],
)
def test_options_that_contradict_each_other(grid, options, words):
    assert words in user_error(*grid[0], *options)


@pytest.mark.slow
@pytest.mark.parametrize(
    'epochs_before,words', [(0, 'too short for one epoch'), (3, 'did not queue the task again')]
)
def test_a_warning_of_the_time_limit_that_does_not_help(place, grid, epochs_before, words):
    """No epoch was done, or there is no SLURM that could start the task again."""
    command, folder = grid
    task = subprocess.Popen(
        [sys.executable, *map(str, command), '--data-dir', place / 'data', '--line', str(FIRST)],
        cwd=ROOT,
        env=dict(os.environ, **TASK, PATH='/nowhere'),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if epochs_before:
        wait_for(lambda: epochs_of(folder).get(1, 0) >= epochs_before, task)
    else:
        assert 'begins' in task.stdout.readline()
    task.send_signal(signal.SIGUSR1)
    _, said = task.communicate(timeout=SECONDS)
    assert task.returncode == 128 + signal.SIGUSR1 and words in said and 'SIGUSR1' in said, said


@pytest.mark.slow
def test_a_task_waits_for_the_one_before_to_end(place, grid):
    """A task that was just cancelled may still have the line."""
    command, folder = grid
    locks = LineLocks(folder / 'grid.txt')
    assert locks.take(SimpleNamespace(number=FIRST))
    task = start([*command, '--data-dir', place / 'data', '--line', str(FIRST)])
    time.sleep(3)
    assert task.poll() is None and not (folder / 'logs').exists()
    locks.release(SimpleNamespace(number=FIRST))
    wait_for(lambda: epochs_of(folder).get(1), task)
    task.send_signal(signal.SIGTERM)
    assert 'the same command resumes' in task.communicate(timeout=SECONDS)[1]


@pytest.mark.slow
@pytest.mark.skipif(
    bool(slurm_cluster.missing()),
    reason=f'not installed: {", ".join(slurm_cluster.missing())} (Debian: slurm-wlm munge)',
)
def test_tasks_are_cancelled_queued_again_and_submitted_again(place, grid):
    """One task is cancelled, and the other one is warned of its time limit."""
    command, folder = grid

    def printed(line):
        with open(folder / 'logs' / 'output' / f'grid-line{line}-slurm.txt') as file:
            return file.read()

    # The path of munge's socket must be a short one.
    with tempfile.TemporaryDirectory() as short, slurm_cluster.started(short) as cluster:
        script = run_script(*command, '--data-dir', place / 'data', '--slurm')

        def submit():
            said = cluster.call('sbatch', '--cpus-per-task=1', '--time=10', input=script)
            return re.search(r'job (\d+)', said).group(1)

        def queue_is_empty():
            return not cluster.call('squeue', '-h')

        job = submit()
        wait_for(lambda: epochs_of(folder).get(1, 0) >= 3)
        cluster.call('scancel', f'{job}_{FIRST}')
        wait_for(lambda: epochs_of(folder).get(2, 0) >= 3)
        cluster.call('scancel', '--batch', '--signal=USR1', f'{job}_{SECOND}')
        wait_for(queue_is_empty)
        done = epochs_of(folder)
        assert 3 <= done[1] < EPOCHS and done[2] == EPOCHS
        assert 'stopped by SIGTERM; the same command resumes' in printed(FIRST)
        assert 'stopped by SIGUSR1; the task is queued again' in printed(SECOND)
        assert re.search(r'line 4: resumes at epoch \d+', printed(SECOND))

        submit()
        wait_for(queue_is_empty)
        assert f'line 2: resumes at epoch {done[1] + 1}' in printed(FIRST)
        assert 'line 4: finished before' in printed(SECOND)
        assert epochs_of(folder) == {1: EPOCHS, 2: EPOCHS}
