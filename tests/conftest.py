"""What the tests share: the compiled operators and two small prepared data sets."""

import os
import subprocess
import sys

import pytest
from scripts import ROOT, run_script

# Two workers with as many threads as cores each would spend their time waiting for one another.
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')


def pytest_sessionstart(session):
    """Compile the CPU operators before the workers would, all of them at once."""
    if not hasattr(session.config, 'workerinput'):
        subprocess.run(
            [sys.executable, '-c', 'from engine import operators; operators.load()'],
            cwd=ROOT,
            check=True,
        )


@pytest.fixture(scope='session')
def sample(tmp_path_factory):
    """The folder that holds sample/, converted by the script."""
    out = tmp_path_factory.mktemp('data')
    run_script('data/prepare.py', 'sample', '--out', out)
    return out


@pytest.fixture(scope='session')
def fashion():
    """The committed sample's splits: real images for archives that the tests write."""
    from data import fashion_mnist

    return fashion_mnist.splits(fashion_mnist.find_sample())
