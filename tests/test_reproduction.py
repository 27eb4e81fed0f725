"""Committed runs can be reproduced: the first epoch of one of them is trained again and compared.

On the processor of the run, with its versions and number of threads, the numbers are the same to
the last digit. Elsewhere sums are rounded in another order, and training makes the differences
larger; the numbers then agree within TOLERANCE.
"""

import glob
import json
import os
import signal
import subprocess
import sys
import time

import log_files
import pytest
from scripts import ROOT, run_script
from training_runs import CLOCK, arguments, small_cifar

import engine
from common import log
from common.options import FOLDERS
from data import fashion_mnist
from engine import operators

RESULTS = os.path.join(ROOT, 'logs', 'results')
MOST_BYTES = 3_000_000  # of all logs in the repository
# Of the first epoch, with 12,000 training images or more: errors in percentage points, losses as a
# share of the committed one. On fashion-mnist-12000 one and two threads differed by 0.7 and 2.6
# points, and by 1% and 10%: BatchNorm's moving statistics have hardly settled after so few updates.
TOLERANCE = {'train_error': 3, 'test_error': 15, 'train_loss': 0.1, 'test_loss': 0.5}
HOURS = 2  # for the epoch, on a busy machine


def command_of(header, folder, data_dir):
    """Return the command that trains a run of a log again, its files under ``folder``."""
    given, ensemble = dict(header['options']), 'component' in header['options']
    words = [log.script_of(header)]
    if ensemble:
        del given['network']
        words += ['--no-sharing'] * (not given.pop('sharing'))
    for name in ('resume', 'threads', *FOLDERS):
        given.pop(name, None)
    for name, value in given.items():
        option = '--' + name.replace('_', '-')
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, str(value)]
    words += ['--threads', str(header['threads']), '--data-dir', str(data_dir)]
    return [*words, '--log-dir', str(folder / 'logs'), '--checkpoint-dir', str(folder / 'own')]


def first_epoch(header, folder, data_dir):
    """Train the first epoch of a run again, and stop the run then; return header and record."""
    command = [sys.executable, *command_of(header, folder, data_dir)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        end = time.time() + HOURS * 3600
        while True:
            ended = process.poll() is not None
            for path in glob.glob(str(folder / 'logs' / '*.jsonl')):
                again, records = log.read(path)
                if records:
                    return again, records[0]
            assert not ended and time.time() < end
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def is_alike(one, other):
    """Return whether two headers tell of the same bits: versions, threads and processor."""
    return 'processor' in one and all(
        one[name] == other[name] for name in ('versions', 'threads', 'processor')
    )


def differences(then, now, exact):
    """Return {name: (then, now)} of the numbers of two records that do not agree."""
    if exact:
        names = sorted({*then, *now} - {*CLOCK})
        return {
            name: (then.get(name), now.get(name))
            for name in names
            if then.get(name) != now.get(name)
        }
    return {
        name: (then[name], now[name])
        for name, most in TOLERANCE.items()
        if abs(then[name] - now[name]) > most * (then[name] if name.endswith('loss') else 1)
    }


def committed_logs():
    """Return the paths of the logs that git knows, or of all in logs/ where there is no git."""
    listed = subprocess.run(
        ['git', 'ls-files', 'logs'], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split() if listed.returncode == 0 else []
    paths = [os.path.join(ROOT, name) for name in names]
    return [path for path in paths if path.endswith('.jsonl')] or glob.glob(
        os.path.join(ROOT, 'logs', '**', '*.jsonl'), recursive=True
    )


def prepared_by_us(header):
    return header['options']['dataset'] in ('fashion-mnist', *fashion_mnist.SUBSETS)


def cheapest():
    """Return the header and the first record of the committed run whose epoch is least work.

    Runs of today's versions come first, since they can be the same to the last digit.
    """
    runs = [log.read(path) for path in glob.glob(os.path.join(RESULTS, '*.jsonl'))]
    runs = [run for run in runs if run[1] and prepared_by_us(run[0])]
    if not runs:
        pytest.skip('there is no committed run of Fashion-MNIST in logs/results')

    def rank(run):
        header = run[0]
        is_older = header['versions'] != operators.versions()
        return is_older, header['parameters'] * header['train_images']

    header, records = min(runs, key=rank)
    return header, records[0]


@pytest.mark.slow
@pytest.mark.skipif(
    not os.path.isdir(fashion_mnist.DEBIAN), reason='dataset-fashion-mnist is not installed'
)
def test_the_first_epoch_of_a_committed_run(tmp_path):
    header, then = cheapest()
    run_script('data/prepare.py', header['options']['dataset'], '--out', tmp_path, timeout=1800)
    again, now = first_epoch(header, tmp_path, tmp_path)
    exact = is_alike(header, again)
    print(f'{header["run"]}, {"exact" if exact else "within the tolerance"}: {then} and {now}')
    assert differences(then, now, exact) == {}


@pytest.mark.slow
def test_the_first_epoch_of_a_run_of_seconds(tmp_path, fashion):
    """Trained again here it is the same to the last digit, whatever the clock says."""
    small_cifar(tmp_path, fashion, 100, 40)
    run_script(*arguments(tmp_path, '--cpus', '1', '--threads', '1'))
    (path,) = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    header, records = log.read(path)
    again, now = first_epoch(header, tmp_path / 'again', tmp_path / 'data')
    assert again['options']['epochs'] == header['options']['epochs'] == 4
    assert is_alike(header, again) and differences(records[0], now, exact=True) == {}
    wrong = dict(now, test_loss=now['test_loss'] * (1 + 1e-15))
    assert list(differences(records[0], wrong, exact=True)) == ['test_loss']
    assert list(differences(records[0], dict(now, lr=1), exact=True)) == ['lr']


def test_the_tolerance():
    then = dict(log_files.record(20.0), train_loss=0.8)
    assert differences(then, dict(then, train_loss=0.87, test_error=34.0), exact=False) == {}
    far = dict(then, train_loss=0.9, test_error=36.0)
    assert list(differences(then, far, exact=False)) == ['test_error', 'train_loss']


def test_a_run_of_another_processor_or_before_it_was_named_is_not_exact():
    here = {'versions': operators.versions(), 'threads': 1, 'processor': engine.processor()}
    assert is_alike(here, dict(here)) and not is_alike(here, dict(here, threads=2))
    assert not is_alike(here, dict(here, processor='Abacus 3'))
    assert not is_alike({key: here[key] for key in ('versions', 'threads')}, here)


def test_the_command_of_an_ensemble(tmp_path):
    """Its header has the name of the network, which is no option, and options without a value."""
    from study import train_ensemble

    for words in (['--no-sharing'], ['--without', 'RRR'], ['--component', 'LLR', '--cpus', '1']):
        options = vars(train_ensemble.parse_args(['--depth', '14', '--seed', '3', *words]))
        options['epochs'] = 8
        header = {'script': 'train_ensemble.py', 'options': options, 'threads': 2}
        command = command_of(json.loads(json.dumps(header)), tmp_path, 'data')
        again = vars(train_ensemble.parse_args(command[1:]))
        kept = {name: again[name] for name in options if name not in ('threads', *FOLDERS)}
        assert kept == {name: options[name] for name in kept} and again['threads'] == 2


def test_the_logs_stay_small():
    sizes = {path: os.path.getsize(path) for path in committed_logs()}
    assert len(sizes) >= 3 and sum(sizes.values()) < MOST_BYTES
