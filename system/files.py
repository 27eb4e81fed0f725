"""Writing, renaming and removing files, for the whole project: a file is complete or absent.

A file is first written to a hidden temporary file beside it, ``.NAME.dfn-partial``, and then
renamed. Files whose names the user has chosen, such as figures and tables, are written by
``write_outputs``, which replaces only files that it has written itself.
"""

import contextlib
import errno
import fcntl
import functools
import os
import stat

from system.errors import UserError, tell
from system.output_marks import UNMARKED, is_own, marked, note

BLOCK = 1 << 20  # bytes read at a time
PARTIAL = '.dfn-partial'  # suffix of a temporary file
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of a file system that has none


def write_atomically(path, write):
    """Call ``write(temporary_path)``, sync the file to the disk, and rename it to ``path``.

    A reader, or a run that is started after a crash, finds either the old file or the new one. Of
    two processes that write the same file, one waits for the other. A process that is killed leaves
    the temporary file behind; the next process that writes ``path`` overwrites it. A file that is
    replaced hands its permissions on.
    """
    folder, temporary = os.path.dirname(os.path.abspath(path)), partial(path)
    with locked(temporary):
        try:
            write(temporary)
            with open(temporary, 'rb+') as file:
                os.fsync(file.fileno())
            mode = _mode_of(path)
            os.replace(temporary, path)
        except BaseException:
            remove(temporary)
            raise
        # After the rename the temporary name may be another process's, which must not be removed.
        # Some file systems refuse every change of permissions, so equal ones are not set again.
        if mode not in (None, _mode_of(path)):
            os.chmod(path, mode)
    sync_folder(folder)


def _mode_of(path):
    """Return the permissions of the file ``path``, None if there is none."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return None


def partial(path):
    """Return the name of the temporary file that ``write_atomically`` uses for ``path``."""
    folder, name = os.path.split(path)
    return os.path.join(folder, '.' + name + PARTIAL)


@contextlib.contextmanager
def locked(path):
    """Hold a lock on the file ``path``, created if missing; wait while another process has it."""
    lock = take_lock(path)
    try:
        yield
    finally:
        os.close(lock)


def take_lock(path, wait=True):
    """Lock the file ``path``, created if missing, and return its open file descriptor.

    The lock is released when the descriptor is closed.

    Raises
    ------
    BlockingIOError
        Another process holds the lock, and ``wait`` is false.
    """
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            _lock(lock, path, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # While this process waited, the file may have been renamed or removed: then try again.
            if _is_named(lock, path):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _lock(descriptor, path, how):
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _tell_of_no_locks(os.path.dirname(os.path.abspath(path)), error.strerror)


@functools.cache
def _tell_of_no_locks(folder, reason):
    """Say once that a file system, such as NFS without its service of locks, has none."""
    tell(
        f'files in {folder} cannot be locked ({reason}): let only one process at a time write '
        'there, or take a folder on another file system'
    )


def _is_named(descriptor, path):
    """Return whether ``path`` is the name of the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def sync_folder(folder):
    """Sync the entries of a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path):
    """Return the text of a file that a user has written; raise ``UserError`` if it is not UTF-8."""
    try:
        with open(path, encoding='utf-8-sig') as file:  # some editors begin with a mark
            return file.read()
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is not UTF-8 ({error}): save it as UTF-8') from None


def write_text(path, text):
    """Write a text file atomically."""

    def write(temporary):
        with open(temporary, 'w', encoding='utf-8') as file:
            file.write(text)

    write_atomically(path, write)


def create_text(path, text):
    """Write a new text file; raise ``FileExistsError`` if it exists."""
    with open(path, 'x', encoding='utf-8') as file:
        file.write(text)


def append_text(path, text):
    """Append to a text file in one write, and sync it to the disk."""
    with open(path, 'a', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_output(path, content, overwrite=False):
    """Write a file of results under a name that the user chose; see ``write_outputs``."""
    write_outputs({path: content}, overwrite)


def write_outputs(contents, overwrite=False):
    """Write figures, diagrams or tables to paths that the user chose.

    An existing file is replaced only if this project wrote it and nobody has changed it since,
    which system/output_marks.py can tell. If one of them may not be replaced, none is written.
    Missing folders are created.

    Parameters
    ----------
    contents : dict
        {path: bytes}.
    overwrite : bool
        Replace files of other origin too.

    Raises
    ------
    UserError
        The path is that of a file of other origin, or of something that is not a file.
    """
    for path, content in contents.items():
        _check_output(path, content, overwrite)
    for path, content in contents.items():
        _write_bytes(os.path.realpath(path), marked(path, content))  # a symbolic link remains one
        for beside, digest in note(path, content).items():
            _write_bytes(beside, digest)


def _check_output(path, content, overwrite):
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_file:
        raise UserError(f'{path} is there already and is no ordinary file: choose another name')
    if not overwrite and not is_own(path, content):
        why = 'this project did not write it or somebody changed it since'
        if path.endswith(UNMARKED):
            why = 'it may be of somebody else'
        raise UserError(
            f'{path} is there already, and {why}: choose another name, or add --overwrite'
        )


def _write_bytes(path, content):
    def write(temporary):
        with open(temporary, 'wb') as file:
            file.write(content)

    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, write)


def remove(path):
    """Remove one file that this project wrote, if it exists."""
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def set_aside(path):
    """Rename a file to an unused name, PATH.kept-N, and return the new name."""
    number = 1
    while os.path.lexists(f'{path}.kept-{number}'):
        number += 1
    os.rename(path, f'{path}.kept-{number}')
    return f'{path}.kept-{number}'


def digest_of(path, digest):
    """Feed a file to a ``hashlib`` object and return the digest as hexadecimal digits."""
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(BLOCK), b''):
            digest.update(block)
    return digest.hexdigest()


def move(source, target):
    """Sync a file or folder to the disk and rename it, replacing an older file."""
    handle = os.open(source, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(source, target)


def remove_folder(folder, names=()):
    """Remove the named files of a folder, and then the folder if it is empty.

    Files that are not named stay, and so does the folder that holds them.
    """
    for name in names:
        remove(os.path.join(folder, name))
    try:
        os.rmdir(folder)
    except OSError:  # it is not empty, or does not exist
        pass
