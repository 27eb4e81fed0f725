"""A grid of runs by study/run_experiments.py: real trainings of seconds, stopped, failed and gone
on with.
"""

import collections
import csv
import glob
import os
import signal
import subprocess
import sys
import time

import pytest
from scripts import ROOT, run_script, user_error
from training_runs import small_cifar, start

from common import log

LINE = 'train_cifar.py --network plain --depth 5 --dataset cifar10 --batch-size 20'
SECONDS = 60


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return small_cifar(tmp_path_factory.mktemp('grid'), fashion, 100, 40)


def command(place, folder, *lines, name='grid.txt'):
    """Write a grid's file; return the command that runs it with logs and checkpoints in
    ``folder``.
    """
    (folder / name).write_text('# a comment\n\n' + '\n'.join(lines) + '\n')
    return (
        'study/run_experiments.py',
        folder / name,
        '--data-dir',
        place / 'data',
        '--log-dir',
        folder / 'logs',
        '--checkpoint-dir',
        folder / 'checkpoints',
    )


def epochs_of(folder):
    """Return {(network, seed): epochs} of the logs in a folder; no setting may have two."""
    found = {}
    for path in glob.glob(str(folder / 'logs' / '*.jsonl')):
        header, records = log.read(path)
        key = header['options']['network'], header['options']['seed']
        assert key not in found
        found[key] = len(records)
    return found


def test_lines_run_once_and_failures_are_listed(place, tmp_path):
    """The second line fails when it runs: a batch larger than the data."""
    lines = (
        LINE + ' --epochs 1',
        'train_cifar.py --network plain --depth 5 --epochs 1 --batch-size 4000',
        'study/train_ensemble.py --depth 5 --component LLL --batch-size 20 --epochs 1  # '
        'one of eight',
    )
    said = run_script(*command(place, tmp_path, *lines), status=1)
    assert (
        'line 4 failed: train_cifar.py --network plain' in said and 'take a smaller batch' in said
    )
    assert epochs_of(tmp_path) == {('plain', 1): 1, ('LLL', 1): 1}
    again = command(place, tmp_path, lines[0], lines[2])
    said = run_script(*again)
    assert said.count('finished before') == 2
    assert epochs_of(tmp_path) == {('plain', 1): 1, ('LLL', 1): 1}
    said = run_script(*again, '--dry-run')
    assert said.count('finished: cifar10-') == 2 and 'in all 0 s' in said


@pytest.mark.parametrize(
    'number', (signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow))
)
def test_a_stopped_grid_goes_on(place, tmp_path, number):
    line = LINE + ' --epochs 40 --quiet'
    arguments = command(place, tmp_path, line, LINE + ' --epochs 2 --seed 2')
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments), '--jobs', '1'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.time() + SECONDS
    while max(epochs_of(tmp_path).values(), default=0) < 3:
        assert process.poll() is None and time.time() < end
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=SECONDS)
    assert (
        process.returncode == 128 + number
        and 'the same command resumes' in said
        and 'Traceback' not in said
    )
    (done,) = epochs_of(tmp_path).values()
    assert 3 <= done < 40
    said = run_script(*arguments)
    assert f'resumes at epoch {done + 1}' in said
    # It keeps the options of its line that any run may change.
    assert 'epoch 40/40' not in (tmp_path / 'logs' / 'output' / 'grid-line3.txt').read_text()
    assert epochs_of(tmp_path) == {('plain', 1): 40, ('plain', 2): 2}


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason='needs two cores')
def test_two_grids_on_one_file_share_its_lines(place, tmp_path):
    arguments = command(
        place, tmp_path, *(f'{LINE} --epochs 2 --seed {seed}' for seed in range(1, 4))
    )
    grids = [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [grid.communicate(timeout=SECONDS)[0] for grid in grids]
    assert [grid.returncode for grid in grids] == [0, 0], said
    assert epochs_of(tmp_path) == {('plain', seed): 2 for seed in range(1, 4)}


def test_the_priority_of_jobs_counts_against_other_sessions(place, tmp_path):
    """Linux shares the processor out among sessions first, if autogroup is switched on."""
    if not os.path.exists('/proc/self/autogroup'):
        pytest.skip('this kernel has no autogroup')
    line = LINE + ' --epochs 400'
    grid = start((*command(place, tmp_path, line), '--nice', '19'))
    try:
        (job,) = wait_for(lambda: children(grid.pid))
        priority = f'/proc/{job}/autogroup'
        assert wait_for(lambda: read(priority).endswith('nice 19\n'))
        assert os.getpriority(os.PRIO_PROCESS, job) == 19
        assert not read(f'/proc/{grid.pid}/autogroup').endswith('nice 19\n')
    finally:
        grid.send_signal(signal.SIGINT)
        grid.communicate(timeout=60)


def test_a_user_who_is_not_root_can_lower_several_priorities_at_once():
    """Linux refuses such a user a second one within a tenth of a second."""
    if not os.path.exists('/proc/self/autogroup'):
        pytest.skip('this kernel has no autogroup')
    without_rights = ['setpriv', '--bounding-set=-sys_admin'] if os.geteuid() == 0 else []
    if without_rights and subprocess.run([*without_rights, 'true'], check=False).returncode:
        pytest.skip('the rights of root cannot be laid down here')
    program = """
import os
from system.processes import lower_priority
for _ in range(3):
    if not os.fork():
        os.setsid()
        lower_priority(19)
        os.write(1, open('/proc/self/autogroup', 'rb').read())
        os._exit(0)
for _ in range(3):
    os.wait()
"""
    command = [*without_rights, sys.executable, '-c', program]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1:] for line in said.splitlines()] == [['nice', '19']] * 3


def test_a_grid_outlives_the_reader_of_its_output(place, tmp_path):
    line = LINE + ' --epochs 1'
    arguments = command(place, tmp_path, line, line + ' --seed 2', line + ' --seed 3')
    command_line = [sys.executable, *map(str, arguments), '--jobs', '1']
    grid = subprocess.Popen(command_line, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert 'line 3: begins' in grid.stdout.readline()
    grid.stdout.close()
    assert grid.wait(SECONDS) == 0
    assert epochs_of(tmp_path) == {('plain', seed): 1 for seed in (1, 2, 3)}


def test_runs_may_share_a_gpu(place, tmp_path):
    """Both begin before one has ended. There is no GPU here, so both fail."""
    lines = [f'{LINE} --epochs 1 --seed {seed}' for seed in (1, 2)]
    words = [sys.executable, *map(str, command(place, tmp_path, *lines)), '--gpus', '0', '0']
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    said = [line for line in done.stdout.splitlines() if line.startswith('line ')]
    assert done.returncode == 1, done.stderr
    assert [' begins' in line for line in said] == [True, True, False, False]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason='needs two cores')
def test_runs_at_a_time_have_cores_of_their_own(place, tmp_path):
    every = os.sched_getaffinity(0)
    lines = [f'{LINE} --epochs 400 --seed {seed}' for seed in (1, 2)]
    grid = start((*command(place, tmp_path, *lines), '--jobs', '2'))
    try:
        jobs = wait_for(lambda: len(found := children(grid.pid)) == 2 and found)
        wait_for(lambda: all(os.sched_getaffinity(job) != every for job in jobs))
        one, two = map(os.sched_getaffinity, jobs)
        assert not one & two and one | two == every
    finally:
        grid.send_signal(signal.SIGINT)
        grid.communicate(timeout=60)


def read(path):
    with open(path) as file:
        return file.read()


def children(parent):
    """Return the numbers of a process's children."""
    with open(f'/proc/{parent}/task/{parent}/children') as file:
        return list(map(int, file.read().split()))


def wait_for(condition, seconds=60):
    """Return the first true value of a condition."""
    end = time.time() + seconds
    while not (value := condition()):
        assert time.time() < end
        time.sleep(0.05)
    return value


def test_jobs_have_cores_of_their_own():
    from study.grid_jobs import cores_for

    parts = cores_for(min(2, len(os.sched_getaffinity(0))))
    assert sorted(core for part in parts for core in part) == sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    'text,words',
    [
        ('rm -rf logs', ('line 3', 'begin it with one of train_cifar.py')),
        ('', ('no command',)),
        (LINE + ' --resume x', ('--resume', 'leave it out')),
        (LINE + ' --cpus=2', ('--cpus',)),
        (LINE + ' --res x', ('--res', 'leave it out')),
        ('train_imagenet.py --decay cosine --drop-every 5', ('line 3: --drop-every',)),
        ("train_cifar.py 'x", ('line 3', 'quotation')),
    ],
)
def test_a_file_that_is_none(place, tmp_path, text, words):
    said = user_error(*command(place, tmp_path, text))
    assert all(word in said for word in words), said


def test_a_file_of_another_encoding(place, tmp_path):
    words = command(place, tmp_path, LINE)
    (tmp_path / 'grid.txt').write_bytes(f'{LINE}  # für morgen\n'.encode('latin-1'))
    assert 'is not UTF-8' in user_error(*words)


def test_signs_of_comments_and_of_editors(place, tmp_path):
    """A # within a word is part of it, and some editors begin a file with a mark."""
    words = command(place, tmp_path, LINE)
    text = f'\ufeff# for today, don\'t wait\r\n{LINE} # "odd\r\n'
    (tmp_path / 'grid.txt').write_bytes(text.encode())
    said = run_script(*words, '--dry-run')
    assert said.startswith('line   2') and 'odd' not in said
    (tmp_path / 'grid.txt').write_text(f'{LINE} --name a#b')
    assert "'a#b' cannot be part of a file name" in run_script(*words, status=2)


def test_the_grid_of_table_4_has_every_cell_five_times():
    from study import grid

    with open(os.path.join(ROOT, 'data', 'paper', 'table4.csv'), newline='') as file:
        columns, *rows = csv.reader(file)
    expected = collections.Counter()
    for row in rows:
        d1, d2 = map(int, row[1].split('/'))
        for column in columns[2:]:
            data, name = column.rsplit(' ', 1)
            depth = d1 if name in ('Plain', 'ResNet') else d2
            dataset = data.lower().replace('-', '')
            expected[dataset, name.lower().removeprefix('dfn-'), depth] += 5
    lines = grid.read(os.path.join(ROOT, 'experiments', 'table4.txt'), [])
    options = [line.options for line in lines]
    found = collections.Counter((o['dataset'], o['network'], o['depth']) for o in options)
    assert found == expected and {o['seed'] for o in options} == {1, 2, 3, 4, 5}


def test_the_committed_grid_is_valid():
    """Every line of experiments/ is a command that its script takes."""
    from study import grid

    for path in glob.glob(os.path.join(ROOT, 'experiments', '*.txt')):
        lines = grid.read(path, [])
        settings = [(str(line.setting), line.options['seed']) for line in lines]
        assert len(set(settings)) == len(settings)
