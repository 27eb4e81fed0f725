"""The files that a data set is made from, and how a later run recognises the same files."""

import hashlib
import os
from typing import NamedTuple

from data import archives
from system import files


class Source(NamedTuple):
    """The files that a data set is made from."""

    paths: list  # in the order that the reader expects
    checksums: tuple = ()  # the published MD5s of each file; empty if some file has none
    verified: bool = False  # every file has been checked and has one of its published MD5s
    root: str | None = None  # a folder: its files are identified by names, sizes and times


def identity(source):
    """Return what identifies the files of a source, as a dict for the manifest.

    ``sha256`` holds the SHA-256 of each file. Photographs and ImageNet's tars would take minutes to
    read: for these, ``tree_sha256`` is the SHA-256 of their names in ``source.root``, their sizes
    and times of modification, and ``files`` is their number.
    """
    if source.root is None:
        return {'sha256': [files.digest_of(path, hashlib.sha256()) for path in source.paths]}
    digest = hashlib.sha256()
    for path in source.paths:
        about, name = os.stat(path), os.path.relpath(path, source.root)
        line = f'{name}\n{about.st_size} {about.st_mtime_ns}\n'
        digest.update(line.encode('utf-8', 'surrogateescape'))
    return {'tree_sha256': digest.hexdigest(), 'files': len(source.paths)}


def is_official(source):
    """Return whether every file of a source is a published archive."""
    if source.verified:
        return True
    pairs = zip(source.paths, source.checksums)
    return bool(source.checksums) and all(archives.md5(path) in known for path, known in pairs)
