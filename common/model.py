"""A trained network with its data set: from a run, from files, or from pretrained/."""

import hashlib
import json
import os
from typing import Any, NamedTuple

import engine
from common import checkpoint, log, pretrained, run_state, symbol_file
from common.classes import check_classes, check_record_file, same_classes
from graphs import rewrite
from recordio import datasets, manifest
from recordio.record_iterator import Reading, Records
from system import files
from system.errors import UserError, tell


class Origin(NamedTuple):
    """Where a trained network comes from."""

    run: str
    epoch: int
    script: str  # name of the one that trained it, such as train_cifar.py
    network: str
    depth: int
    widen: int
    test_error: float  # at that epoch, in %


class Model(NamedTuple):
    """A trained network and the data set that it is scored on."""

    symbol: Any  # mx.sym.Symbol
    arrays: dict  # a checkpoint's, see checkpoint.load_arrays
    title: str  # what messages call the network
    name: str  # of the data set
    dataset: datasets.Dataset
    origin: Origin | None = None  # None if the network comes from files


def load(args):
    """Return the ``Model`` that the options of ``scoring_options.add_network`` name.

    Raises
    ------
    UserError
        They name none, or more than one, or what they name cannot be used.
    """
    files = args.symbol and args.params and args.dataset
    named = [args.run, args.pretrained, args.symbol or args.params]
    if sum(map(bool, named)) != 1 or named[2] and not files:
        raise UserError(
            'say which network: --run RUN, --pretrained NAME, or --symbol FILE --params FILE '
            '--dataset NAME'
        )
    if args.pretrained:
        return of_pretrained(args)
    return of_run(args) if args.run else of_files(args)


def of_run(args):
    """Return the ``Model`` of a run's checkpoint.

    Parameters
    ----------
    args : argparse.Namespace
        The options run, checkpoint, checkpoint_dir, data_dir, dataset and image_size; the last two
        are None for those of the run.

    Raises
    ------
    UserError
        There is no such run or checkpoint, or the data set has other classes than the run's.
    """
    folder = checkpoint.find(args.run, args.checkpoint_dir)
    symbol, arrays, state, epoch = load_run(folder, args.checkpoint)
    known = state['header']['options']
    name, size = args.dataset or known['dataset'], args.image_size or known.get('image_size')
    if size is None and log.script_of(state['header']) != 'train_imagenet.py':
        dataset = datasets.small(name, args.data_dir)
    else:
        dataset = datasets.get(name, args.data_dir, size)
    if name != known['dataset']:
        _check_dataset(name, dataset, known['dataset'], args)
    else:
        _tell_other_statistics(state['header'], os.path.join(args.data_dir, name))
    header = state['header']
    title = f'{header["run"]}, epoch {epoch}'
    origin = Origin(
        header['run'],
        epoch,
        os.path.basename(log.script_of(header)),
        known.get('network', ''),
        known.get('depth', 0),
        known.get('widen', 1),
        state['records'][epoch - 1]['test_error'],
    )
    model = Model(symbol, arrays, title, name, dataset, origin)
    check_classes(model)
    return model


def of_files(args):
    """Return the ``Model`` of the files args.symbol and args.params, for args.dataset."""
    dataset = datasets.get(args.dataset, args.data_dir, args.image_size)
    symbol = symbol_file.load(args.symbol)
    arrays = checkpoint.load_arrays(args.params)
    model = Model(symbol, arrays, args.params, args.dataset, dataset)
    check_classes(model)
    return model


def of_pretrained(args):
    """Return the ``Model`` of the pretrained weights args.pretrained; it needs no data set."""
    if args.dataset:
        raise UserError('--pretrained says itself which data set it is for: leave --dataset out')
    entry, symbol, arrays = pretrained.read(args.pretrained)
    dataset = datasets.Dataset(
        classes=entry['num_classes'],
        mean=tuple(entry['mean']),
        std=tuple(entry['std']),
        augment=False,
        epochs=None,
        names=entry['classes'],
        size=entry['short_side'] and args.image_size or entry['image_size'],
        short=entry['short_side'],
    )
    origin = Origin(**{key: entry[key] for key in Origin._fields})
    title = f'{args.pretrained} ({origin.run}, epoch {origin.epoch})'
    model = Model(symbol, arrays, title, entry['dataset'], dataset, origin)
    check_classes(model)
    return model


def properties(model):
    """Return {name: value}, ready for JSON: what an exported file says about its network.

    ``mean`` and ``std`` are those of red, green and blue in 0..255. ``classes`` is empty where the
    classes have no names. ``short_side`` is the shorter side to which photographs are packed.
    ``bn_momentum`` is the share of an old statistic of BatchNorm, as MXNet has it.
    """
    dataset = model.dataset
    return {
        **(model.origin._asdict() if model.origin else {}),
        'bn_momentum': rewrite.bn_momentum(model.symbol),
        'dataset': model.name,
        'num_classes': dataset.classes,
        'classes': list(dataset.names),
        'mean': list(dataset.mean),
        'std': list(dataset.std),
        'image_size': dataset.size,
        'short_side': dataset.short,
    }


def properties_as_text(model):
    """Return ``properties`` as {name: text}; values that are no text are written as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in properties(model).items()
    }


def _check_dataset(name, dataset, trained_on, args):
    """Raise ``UserError`` if --dataset has other classes than what a run was trained on."""
    try:
        own = datasets.get(trained_on, args.data_dir)
    except UserError:  # photographs that are not here
        return
    if not same_classes(own, dataset):
        raise UserError(
            f'{args.run} was trained on {trained_on} ({own.classes} classes), and '
            f'{name} ({dataset.classes}) has other ones: leave --dataset out'
        )


def _tell_other_statistics(header, folder):
    """Say on stderr if images of a user's own are others than those that a run was trained on.

    Their mean and standard deviation, by which they are normalised, are in their manifest, which is
    made again for other record files.
    """
    path = os.path.join(folder, manifest.NAME)
    trained_on = header.get('data', {}).get('manifest_sha256')
    found = manifest.read(folder) if trained_on else None
    if found and 'mean' in found and files.digest_of(path, hashlib.sha256()) != trained_on:
        tell(
            f'the images in {folder} are others than those that {header["run"]} was trained on: '
            'they are normalised by their own mean and deviation, see docs/data.md'
        )


def open_records(path, model, batch):
    """Return the ``Records`` of a file that has the classes of the network."""
    images = Records(path, model.dataset, batch, Reading(engine.cores(), shrink=True))
    check_record_file(path, model)
    return images


def epoch_of(state, which):
    """Return the epoch that ``which`` names: ``last``, ``best`` or a number."""
    epoch = {'last': state['epoch'], 'best': state['best']}.get(which)
    if epoch is None and which in map(str, state['kept']):
        epoch = int(which)
    if epoch is None:
        raise UserError(
            f'--checkpoint {which}: the run keeps last, best and the epochs '
            f'{", ".join(map(str, state["kept"]))}'
        )
    return epoch


def load_run(folder, which):
    """Return symbol, arrays, state and epoch of a run's checkpoint; ``which``: see ``epoch_of``."""
    state = run_state.load(folder)
    epoch = epoch_of(state, which)
    if which == 'best' and not run_state.is_chosen_by_validation(state['records']):
        tell(
            f'epoch {epoch} has the lowest test error of all: it was chosen on the test set, so '
            'its error there is too good; train with --validation to choose on other images'
        )
    path = run_state.params_path(folder, epoch)
    if not run_state.is_whole(folder, os.path.basename(path), state):
        raise UserError(
            f'{path} is damaged or gone: name another epoch of the run with --checkpoint'
        )
    symbol_file.check(folder, state)
    return (
        symbol_file.load(os.path.join(folder, run_state.SYMBOL)),
        checkpoint.load_arrays(run_state.params_path(folder, epoch)),
        state,
        epoch,
    )
