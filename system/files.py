"""The one place that writes, renames and removes files: a file is there whole or not at all.

A file of this project is written under a hidden temporary name beside it, ``.NAME.dfn-partial``,
which no other file has, and renamed. What a user asked for under a name of the user's choice goes
through ``write_outputs``, which replaces no file but those it has written itself.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import struct
import zlib

from system.errors import UserError

BLOCK = 1 << 20  # bytes read at a time
PARTIAL = '.dfn-partial'  # the end of a temporary name
MARK = 'Written by Deep Fusion in MXNet; SHA-256 of what precedes this: '
PNG_END = struct.pack('>I', 0) + b'IEND' + struct.pack('>I', zlib.crc32(b'IEND'))  # the last chunk


def write_atomically(path, write):
    """Call ``write(temporary_path)`` and give the result the name ``path``, once it is on the disk.

    A reader, or a run that is started after a crash, finds the old file or the new one. Of two
    processes that write the same file, one waits for the other. A process that is killed leaves the
    temporary file, and the next one that writes ``path`` uses it up.
    """
    folder, temporary = os.path.dirname(os.path.abspath(path)), partial(path)
    with locked(temporary):
        try:
            write(temporary)
            with open(temporary, 'rb+') as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            remove(temporary)
            raise
    _sync_folder(folder)


def partial(path):
    """Return the temporary name under which ``write_atomically`` begins to write ``path``."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(folder, '.' + name + PARTIAL)


@contextlib.contextmanager
def locked(path):
    """Hold a lock on the file ``path``, made where it is missing; waits for another process."""
    lock = take_lock(path)
    try:
        yield
    finally:
        os.close(lock)


def take_lock(path, wait=True):
    """Return the open descriptor that holds a lock on the file ``path``, made where it is missing.

    Raises
    ------
    BlockingIOError
        Another process has it, and this one does not wait.
    """
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # What was renamed or removed while this process waited is not the file to hold.
            if _is_named(lock, path):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _is_named(descriptor, path):
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _sync_folder(folder):
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path, text):
    """Write a text file atomically."""

    def write(temporary):
        with open(temporary, 'w', encoding='utf-8') as file:
            file.write(text)

    write_atomically(path, write)


def create_text(path, text):
    """Write a text file that must not exist yet; raises ``FileExistsError`` where it does."""
    with open(path, 'x', encoding='utf-8') as file:
        file.write(text)


def append_text(path, text):
    """Add to a text file, in one write, and wait until it is on the disk."""
    with open(path, 'a', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_output(path, content, overwrite=False):
    """Write a figure, drawing or table under a name that the user chose; see ``write_outputs``."""
    write_outputs({path: content}, overwrite)


def write_outputs(contents, overwrite=False):
    """Write what a user asked for, {path: bytes}; nothing is written unless all of it may be.

    A file that is there is replaced if this project wrote it and nobody has changed it since: a
    mark at its end has the SHA-256 of the rest (in a PNG its last chunk but one, elsewhere a
    comment). A CSV file has no comments and is known by its first line. The folder is made where it
    is missing.

    Parameters
    ----------
    overwrite : bool
        The user has agreed to lose other files too.

    Raises
    ------
    UserError
        The name is that of another file, or of something that is not a file.
    """
    for path, content in contents.items():
        _check_output(path, content, overwrite)
    for path, content in contents.items():
        _write_bytes(os.path.realpath(path), marked(path, content))  # a link stays a link


def _check_output(path, content, overwrite):
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_file:
        raise UserError(f'{path} is there already and is no ordinary file: choose another name')
    if not overwrite and not _is_own(path, content):
        raise UserError(
            f'{path} is there already, and this project did not write it or somebody '
            'changed it since: choose another name, or add --overwrite'
        )


def _is_own(path, content):
    """Return whether ``write_outputs`` wrote this file, and nobody has changed it since."""
    with open(path, 'rb') as file:
        found = file.read()
    if path.endswith('.csv'):
        return found.split(b'\n')[0] == content.split(b'\n')[0]
    length = len(_mark(path, b''))
    if path.endswith('.png'):
        before = found[: -length - len(PNG_END)] + PNG_END
    else:
        before = found[:-length]
    return found == marked(path, before)


def marked(path, content):
    """Return the content of an output with the mark that its kind of file can have."""
    if path.endswith('.png'):
        before = content[: -len(PNG_END)]
        return before + _mark(path, before) + PNG_END
    return content + _mark(path, content)


def _mark(path, before):
    text = (MARK + hashlib.sha256(before).hexdigest()).encode()
    ending = os.path.splitext(path)[1]
    if ending == '.png':
        chunk = b'tEXt' + b'Software\0' + text
        return struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
    return {
        '.csv': b'',
        '.pdf': b'%% %s\n' % text,
        '.tex': b'%% %s\n' % text,
        '.svg': b'<!-- %s -->\n' % text,
        '.md': b'<!-- %s -->\n' % text,
    }[ending]


def _write_bytes(path, content):
    def write(temporary):
        with open(temporary, 'wb') as file:
            file.write(content)

    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, write)


def remove(path):
    """Remove one file of the project's own, if it is there; nothing else removes files."""
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def set_aside(path):
    """Give a file another name, which no file has, so that its own is free; return the new name."""
    number = 1
    while os.path.lexists(f'{path}.kept-{number}'):
        number += 1
    os.rename(path, f'{path}.kept-{number}')
    return f'{path}.kept-{number}'


def digest_of(path, digest):
    """Return what a ``hashlib`` object makes of a file, as hexadecimal digits."""
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(BLOCK), b''):
            digest.update(block)
    return digest.hexdigest()


def move(source, target):
    """Give a file or folder its final name, in place of an older file, once it is on the disk."""
    handle = os.open(source, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(source, target)


def remove_folder(folder, names=()):
    """Remove the files of those names in a folder, and the folder if nothing else is in it.

    Nothing that it is not told by name is removed, so a file of somebody else keeps its folder.
    """
    for name in names:
        remove(os.path.join(folder, name))
    try:
        os.rmdir(folder)
    except OSError:  # it is not empty, or not there
        pass
