"""Official archives: where they are, how they are fetched, and whether they are what they should be."""
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zlib
from collections import namedtuple

from tqdm import tqdm

from common import files
from common.errors import UserError

# md5: every published checksum of this file; Fashion-MNIST has two, its authors' and that of
# Debian's package, which compressed the same bytes anew. size: megabytes, for the disk check.
Archive = namedtuple('Archive', 'name url md5 size')

BLOCK = 1 << 20
ANY_CONTENT = 'add --no-checksum if it is meant to differ, a subset of your own for example'


def locate(archive, source, checksum=True):
    """Return the path of ``archive`` in ``source``, which is the file itself or its folder.

    Raises
    ------
    UserError
        It is not there, or its checksum is not the published one.
    """
    path = source
    if os.path.isdir(source):
        path = os.path.join(source, archive.name)
    if not os.path.isfile(path):
        raise UserError('%s is not there: give --source the official archive or its folder, or leave '
                        '--source out to download it from %s' % (path, archive.url))
    if checksum:
        verify(archive, path)
    return path


def verify(archive, path):
    """Raise ``UserError`` unless the file has a published checksum of ``archive``."""
    found = md5(path)
    if found not in archive.md5:
        raise UserError('%s has the MD5 %s and the official %s has %s: it is truncated or another '
                        'file; fetch it again, or %s'
                        % (path, found, archive.name, ' or '.join(archive.md5), ANY_CONTENT))


def md5(path):
    """Return the MD5 of a file as hexadecimal digits."""
    return files.digest_of(path, hashlib.md5())


def download(archive, folder):
    """Return the path of ``archive`` in ``folder``, downloaded from its address if it is not there.

    The file has its final name only when it is whole and its checksum is right.
    """
    path = os.path.join(folder, archive.name)
    if os.path.exists(path):
        verify(archive, path)
        return path
    os.makedirs(folder, exist_ok=True)
    need_space(folder, archive.size)
    partial = path + '.part'
    try:
        _fetch(archive.url, partial)
        verify(archive, partial)
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return path


def _fetch(url, path):
    try:
        with urllib.request.urlopen(url, timeout=60) as reply, open(path, 'wb') as file:
            total = int(reply.headers.get('Content-Length', 0)) or None
            with tqdm(total=total, unit='B', unit_scale=True, desc=os.path.basename(url),
                      disable=None) as bar:
                for block in iter(lambda: reply.read(BLOCK), b''):
                    file.write(block)
                    bar.update(len(block))
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        raise UserError('%s cannot be downloaded (%s): try again, or fetch it by other means and name '
                        'it with --source' % (url, getattr(error, 'reason', error)))


def need_space(folder, megabytes):
    """Raise ``UserError`` if the disk of ``folder`` has less than ``megabytes`` free."""
    free = shutil.disk_usage(folder).free / 1e6
    if free < megabytes:
        raise UserError('%s has %.0f MB free and %.0f MB are needed: make room or choose another disk '
                        'with --out' % (folder, free, megabytes))


def members(path, wanted):
    """Return {base name: bytes} of the ``wanted`` files of a tar archive, which is never unpacked.

    Raises
    ------
    UserError
        The archive is damaged, lacks a file, or holds a name that leads out of its folder.
    """
    found = {}
    with opened(path) as archive:
        for member in files_of(path, archive):
            base = os.path.basename(member.name)
            if base in wanted:
                _check_length(path, member, wanted[base])
                found[base] = archive.extractfile(member).read()
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise UserError('%s holds no %s: it is not the official archive' % (path, ', '.join(missing)))
    return found


@contextlib.contextmanager
def opened(path):
    """Give the open tar; what is wrong with it becomes a ``UserError``."""
    try:
        with tarfile.open(path) as archive:
            yield archive
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise UserError('%s cannot be read as a tar archive (%s): it is damaged or another file; '
                        'fetch it again' % (path, str(error).split('\n')[0]))


def files_of(path, archive):
    """Yield the members of an open tar that are files; raises ``UserError`` for a name that leads out of its folder."""
    for member in archive:
        _check_member(path, member)
        if member.isfile():
            yield member


def check_matlab(path):
    """Raise ``UserError`` for a MATLAB file at which SciPy's reader crashes, which damaged ones can make it do.

    Another process tries first. A file with the published checksum needs no trial.
    """
    code = 'import sys, scipy.io; scipy.io.loadmat(sys.argv[1])'
    if subprocess.run([sys.executable, '-c', code, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode < 0:
        raise UserError('%s cannot be read as a MATLAB file: it is damaged; fetch it again' % path)


def _check_member(path, member):
    parts = member.name.split('/')
    if member.name.startswith('/') or '..' in parts or member.issym() or member.islnk():
        raise UserError('%s holds %r, which leads out of its folder: it is not the official archive, '
                        'and nothing was read from it' % (path, member.name))


def _check_length(path, member, most):
    if member.size > most:
        raise UserError('%s holds a %s of %d bytes, more than the official %d: it is not the official '
                        'archive' % (path, member.name, member.size, most))
