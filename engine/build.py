"""Compiles the project's CPU operators, once on each machine that runs them.

``prepare()`` compiles them, and ``operators.load()`` registers them with MXNet. The sources are in
engine/native, and ``ops.cc`` has the operators. Their kernels are convolutions (``winograd.h``,
``winograd_gradients.h``, ``direct.h``, and ``epilogue.h`` for what follows one), the element-wise
operations between two convolutions (``combine.h``), pooling (``pool.h``), the optimiser's step
(``update.h``), and a whole network for inference (``network.h``). They are built from vectors
(``vec.h``), matrix products (``product.h``), BatchNorm's factors and offsets (``batchnorm.h``),
threads (``threads.h``), scratch memory (``scratch.h``) and what differs between processors
(``processor.h``). ``peak.h`` measures the peak speed of the machine.

The compiler is that of the system, or Zig's from PyPI (requirements-compiler.txt), which ``make``
installs if the system has none. Without a compiler MXNet's own operators are used.
"""

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import util

from system import files
from system.errors import describe, install_command

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'native')  # folder of the sources
BUILD = os.path.join(HERE, 'build')
SOURCES = (
    'ops.cc',
    'batchnorm.h',
    'combine.h',
    'direct.h',
    'epilogue.h',
    'network.h',
    'peak.h',
    'pool.h',
    'processor.h',
    'product.h',
    'scratch.h',
    'threads.h',
    'update.h',
    'vec.h',
    'winograd.h',
    'winograd_gradients.h',
)
FLAGS = ('-std=c++17', '-O3', '-fno-math-errno', '-ffp-contract=fast', '-shared', '-fPIC')
SWITCH = 'DFN_NATIVE'  # environment variable; 0 selects MXNet's own operators

# The option that compiles for this very processor.
NATIVE = '-mcpu=native' if platform.machine() == 'aarch64' else '-march=native'
SUPPORTED = sys.platform == 'linux'  # elsewhere MXNet's own operators do the work


class BuildError(Exception):
    """The operators cannot be compiled on this machine; the text says why."""


def compiler():
    """Return the command of a C++ compiler as a list of words.

    Raises
    ------
    BuildError
        No compiler is installed.
    """
    for name in (os.environ.get('CXX', ''), 'c++', 'g++', 'clang++'):
        words = name.split()
        if words and shutil.which(words[0]):
            return words
    if util.find_spec('ziglang'):
        return [sys.executable, '-m', 'ziglang', 'c++']
    pip = install_command('requirements-compiler.txt')
    raise BuildError(f'no C++ compiler was found: "apt-get install g++" or "{pip}" gives one')


def library(mxnet_folder, folder=None):
    """Return the path of the compiled library, and compile it if it is missing or damaged.

    It lies in ``folder``, by default in engine/native/build, or in the user's cache where that
    cannot be written to, as in the checkout of somebody else.

    Each processor, compiler and version of the sources has a library with a name of its own, so
    that different machines can share the folder. The SHA-256 of the library is in a file beside it
    and is compared every time, because a truncated library would crash MXNet.

    Raises
    ------
    BuildError
        There is no compiler, it fails, or the folder cannot be written.
    """
    command = compiler() + list(FLAGS)
    try:
        name = f'dfn-{_fingerprint(command, mxnet_folder)}.so'
        if not folder:
            folder = BUILD if _is_whole(os.path.join(BUILD, name)) else _writable_folder()
        path = os.path.join(folder, name)
        if not _is_whole(path):
            os.makedirs(folder, exist_ok=True)
            with files.locked(os.path.join(folder, 'lock')):
                if not _is_whole(path):  # another process may have compiled it meanwhile
                    _build(command, mxnet_folder, path)
    except OSError as error:
        raise BuildError(describe(error)) from None
    return path


def _writable_folder():
    """Return BUILD, or a folder in the user's cache if BUILD cannot be written to."""
    parent = BUILD if os.path.isdir(BUILD) else HERE
    if os.access(parent, os.W_OK):
        return BUILD
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    return os.path.join(os.path.abspath(cache), 'deep-fusion')


def _digest_path(path):
    return path + '.sha256'


def _is_whole(path):
    """Return whether a library exists and has the SHA-256 that was written beside it."""
    try:
        with open(_digest_path(path), encoding='ascii', errors='replace') as file:
            return file.read() == files.digest_of(path, hashlib.sha256()) + '\n'
    except FileNotFoundError:
        return False


def _build(command, mxnet_folder, path):
    damaged = f'{path} is damaged: ' if os.path.exists(_digest_path(path)) else ''
    takes = '2 minutes' if 'ziglang' in command else '15 s'
    print(f'{damaged}compiling the CPU operators (once, about {takes})', file=sys.stderr)
    files.write_atomically(path, lambda out: _compile(command, mxnet_folder, out))
    files.write_text(_digest_path(path), files.digest_of(path, hashlib.sha256()) + '\n')


def _fingerprint(command, mxnet_folder):
    """Return a text that differs for every compiler, option, processor and state of sources."""
    found = os.stat(shutil.which(command[0]))  # a new version has another size or time
    compiler_file = found.st_size, found.st_mtime_ns
    digest = hashlib.sha256(repr((command, NATIVE, compiler_file, _processor())).encode())
    for path in [os.path.join(HERE, name) for name in SOURCES] + _mxnet_files(mxnet_folder):
        with open(path, 'rb') as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


@functools.cache
def sources_version():
    """Return 8 digits that differ where the sources differ in more than comments."""
    digest = hashlib.sha256()
    for name in SOURCES:
        with open(os.path.join(HERE, name), encoding='utf-8') as file:
            code = re.sub(r'//.*', '', file.read())
        digest.update(' '.join(code.split()).encode())
    return digest.hexdigest()[:8]


def _processor():
    """Return the lines of /proc/cpuinfo that NATIVE depends on, on x86-64 and on ARM."""
    names = (
        'flags',
        'model name',
        'cpu family',
        'model\t',
        'Features',
        'CPU implementer',
        'CPU part',
    )
    with open('/proc/cpuinfo') as file:
        return sorted({line for line in file if line.startswith(names)})


def _mxnet_files(folder):
    """Return the header of MXNet's operator libraries, and its source that goes into each."""
    return [
        os.path.join(folder, 'include', 'mxnet', 'lib_api.h'),
        os.path.join(folder, 'src', 'lib_api.cc'),
    ]


def _compile(command, mxnet_folder, out):
    header, library_source = _mxnet_files(mxnet_folder)
    command = [
        *command,
        '-I',
        os.path.dirname(os.path.dirname(header)),
        os.path.join(HERE, 'ops.cc'),
        library_source,
        '-o',
        out,
        '-lpthread',
    ]
    for native in ([NATIVE], []):
        done = subprocess.run(
            [*command, *native], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if not done.returncode or NATIVE not in done.stdout:
            break  # else the compiler does not know NATIVE: compile for any processor of this kind
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if 'error' in line]
        lines = lines or [f'exit status {done.returncode}']
        raise BuildError(f'{command[0]} failed: {lines[0]}')


def possible():
    """Return whether the operators are switched on and there is a compiler for them."""
    try:
        return os.environ.get(SWITCH) != '0' and SUPPORTED and bool(compiler())
    except BuildError:
        return False


@functools.cache
def prepare():
    """Compile the library if needed; return its path, or None if the operators cannot be used.

    If compiling fails, one line on stderr says why. The environment variable ``DFN_NATIVE=0``
    switches the operators off.
    """
    if os.environ.get(SWITCH) == '0' or not SUPPORTED:
        return None
    try:
        return library(os.path.dirname(util.find_spec('mxnet').origin))
    except BuildError as error:
        tell_slower(error)


def tell_slower(error):
    """Print why MXNet's own operators are used."""
    print(
        "training and scoring use MXNet's own operators, which are slower: "
        f'{str(error).splitlines()[0]}',
        file=sys.stderr,
    )
