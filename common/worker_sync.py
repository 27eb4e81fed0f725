"""Devices and workers in step: the kvstore of their gradients, and the statistics of an epoch."""

import numpy

from common.evaluate import wait_for_mxnet
from engine import mx, private


def create_kvstore(name):
    """Return MXNet's kvstore for several workers, which sums their gradients on its servers.

    Its ``pushpull`` pushes and then pulls, as gradients that are compressed need it.
    """
    store = mx.kv.create(name)

    def pushpull(key, value, out=None, priority=0):
        store.push(key, value, priority)
        store.pull(key, value if out is None else out, priority)

    store.pushpull = pushpull
    return store


def synchronise(module, compute):
    """Give every device and worker the mean of all devices' BatchNorm statistics.

    Each device updates moving statistics of its own, and a checkpoint holds their mean. Without
    this call the error in the log would be that of a network that no checkpoint holds, and a
    resumed run would not be the one that was stopped. All workers also get the parameters of the
    first: theirs differ if updates are not in step or processors round differently.

    Parameters
    ----------
    module : mx.mod.Module
    compute : common.compute.Compute
    """
    workers = compute.workers
    if compute.asynchronous:
        # The servers' parameters, when every worker's last update is in them.
        workers.barrier()
        private.pull_parameters(module)
        wait_for_mxnet()
    if len(compute.devices) > 1 or workers.size > 1:
        arguments, auxiliary = module.get_params()
        if workers.size > 1:
            arguments = _of_first_worker(arguments, workers)
            auxiliary = _mean(auxiliary, workers)
        module.set_params(arguments, auxiliary)


def _of_first_worker(arrays, workers):
    first = workers.broadcast_arrays({name: array.asnumpy() for name, array in arrays.items()})
    return {name: mx.nd.array(array) for name, array in first.items()}


def _mean(arrays, workers):
    numbers = [array.asnumpy().ravel() for array in arrays.values()]
    means = workers.sum(numpy.concatenate(numbers)) / workers.size
    parts = numpy.split(means, numpy.cumsum([part.size for part in numbers])[:-1])
    return {
        name: mx.nd.array(part.reshape(array.shape))
        for (name, array), part in zip(arrays.items(), parts)
    }
