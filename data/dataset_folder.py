"""The folder of a data set: what may be written into it, and how new files replace old ones.

A conversion keeps what is not finished in a folder of its own inside, ``.part``. When all is there,
it writes the manifest into ``.part``, and from then on counts as done: its files move up one by
one, the manifest last. Where that is interrupted, the next run finds ``.part`` with a manifest and
brings it to its end. Nothing is removed or replaced but files whose names this module knows.
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
ATTEMPTS = 100  # to take a lock while others remove their empty folders
REPORTED = '.reported'  # which photographs were no ordinary JPEGs
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# Not of data sets: folders beside data/prepare.py, downloads, and the data sets of other options.
TAKEN = (
    '__pycache__',
    'archives',
    'paper',
    'fashion_mnist_sample',
    'folder',
    'imagenet',
    *DATASETS,
)
# What can be in ``.part``, but for IMAGES.
TEMPORARY = [LOCK, manifest.NAME] + [
    split + ending for split in SPLITS for ending in (*ENDINGS, REPORTED, PROGRESS)
]
TEMPORARY += [os.path.basename(files.partial(name)) for name in TEMPORARY]


def check_name(name):
    """Raise ``UserError`` for a name that a data set of somebody's own cannot have."""
    reason = None
    if not name.strip():
        reason = 'it is empty'
    elif re.search(r'[/\\]', name) or printable(name) != name:
        reason = 'it has a slash, a backslash or a control character in it'
    elif name[0] in '.-':
        reason = 'it begins with a dot or a hyphen'
    elif len(os.fsencode(name)) > 150:
        reason = 'it is longer than 150 bytes'
    elif name.casefold() in {*TAKEN, *_beside_the_script()}:
        reason = 'the project has a data set, a file or a folder of that name'
    if reason:
        raise UserError(
            f'--name {name!r} cannot be the name of a data set, because {reason}: choose '
            'another, of letters, digits, spaces, dots and hyphens'
        )


def _beside_the_script():
    """Return the names of the files in data/ of the project, in lower case."""
    return {
        name.casefold() for name in os.listdir(HERE) if os.path.isfile(os.path.join(HERE, name))
    }


def check(target, names, keep_images=False):
    """Raise ``UserError`` where files of these names cannot be written into a folder safely.

    They can if each of them is not there, or named by the manifest that is there: then it is a file
    of an earlier conversion. Other files in the folder do not matter, since nobody touches them.
    """
    _check_folder(target)
    known = manifest.read(target) or {'files': {}}
    for name in names:
        path = os.path.join(target, name)
        if os.path.lexists(path) and (name not in known['files'] or os.path.isdir(path)):
            raise UserError(
                f'{path} is not of a conversion that {manifest.NAME} beside it describes, and '
                'would be overwritten: move it away, or choose another folder with --out'
            )
    images = os.path.join(target, IMAGES)
    if keep_images and os.path.lexists(images):
        raise UserError(f'{images} is there already: move it away, or leave --keep-images out')


def _check_folder(target):
    """Raise ``UserError`` unless a target is a folder, or can become one, and is not the project's.

    A link to a folder on another disk is fine: only files of known names are written. A link to
    another data set, or to the project's own files, is not.
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
            f'{strange[0]} was not written by data/prepare.py, '
            f'which needs a folder {WORK} of its own there: move it away'
        )


def _strange(work):
    """Return what is in a work folder, or in its place, that no conversion has put there.

    A conversion makes no links, and one would lead it out of its folder.
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


def _below(*parts):
    return glob.glob(os.path.join(glob.escape(parts[0]), *parts[1:]).rstrip(os.sep))


def check_source(target, source):
    """Raise ``UserError`` where a conversion would read what it is about to remove."""
    work, inside = os.path.realpath(os.path.join(target, WORK)), os.path.realpath(source)
    if os.path.commonpath([work, inside]) == work:
        raise UserError(
            f'--source {source} lies in {work}, which is emptied by a conversion: move it away'
        )


@contextlib.contextmanager
def workplace(target, keep=False):
    """Give the folder to convert in, ``.part`` of ``target``, which nobody else uses meanwhile.

    What a killed run left in it is removed first, and at the end what this one leaves. With
    ``keep`` it stays, for the next run to go on from. Folders that were made for it do not stay
    behind empty.

    Raises
    ------
    UserError
        Another run is at work there.
    """
    work = os.path.join(target, WORK)
    made = _missing(work)
    lock = _locked(work, target)
    try:
        if not keep:
            clear(work)
        yield work
    finally:
        # A conversion that counts as done stays, until its files have moved up.
        if not keep and not os.path.exists(os.path.join(work, manifest.NAME)):
            clear(work)
        files.remove(os.path.join(work, LOCK))
        files.remove_folder(work)
        for folder in made:
            files.remove_folder(folder)
        os.close(lock)


def _missing(path):
    """Return the folders, innermost first, that have to be made for ``path``."""
    missing = []
    while path and not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def _locked(work, target):
    """Return the open lock file of a work folder, which the last user may be about to remove."""
    path = os.path.join(work, LOCK)
    for attempt in range(ATTEMPTS):
        try:
            os.makedirs(work, exist_ok=True)
            return files.take_lock(path, wait=False)
        except FileNotFoundError:  # a folder was removed in between, or can never be made
            if attempt == ATTEMPTS - 1:
                raise
        except BlockingIOError:
            raise UserError(f'another run is preparing {target}: wait for it to end')


def clear(work):
    """Remove what conversions write into a work folder, but for the lock."""
    files.remove(os.path.join(work, manifest.NAME))  # from now on it does not count as done
    for name in TEMPORARY:
        if name != LOCK:
            files.remove(os.path.join(work, name))
    clear_images(os.path.join(work, IMAGES))


def clear_images(root):
    """Remove SPLIT/CLASS/NUMBER.png, as ``pack`` names them, and folders that are empty then."""
    for split in SPLITS:
        folder = os.path.join(root, split)
        for label in _listed(folder, r'\d{3,}'):
            own = os.path.join(folder, label)
            files.remove_folder(own, _listed(own, r'\d{6,}\.png'))
        files.remove_folder(folder)
    files.remove_folder(root)


def _listed(folder, pattern):
    try:
        return [name for name in os.listdir(folder) if re.fullmatch(pattern, name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def publish(work, target):
    """Move the files of a conversion that is done up to ``target``, the manifest last.

    It goes on where an interrupted one stopped: then some of the files are in ``target`` already.
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
    """Bring a conversion to its end that was stopped while its files moved, if there is one."""
    work = os.path.join(target, WORK)
    if not os.path.lexists(os.path.join(work, manifest.NAME)):
        return
    _check_folder(target)
    with workplace(target, keep=True):
        if _is_whole(work, target):
            publish(work, target)
        elif os.path.lexists(os.path.join(work, manifest.NAME)):  # nobody has finished it meanwhile
            clear(work)


def _is_whole(work, target):
    """Return whether every file of a conversion that counts as done is there, moved up or not."""
    try:
        new = manifest.read(work)
    except UserError:
        return False
    return bool(new) and all(
        any(_is(os.path.join(folder, name), about) for folder in (work, target))
        for name, about in new['files'].items()
    )


def tidy(target):
    """Remove what a killed conversion left, unless another one is at work."""
    if os.path.lexists(os.path.join(target, WORK)):
        _check_folder(target)
        with contextlib.suppress(UserError), workplace(target):
            pass


def prepared(target):
    """Return the manifest of a folder if all of its files are what it says, else None."""
    known = manifest.read(target)
    whole = known and all(
        _is(os.path.join(target, name), about) for name, about in known['files'].items()
    )
    return known if whole else None


def _is(path, expected):
    """Return whether there is a file with this fingerprint."""
    try:
        return os.path.getsize(path) == expected['bytes'] and fingerprint(path) == {
            key: expected[key] for key in ('bytes', 'sha256')
        }
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
            return False
        raise


def fingerprint(path):
    """Return the size and the SHA-256 of a file, as the manifest has them."""
    return {'bytes': os.path.getsize(path), 'sha256': files.digest_of(path, hashlib.sha256())}
