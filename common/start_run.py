"""Begins a run, or resumes one from its last checkpoint, on one worker or on several.

The scripts call these functions in this order: ``state_to_resume`` and ``resumed_options`` before
anything is built, ``check_data``, and then ``resumed_run`` or ``new_run``.
"""

import itertools
import os
import sys
from datetime import datetime

import engine
from common import changes, checkpoint, log, run_state
from common.remote_run import RemoteRun
from common.resumed_options import resumed
from common.run import Run
from engine import operators
from graphs.summary import parameters
from recordio import datasets
from system import files
from system.errors import UserError


def state_to_resume(args, workers):
    """Return the state of the checkpoint that ``--resume`` names, or None without it.

    Only worker 0 reads the checkpoint; the others get the state from it.

    Raises
    ------
    UserError
        There is no such run, it has no checkpoint, or another script trained it.
    """
    if not args.resume:
        return None
    state, script = None, os.path.basename(sys.argv[0])
    if not workers.rank:
        folder = checkpoint.find(args.resume, args.checkpoint_dir)
        state = run_state.load(folder, warn=False)  # ``resumed_run`` loads it again, with a lock
    state = workers.broadcast_json(state)
    if state['header'].get('script', script) != script:
        raise UserError(
            f'{args.resume} is a run of {log.script_of(state["header"])}: go on with it there'
        )
    return state


def resumed_options(parse_args, state):
    """Return the options of a run that goes on, see ``common.resumed_options.resumed``."""
    stored = state['header']['options']
    return resumed(parse_args, sys.argv[1:], stored, state['epoch'])


def new_run(args, name, entries, recipe, workers, initial=None):
    """Return a new ``Run``, whose log begins with the options and ``entries``.

    Parameters
    ----------
    args : argparse.Namespace
    name : str
        What the name of the run begins with, such as ``cifar10-mr-56``; ``--name`` follows.
    entries : dict
        More for the header of the log, see ``header_entries``.
    recipe : common.recipe.Recipe
    workers : distributed.cluster.Cluster
    initial : common.fine_tuning.Initial, optional
        What the run begins from, if not new weights.
    """
    run = None
    if not workers.rank:
        header = dict(
            entries,
            init_from=initial and initial.entry,
            options=vars(args),
            versions=operators.versions(all('cpu' in name for name in entries['devices'])),
            processor=engine.processor(),
            threads=engine.threads(),
            started=datetime.now().astimezone().isoformat(timespec='seconds'),
        )
        tagged = f'{name}-{args.name}' if args.name else name
        name = f'{tagged}-{datetime.now():%Y%m%d-%H%M%S}'
        path = _create_log(name, args, header)
        run = Run(args, log.read(path)[0], recipe)
        run.arrays = initial and initial.arrays
    return _shared(run, recipe, workers)


def resumed_run(args, symbol, state, recipe, compute):
    """Return the ``Run`` of a state, with its last checkpoint.

    A line on stderr names what has changed since the run was stopped (versions, processor, numbers
    of threads, devices and workers) and alters its results.
    """
    run, workers = None, compute.workers
    if not workers.rank:
        folder = checkpoint.find(args.resume, args.checkpoint_dir)
        run = Run(args, state['header'], recipe, folder)
        run.check_copy()
        run.load()  # with the lock of ``Run``: another process may have written until now
        run.mend_symbol(symbol)
        changes.tell(run.header, args, compute)
    return _shared(run, recipe, workers)


def header_entries(symbol, batches, compute):
    """Return the entries of a log's header that depend on the network, the data and the devices.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    batches : recordio.record_iterator.Batches
    compute : common.compute.Compute
    """
    identity = batches.identity
    return {
        'script': os.path.basename(sys.argv[0]),
        'parameters': parameters(symbol, batches.shape),
        'devices': [str(device) for device in compute.devices],
        'workers': compute.workers.size,
        'data': identity,
        **{name: identity[name] for name in ('train_images', 'test_images')},
        'validation_images': batches.validation_images,
    }


def check_data(batches, state, workers):
    """Raise ``UserError`` if a run would go on with other data, or a worker has other data.

    Parameters
    ----------
    batches : recordio.record_iterator.Batches
    state : dict, optional
        Of the run that goes on. Older runs have only the numbers of images in their header.
    workers : distributed.cluster.Cluster
    """
    identity, who, then = batches.identity, 'worker 0 has', ''
    known = workers.broadcast_json(identity)
    if state:
        known = state['header'].get('data') or state['header']
        who, then = f'the run {state["header"]["run"]} was started with', ', or start a new run'
    other = datasets.difference(known, identity)
    if other:
        raise UserError(
            f'{batches.folder} holds other data than {who} ({other}): name the folder of the same '
            f'data with --data-dir{then}'
        )


def about_more_epochs(run, batches):
    """Return a line on the learning rate of a finished run that goes on, None for other runs.

    Parameters
    ----------
    run : common.run.Run or common.remote_run.RemoteRun
    batches : recordio.record_iterator.Batches
    """
    from engine.optimizer import Schedule  # not at the top: it imports MXNet

    options = run.header['options']
    epochs, before = options['epochs'], (options.get('epochs_before') or [0])[-1]
    if not before or run.epoch != before:
        return None
    schedule = Schedule(run.recipe.lr, run.recipe.decay, batches.per_epoch)
    was, begins = (schedule(before * batches.per_epoch + more) for more in (0, 1))
    return (
        f'the run of {before} epochs goes on to {epochs}: the learning rate was {was:.3g} at the '
        f'end of epoch {before}, is {begins:.3g} at the beginning of epoch {before + 1}, and will '
        f'be {schedule(epochs * batches.per_epoch):.3g} at the end of epoch {epochs}'
    )


def _shared(run, recipe, workers):
    """Return the ``Run`` itself in worker 0, and a ``RemoteRun`` of it in the other workers."""
    if workers.size > 1:
        known = run and [run.header, run.records, run.arrays is not None]
        header, records, has_arrays = workers.broadcast_json(known)
        arrays = None
        if has_arrays:
            flat = checkpoint.flat(run.arrays) if run else {}
            arrays = checkpoint.by_kind(workers.broadcast_arrays(flat))
        if workers.rank:
            return RemoteRun(header, recipe, records, arrays)
        run.arrays = arrays
    run.open_events()
    return run


def _create_log(name, args, header):
    """Make the log and the folder of a new run; return the path of the log.

    A number is added to its name where there is such a folder or log, and two processes that start
    at the same time never take the same.
    """
    for folder in (args.checkpoint_dir, args.log_dir):
        os.makedirs(folder, exist_ok=True)
    for number in itertools.count(1):
        run = name if number == 1 else f'{name}-{number}'
        folder = os.path.join(args.checkpoint_dir, run)
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        try:
            return log.create(args.log_dir, run, header)
        except OSError as error:
            files.remove_folder(folder)
            if not isinstance(error, FileExistsError):
                raise
