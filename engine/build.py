"""Compiles the project's own CPU operators, once, on the machine that runs them.

The sources are in engine/native: ``winograd.h`` and ``direct.h`` convolve, ``combine.h`` has the
element-wise operations between two convolutions (BatchNorm, ReLU, sums), ``pool.h`` the global
average, ``update.h`` the optimiser's step, and ``peak.h`` measures the machine. ``ops.cc`` makes
MXNet operators of them; ``vec.h`` and ``threads.h`` are what they are written in.

A compiler is needed: that of the system, or Zig's from PyPI (requirements-compiler.txt), which
``make`` installs where the system has none. Without one, MXNet's own operators do the work.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from importlib import util

from system import files
from system.errors import command, describe

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'native')
BUILD = os.path.join(HERE, 'build')
SOURCES = (
    'ops.cc',
    'combine.h',
    'direct.h',
    'pool.h',
    'winograd.h',
    'update.h',
    'vec.h',
    'threads.h',
    'peak.h',
)
FLAGS = (
    '-std=c++17',
    '-O3',
    '-march=native',
    '-fno-math-errno',
    '-ffp-contract=fast',
    '-shared',
    '-fPIC',
)
OFF = 'DFN_NATIVE'  # set to 0: use MXNet's own operators


class BuildError(Exception):
    """The operators cannot be compiled here; the text says why."""


def compiler():
    """Return the command of a C++ compiler.

    Raises
    ------
    BuildError
        There is none.
    """
    for name in filter(None, (os.environ.get('CXX'), 'c++', 'g++', 'clang++')):
        if shutil.which(name.split()[0]):
            return name.split()
    if util.find_spec('ziglang'):
        return [sys.executable, '-m', 'ziglang', 'c++']
    pip = command('-m pip', 'install', '-r', 'requirements-compiler.txt')
    raise BuildError(f'no C++ compiler was found: "apt-get install g++" or "{pip}" gives one')


def library(mxnet_folder, folder=BUILD):
    """Return the path of the compiled library, which is made if it is not there or damaged.

    It has a name of its own for every processor, compiler and state of the sources, so a shared
    folder serves different machines. Its SHA-256 lies beside it and is compared every time: MXNet
    would die of a truncated library.

    Raises
    ------
    BuildError
    """
    command = compiler() + list(FLAGS)
    try:
        path = os.path.join(folder, f'dfn-{_fingerprint(command, mxnet_folder)}.so')
        if not _is_whole(path):
            os.makedirs(folder, exist_ok=True)
            with files.locked(os.path.join(folder, 'lock')):
                if not _is_whole(path):  # another process may have made it meanwhile
                    _build(command, mxnet_folder, path)
    except OSError as error:
        raise BuildError(describe(error)) from None
    return path


def _digest_path(path):
    return path + '.sha256'


def _is_whole(path):
    """Return whether a library is what its digest says."""
    try:
        with open(_digest_path(path), encoding='ascii', errors='replace') as file:
            return file.read() == files.digest_of(path, hashlib.sha256()) + '\n'
    except FileNotFoundError:
        return False


def _build(command, mxnet_folder, path):
    damaged = f'{path} is damaged: ' if os.path.exists(_digest_path(path)) else ''
    print(f'{damaged}compiling the CPU operators (once, about 15 s)', file=sys.stderr)
    files.write_atomically(path, lambda out: _compile(command, mxnet_folder, out))
    files.write_text(_digest_path(path), files.digest_of(path, hashlib.sha256()) + '\n')


def _fingerprint(command, mxnet_folder):
    digest = hashlib.sha256(repr((command, _processor())).encode())
    for path in [os.path.join(HERE, name) for name in SOURCES] + _mxnet_files(mxnet_folder):
        with open(path, 'rb') as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _processor():
    """Return what -march=native depends on."""
    with open('/proc/cpuinfo') as file:
        return sorted(
            {
                line
                for line in file
                if line.startswith(('flags', 'model name', 'cpu family', 'model\t'))
            }
        )


def _mxnet_files(folder):
    """Return the two files of MXNet that make an operator library: header and glue."""
    return [
        os.path.join(folder, 'include', 'mxnet', 'lib_api.h'),
        os.path.join(folder, 'src', 'lib_api.cc'),
    ]


def _compile(command, mxnet_folder, out):
    header, glue = _mxnet_files(mxnet_folder)
    command = [
        *command,
        '-I',
        os.path.dirname(os.path.dirname(header)),
        os.path.join(HERE, 'ops.cc'),
        glue,
        '-o',
        out,
        '-lpthread',
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if 'error' in line]
        lines = lines or [f'exit status {done.returncode}']
        raise BuildError(f'{command[0]} failed: {lines[0]}')


def possible():
    """Return whether the operators can be expected: they are wanted, and there is a compiler."""
    try:
        return os.environ.get(OFF) != '0' and bool(compiler())
    except BuildError:
        return False


@functools.cache
def prepare():
    """Compile the library where needed, at its first use; return its path, or None.

    If that fails, one line on stderr says so. The environment variable ``DFN_NATIVE=0`` turns the
    operators off.
    """
    if os.environ.get(OFF) == '0':
        return None
    try:
        return library(os.path.dirname(util.find_spec('mxnet').origin))
    except BuildError as error:
        tell_slower(error)


def tell_slower(error):
    print(
        "training and scoring use MXNet's own operators, which are slower: "
        f'{str(error).splitlines()[0]}',
        file=sys.stderr,
    )
