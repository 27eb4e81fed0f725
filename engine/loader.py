"""Imports MXNet when something of it is first used.

Before the import it sets the number of OpenMP threads, loads the libraries that MXNet needs (CUDA's
for the GPU build, the stand-ins of arm.py on ARM), and gives NumPy back the names that it dropped
and MXNet asks for.
"""

import contextlib
import importlib
import os
import sys
import types
import warnings

from engine import arm, build, cuda, operator_functions
from engine.cpu import set_threads
from system.errors import UserError, fail, install_command


class _Lazy(types.ModuleType):
    """Stands for MXNet, which is imported when its first attribute is asked for."""

    def __getattr__(self, name):
        if name.startswith('__') and name not in ('__file__', '__version__'):
            raise AttributeError(name)  # Python itself looks for these, and needs no MXNet
        return getattr(_mxnet(), name)


mx = _Lazy('mxnet')


def _mxnet():
    if 'mxnet' not in sys.modules or not hasattr(sys.modules['mxnet'], 'mod'):
        try:
            _import()
        except UserError as error:
            fail(error)  # any line that reads an attribute of ``mx`` may be here: none catches it
    return sys.modules['mxnet']


class _Deferred(types.ModuleType):
    """Stands for a module, which is imported when something of it is first used."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _deferred(name):
    """Give whoever imports a module, while this context lasts, a ``_Deferred`` in its place."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _Deferred(name)
    try:
        yield
    finally:
        del sys.modules[name]


def _import():
    set_threads(None)
    gpu = cuda.gpu_build()
    if not gpu and build.possible():
        # The operators compute on threads of engine/native/threads.h, beside which OpenMP's must
        # not wait in a busy loop. OpenMP reads this when MXNet is loaded, which is before anything
        # compiles the operators.
        os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
    os.environ.setdefault('MXNET_SUBGRAPH_VERBOSE', '0')  # else a line on stderr at every bind
    if gpu:
        cuda.preload()
    arm.preload()
    from engine import numpy_names  # not at the top, to have --help answered before NumPy's import

    try:
        # SciPy's statistics, which take a quarter of the time of MXNet's import, are for a function
        # of its quantization alone.
        with (
            warnings.catch_warnings(),
            numpy_names.restored(),
            operator_functions.made_when_called(),
            _deferred('scipy.stats'),
        ):
            # MXNet compares versions by distutils, which setuptools still has, with a warning.
            warnings.simplefilter('ignore')
            import mxnet  # noqa: F401 -- not at the top: all of the above comes first
    except OSError as error:
        raise UserError(
            f'MXNet needs a library of the system ({error}): install it, on Debian with '
            '"apt-get install libgomp1 libquadmath0"'
        )
    except ImportError as error:
        pip = install_command('requirements.txt')
        raise UserError(
            f'MXNet cannot be imported ({error}): install it with "{pip}", on Linux with Python '
            '3.10 to 3.14'
        )
