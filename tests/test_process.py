"""What every script does as a process: its streams, signals, locale, threads and the commands in
its hints.
"""

import argparse
import glob
import os
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
import training_runs as runs
from scripts import ROOT, open_terminal, run_script, user_error

from common import compute, log, training_options
from system import errors, processes, progress

ASCII = {'PYTHONIOENCODING': 'ascii'}
C_LOCALE = {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
FOLDER = "Müller's Läufe"


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder whose name has umlauts and a space, with a small CIFAR-10 and a run of one epoch in
    it.
    """
    folder = tmp_path_factory.mktemp('process') / FOLDER
    folder.mkdir()
    runs.small_cifar(folder, fashion, train=120, test=40)
    (folder / 'said').write_text(
        run_script(*runs.arguments(folder, '--cpus', '1', '--epochs', '1')), encoding='utf-8'
    )
    return folder


def short(place, tmp_path, *more):
    return runs.arguments(
        place,
        '--cpus',
        '1',
        '--log-dir',
        tmp_path / 'logs',
        '--checkpoint-dir',
        tmp_path / 'checkpoints',
        *more,
    )


# ---- threads ----

THREADS = (
    'import engine; from engine import mx; from system import script; '
    'script.run_main(lambda: engine.set_threads(%s)); '
    'print(mx.nd and engine.threads())'
)


def test_threads_that_openmp_takes_and_mxnet_does_not():
    """MXNet ends the process with a core dump when it meets a list, which OpenMP allows."""
    assert run_script('-c', THREADS % None, OMP_NUM_THREADS='2,1') == '2\n'


@pytest.mark.parametrize('value', ['many', '0', '99999999', '²'])
def test_threads_that_are_no_number(value):
    assert 'OMP_NUM_THREADS is ' in user_error('-c', THREADS % None, OMP_NUM_THREADS=value)


def test_launch_looks_at_the_number_of_threads_before_it_starts_a_worker():
    said = user_error('launch.py', '--workers', '2', 'train_cifar.py', OMP_NUM_THREADS='many')
    assert said.startswith("launch.py: error: OMP_NUM_THREADS is 'many'")


def test_more_threads_than_cores_are_warned_of_once():
    cores = len(os.sched_getaffinity(0))
    command = [sys.executable, '-c', THREADS % (cores + 1)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding='utf-8')
    assert done.stdout == f'{cores + 1}\n'
    assert done.stderr.count(f'{cores + 1} threads share {cores} cores') == 1


def test_learning_rates_that_cannot_train(place, tmp_path):
    assert 'cannot train' in user_error(*short(place, tmp_path, '--lr', '1e-300'))
    for text in ('1e300', '1e-300', 'nan', '-1', '1e-31'):
        with pytest.raises(argparse.ArgumentTypeError):
            training_options.learning_rate(text)


@pytest.mark.parametrize('native', ['0', '1'])
def test_learning_rates_that_change_nothing(native):
    """Drops and rollbacks make a small rate smaller than single precision has numbers for."""
    run_script(
        '-c',
        'from engine import mx, optimizer; w, g = mx.nd.ones(3), mx.nd.ones(3)\n'
        'for lr in (0, 1e-30, 1e-40, 1e-300):\n'
        '    sgd = optimizer.Nesterov(learning_rate=lr, momentum=0.9, wd=0)\n'
        '    sgd.update(0, w, g, mx.nd.zeros(3))\n'
        'assert (w.asnumpy() == 1).all()',
        DFN_NATIVE=native,
    )
    assert (
        training_options.learning_rate('1e-30') == 1e-30
        and training_options.learning_rate('0') == 0
    )


# ---- streams ----


def started(command, *, code=None, **variables):
    """Return a script's process, with ``code`` of the shell behind it, such as ``>&-``."""
    line = ' '.join(map(shlex.quote, [sys.executable, *map(str, command)])) + ' ' + (code or '')
    return subprocess.Popen(
        ['bash', '-c', 'exec ' + line],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=ROOT, **variables),
        encoding='utf-8',
    )


@pytest.mark.parametrize(
    'closed',
    [
        '<&- >&- 2>&-',
        *(pytest.param(code, marks=pytest.mark.slow) for code in ('>&-', '>/dev/full 2>&1')),
    ],
)
def test_a_run_goes_on_when_nobody_listens(place, tmp_path, closed):
    process = started(short(place, tmp_path, '--epochs', '1'), code=closed)
    said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    (path,) = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    with open(path) as file:
        content = file.read()
    assert 'finished' not in content and len(log.read(path)[1]) == 1
    assert runs.name_of(tmp_path / 'checkpoints')


def test_a_run_goes_on_when_its_reader_has_gone(place, tmp_path):
    process = started(short(place, tmp_path, '--epochs', '2'))
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 0
    (path,) = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    assert len(log.read(path)[1]) == 2


def test_scripts_with_closed_streams(place, tmp_path):
    logs = glob.glob(str(place / 'logs' / '*.jsonl'))
    process = started(['plot_curves.py', *logs, '--out', tmp_path / 'a.png'], code='>&-')
    assert process.wait(60) == 0 and (tmp_path / 'a.png').read_bytes()[1:4] == b'PNG'
    (tmp_path / 'a.png').unlink()
    process = started(['plot_curves.py', *logs, '--out', tmp_path / 'a.png'], code='>/dev/full')
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and said.count('\n') == 1 and 'No space left' in said


# ---- locale ----


@pytest.mark.slow
@pytest.mark.parametrize('variables', [ASCII, C_LOCALE])
def test_names_with_umlauts_in_every_locale(place, tmp_path, variables):
    """Data sets, runs, tables, figures and images; the same files are found under every locale."""
    out = tmp_path / FOLDER
    folders = (
        '--data-dir',
        place / 'data',
        '--log-dir',
        out / 'lögs',
        '--checkpoint-dir',
        out / 'stände',
    )
    run_script(
        'data/prepare.py',
        'cifar10',
        '--source',
        place,
        '--out',
        out / 'dätën',
        '--no-checksum',
        **variables,
    )
    said = raw_output(
        'data/prepare.py',
        'cifar10',
        '--source',
        place,
        '--out',
        out / 'dätën',
        '--no-checksum',
        **variables,
    )
    shown = 'd\\xe4t\\xebn' if variables is ASCII else 'dätën'
    assert shown in said
    run_script(
        'train_cifar.py',
        '--depth',
        '8',
        '--epochs',
        '1',
        '--cpus',
        '1',
        '--batch-size',
        '32',
        *folders,
        **variables,
    )
    name = runs.name_of(out / 'stände')
    run = out / 'stände' / 'größer'
    (out / 'stände' / name).rename(run)
    scored = run_script(
        'score.py', '--run', run, '--data-dir', out / 'dätën', '--cpus', '1', **variables
    )
    assert 'top-1 error' in scored
    image = out / 'Bïld.png'
    image.write_bytes(open(os.path.join(ROOT, 'logs', 'fashion-mnist-mr14.png'), 'rb').read())
    assert '%' in run_script('score.py', '--run', run, '--image', image, '--cpus', '1', **variables)
    logs = glob.glob(str(out / 'lögs' / '*.jsonl'))
    run_script('plot_curves.py', *logs, '--out', out / 'kürve.png', **variables)
    assert 'Table 4 gets nothing' in user_error(
        'study/make_tables.py', *logs, '--table', '4', '--out', out / 'tafëln', **variables
    )
    assert (out / 'kürve.png').exists()
    assert 'nïcht' in user_error(
        'plot_curves.py', out / 'nïcht.jsonl', '--out', out / 'x.png', **C_LOCALE
    )
    assert os.listdir(str(tmp_path)) == [FOLDER]


def raw_output(*command, **variables):
    process = started(command, **variables)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0
    return said


def test_names_that_are_not_utf8(tmp_path):
    for variables in ({}, C_LOCALE):
        process = subprocess.run(
            [sys.executable.encode(), b'train_cifar.py', b'--data-dir', b'M\xfcller'],
            cwd=ROOT,
            env=dict(os.environ, **variables),
            capture_output=True,
        )
        assert process.returncode == 2
        assert (
            process.stderr
            == b"train_cifar.py: error: the argument 'M\\xfcller' is not UTF-8: rename the "
            b'file or folder\n'
        )


# ---- signals ----


@pytest.mark.parametrize(
    'number', [signal.SIGHUP, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)]
)
def test_signals_of_terminals_and_batch_systems_stop_a_run(place, tmp_path, number):
    process = started(short(place, tmp_path, '--epochs', '400'))
    while 'epoch 1/400' not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    name = runs.name_of(tmp_path / 'checkpoints')
    assert process.returncode == 128 + number
    assert (
        f'stopped by {number.name} after epoch' in said
        and f'--resume {name}' in said
        and 'Traceback' not in said
    )


STOP = (
    'import time; from system.script import run_main; from system.signals import Stop\n'
    'def main():\n'
    '    with Stop() as stop:\n'
    '        print("ready", flush=True)\n'
    '        for _ in range(100):\n'
    '            time.sleep(0.01); stop.check()\n'
    'run_main(main)'
)


@pytest.mark.parametrize('number', [signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_every_signal_is_a_wish_to_stop(number):
    process = started(['-c', STOP])
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(number)
    assert f'Stopped: {number.name}' in process.communicate(timeout=30)[1]


def test_nohup():
    """A hang-up that is ignored when a script starts stays so."""
    process = subprocess.Popen(
        ['nohup', sys.executable, '-c', STOP],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding='utf-8',
    )
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 0


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_signals_end_other_scripts_in_one_line(tmp_path, number):
    code = (
        'import time, sys; from system.script import run_main\n'
        'def main():\n'
        '    try:\n        print("ready", flush=True)\n        time.sleep(60)\n    '
        'finally:\n        print("tidy")\n'
        'run_main(main)'
    )
    process = started(['-c', code])
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(number)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, 'tidy\n')
    assert said == ('interrupted\n' if number == signal.SIGINT else f'stopped by {number.name}\n')


def test_ctrl_c_while_a_script_is_imported():
    process = started(['-c', 'import system, time; print("ready", flush=True); time.sleep(60)'])
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ('', 'interrupted\n') and process.returncode == 130


@pytest.mark.parametrize('backend', ['Qt4Agg', 'none'])
def test_what_draws_on_a_screen_is_not_asked_for(backend, tmp_path):
    """MPLBACKEND may name what is not installed."""
    code = (
        'from report import confusion_figure, figures\n'
        'from matplotlib import pyplot; pyplot.figure(); print(pyplot.get_backend())'
    )
    assert run_script('-c', code, MPLBACKEND=backend).strip().lower() == 'agg'


def test_children_of_a_script_end_by_signals(tmp_path):
    """The processes that it forks do not inherit what it does about signals."""
    code = (
        'import os, signal, time; from system.script import run_main\n'
        'def main():\n'
        '    child = os.fork()\n'
        '    if not child:\n        time.sleep(60)\n'
        '    time.sleep(0.2)\n    os.kill(child, signal.SIGTERM)\n'
        '    print(os.WTERMSIG(os.waitpid(child, 0)[1]))\n'
        'run_main(main)'
    )
    assert run_script('-c', code) == '15\n'


# ---- hints ----


def test_a_command_can_be_pasted(tmp_path, monkeypatch):
    interpreter = tmp_path / 'an environment' / 'bin' / 'python'
    monkeypatch.setattr(sys, 'executable', str(interpreter))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(errors, 'ROOT', str(tmp_path))
    assert (
        errors.command('score.py', '--run', "it's")
        == """'an environment/bin/python' score.py --run 'it'"'"'s'"""
    )
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(errors, 'ROOT', ROOT)
    assert shlex.split(errors.command('data/prepare.py', 'folder', '--name', 'ä b')) == [
        str(interpreter),
        'data/prepare.py',
        'folder',
        '--name',
        'ä b',
    ]
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text('#!/bin/sh\n')
    interpreter.chmod(0o755)
    monkeypatch.setenv('PATH', str(interpreter.parent) + os.pathsep + os.environ['PATH'])
    assert errors.command('score.py') == 'python score.py'  # the environment is activated


def test_the_hint_at_the_end_of_a_run_works(place):
    """It is pasted into a shell, with folders whose names have an apostrophe, a space and
    umlauts.
    """
    hint = (
        (place / 'said')
        .read_text(encoding='utf-8')
        .strip()
        .splitlines()[-1]
        .split('score it with: ')[1]
    )
    assert hint.startswith(errors.command('score.py'))
    done = subprocess.run(
        ['bash', '-c', hint + ' --cpus 1'], cwd=ROOT, stdout=subprocess.PIPE, encoding='utf-8'
    )
    assert done.returncode == 0 and 'top-1 error' in done.stdout


def test_hints_name_files_by_quoted_commands(place, tmp_path):
    said = user_error(*short(place, tmp_path, '--kv-store', 'dist_sync'))
    assert errors.command('launch.py', '--workers', '2', 'train_cifar.py') in said


# ---- what a newcomer sees ----


def test_the_depth_of_each_network_for_imagenet():
    import train_imagenet

    for network, depth in (('resnet', 101), ('mr', 44), ('dfn1', 50), ('dfn2', 50)):
        assert train_imagenet.parse_args(['--network', network]).depth == depth


def test_operators_are_compiled_for_training_only(tmp_path):
    """Looking at networks and converting data call no compiler."""
    compiler = tmp_path / 'compiler'
    compiler.write_text(f'#!/bin/sh\ntouch "{tmp_path / "called"}"\nexit 1\n')
    compiler.chmod(0o755)
    run_script('-m', 'symbols', '--depth', '8', CXX=str(compiler))
    run_script(
        '-c',
        'from data import pack_images; from engine import mx; mx.nd.ones(2).asnumpy()',
        CXX=str(compiler),
    )
    assert not (tmp_path / 'called').exists()
    assert (
        run_script('-c', 'from engine import operators; print(operators.load())', CXX=str(compiler))
        == 'False\n'
    )
    assert (tmp_path / 'called').exists()


def test_openmp_does_not_wait_in_a_loop_beside_the_operators():
    code = 'import os; from engine import mx; mx.nd; print(os.environ.get("OMP_WAIT_POLICY"))'
    environment = {key: value for key, value in os.environ.items() if key != 'OMP_WAIT_POLICY'}
    for native, policy in (('1', 'passive\n'), ('0', 'None\n')):
        assert (
            subprocess.run(
                [sys.executable, '-c', code],
                cwd=ROOT,
                env=dict(environment, DFN_NATIVE=native),
                stdout=subprocess.PIPE,
                encoding='utf-8',
                check=True,
            ).stdout
            == policy
        )


@pytest.mark.parametrize(
    'devices,images,section,words',
    [
        (2, 32, '6.2', None),
        (8, 32, '6.5', None),
        (4, 64, 'a1', None),
        (
            1,
            64,
            '6.2',
            'over 64 images on 1 device; the paper trains on 2 devices, over 32 images '
            'on each, which makes them noisier there',
        ),
        (
            4,
            16,
            '6.2',
            'over 16 images on each of 4 devices; the paper trains on 2 devices, over 32 '
            'images on each, which makes them less noisy',
        ),
        (
            1,
            32,
            '6.2',
            'over 32 images on 1 device; the paper trains on 2 devices, over 32 images on each',
        ),
        (8, 32, 'a1', 'on 4 devices, over 64'),
    ],
)
def test_what_batchnorm_sees(devices, images, section, words):
    where = compute.Compute([None] * devices)
    batches = argparse.Namespace(batch=images * devices)
    said = compute.about_batchnorm(where, batches, section)
    assert said is None if words is None else words in said


def test_the_line_on_batchnorm(place):
    """It is printed once; this run has the paper's 32 images a device, and one device."""
    said = (place / 'said').read_text(encoding='utf-8').splitlines()
    assert [line for line in said if 'BatchNorm' in line] == said[
        :1
    ] and 'over 32 images on 1 device' in said[0]


# ---- progress ----


@pytest.mark.parametrize(
    'seconds,words',
    [
        (7.4, '7 s'),
        (99, '99 s'),
        (100, '2 min'),
        (3569, '59 min'),
        (3590, '1 h 0 min'),
        (12000, '3 h 20 min'),
        (86399, '1 d 0 h'),
        (12 * 86400 + 10000, '12 d 3 h'),
    ],
)
def test_lengths_of_time(seconds, words):
    assert progress.duration(seconds) == words


def test_the_time_that_is_left(monkeypatch, capsys):
    """On an even pace the estimates are exact; the second epoch has the length of the first, with
    its test.
    """
    now = [1000.0]
    monkeypatch.setattr(progress.time, 'time', lambda: now[0])
    pace = progress.Pace(3)
    for epoch, tested in ((1, 25), (2, 25)):
        pace.begin(epoch)
        with progress.Progress(f'epoch {epoch}', 200, pace) as shown:
            for _ in range(4):
                now[0] += 25
                shown.add(50, 1.5)
        now[0] += tested
    said = capsys.readouterr().out.splitlines()
    assert said == [
        'at this speed epochs 1 to 3 take about 5 min in all',
        'epoch 1: 150 of 200 images, loss 1.500, 2 images/s, 25 s left, 4 min of the run',
        'epoch 2: 150 of 200 images, loss 1.500, 2 images/s, 25 s left, 2 min of the run',
    ]


def test_the_bar_is_taken_away_when_a_run_stops(place, tmp_path):
    """The sentence begins on a line of its own, on a terminal."""
    master, slave = open_terminal(columns=200)
    process = subprocess.Popen(
        [sys.executable, *map(str, short(place, tmp_path, '--epochs', '400'))],
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        close_fds=True,
    )
    os.close(slave)
    said = b''
    while b'run ' not in said.rpartition(b'images/s')[2] or b'left]' not in said:
        said += os.read(master, 4096)
    process.send_signal(signal.SIGTERM)
    try:
        while True:
            said += os.read(master, 4096)
    except OSError:  # the other end is closed
        pass
    assert process.wait(30) == 143
    before, line = said.decode().replace('\r\n', '\n').rstrip().rsplit('stopped by SIGTERM', 1)
    assert before.endswith(('\r', '\n', '\x1b[A')), before[-200:]
    assert '--resume' in line or 'start again' in line


def test_a_signal_that_another_thread_receives_waits_too():
    """Libraries have threads of their own, and a mask is that of one thread."""
    steps, ready = [], threading.Event()

    def end(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    other = threading.Thread(target=ready.wait)
    other.start()
    try:
        with processes.signals_blocked():
            signal.pthread_kill(other.ident, signal.SIGTERM)
            time.sleep(0.2)
            steps.append('the child is started')
        steps.append('never')
    except KeyboardInterrupt:
        steps.append('stopped')
    finally:
        signal.signal(signal.SIGTERM, before)
        ready.set()
    assert steps == ['the child is started', 'stopped']


# ---- Ctrl-C ----


def test_ctrl_c_ends_a_benchmark_in_one_line():
    process = subprocess.Popen(
        [
            sys.executable,
            'benchmark.py',
            '--depth',
            '8',
            '--batch-size',
            '8',
            '--compare',
            'textbook',
            '--seconds',
            '60',
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding='utf-8',
        start_new_session=True,
    )
    while not workers_of(process.pid):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it, to the whole group
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out, said) == (130, '', 'interrupted\n') and workers
    end = time.time() + 10
    while any(map(lives, workers)) and time.time() < end:
        time.sleep(0.05)
    assert not any(map(lives, workers))


def lives(number):
    try:
        with open(f'/proc/{number}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def workers_of(parent):
    with open(f'/proc/{parent}/task/{parent}/children') as file:
        return list(map(int, file.read().split()))
