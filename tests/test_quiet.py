"""--quiet: a terminal shows nothing but warnings and errors."""

import glob
import os
import subprocess
import sys

import pytest
from scripts import ROOT, open_terminal
from training_runs import small_cifar

from common import log


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return small_cifar(tmp_path_factory.mktemp('quiet'), fashion, 100, 40)


def shown(*command, status=0):
    """Return what a terminal shows of a script, stdout and stderr together."""
    ours, theirs = open_terminal()
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    text = b''
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:  # the script has ended, and nobody else has the terminal open
        pass
    os.close(ours)
    assert process.wait() == status, text
    return text.decode()


def training(place, folder, *more):
    return (
        'train_cifar.py',
        *('--network', 'plain', '--depth', '5', '--batch-size', '20', '--data-dir', place / 'data'),
        *('--log-dir', folder / 'logs', '--checkpoint-dir', folder / 'checkpoints', *more),
    )


def test_a_training_shows_nothing(place, tmp_path):
    assert shown(*training(place, tmp_path, '--epochs', '2', '--quiet')) == ''
    (path,) = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    assert len(log.read(path)[1]) == 2


@pytest.mark.slow
def test_warnings_and_errors_of_a_training_are_shown(place, tmp_path):
    threads = str(len(os.sched_getaffinity(0)) + 1)
    words = training(place, tmp_path, '--epochs', '1', '--quiet', '--threads', threads)
    assert len(shown(*words).splitlines()) == 1
    words = training(place, tmp_path, '--quiet', '--batch-size', '4000')
    assert 'take a smaller batch' in shown(*words, status=2)
    # Without it the terminal shows every epoch.
    assert shown(*training(place, tmp_path, '--epochs', '2')).count('epoch 2/2') == 1


@pytest.mark.slow
def test_a_conversion_shows_nothing(tmp_path):
    words = ('data/prepare.py', 'sample', '--out', tmp_path)
    assert shown(*words, '--quiet') == '' and (tmp_path / 'sample' / 'train.rec').is_file()
    assert shown(*words, '--quiet') == ''
    assert 'is prepared' in shown(*words)
    assert 'error' in shown(*words, '--quiet', '--name', 'x', status=2)
