"""What devices and workers share: gradients in training, and at the end of an epoch parameters."""

import numpy

from common.evaluate import barrier
from engine import mx, private


def kvstore(name):
    """Return MXNet's kvstore of several workers, with a ``pushpull`` for compressed gradients."""
    store = mx.kv.create(name)

    def pushpull(key, value, out=None, priority=0):
        store.push(key, value, priority)
        store.pull(key, value if out is None else out, priority)

    store.pushpull = pushpull
    return store


def parameters(module, compute):
    """Give every device and worker the mean of BatchNorm's statistics, which a checkpoint has.

    Each device moves its own. Without this the error in the log would be that of a network that no
    checkpoint holds, and a resumed run would not be the one that was stopped. Workers also take
    over the first one's parameters, which differ where updates are not in step, or processors round
    otherwise.

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
        barrier()
    if len(compute.devices) > 1 or workers.size > 1:
        arguments, auxiliary = module.get_params()
        if workers.size > 1:
            arguments = _of_first_worker(arguments, workers)
            auxiliary = _mean(auxiliary, workers)
        module.set_params(arguments, auxiliary)


def _of_first_worker(arrays, workers):
    first = workers.first_arrays({name: array.asnumpy() for name, array in arrays.items()})
    return {name: mx.nd.array(array) for name, array in first.items()}


def _mean(arrays, workers):
    numbers = [array.asnumpy().ravel() for array in arrays.values()]
    means = workers.sum(numpy.concatenate(numbers)) / workers.size
    parts = numpy.split(means, numpy.cumsum([part.size for part in numbers])[:-1])
    return {
        name: mx.nd.array(part.reshape(array.shape))
        for (name, array), part in zip(arrays.items(), parts)
    }
