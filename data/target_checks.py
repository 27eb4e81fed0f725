"""What a conversion may write: names of data sets, and folders in which nothing else is lost."""

import glob
import os
import re

from data.dataset_files import IMAGES, TEMPORARY
from recordio import manifest
from recordio.dataset_table import DATASETS
from recordio.manifest import WORK
from recordio.records import SIGNS
from system.errors import UserError, printable

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# Names that --name cannot have: folders in data/, downloads, and other data sets.
RESERVED = (
    '__pycache__',
    'archives',
    'paper',
    'fashion_mnist_sample',
    'folder',
    'imagenet',
    *DATASETS,
)


def check_name(name):
    """Raise ``UserError`` for a name that the data set of an image folder cannot have."""
    reason = None
    if not name.strip():
        reason = 'it is empty'
    elif re.search(rf'[/\\{SIGNS}]', name) or printable(name) != name:
        reason = (
            f'it has a slash, a backslash, one of {" ".join(SIGNS)} or a control character in it'
        )
    elif name[0] in '.-':
        reason = 'it begins with a dot or a hyphen'
    elif len(os.fsencode(name)) > 150:
        reason = 'it is longer than 150 bytes'
    elif name.casefold() in {*RESERVED, *_names_in_data()}:
        reason = 'the project has a data set, a file or a folder of that name'
    if reason:
        raise UserError(
            f'--name {name!r} cannot be the name of a data set, because {reason}: choose '
            'another, of letters, digits, spaces, dots and hyphens'
        )


def _names_in_data():
    """Return the names of the files in the project's folder data/, in lower case."""
    return {
        name.casefold() for name in os.listdir(HERE) if os.path.isfile(os.path.join(HERE, name))
    }


def check_files(target, names, keep_images=False):
    """Raise ``UserError`` if files with these names cannot safely be written into a folder.

    A file can be written if it does not exist yet, or if the manifest in the folder lists it: then
    an earlier conversion has written it. Other files in the folder are not touched.
    """
    check_folder(target)
    known = manifest.read(target) or {'files': {}}
    if known.get('dataset') == manifest.RECORDS:  # the user's, which only training has described
        known = {'files': {}}
    for name in names:
        path = os.path.join(target, name)
        if os.path.lexists(path) and (name not in known['files'] or os.path.isdir(path)):
            raise UserError(
                f'{path} is not listed in a {manifest.NAME} beside it, and would be overwritten: '
                'move it away, or choose another folder with --out'
            )
    images = os.path.join(target, IMAGES)
    if keep_images and os.path.lexists(images):
        raise UserError(f'{images} exists already: move it away, or leave --keep-images out')


def check_folder(target):
    """Raise ``UserError`` if a data set cannot have this folder, which may not exist yet.

    It must not be a folder of the project. It may be a link to a folder on another disk, but not to
    another data set or to the project itself.
    """
    for path in (os.path.dirname(os.path.abspath(target)), target):
        if os.path.lexists(path) and not os.path.isdir(path):
            raise UserError(
                f'{path} is not a folder: move it away, or choose another folder with --out'
            )
    if os.path.islink(target):
        _check_link(target)
    real = os.path.realpath(target)
    in_project = ROOT in (real, os.path.dirname(real))
    if in_project and os.path.lexists(real) and not manifest.read(real):
        raise UserError(f'{target} is a folder of the project: choose another --out or --name')
    foreign = _foreign_paths(os.path.join(target, WORK))
    if foreign:
        raise UserError(
            f'{foreign[0]} was not written by data/prepare.py, which needs the folder {WORK} for '
            'itself: move it away'
        )


def check_source(target, source):
    """Raise ``UserError`` for a source inside the working folder, which a conversion empties."""
    work, real = os.path.realpath(os.path.join(target, WORK)), os.path.realpath(source)
    if os.path.commonpath([work, real]) == work:
        raise UserError(
            f'--source {source} is inside {work}, which a conversion empties: move it away'
        )


def _check_link(target):
    """Raise ``UserError`` for a link into the project, or into the folder of the data sets."""
    real = os.path.realpath(target)
    for root in (ROOT, os.path.realpath(os.path.dirname(os.path.abspath(target)))):
        if os.path.commonpath([root, real]) == root:
            raise UserError(
                f'{target} is a link to {real}, a folder of the project or of another '
                'data set: remove the link, or choose another folder with --out'
            )


def _foreign_paths(work):
    """Return the paths in a working folder that no conversion has written.

    If the working folder itself is a link or no folder, it is one of them. Every link is: a
    conversion makes none, and writing through one could change files elsewhere.
    """
    if not os.path.lexists(work):
        return []
    images = os.path.join(glob.escape(work), IMAGES)
    folders = [work]
    for pattern in (images, os.path.join(images, '*'), os.path.join(images, '*', '*')):
        folders += glob.glob(pattern)
    links = [path for path in folders if os.path.islink(path)]
    if links or not os.path.isdir(work):
        return links or [work]
    return [
        os.path.join(work, name)
        for name in sorted(os.listdir(work))
        if not _is_own(os.path.join(work, name), name)
    ]


def _is_own(path, name):
    """Return whether a conversion may have written what is at ``path`` in a working folder."""
    if os.path.islink(path):
        return False
    return os.path.isdir(path) if name == IMAGES else name in TEMPORARY and os.path.isfile(path)
