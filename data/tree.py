"""Photographs in folders: train/CLASS/FILE and val/CLASS/FILE."""
import os

from common.errors import UserError
from data.split import Entry, Photographs

VALIDATION = ('val', 'validation', 'test')  # names that such a folder goes by


def splits(source):
    """Return the classes, sorted names of the folders in train/, and the ``Photographs`` of both splits.

    Every file is taken but hidden ones.

    Raises
    ------
    UserError
        There is no such tree, a class has no image, or validation has a class that training has not.
    """
    validation = next((name for name in VALIDATION if os.path.isdir(os.path.join(source, name))), None)
    if not os.path.isdir(os.path.join(source, 'train')) or validation is None:
        raise UserError('%s does not hold the folders train and val, each with a folder for every class' % source)
    train, test = (_folders(os.path.join(source, name)) for name in ('train', validation))
    classes = sorted(train)
    strange = sorted(set(test) - set(classes))
    if strange:
        raise UserError('%s has the class %s, and train has none of that name' % (os.path.join(source, validation), strange[0]))
    if len(classes) < 2:
        raise UserError('%s holds %d classes and a network needs two or more' % (os.path.join(source, 'train'), len(classes)))
    return classes, [Photographs(name, _entries(folders, classes)) for name, folders in (('train', train), ('test', test))]


def _folders(root):
    """Return {class: paths of its files}."""
    found = {name: _visible(os.path.join(root, name), os.path.isfile) for name in map(os.path.basename, _visible(root, os.path.isdir))}
    empty = sorted(name for name, files in found.items() if not files)
    if empty:
        raise UserError('%s has no file in it: put images there, or remove it' % os.path.join(root, empty[0]))
    return found


def _visible(folder, kind):
    paths = (os.path.join(folder, name) for name in sorted(os.listdir(folder)) if not name.startswith('.'))
    return [path for path in paths if kind(path)]


def _entries(folders, classes):
    return [Entry(path, 0, os.path.getsize(path), label, '%s/%s' % (name, os.path.basename(path)))
            for label, name in enumerate(classes) for path in folders.get(name, [])]
