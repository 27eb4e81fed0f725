"""The private attributes of MXNet that the project uses, each with the reason.

They were read from the source of the 1.9.1 wheel. Other files call the functions here.
"""


def contexts(module):
    """Return the contexts of a bound ``mx.mod.Module``, for which there is no public name."""
    return module._context


def pull_parameters(module):
    """Get the parameters that the servers of a distributed kvstore hold.

    ``mx.mod.Module`` pulls them only after a push of its own.
    """
    for name, arrays in zip(module._param_names, module._exec_group.param_arrays):
        module._kvstore.pull(name, out=arrays)
    module._params_dirty = True


def updater(module):
    """Return the object that holds the optimiser's states, and its indices for each parameter.

    MXNet keeps it in the kvstore or in the module, depending on the number of devices, and offers
    only its pickle.

    Returns
    -------
    mx.optimizer.Updater
    dict
        {parameter: [index of its state on each device]}.
    """
    names, devices = module._param_names, len(module._context)
    if module._update_on_kvstore:
        return module._kvstore._updater, {name: [name] for name in names}
    return module._updater, {
        name: [number * devices + device for device in range(devices)]
        for number, name in enumerate(names)
    }
