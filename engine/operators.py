"""The project's own CPU operators, as MXNet knows them, and the versions that results depend on."""

import functools
import platform

from engine import build, cuda
from engine.loader import mx


@functools.cache
def load():
    """Make the operators known to MXNet; return whether they are."""
    path = build.prepare()
    if path:
        try:
            mx.library.load(path, verbose=False)
        except mx.base.MXNetError as error:
            build.tell_slower(error)
            return False
    return bool(path)


def function(name):
    """Return an operator of the project as a function on NDArrays; ``load`` comes first."""
    return getattr(mx.nd._internal, name)  # where MXNet puts operators whose name begins with _


def versions(on_cpu=None):
    """Return the versions that a result depends on, by name.

    The version of the project's operators is that of their sources, which may round differently
    after a change. ``on_cpu`` says whether a run computes on CPUs; by default it does unless MXNet
    is the build for GPUs.
    """
    import numpy  # not at the top, to have --help answered at once

    gpu = cuda.gpu_build()
    on_cpu = not gpu if on_cpu is None else on_cpu
    return {
        'python': platform.python_version(),
        'mxnet': mx.__version__,
        'build': gpu or 'mxnet',
        'numpy': numpy.__version__,
        'operators': f'native-{build.sources_version()}' if on_cpu and load() else 'mxnet',
    }
