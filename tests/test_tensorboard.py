"""TensorBoard's event files of a run that is interrupted, read back without the code under test."""

import glob
import os
import signal
import struct
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy
import pytest
from scripts import ROOT, run_script
from training_runs import small_cifar, start

from common import log, tensorboard

EPOCHS = 12
# A module of this name is run by Python at its start: it hides the package.
WITHOUT = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'tensorboardX':
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Hide())
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return small_cifar(tmp_path_factory.mktemp('tensorboard'), fashion, 100, 40)


def command(place, folder, *more):
    return (
        'train_cifar.py',
        *('--network', 'plain', '--depth', '5', '--epochs', EPOCHS, '--batch-size', '20'),
        *('--data-dir', place / 'data', '--log-dir', folder / 'logs'),
        *('--checkpoint-dir', folder / 'checkpoints', *more),
    )


def steps_of(folder):
    """Return [(step, {tag: value})] of the scalars in a folder, in the order of the files.

    As TensorBoard does, drop what a process that began later has declared void.
    """
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(glob.glob(os.path.join(folder, '*tfevents*'))):
        with open(path, 'rb') as file:
            content = file.read()
        while content:
            length = struct.unpack('<Q', content[:8])[0]
            if len(content) < 16 + length:
                break  # cut off
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            if event.HasField('session_log'):
                found = [(step, values) for step, values in found if step < event.step]
            elif event.HasField('summary'):
                values = {value.tag: value.simple_value for value in event.summary.value}
                found.append((event.step, values))
    return found


def wait_for_epochs(folder, count, process):
    """Wait until a log has so many records; return its path."""
    end = time.time() + 60
    while True:
        for path in glob.glob(str(folder / 'logs' / '*.jsonl')):
            if len(log.read(path)[1]) >= count:
                return path
        assert process.poll() is None and time.time() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_every_epoch_stands_once(place, tmp_path):
    """The run begins without events, is killed, goes on with them, is stopped, and goes on."""
    process = start(command(place, tmp_path))
    path = wait_for_epochs(tmp_path, 2, process)
    process.kill()
    process.communicate()
    name = os.path.basename(path)[: -len('.jsonl')]
    events = ('--resume', name, '--tensorboard', tmp_path / 'events')
    process = start(command(place, tmp_path, *events))
    wait_for_epochs(tmp_path, 5, process)
    process.send_signal(signal.SIGTERM)
    assert f'--tensorboard {tmp_path}' in process.communicate()[1]
    run_script(*command(place, tmp_path, *events))
    header, records = log.read(path)
    assert [record['epoch'] for record in records] == list(range(1, EPOCHS + 1))
    found = steps_of(str(tmp_path / 'events' / name))
    assert sorted(step for step, _ in found) == list(range(1, EPOCHS + 1))
    for step, values in found:
        record = dict(records[step - 1])
        assert record.pop('type') == 'epoch' and record.pop('epoch') == step
        assert values == {tag: numpy.float32(value) for tag, value in record.items()}
    assert len(os.listdir(tmp_path / 'events' / name)) == 2


def record(epoch, **more):
    return {'type': 'epoch', 'epoch': epoch, 'test_error': epoch + 0.5, **more}


def test_an_event_that_was_cut_off_is_written_again(tmp_path):
    records = [record(1), record(2), record(3)]
    tensorboard.Events(tmp_path, records)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    tensorboard.Events(tmp_path, records)
    assert steps_of(tmp_path) == [(epoch, {'test_error': epoch + 0.5}) for epoch in (1, 2, 3)]


def test_epochs_that_the_run_has_lost_are_void(tmp_path):
    """The run goes on from an older checkpoint, which somebody has brought back."""
    tensorboard.Events(tmp_path, [record(1), record(2), record(3)])
    events = tensorboard.Events(tmp_path, [record(1)])
    events.add(record(2, test_without={'RRR': 7, 'LLL': 8}))
    assert steps_of(tmp_path) == [
        (1, {'test_error': 1.5}),
        (2, {'test_error': 2.5, 'test_without/RRR': 7, 'test_without/LLL': 8}),
    ]


def test_a_disk_that_is_full_ends_no_run(tmp_path, capsys):
    events = tensorboard.Events(tmp_path, [])

    def full():
        raise OSError(28, os.strerror(28))

    events.writer = SimpleNamespace(write_event=lambda event: None, flush=full)
    events.add(record(1))
    events.add(record(2))
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'No space left' in said and '--resume' in said


def test_a_folder_that_cannot_be_made_ends_no_run(tmp_path, capsys):
    (tmp_path / 'file').write_text('not a folder')
    tensorboard.Events(tmp_path / 'file' / 'run', []).add(record(1))
    assert 'no events are written' in capsys.readouterr().err


def test_the_package_is_missing(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(WITHOUT)
    words = command(tmp_path, tmp_path, '--tensorboard', tmp_path / 'events')
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), ROOT])),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert '-m pip install tensorboardX"' in done.stderr and not (tmp_path / 'logs').exists()
