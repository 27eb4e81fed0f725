"""Whether a network and the data that it is to be scored on have the same classes."""

import os

from common.scorer import infer_shapes
from recordio import datasets, manifest, records
from system.errors import UserError, printable, tell


def check_classes(model):
    """Raise ``UserError`` unless a network tells as many classes apart as its data set has.

    Parameters
    ----------
    model : common.model.Model
    """
    _, outputs, _ = infer_shapes(model.symbol, model.dataset.shape)
    for _, classes in outputs:
        if classes != model.dataset.classes:
            raise UserError(
                f'{model.title} tells {classes} classes apart, and {model.name} has '
                f'{model.dataset.classes}: name with --dataset what the network was '
                'trained on'
            )


def same_classes(one, other):
    """Return whether two ``Dataset`` have as many classes, with the same names where known."""
    return one.classes == other.classes and (
        not one.names or not other.names or list(one.names) == list(other.names)
    )


def check_record_file(path, model):
    """Raise ``UserError`` for a .rec file whose images have other classes than the network's.

    The manifest beside the file says which classes they are. Without a manifest only the labels are
    known: then a line on stderr warns if the highest ones are missing.
    """
    folder, name = os.path.split(os.path.abspath(path))
    known = manifest.read(folder)
    if known is None or name not in known['files']:
        _tell_missing_classes(path, model)
        return
    own, number = model.dataset, max(map(len, known['splits'].values()))
    # Older manifests do not name the classes: then the name of the folder says which data set it
    # is.
    fallback = datasets.DATASETS.get(os.path.basename(folder), own)
    names = [printable(each) for each in known.get('classes', fallback.names)]
    if number != own.classes or names and own.names and names != list(own.names):
        raise UserError(
            f'{path} has other classes than {model.name}, which the network is for '
            f'({number} and {own.classes}): name a .rec file of {model.name}'
        )


def _tell_missing_classes(path, model):
    highest = max((int(label) for label, _ in records.labelled_images(path)), default=0)
    if highest + 1 < model.dataset.classes:
        tell(
            printable(
                f'{path} has the labels 0 to {highest} alone, and {model.name} has '
                f'{model.dataset.classes} classes: make sure that it is of {model.name}'
            )
        )
