"""The options of a run that goes on: those that it was started with, but for a few."""

import argparse

from common.options import FOLDERS
from common.recipe import MOMENTUM, WEIGHT_DECAY
from system.errors import UserError

# The options that may change when a run goes on: where and how it computes, where its files are,
# what it prints, and what it does about NaN.
FREE = (
    'gpus',
    'cpus',
    'threads',
    'resume',
    'kv_store',
    'on_nan',
    'quiet',
    'tensorboard',
    'gradient_compression',
    'compression_threshold',
    *FOLDERS,
)
# Older runs were started before these options existed. These are the values that reproduce them:
# first the options that belong to the setting of a run (report/run_setting.py), then the others.
IMPLIED = {
    'momentum': MOMENTUM,
    'weight_decay': WEIGHT_DECAY,
    'decay': 'steps',
    'warmup': 0,
    'validation': 0,
}
NOT_GIVEN = {'name': None, 'init_from': None, 'epochs_before': None}


def resumed(parse_args, argv, stored, done):
    """Return the options of a run that goes on: those it was started with, except for ``FREE``.

    The devices are those of before too, unless others are named, because BatchNorm's statistics are
    over the images of one device.

    A finished run may go on to a larger number of epochs. Then ``epochs_before`` has the numbers of
    epochs after which it was finished before, in their order; the learning rate depends on them
    (recipe.py). Until one of the new epochs is done, their number can be changed or taken back.

    Parameters
    ----------
    parse_args : callable
        The script's: (words, namespace of defaults) -> options.
    argv : list of str
    stored : dict
        The options in the header of the log.
    done : int
        Epochs that are done.

    Raises
    ------
    UserError
        An option that shapes the run was given with another value.
    """
    kept = {key: value for key, value in stored.items() if key not in FREE}
    kept = {**NOT_GIVEN, **IMPLIED, **kept}
    options = parse_args(argv, argparse.Namespace(**kept))
    if options.gpus is None and options.cpus is None:
        options.gpus, options.cpus = stored.get('gpus'), stored.get('cpus')
    kept = _begun(kept, done)
    options.epochs_before = kept['epochs_before']
    if options.epochs > kept['epochs']:
        if done < kept['epochs']:
            raise UserError(
                f'the run has done {done} of its {kept["epochs"]} epochs: leave --epochs out '
                'until it is finished'
            )
        options.epochs_before = [*(kept['epochs_before'] or []), kept.pop('epochs')]
        del kept['epochs_before']
    for key, value in kept.items():
        if getattr(options, key) != value:
            began = 'without' if value is None else 'with'
            text = '' if value is None else f' {value}'
            raise UserError(
                f'the run was started {began} --{key.replace("_", "-")}{text} and cannot '
                f'go on with {getattr(options, key)}: leave the option out, or start a '
                'new run'
            )
    return options


def _begun(kept, done):
    """Return the options of a run without a larger number of epochs that it has not begun.

    A larger number counts once one of its epochs is done: until then it may be a slip of the pen.
    """
    before = kept['epochs_before'] or []
    if not before or done != before[-1]:
        return kept
    return {**kept, 'epochs': before[-1], 'epochs_before': before[:-1] or None}


def with_end(state, options):
    """Return the state of a run with the number of epochs that ``options`` ask for.

    It is the same object if it has that number already.
    """
    wanted = {key: getattr(options, key) for key in ('epochs', 'epochs_before')}
    before = state['header']['options']
    if wanted == {key: before.get(key) for key in wanted}:
        return state
    return dict(state, header=dict(state['header'], options={**before, **wanted}))
