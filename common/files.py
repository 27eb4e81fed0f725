"""Files that are there whole or not at all."""
import os

BLOCK = 1 << 20  # bytes read at a time


def write_atomically(path, write):
    """Call ``write(temporary_path)`` and give the result the name ``path``, once it is on the disk.

    A reader, or a run that is started after a crash, finds the old file or the new one.
    """
    temporary = path + '.tmp'
    try:
        write(temporary)
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name itself
    finally:
        os.close(folder)


def write_text(path, text):
    """Write a text file atomically."""
    def write(temporary):
        with open(temporary, 'w', encoding='utf-8') as file:
            file.write(text)
    write_atomically(path, write)


def remove(path):
    """Remove one file of the project's own, if it is there. Nothing else in the project removes files."""
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def digest_of(path, digest):
    """Return what a ``hashlib`` object makes of a file, as hexadecimal digits."""
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(BLOCK), b''):
            digest.update(block)
    return digest.hexdigest()
