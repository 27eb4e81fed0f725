"""Prepare the sample, train an epoch, score it: what CI asks of each Python that it finds.

python tests/helpers/smoke_test.py FOLDER

The last line that it prints is the SHA-256 of the trained parameters, which is the same for every
pair of Python and NumPy on one machine.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run(script, *options):
    """Run a script of the repository; a warning on stderr is a failure."""
    done = subprocess.run(
        [sys.executable, script, *map(str, options)], cwd=ROOT, capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if 'compiling' not in line]
    if done.returncode or said:
        version = sys.version.split()[0]
        raise SystemExit(f'{script} with Python {version}: {done.stdout}{done.stderr}')


def main():
    folder = Path(sys.argv[1])
    folders = [
        *('--data-dir', folder / 'data', '--log-dir', folder / 'logs'),
        *('--checkpoint-dir', folder / 'checkpoints', '--cpus', 1, '--threads', 1),
    ]
    run('data/prepare.py', 'sample', '--out', folder / 'data')
    small = ['--network', 'mr', '--depth', 8, '--dataset', 'sample', '--epochs', 1]
    run('train_cifar.py', *small, *folders)
    (checkpoint,) = (folder / 'checkpoints').iterdir()
    run('score.py', '--run', checkpoint, *folders)
    run('plot_curves.py', *(folder / 'logs').glob('*.jsonl'), '--out', folder / 'figure12.png')
    parameters = (checkpoint / 'model-0001.params').read_bytes()
    print(hashlib.sha256(parameters).hexdigest())


if __name__ == '__main__':
    main()
