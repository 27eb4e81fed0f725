"""Official archives of the data sets: finding, downloading and verifying them."""

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from typing import NamedTuple

from system import files
from system.errors import UserError
from system.progress import Bar


class Archive(NamedTuple):
    """A published file of a data set."""

    name: str
    url: str  # address of the file, or of its publisher
    md5: tuple  # every published checksum; Debian has compressed Fashion-MNIST's files anew
    size: int  # megabytes, for the check of the disk space
    download: bool = True  # whether it can be downloaded from ``url`` without registration


BLOCK = 1 << 20
# A proxy that is none answers with what is no HTTP.
DOWNLOAD_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ValueError,
)
NO_CHECKSUM = 'add --no-checksum if it is meant to differ, a subset of your own for example'


def locate(archive, source, checksum=True):
    """Return the path of an archive.

    Parameters
    ----------
    archive : Archive
    source : str
        The file itself, or the folder that holds it.
    checksum : bool
        Whether the file must have a published MD5.

    Raises
    ------
    UserError
        The file is missing or has another MD5.
    """
    path = source
    if os.path.isdir(source):
        path = os.path.join(source, archive.name)
    if not os.path.isfile(path):
        otherwise = f'leave --source out to download it from {archive.url}'
        if not archive.download:
            otherwise = f'get it from {archive.url}'
        wrong = 'is no file' if os.path.exists(path) else 'is not there'
        raise UserError(
            f'{path} {wrong}: give --source the official archive or its folder, or {otherwise}'
        )
    if checksum:
        verify(path, archive)
    return path


def locate_all(wanted, source, checksum=True):
    """Return the paths of several archives in the folder ``source``; see ``locate``."""
    if not os.path.isdir(source):
        names = ', '.join(archive.name for archive in wanted)
        raise UserError(
            f'--source {source} is one file, and the data set has {len(wanted)}: name '
            f'the folder that holds {names}'
        )
    return [locate(archive, source, checksum) for archive in wanted]


def verify(path, *wanted):
    """Raise ``UserError`` unless the file has the checksum of one of the ``wanted`` archives."""
    found = md5(path)
    if not any(found in archive.md5 for archive in wanted):
        official = ', '.join(f'{archive.name} has {" or ".join(archive.md5)}' for archive in wanted)
        raise UserError(
            f'{path} has the MD5 {found} and the official {official}: it is truncated '
            f'or another file; fetch it again, or {NO_CHECKSUM}'
        )


def md5(path):
    """Return the MD5 of a file as hexadecimal digits."""
    return files.digest_of(path, hashlib.md5())


def download(archive, folder):
    """Return the path of an archive in a folder, after downloading it if it is missing.

    The file gets its final name only after its checksum has been verified.
    """
    path = os.path.join(folder, archive.name)
    if _is_there(path):
        verify(path, archive)
        return path
    made = not os.path.isdir(folder)
    os.makedirs(folder, exist_ok=True)
    try:
        _download_missing(archive, path)
    finally:
        if made:
            files.remove_folder(folder)  # only if it is empty
    return path


def _download_missing(archive, path):
    """Download an archive, unless another process that does so has ended while this one waited."""
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f'.{name}.download')
    with files.locked(partial):
        try:
            if _is_there(path):
                files.remove(partial)
                return
            need_space(folder, archive.size)
            _fetch(archive.url, partial)
            verify(partial, archive)
            files.move(partial, path)
        except BaseException:
            files.remove(partial)
            raise


def _is_there(path):
    """Return whether an archive exists; a link to a disk that is not mounted is an error."""
    exists = os.path.exists(path)
    if os.path.islink(path) and not exists:
        raise UserError(
            f'{path} is a link to {os.readlink(path)}, which is not there: mount its disk, or '
            'remove the link'
        )
    return exists


def _fetch(url, path):
    try:
        with urllib.request.urlopen(url, timeout=60) as reply, open(path, 'wb') as file:
            total = int(reply.headers.get('Content-Length', 0)) or None
            with Bar(
                total=total, unit='B', unit_scale=True, desc=os.path.basename(url), disable=None
            ) as bar:
                for block in iter(lambda: reply.read(BLOCK), b''):
                    file.write(block)
                    bar.update(len(block))
    except DOWNLOAD_ERRORS as error:
        raise UserError(
            f'{url} cannot be downloaded ({getattr(error, "reason", error)}): try again, '
            'or fetch it by other means and name it with --source'
        )


def need_space(folder, megabytes):
    """Raise ``UserError`` if the disk that holds ``folder`` has less than ``megabytes`` free."""
    free = shutil.disk_usage(folder).free / 1e6
    if free < megabytes:
        raise UserError(
            f'{folder} has {free:.0f} MB free and {megabytes:.0f} MB are needed: make '
            'room or choose another disk with --out'
        )


def check_matlab(path):
    """Raise ``UserError`` for a MATLAB file that crashes SciPy's reader, as a damaged file can.

    It is read in another process, which may crash. Files with the published checksum need no check.
    """
    code = 'import sys, scipy.io; scipy.io.loadmat(sys.argv[1])'
    trial = subprocess.run(
        [sys.executable, '-c', code, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if trial.returncode < 0:  # ended by a signal
        raise UserError(f'{path} cannot be read as a MATLAB file: it is damaged; fetch it again')
