"""How new files replace the old ones in the folder of a data set.

A conversion writes its files into the working folder, ``.part`` inside the folder of the data set.
When they are complete, it writes the manifest into ``.part`` and moves the files up one by one, the
manifest last. If that is interrupted, the next run finds ``.part`` with a manifest and completes
the move. Only files whose names data/dataset_files.py has are removed or replaced.
"""

import contextlib
import os
import re

from data import target_checks
from data.dataset_files import IMAGES, LOCK, TEMPORARY, has_fingerprint
from recordio import manifest
from recordio.manifest import SPLITS, WORK
from system import files
from system.errors import UserError, printable, tell

ATTEMPTS = 100  # to take a lock while other processes remove the empty folder


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

    If an earlier move was interrupted, some of the files are in ``target`` already. A file that
    somebody has changed since it was converted is kept under another name.
    """
    new, old = manifest.read(work), manifest.read(target) or {'files': {}}
    waiting = [name for name in new['files'] if os.path.exists(os.path.join(work, name))]
    images = os.path.join(work, IMAGES)
    keep_images = new['options'].get('keep_images', False) and os.path.isdir(images)
    target_checks.check_files(target, waiting, keep_images)
    gone = sorted(set(old['files']) - set(new['files']))
    for name in (*waiting, *gone):
        _keep_if_changed(os.path.join(target, name), old['files'].get(name))
    for name in waiting:
        files.move(os.path.join(work, name), os.path.join(target, name))
    if keep_images:
        files.move(images, os.path.join(target, IMAGES))
    for name in gone:
        files.remove(os.path.join(target, name))
    files.move(os.path.join(work, manifest.NAME), os.path.join(target, manifest.NAME))
    clear(work)


def _keep_if_changed(path, expected):
    """Rename a file that has not the fingerprint ``expected`` any more, and say so."""
    if expected and os.path.lexists(path) and not has_fingerprint(path, expected):
        kept = files.set_aside(path)
        tell(
            f'{printable(path)} was changed after it was converted: it is kept as {printable(kept)}'
        )


def finish(target):
    """Complete a conversion that was interrupted while its files were moved, if there is one."""
    work = os.path.join(target, WORK)
    if not os.path.lexists(os.path.join(work, manifest.NAME)):
        return
    target_checks.check_folder(target)
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
        any(has_fingerprint(os.path.join(folder, name), about) for folder in (work, target))
        for name, about in new['files'].items()
    )


def tidy(target):
    """Remove the files of an unfinished conversion, unless a process is working on it."""
    if os.path.lexists(os.path.join(target, WORK)):
        target_checks.check_folder(target)
        with contextlib.suppress(UserError), working_folder(target):
            pass
