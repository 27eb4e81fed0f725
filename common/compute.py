"""Where a run computes: its devices, how they sum their gradients, and its workers."""

from typing import NamedTuple

import engine
from distributed.cluster import ALONE, Cluster
from system.errors import UserError

# Devices that train, and images of a batch on each, by section of the paper: 6.2, 6.5 and
# appendix A.1.
PAPER_DEVICES = {'6.2': (2, 32), '6.5': (8, 32), 'a1': (4, 64)}


class Compute(NamedTuple):
    """Where a run computes."""

    devices: list  # of mx.Context; a batch is split over them evenly
    kvstore: str = 'device'  # name of MXNet's kvstore, which sums gradients over the devices
    compression: dict | None = None  # MXNet's parameters of gradient compression
    workers: Cluster = ALONE  # the processes that train together

    @property
    def on_cpu(self):
        return all(device.device_type == 'cpu' for device in self.devices)

    @property
    def asynchronous(self):
        """Whether the servers update the parameters, with the gradients of one worker at a time."""
        return self.kvstore == 'dist_async'


def from_options(args, workers):
    """Return the ``Compute`` that a script's options ask for.

    Raises
    ------
    UserError
        The devices or workers cannot do what the options ask for.
    """
    _check_workers(args, workers)
    devices = engine.devices(args.gpus, args.cpus)
    _check_devices(args, devices, args.batch_size // workers.size)
    compression = None
    if args.gradient_compression != 'none':
        compression = {'type': args.gradient_compression, 'threshold': args.compression_threshold}
    return Compute(devices, args.kv_store, compression, workers)


def _check_workers(args, workers):
    if args.batch_size % workers.size:
        raise UserError(
            f'--batch-size {args.batch_size} cannot be split over {workers.size} workers evenly: '
            f'choose a multiple of {workers.size}'
        )
    if workers.size > 1 and args.on_nan == 'rollback':
        raise UserError('--on-nan rollback is for one process: leave it out')
    if args.gradient_compression != 'none' and not args.kv_store.startswith('dist'):
        raise UserError(
            '--gradient-compression is for several workers: add --kv-store dist_sync, or leave it '
            'out'
        )


def _check_devices(args, devices, batch):
    if batch % len(devices):
        raise UserError(
            f'--batch-size {batch} cannot be split over {len(devices)} devices evenly: choose a '
            f'multiple of {len(devices)}'
        )
    on_cpu = devices[0].device_type == 'cpu'
    if args.kv_store == 'nccl' and on_cpu:
        raise UserError('--kv-store nccl sums on GPUs only: use --kv-store device on CPUs')
    if args.dtype == 'float16' and on_cpu:
        raise UserError(
            '--dtype float16 is for GPUs (MXNet has no half-precision convolution for the CPU): '
            'leave it out, or name --gpus'
        )


def about_batchnorm(compute, batches, section):
    """Return a line on the images that BatchNorm's statistics are over, None if as in the paper.

    Parameters
    ----------
    compute : Compute
    batches : recordio.record_iterator.Batches
    section : str
        A key of ``PAPER_DEVICES``.
    """
    theirs, each = PAPER_DEVICES[section]
    devices = len(compute.devices) * compute.workers.size  # of all workers
    images = batches.batch // len(compute.devices)  # of a batch, on each device
    if (devices, images) == (theirs, each):
        return None
    where = f'each of {devices} devices' if devices > 1 else '1 device'
    than = ''
    if images != each:
        than = f', which makes them {"noisier" if images > each else "less noisy"} there'
    return (
        f"BatchNorm's mean and variance are over {images} images on {where}; the paper trains on "
        f'{theirs} devices, over {each} images on each{than}'
    )
