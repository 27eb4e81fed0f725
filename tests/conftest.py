"""What the tests share: running a script as a user does, and a small prepared data set."""

import os
import subprocess
import sys

import pytest

# Two workers with as many threads as cores each would spend their time waiting for one another.
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pytest_sessionstart(session):
    """Compile the CPU operators before the workers would, all of them at once."""
    if not hasattr(session.config, 'workerinput'):
        subprocess.run(
            [sys.executable, '-c', 'from engine import operators; operators.load()'],
            cwd=ROOT,
            check=True,
        )


def run_script(*arguments, status=0, cwd=ROOT, timeout=300, **variables):
    """Run a script of the repository; return its stdout, or its stderr where ``status`` is not 0."""
    command = [sys.executable] + [str(argument) for argument in arguments]
    environment = dict(os.environ, PYTHONPATH=ROOT, **variables)
    done = subprocess.run(
        command, cwd=str(cwd), env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


def user_error(*arguments, **options):
    """Run a script that must fail; return its one sentence."""
    said = run_script(*arguments, status=2, **options)
    lines = [line for line in said.splitlines() if ': error: ' in line]
    assert 'Traceback' not in said and len(lines) == 1 and said.rstrip().endswith(lines[0]), said
    return lines[0]


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

    return fashion_mnist.sample()
