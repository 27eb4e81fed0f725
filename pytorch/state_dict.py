"""Parameters of an MXNet network by the names that pytorch/networks.py gives them."""

import numpy
import torch

BN_NAMES = {
    'bn.weight': 'bn.gamma',
    'bn.bias': 'bn.beta',
    'bn.running_mean': 'bn.moving_mean',
    'bn.running_var': 'bn.moving_var',
}
COUNTER = 'num_batches_tracked'  # PyTorch counts the batches of BatchNorm; MXNet does not


def mxnet_name(name):
    """Return the MXNet name of an entry of a network's ``state_dict``."""
    for theirs, ours in BN_NAMES.items():
        name = name.replace(theirs, ours)
    return name.replace('units.', '').replace('.layer.', '.').replace('.', '_')


def arrays_of(network, parameters):
    """Return {name in PyTorch: NumPy array} for a network of pytorch/networks.py.

    Parameters
    ----------
    network : torch.nn.Module
    parameters : dict of str to numpy.ndarray
        By the names of MXNet.

    Raises
    ------
    KeyError
        A parameter of the network is not among them.
    ValueError
        It has another shape.
    """
    arrays = {}
    for name, tensor in network.state_dict().items():
        if name.endswith(COUNTER):
            arrays[name] = numpy.zeros((), numpy.int64)
            continue
        array = parameters[mxnet_name(name)]
        if array.shape != tuple(tensor.shape):
            raise ValueError(f'{name} has the shape {array.shape} and not {tuple(tensor.shape)}')
        arrays[name] = numpy.ascontiguousarray(array)
    return arrays


def load(network, parameters):
    """Copy {MXNet name: NumPy array} into a network; every name must be there."""
    arrays = arrays_of(network, parameters)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
