"""The files of a data set: their names, their fingerprints, and whether they are complete."""

import errno
import hashlib
import os

from recordio import manifest
from recordio.manifest import SPLITS
from system import files

LOCK, IMAGES, PROGRESS = 'lock', 'images', '.progress'
ENDINGS = ('.rec', '.idx', '.lst')
REPORTED = '.reported'  # lists the photographs that were not ordinary JPEGs
PHOTOGRAPH_ENDINGS = (*ENDINGS, REPORTED)
# Files that can be in ``.part``, beside the folder IMAGES.
TEMPORARY = [LOCK, manifest.NAME] + [
    split + ending for split in SPLITS for ending in (*PHOTOGRAPH_ENDINGS, PROGRESS)
]
TEMPORARY += [files.partial(name) for name in TEMPORARY]


def prepared(target):
    """Return the manifest of a folder if all of its files are as it says, else None."""
    known = manifest.read(target)
    complete = known and all(
        has_fingerprint(os.path.join(target, name), about) for name, about in known['files'].items()
    )
    return known if complete else None


def has_fingerprint(path, expected):
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
