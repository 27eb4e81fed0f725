"""Training processes that tests start, kill and go on with."""

import glob
import os
import subprocess
import sys

import official_archives as archives
from scripts import ROOT, run_script

from common import checkpoint, log, run_state

CLOCK = ('seconds', 'images_per_second')


def small_cifar(folder, fashion, train, test):
    """Make data/cifar10 in a folder, from an archive in the official format; return the folder."""
    archives.cifar_binary(str(folder / 'cifar-10-binary.tar.gz'), fashion, train=train, test=test)
    run_script(
        'data/prepare.py', 'cifar10', '--source', folder, '--out', folder / 'data', '--no-checksum'
    )
    return folder


def arguments(folder, *more):
    """Options of a run of seconds on the small CIFAR-10, its files under ``folder``."""
    return (
        'train_cifar.py',
        '--network',
        'mr',
        '--depth',
        '8',
        '--epochs',
        '4',
        '--batch-size',
        '32',
        '--bn-momentum',
        '0.9',
        '--data-dir',
        folder / 'data',
        '--log-dir',
        folder / 'logs',
        '--checkpoint-dir',
        folder / 'checkpoints',
        *more,
    )


def start(command, **options):
    """Return the running process of a script of the repository."""
    return subprocess.Popen(
        [sys.executable] + [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        **options,
    )


def name_of(folder):
    """Return the name of the only run that has a checkpoint in ``folder``, or None."""
    found = glob.glob(str(folder / '*' / run_state.STATE)) + glob.glob(
        str(folder / '*' / run_state.BEFORE)
    )
    names = {os.path.basename(os.path.dirname(path)) for path in found}
    assert len(names) <= 1
    return names.pop() if names else None


def records_of(path):
    """The records without what the clock decides."""
    return [
        {key: value for key, value in record.items() if key not in CLOCK}
        for record in log.read(str(path))[1]
    ]


def back_to(run, epoch):
    """Make the checkpoint folder of a finished run what it was after an earlier epoch."""
    state = run_state.read(str(run / run_state.STATE))
    for number in range(epoch + 1, state['epoch'] + 1):
        (run / run_state.params_name(number)).unlink(missing_ok=True)
    (run / run_state.BEFORE).unlink()
    records = state['records'][:epoch]
    kept = [number for number in state['kept'] if number <= epoch]
    earlier = dict(state, epoch=epoch, best=run_state.best(records), kept=kept, records=records)
    run_state.write(str(run), run_state.STATE, earlier)


def arrays_of(folder, epoch):
    """The bytes of every array of a checkpoint."""
    arrays = checkpoint.load_arrays(run_state.params_path(str(folder), epoch))
    return {
        (kind, name): array.asnumpy().tobytes()
        for kind in arrays
        for name, array in arrays[kind].items()
    }
