"""Image folders: photographs as train/CLASS/FILE and val/CLASS/FILE."""

import os

from data.source import Source
from data.split import Entry, Photographs
from system.errors import UserError

VALIDATION = ('val', 'validation', 'test')  # possible names of the folder


def find(root):
    """Return the ``Source`` of an image folder: all files in it but hidden ones.

    Raises
    ------
    UserError
        ``root`` is not an image folder, a class has no image, or a class of val is not in train.
    """
    validation = _validation(root)
    if not os.path.isdir(os.path.join(root, 'train')) or validation is None:
        raise UserError(
            f'{root} does not hold the folders train and val, each with a folder for every class'
        )
    train, test = (_folders(os.path.join(root, name)) for name in ('train', validation))
    classes = sorted(train)
    strange = sorted(set(test) - set(classes))
    if strange:
        raise UserError(
            f'{os.path.join(root, validation)} has the class {strange[0]}, and train '
            'has none of that name'
        )
    if len(classes) < 2:
        raise UserError(
            f'{os.path.join(root, "train")} holds {len(classes)} classes and a network '
            'needs two or more'
        )
    return Source(
        [path for folders in (train, test) for name in classes for path in folders.get(name, [])],
        root=root,
    )


def splits(source):
    """Return the classes, in alphabetical order, and the ``Photographs`` of both splits."""
    train = os.path.join(source.root, 'train') + os.sep
    paths_of = {'train': [], 'test': []}
    for path in source.paths:
        paths_of['train' if path.startswith(train) else 'test'].append(path)
    classes = sorted({_class_of(path) for path in paths_of['train']})
    labels = {name: label for label, name in enumerate(classes)}
    return classes, [
        Photographs(name, [_entry(path, labels) for path in paths])
        for name, paths in paths_of.items()
    ]


def check_apart(root, target):
    """Raise ``UserError`` if the folder of a data set is inside the image folder it is made from.

    The reverse is allowed, since a conversion does not touch other files in a data set's folder.
    """
    real = os.path.realpath(target)
    for name in ('train', _validation(root) or VALIDATION[0]):
        folder = os.path.realpath(os.path.join(root, name))
        if os.path.commonpath([folder, real]) == folder:
            raise UserError(
                f'{target} is among the photographs in {root}, where its files would be taken for '
                'photographs: choose another folder with --out'
            )


def _validation(root):
    return next((name for name in VALIDATION if os.path.isdir(os.path.join(root, name))), None)


def _folders(root):
    """Return {class: paths of its images} of the folder of a split."""
    found = {
        name: _visible(os.path.join(root, name), os.path.isfile)
        for name in map(os.path.basename, _visible(root, os.path.isdir))
    }
    empty = sorted(name for name, files in found.items() if not files)
    if empty:
        raise UserError(
            f'{os.path.join(root, empty[0])} has no file in it: put images there, or remove it'
        )
    return found


def _visible(folder, is_kind):
    """Return the paths in a folder of one kind (file or folder) that are not hidden."""
    paths = (
        os.path.join(folder, name)
        for name in sorted(os.listdir(folder))
        if not name.startswith('.')
    )
    return [path for path in paths if is_kind(path)]


def _class_of(path):
    return os.path.basename(os.path.dirname(path))


def _entry(path, labels):
    name = _class_of(path)
    return Entry(path, 0, os.path.getsize(path), labels[name], f'{name}/{os.path.basename(path)}')
