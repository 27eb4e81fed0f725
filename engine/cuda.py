"""NVIDIA's driver, and the CUDA libraries of the GPU build of MXNet.

PyPI's ``nvidia-*-cu11`` packages hold the libraries. They are loaded into the process, so a user
needs NVIDIA's driver and no CUDA toolkit.
"""

import ctypes
import glob
import os
from importlib import metadata, util

from system.errors import UserError, install_command

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
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


def gpu_build():
    """Return the name of the installed GPU build of MXNet, such as ``mxnet-cu112``, or None."""
    names = (dist.metadata['Name'] or '' for dist in metadata.distributions())
    return next((name for name in names if name.startswith('mxnet-cu')), None)


def preload():
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
                f'"{install_command("requirements-gpu.txt")}"'
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
