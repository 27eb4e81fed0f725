"""Where the images of a data set come from, and how a later run knows the same source again."""

import hashlib
import os
from typing import NamedTuple

from data import archives
from system import files


class Source(NamedTuple):
    """The files that a data set is read from."""

    paths: list  # in the order in which the reader takes them
    checksums: tuple = ()  # for each file the published MD5s; empty where some file has none
    verified: bool = False  # every file was found to have one of its checksums
    root: str | None = None  # folder of files that are known by names, sizes and times


def identity(source):
    """Return what the manifest says of a source: equal for equal files, and for no others.

    It is the SHA-256 of each file. Of photographs, and of ImageNet's tars, which would take minutes
    to read, it is that of their names in ``source.root``, sizes in bytes and times of change.
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
