"""Reading tar archives that are not to be trusted: names and sizes are checked first."""

import contextlib
import os
import tarfile
import zlib

from system.errors import UserError


def members(path, wanted):
    """Read files of a tar archive into memory; return {name without folders: bytes}.

    Parameters
    ----------
    path : str
        The archive.
    wanted : dict
        {name without folders: the largest number of bytes that the file may have}.

    Raises
    ------
    UserError
        The archive is damaged, a file is too large, or a name leads out of the archive's folder.
    """
    found = {}
    with opened(path) as archive:
        for member in files_of(path, archive):
            base = os.path.basename(member.name)
            if base in wanted:
                _check_length(path, member, wanted[base])
                found[base] = archive.extractfile(member).read()
    return found


def check_members(path, found, wanted):
    """Raise ``UserError`` if ``members`` has not found all files that are wanted."""
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise UserError(f'{path} holds no {", ".join(missing)}: it is not the official archive')


@contextlib.contextmanager
def opened(path, compression='*'):
    """Open a tar archive for a ``with`` statement; errors in reading it become a ``UserError``.

    Parameters
    ----------
    path : str
    compression : str
        As in the modes of ``tarfile``: '*' for any, '' for a tar that must not be compressed.
    """
    try:
        with tarfile.open(path, 'r:' + compression) as archive:
            yield archive
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        plain, reason = '' if compression else ', not compressed', str(error).split('\n')[0]
        raise UserError(
            f'{path} cannot be read as a tar archive{plain} ({reason}): it is damaged '
            'or another file; fetch it again'
        )


def files_of(path, archive):
    """Yield the members of an open tar that are files.

    Raises
    ------
    UserError
        The name of a member leads out of the archive's folder.
    """
    for member in archive:
        _check_member(path, member)
        if member.isfile():
            yield member


def _check_member(path, member):
    folders = member.name.split('/')
    if member.name.startswith('/') or '..' in folders or member.issym() or member.islnk():
        raise UserError(
            f'{path} holds {member.name!r}, which leads out of its folder: it is not the '
            'official archive, and nothing was read from it'
        )


def _check_length(path, member, most):
    if member.size > most:
        raise UserError(
            f'{path} holds a {member.name} of {member.size} bytes, more than the official '
            f'{most}: it is not the official archive'
        )
