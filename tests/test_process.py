"""What every script does as a process: its streams, signals, locale, threads and the commands in its hints."""
import glob
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import runs
from conftest import ROOT, run_script, user_error

from common import errors, log, options

ASCII = {'PYTHONIOENCODING': 'ascii'}
C_LOCALE = {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
FOLDER = 'Müllers Läufe'


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder whose name has umlauts and a space, with a small CIFAR-10 and a run of one epoch in it."""
    folder = tmp_path_factory.mktemp('process') / FOLDER
    folder.mkdir()
    runs.small_cifar(folder, fashion, train=120, test=40)
    run_script(*runs.arguments(folder, '--cpus', '1', '--epochs', '1'))
    return folder


def short(place, tmp_path, *more):
    return runs.arguments(place, '--cpus', '1', '--log-dir', tmp_path / 'logs', '--checkpoint-dir',
                          tmp_path / 'checkpoints', *more)


# ---- threads ----

def test_threads_that_openmp_takes_and_mxnet_does_not(place, tmp_path):
    """MXNet ends the process with a core dump when it meets a list, which OpenMP allows."""
    run_script(*short(place, tmp_path, '--epochs', '1'), OMP_NUM_THREADS='2,1')
    path, = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    assert log.read(path)[0]['threads'] == 2


@pytest.mark.parametrize('value', ['many', '0', '-1', '1e3', '99999999', '²'])
def test_threads_that_are_no_number(value):
    code = 'from common import engine, errors; errors.run(lambda: engine.set_threads(None))'
    assert 'OMP_NUM_THREADS is ' in user_error('-c', code, OMP_NUM_THREADS=value)


def test_more_threads_than_cores_are_warned_of_once(place, tmp_path):
    done = started(short(place, tmp_path, '--epochs', '1', '--threads', '50'))
    said = done.communicate()[1]
    assert done.returncode == 0 and said.count('50 threads share %d cores' % len(os.sched_getaffinity(0))) == 1


@pytest.mark.parametrize('lr', ['1e-300', '1e300', 'nan', '-1'])
def test_learning_rates_that_cannot_train(place, tmp_path, lr):
    assert '--lr' in user_error(*short(place, tmp_path, '--lr', lr))


@pytest.mark.parametrize('native', ['0', '1'])
def test_learning_rates_that_change_nothing(place, tmp_path, native):
    """Drops and rollbacks make a small rate smaller than single precision has numbers for."""
    run_script('-c', 'from common import recipe; mx = recipe.mx; w, g = mx.nd.ones(3), mx.nd.ones(3)\n'
               'for lr in (0, 1e-30, 1e-40, 1e-300):\n'
               '    recipe.Nesterov(learning_rate=lr, wd=0).update(0, w, g, mx.nd.zeros(3))\n'
               'assert (w.asnumpy() == 1).all()', DFN_NATIVE=native)
    assert options.learning_rate('1e-30') == 1e-30 and options.learning_rate('0') == 0


# ---- streams ----

def started(command, *, code=None, **variables):
    """Return a script's process, with ``code`` of the shell behind it, such as ``>&-``."""
    line = ' '.join(map(shlex.quote, [sys.executable, *map(str, command)])) + ' ' + (code or '')
    return subprocess.Popen(['bash', '-c', 'exec ' + line], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=dict(os.environ, PYTHONPATH=ROOT, **variables), encoding='utf-8')


@pytest.mark.parametrize('closed', ['>&-', '<&- >&- 2>&-', '>/dev/full 2>&1'])
def test_a_run_goes_on_when_nobody_listens(place, tmp_path, closed):
    process = started(short(place, tmp_path, '--epochs', '1'), code=closed)
    said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    path, = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    with open(path) as file:
        content = file.read()
    assert 'finished' not in content and len(log.read(path)[1]) == 1
    assert runs.name_of(tmp_path / 'checkpoints')


def test_a_run_goes_on_when_its_reader_has_gone(place, tmp_path):
    process = started(short(place, tmp_path, '--epochs', '3'))
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 0
    path, = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    assert len(log.read(path)[1]) == 3


def test_scripts_with_closed_streams(place, tmp_path):
    logs = glob.glob(str(place / 'logs' / '*.jsonl'))
    for closed in ('>&-', '<&- >&- 2>&-'):
        process = started(['plot_curves.py', *logs, '--out', tmp_path / 'a.png'], code=closed)
        assert process.wait(60) == 0 and (tmp_path / 'a.png').read_bytes()[1:4] == b'PNG'
        (tmp_path / 'a.png').unlink()
    process = started(['plot_curves.py', *logs, '--out', tmp_path / 'a.png'], code='>/dev/full')
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and said.count('\n') == 1 and 'No space left' in said


# ---- locale ----

@pytest.mark.parametrize('variables', [ASCII, C_LOCALE])
def test_names_with_umlauts_in_every_locale(place, tmp_path, variables):
    """Data sets, runs, tables, figures and images; the same files are found under every locale."""
    out = tmp_path / FOLDER
    folders = ('--data-dir', place / 'data', '--log-dir', out / 'lögs', '--checkpoint-dir', out / 'stände')
    run_script('data/prepare.py', 'cifar10', '--source', place, '--out', out / 'dätën', '--no-checksum', **variables)
    said = raw_output('data/prepare.py', 'cifar10', '--source', place, '--out', out / 'dätën', '--no-checksum', **variables)
    shown = 'd\\xe4t\\xebn' if variables is ASCII else 'dätën'
    assert shown in said
    run_script('train_cifar.py', '--depth', '8', '--epochs', '1', '--cpus', '1', '--batch-size', '32', *folders, **variables)
    name = runs.name_of(out / 'stände')
    run = out / 'stände' / 'größer'
    (out / 'stände' / name).rename(run)
    scored = run_script('score.py', '--run', run, '--data-dir', out / 'dätën', '--cpus', '1', **variables)
    assert 'top-1 error' in scored
    image = out / 'Bïld.png'
    image.write_bytes(open(os.path.join(ROOT, 'logs', 'fashion-mnist-mr14.png'), 'rb').read())
    assert '%' in run_script('score.py', '--run', run, '--image', image, '--cpus', '1', **variables)
    logs = glob.glob(str(out / 'lögs' / '*.jsonl'))
    run_script('plot_curves.py', *logs, '--out', out / 'kürve.png', **variables)
    run_script('make_tables.py', *logs, '--table', '4', '--out', out / 'tafëln', **variables)
    assert (out / 'kürve.png').exists() and (out / 'tafëln' / 'table4.md').exists()
    assert 'nïcht' in user_error('plot_curves.py', out / 'nïcht.jsonl', '--out', out / 'x.png', **C_LOCALE)
    assert os.listdir(str(tmp_path)) == [FOLDER]


def raw_output(*command, **variables):
    process = started(command, **variables)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0
    return said


def test_names_that_are_not_utf8(tmp_path):
    for variables in ({}, C_LOCALE):
        process = subprocess.run([sys.executable.encode(), b'train_cifar.py', b'--data-dir', b'M\xfcller'], cwd=ROOT,
                                 env=dict(os.environ, **variables), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.returncode == 2
        assert process.stderr == b"train_cifar.py: error: the argument 'M\\xfcller' is not UTF-8: rename the file or folder\n"


# ---- signals ----

@pytest.mark.parametrize('number', [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_signals_of_terminals_and_batch_systems_stop_a_run(place, tmp_path, number):
    process = started(short(place, tmp_path, '--epochs', '400'))
    while 'epoch 2/400' not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    name = runs.name_of(tmp_path / 'checkpoints')
    assert process.returncode == 128 + number
    assert 'stopped by %s after epoch' % number.name in said and '--resume %s' % name in said and 'Traceback' not in said


def test_nohup(place, tmp_path):
    """A signal that is ignored when a script starts stays so."""
    process = subprocess.Popen(['nohup', sys.executable, *map(str, short(place, tmp_path, '--epochs', '8'))], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
    while 'epoch 1/8' not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    assert 'epoch 8/8' in process.communicate(timeout=60)[0] and process.returncode == 0


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_signals_end_other_scripts_in_one_line(tmp_path, number):
    code = ('import time, sys; from common.errors import run\n'
            'def main():\n'
            '    print("ready", flush=True)\n'
            '    try:\n        time.sleep(60)\n    finally:\n        print("tidy")\n'
            'run(main)')
    process = started(['-c', code])
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(number)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, 'tidy\n')
    assert said == ('interrupted\n' if number == signal.SIGINT else 'stopped by %s\n' % number.name)


def test_children_of_a_script_end_by_signals(tmp_path):
    """The processes that it forks do not inherit what it does about signals."""
    code = ('import os, signal, time; from common.errors import run\n'
            'def main():\n'
            '    child = os.fork()\n'
            '    if not child:\n        time.sleep(60)\n'
            '    time.sleep(0.2)\n    os.kill(child, signal.SIGTERM)\n'
            '    print(os.WTERMSIG(os.waitpid(child, 0)[1]))\n'
            'run(main)')
    assert run_script('-c', code) == '15\n'


# ---- hints ----

def test_a_command_can_be_pasted(tmp_path, monkeypatch):
    interpreter = tmp_path / 'an environment' / 'bin' / 'python'
    monkeypatch.setattr(sys, 'executable', str(interpreter))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(errors, 'ROOT', str(tmp_path))
    assert errors.command('score.py', '--run', "it's") == """'an environment/bin/python' score.py --run 'it'"'"'s'"""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(errors, 'ROOT', ROOT)
    assert shlex.split(errors.command('data/prepare.py', 'folder', '--name', 'ä b')) == [
        str(interpreter), 'data/prepare.py', 'folder', '--name', 'ä b']
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text('#!/bin/sh\n')
    interpreter.chmod(0o755)
    monkeypatch.setenv('PATH', str(interpreter.parent) + os.pathsep + os.environ['PATH'])
    assert errors.command('score.py') == 'python score.py'  # the environment is activated


def test_the_hint_at_the_end_of_a_run_works(place, tmp_path):
    """It is pasted into a shell, with folders whose names have spaces and umlauts."""
    said = run_script(*runs.arguments(place, '--cpus', '1', '--epochs', '1', '--checkpoint-dir', tmp_path / "o'clock ü"))
    hint = said.strip().splitlines()[-1].split('score it with: ')[1]
    done = subprocess.run(['bash', '-c', hint + ' --cpus 1'], cwd=ROOT, stdout=subprocess.PIPE, encoding='utf-8')
    assert done.returncode == 0 and 'top-1 error' in done.stdout
    assert sys.executable in hint or '.venv/bin/python' in hint or hint.startswith('python')
