"""Stand-ins for the ARM Performance Libraries, which MXNet's wheel for ARM Linux is linked with.

ARM's libraries are in no package index. MXNet calls only their BLAS and LAPACK functions, which
OpenBLAS and LAPACKE have under the same names. So a small library with the name that the wheel asks
for is linked with these two, and loaded before MXNet.
"""

import ctypes
import ctypes.util
import os
import platform
import subprocess

from engine import build
from system import files
from system.errors import UserError

PACKAGES = 'libopenblas0-pthread liblapacke'  # of Debian and Ubuntu
LIBRARIES = ('libopenblas.so.0', 'liblapacke.so.3')
BLAS, OTHERS = 'libarmpl_lp64_mp.so', ('libamath.so', 'libastring.so')


def preload():
    """Load the ARM Performance Libraries or, where they are missing, the stand-ins.

    Raises
    ------
    UserError
        OpenBLAS, LAPACKE or a compiler is missing.
    """
    if platform.machine() != 'aarch64':
        return
    try:
        ctypes.CDLL(BLAS, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        for name in (BLAS, *OTHERS):
            ctypes.CDLL(_stand_in(name), mode=ctypes.RTLD_GLOBAL)


def _stand_in(name):
    """Return the path of a library with that name, which is made at its first use."""
    path = os.path.join(build.BUILD, name)
    if not os.path.exists(path):
        os.makedirs(build.BUILD, exist_ok=True)
        files.write_atomically(path, lambda out: _link(name, out))
    return path


def _link(name, out):
    libraries = [f'-l:{each}' for each in LIBRARIES] if name == BLAS else []
    folder = f'/usr/lib/{platform.machine()}-linux-gnu'
    try:
        command = [*build.compiler(), '-shared', '-o', out, f'-Wl,-soname,{name}', f'-L{folder}']
    except build.BuildError as error:
        raise UserError(f'MXNet on ARM needs a library that is compiled here: {error}')
    command += ['-Wl,--no-as-needed', *libraries, '-x', 'c', os.devnull]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(
            'MXNet on ARM needs OpenBLAS and LAPACKE: install them, on Debian with '
            f'"apt-get install {PACKAGES}"'
        )
