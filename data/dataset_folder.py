"""The folder of a data set: what may be written into it, and how new files replace old ones.

A conversion writes its files into the working folder, ``.part`` inside the folder of the data set.
When they are complete, it writes the manifest into ``.part`` and moves the files up one by one, the
manifest last. If that is interrupted, the next run finds ``.part`` with a manifest and completes
the move. Only files whose names this module knows are removed or replaced.
"""

import contextlib
import errno
import glob
import hashlib
import os
import re

from recordio import manifest
from recordio.dataset_table import DATASETS
from recordio.manifest import SPLITS, WORK
from system import files
from system.errors import UserError, printable

LOCK, IMAGES, PROGRESS = 'lock', 'images', '.progress'
ENDINGS = ('.rec', '.idx', '.lst')
ATTEMPTS = 100  # to take a lock while other processes remove the empty folder
REPORTED = '.reported'  # lists the photographs that were not ordinary JPEGs
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
# Files that can be in ``.part``, beside the folder IMAGES.
TEMPORARY = [LOCK, manifest.NAME] + [
    split + ending for split in SPLITS for ending in (*ENDINGS, REPORTED, PROGRESS)
]
TEMPORARY += [os.path.basename(files.partial(name)) for name in TEMPORARY]


def check_name(name):
    """Raise ``UserError`` for a name that the data set of an image folder cannot have."""
    reason = None
    if not name.strip():
        reason = 'it is empty'
    elif re.search(r'[/\\]', name) or printable(name) != name:
        reason = 'it has a slash, a backslash or a control character in it'
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


def check(target, names, keep_images=False):
    """Raise ``UserError`` if files with these names cannot safely be written into a folder.

    A file can be written if it does not exist yet, or if the manifest in the folder lists it: then
    an earlier conversion has written it. Other files in the folder are not touched.
    """
    _check_folder(target)
    known = manifest.read(target) or {'files': {}}
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


def _check_folder(target):
    """Raise ``UserError`` if a data set cannot have this folder, which may not exist yet.

    It must not be a folder of the project. It may be a link to a folder on another disk, but not to
    another data set or to the project itself.
    """
    for path in (os.path.dirname(os.path.abspath(target)), target):
        if os.path.lexists(path) and not os.path.isdir(path):
            raise UserError(
                f'{path} is not a folder: move it away, or choose another folder with --out'
            )
    inside = os.path.realpath(target)
    if os.path.islink(target):
        for root in (ROOT, os.path.realpath(os.path.dirname(os.path.abspath(target)))):
            if os.path.commonpath([root, inside]) == root:
                raise UserError(
                    f'{target} is a link to {inside}, a folder of the project or of another '
                    'data set: remove the link, or choose another folder with --out'
                )
    if (
        ROOT in (inside, os.path.dirname(inside))
        and os.path.lexists(inside)
        and not manifest.read(inside)
    ):
        raise UserError(f'{target} is a folder of the project: choose another --out or --name')
    strange = _strange(os.path.join(target, WORK))
    if strange:
        raise UserError(
            f'{strange[0]} was not written by data/prepare.py, which needs the folder {WORK} for '
            'itself: move it away'
        )


def _strange(work):
    """Return the paths in a working folder that no conversion has written.

    It may also be the working folder itself. Links are among them: a conversion makes none, and
    writing through one could change files outside the folder.
    """
    if not os.path.lexists(work):
        return []
    folders = [work, *(path for stars in ('', '*', '*/*') for path in _below(work, IMAGES, stars))]
    strange = [path for path in folders if os.path.islink(path)]
    if strange or not os.path.isdir(work):
        return strange or [work]
    paths = {name: os.path.join(work, name) for name in sorted(os.listdir(work))}
    return [
        path
        for name, path in paths.items()
        if os.path.islink(path)
        or not (
            os.path.isdir(path) if name == IMAGES else name in TEMPORARY and os.path.isfile(path)
        )
    ]


def _below(folder, *patterns):
    return glob.glob(os.path.join(glob.escape(folder), *patterns).rstrip(os.sep))


def check_source(target, source):
    """Raise ``UserError`` for a source inside the working folder, which a conversion empties."""
    work, inside = os.path.realpath(os.path.join(target, WORK)), os.path.realpath(source)
    if os.path.commonpath([work, inside]) == work:
        raise UserError(
            f'--source {source} is inside {work}, which a conversion empties: move it away'
        )


@contextlib.contextmanager
def working_folder(target, keep=False):
    """Lock the working folder of a data set, ``.part`` in ``target``, for a ``with`` statement.

    Folders that were made for it are removed at the end if they are empty.

    Parameters
    ----------
    target : str
        The folder of the data set.
    keep : bool
        Keep the unfinished files of an earlier run, and of this one for the next. Without it they
        are removed at the beginning and at the end.

    Raises
    ------
    UserError
        Another process is converting into the folder.
    """
    work = os.path.join(target, WORK)
    made = _missing(work)
    lock = _locked(work, target)
    try:
        if not keep:
            clear(work)
        yield work
    finally:
        # A complete conversion, which has a manifest, stays until its files have been moved up.
        if not keep and not os.path.exists(os.path.join(work, manifest.NAME)):
            clear(work)
        files.remove(os.path.join(work, LOCK))
        files.remove_folder(work)
        for folder in made:
            files.remove_folder(folder)
        os.close(lock)


def _missing(path):
    """Return the folders that do not exist yet, from ``path`` upwards."""
    missing = []
    while path and not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def _locked(work, target):
    """Lock a working folder; return the open lock file. Another process may remove the folder."""
    path = os.path.join(work, LOCK)
    for attempt in range(ATTEMPTS):
        try:
            os.makedirs(work, exist_ok=True)
            return files.take_lock(path, wait=False)
        except FileNotFoundError:  # the folder has just been removed, or it cannot be made
            if attempt == ATTEMPTS - 1:
                raise
        except BlockingIOError:
            raise UserError(f'another run is preparing {target}: wait for it to end')


def clear(work):
    """Remove the files of a conversion from a working folder, except the lock."""
    files.remove(os.path.join(work, manifest.NAME))  # first, as the sign of a complete conversion
    for name in TEMPORARY:
        if name != LOCK:
            files.remove(os.path.join(work, name))
    clear_images(os.path.join(work, IMAGES))


def clear_images(root):
    """Remove SPLIT/CLASS/NUMBER.png, as pack_images.py names them, and the empty folders."""
    for split in SPLITS:
        folder = os.path.join(root, split)
        for label in _listed(folder, r'\d{3,}'):
            own = os.path.join(folder, label)
            files.remove_folder(own, _listed(own, r'\d{6,}\.png'))
        files.remove_folder(folder)
    files.remove_folder(root)


def _listed(folder, pattern):
    """Return the names in a folder that match a regular expression."""
    try:
        return [name for name in os.listdir(folder) if re.fullmatch(pattern, name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def publish(work, target):
    """Move the files of a complete conversion from ``work`` to ``target``, the manifest last.

    If an earlier move was interrupted, some of the files are in ``target`` already.
    """
    new, old = manifest.read(work), manifest.read(target) or {'files': {}}
    waiting = [name for name in new['files'] if os.path.exists(os.path.join(work, name))]
    images = os.path.join(work, IMAGES)
    keep_images = new['options'].get('keep_images', False) and os.path.isdir(images)
    check(target, waiting, keep_images)
    for name in waiting:
        files.move(os.path.join(work, name), os.path.join(target, name))
    if keep_images:
        files.move(images, os.path.join(target, IMAGES))
    for name in set(old['files']) - set(new['files']):
        files.remove(os.path.join(target, name))
    files.move(os.path.join(work, manifest.NAME), os.path.join(target, manifest.NAME))
    clear(work)


def finish(target):
    """Complete a conversion that was interrupted while its files were moved, if there is one."""
    work = os.path.join(target, WORK)
    if not os.path.lexists(os.path.join(work, manifest.NAME)):
        return
    _check_folder(target)
    with working_folder(target, keep=True):
        if _is_complete(work, target):
            publish(work, target)
        elif os.path.lexists(os.path.join(work, manifest.NAME)):
            clear(work)  # and no other process has completed it in the meantime


def _is_complete(work, target):
    """Return whether every file that the manifest in ``work`` lists exists, moved up or not."""
    try:
        new = manifest.read(work)
    except UserError:
        return False
    return bool(new) and all(
        any(_is(os.path.join(folder, name), about) for folder in (work, target))
        for name, about in new['files'].items()
    )


def tidy(target):
    """Remove the files of an unfinished conversion, unless a process is working on it."""
    if os.path.lexists(os.path.join(target, WORK)):
        _check_folder(target)
        with contextlib.suppress(UserError), working_folder(target):
            pass


def prepared(target):
    """Return the manifest of a folder if all of its files are as it says, else None."""
    known = manifest.read(target)
    complete = known and all(
        _is(os.path.join(target, name), about) for name, about in known['files'].items()
    )
    return known if complete else None


def _is(path, expected):
    """Return whether a file exists and has this fingerprint."""
    try:
        return os.path.getsize(path) == expected['bytes'] and fingerprint(path) == {
            key: expected[key] for key in ('bytes', 'sha256')
        }
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
            return False
        raise


def fingerprint(path):
    """Return the size and SHA-256 of a file as a dict, as in the manifest."""
    return {'bytes': os.path.getsize(path), 'sha256': files.digest_of(path, hashlib.sha256())}
