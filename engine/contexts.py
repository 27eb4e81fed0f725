"""The GPUs and CPU contexts to compute on."""

from engine import cpu, cuda
from engine.loader import mx
from system.errors import UserError

# Compute capabilities. The wheel holds code for 5.0, 6.0, 7.0, 8.0 and 8.6, and none (PTX) that a
# driver could compile for others. Code runs on every later minor version of its major version.
OLDEST_GPU, NEWEST_GPU = (5, 0), (8, 9)


def devices(gpus=None, cpus=None):
    """Return the contexts to train on.

    Parameters
    ----------
    gpus : list of int, optional
        GPU numbers.
    cpus : int, optional
        Number of CPU contexts; they share the cores, and a batch is split over them as over GPUs.

    Without both, every GPU that is found is taken, or else one CPU context.

    Raises
    ------
    UserError
        A GPU that is not there, or that the wheel holds no code for; or the system refuses the
        threads that CPU contexts need.
    """
    if cpus is not None:
        contexts = [mx.cpu(number) for number in range(cpus)]
        cpu.check_threads(cpus)
        return contexts
    found = cuda.compute_capabilities() if cuda.gpu_build() else []
    if gpus is None:
        gpus = list(range(len(found)))
    for gpu in gpus:
        _check_gpu(gpu, found)
    return [mx.gpu(gpu) for gpu in gpus] or devices(cpus=1)


def _check_gpu(gpu, found):
    if not found:
        why = (
            'the driver shows none'
            if cuda.gpu_build()
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
            f'GPU {gpu} has compute capability {capability} and is too {age} for MXNet 1.9.1, '
            'whose wheel runs on 5.0 to 8.9; use another GPU, or the CPU with --cpus 1'
        )
