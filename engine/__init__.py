"""MXNet 1.9.1 on today's machines: the one place that imports it.

Every other file says ``from engine import mx``. The import happens then and not before, so
that a script can read its options, and answer ``--help``, first. What has to be right before the
import is done here:

* the number of OpenMP threads: MXNet takes half of the cores unless it is told otherwise;
* names that NumPy dropped (``np.bool``) and MXNet still asks for;
* for the GPU build, the CUDA libraries that PyPI's ``nvidia-*-cu11`` packages hold. They are loaded
  into the process, so a user needs NVIDIA's driver and no CUDA toolkit.

``python -m engine MODULE ARGUMENTS`` runs one of MXNet's own tools after the same
preparation, for example ``python -m engine mxnet.tools.im2rec --help``.
"""

import ctypes
import functools
import glob
import os
import platform
import sys
from importlib import metadata, util

from engine import native
from system.errors import UserError, command, fail, tell

# A library stands after those it needs.
CUDA_LIBRARIES = (
    'libcudart.so.11.0',
    'libnvrtc.so.11.2',
    'libnvToolsExt.so.1',
    'libcublasLt.so.11',
    'libcublas.so.11',
    'libcufft.so.10',
    'libcurand.so.10',
    'libcusolver.so.11',
    'libnccl.so.2',
    'libcudnn.so.8',
)
# The wheel holds code for 5.0, 6.0, 7.0, 8.0 and 8.6 and nothing a driver could compile for others;
# such code runs on every later minor version of its major version.
OLDEST_GPU, NEWEST_GPU = (5, 0), (8, 9)
MOST_THREADS = 1024
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def set_threads(threads):
    """Set the number of OpenMP threads; ``None`` keeps OMP_NUM_THREADS, or else every core.

    More threads than cores are allowed, since the number decides the last bits of a result; a line
    on stderr says that they are slow.

    Raises
    ------
    RuntimeError
        MXNet is loaded already and reads the number no more.
    UserError
        OMP_NUM_THREADS is no number of threads.
    """
    if 'mx' in globals():
        raise RuntimeError('set_threads must come before the first use of MXNet')
    threads = threads or threads_of_the_environment() or cores()
    _warn_of_too_many(threads)
    # MXNet reads a plain number and ends the process on anything else.
    os.environ['OMP_NUM_THREADS'] = str(threads)


@functools.cache
def _warn_of_too_many(threads):
    """Say once if there are more threads than cores."""
    if threads > cores():
        tell(
            f'{threads} threads share {cores()} cores, which is slower than one thread '
            'for each core: leave out '
            '--threads and OMP_NUM_THREADS'
        )


def threads_of_the_environment():
    """Return the number in OMP_NUM_THREADS, or None. A list such as ``2,1`` has one for each nested level."""
    text = os.environ.get('OMP_NUM_THREADS', '')
    first = text.split(',')[0].strip()
    if not text:
        return None
    if not (first.isascii() and first.isdigit() and 1 <= int(first) <= MOST_THREADS):
        raise UserError(
            f'OMP_NUM_THREADS is {text!r}, which is no number of threads: set it to 1 or '
            'more, at most '
            f'{MOST_THREADS}, or unset it'
        )
    return int(first)


def threads():
    """Return the number of OpenMP threads MXNet computes with."""
    return int(os.environ['OMP_NUM_THREADS'])


def __getattr__(name):
    if name != 'mx':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    try:
        globals()['mx'] = _import_mxnet()
    except UserError as error:
        fail(error)  # the import stands at the top of other files, where nobody could catch it
    return globals()['mx']


def _import_mxnet():
    set_threads(None)
    gpu = gpu_build()  # looks through all that is installed
    if not gpu and native.possible():
        # What computes are threads of engine/native/threads.h; OpenMP's must not wait in a loop
        # beside them. OpenMP reads this when MXNet is loaded, and the operators are compiled later,
        # when something trains or scores.
        os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
    os.environ.setdefault('MXNET_SUBGRAPH_VERBOSE', '0')  # else a line on stderr at every bind
    _restore_numpy_names()
    if gpu:
        preload_cuda()
    try:
        import mxnet
    except OSError as error:
        raise UserError(
            f'MXNet needs a library of the system ({error}): install it, on Debian with '
            '"apt-get install libgomp1"'
        )
    except ImportError as error:
        raise UserError(
            f'MXNet cannot be imported ({error}): install it with '
            f'"{command("-m pip", "install", "-r", "requirements.txt")}", on x86-64 Linux '
            'with Python 3.8 to 3.11'
        )
    return mxnet


def _restore_numpy_names():
    import numpy

    if 'bool' not in vars(numpy):  # gone since 1.24, and a warning before
        numpy.bool = bool


def gpu_build():
    """Return the name of the installed GPU build of MXNet, such as ``mxnet-cu112``, or None."""
    names = (dist.metadata['Name'] or '' for dist in metadata.distributions())
    return next((name for name in names if name.startswith('mxnet-cu')), None)


def preload_cuda():
    """Load the CUDA libraries of the ``nvidia-*-cu11`` packages, so that MXNet finds them.

    Raises
    ------
    UserError
        NVIDIA's driver or one of the libraries is missing.
    """
    _driver()
    spec = util.find_spec('nvidia')
    roots = list(spec.submodule_search_locations) if spec else []
    for name in CUDA_LIBRARIES:
        found = [path for root in roots for path in glob.glob(os.path.join(root, '*', 'lib', name))]
        try:
            # RTLD_GLOBAL: libmxnet.so asks for the library by name and gets the one loaded here.
            ctypes.CDLL(found[0] if found else name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise UserError(
                f'the GPU build of MXNet needs {name} ({error}): install it with '
                f'"{command("-m pip", "install", "-r", "requirements-gpu.txt")}"'
            )


def _driver():
    try:
        return ctypes.CDLL('libcuda.so.1', mode=ctypes.RTLD_GLOBAL)
    except OSError:
        raise UserError(
            "the GPU build of MXNet needs NVIDIA's driver and libcuda.so.1 is not "
            'here: install the driver, or use an environment made from '
            'requirements.txt, the CPU build'
        )


def compute_capabilities():
    """Return (major, minor) for each GPU that the driver shows; needs the GPU build."""
    driver = _driver()
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [
        tuple(
            _attribute(driver, number, device)
            for number in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR)
        )
        for device in range(count.value)
    ]


def _attribute(driver, number, ordinal):
    device, value = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGet(ctypes.byref(device), ordinal)
    driver.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    return value.value


def devices(gpus=None, cpus=None):
    """Return the contexts to train on.

    Parameters
    ----------
    gpus : list of int, optional
        GPU numbers.
    cpus : int, optional
        Number of CPU contexts; they share the cores, and a batch is split over them as over GPUs.
        With neither, every GPU that is found, or else one CPU context.

    Raises
    ------
    UserError
        A GPU that is not there, or that the wheel holds no code for.
    """
    if cpus is not None:
        return [_mx().cpu(number) for number in range(cpus)]
    found = compute_capabilities() if gpu_build() else []
    if gpus is None:
        gpus = list(range(len(found)))
    for gpu in gpus:
        _check_gpu(gpu, found)
    return [_mx().gpu(gpu) for gpu in gpus] or [_mx().cpu()]


def _mx():
    return sys.modules[__name__].mx


def _check_gpu(gpu, found):
    if not found:
        why = (
            'the driver shows none'
            if gpu_build()
            else 'this is the CPU build of MXNet; the GPU build comes from requirements-gpu.txt'
        )
        raise UserError(f'--gpus {gpu}: no GPU was found ({why}); train on the CPU with --cpus 1')
    if gpu >= len(found):
        raise UserError(
            f'--gpus {gpu}: there are {len(found)} GPUs, numbered from 0; choose among '
            'them, or train on the CPU with --cpus 1'
        )
    if not OLDEST_GPU <= found[gpu] <= NEWEST_GPU:
        age = 'old' if found[gpu] < OLDEST_GPU else 'new'
        capability = '.'.join(map(str, found[gpu]))
        raise UserError(
            f'GPU {gpu} has compute capability {capability} and is too {age} for MXNet 1.9.1, whose '
            'wheel runs on 5.0 to 8.9; use another GPU, or the CPU with --cpus 1'
        )


def native_operators():
    """Make the project's own CPU operators known to MXNet; return whether they are there (native/)."""
    return native.load()


def versions():
    """Return the versions that a result depends on, by name."""
    import numpy

    gpu = gpu_build()
    return {
        'python': platform.python_version(),
        'mxnet': _mx().__version__,
        'build': gpu or 'mxnet',
        'numpy': numpy.__version__,
        'operators': 'native' if not gpu and native_operators() else 'mxnet',
    }
