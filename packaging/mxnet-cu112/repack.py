"""A build backend that lets MXNet 1.9.1 be installed beside a current NumPy.

MXNet's wheel works with NumPy 2 (engine/loader.py restores the names that it asks for), but its
metadata asks for numpy<2 and graphviz<0.9, so that no installer would put them side by side. This
takes the published wheel, compares its SHA-256, and drops those two limits. Nothing else changes.

The name of the folder that holds this file, or a link to it, is that of the wheel: mxnet, the CPU
build, or mxnet-cu112. requirements.txt and requirements-gpu.txt name the folders.
"""

import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile

NAME = os.path.basename(os.path.dirname(os.path.abspath(__file__)))
VERSION = '1.9.1'
LOCAL = VERSION + '+numpy2'
LIMITS = (
    (b'Requires-Dist: numpy (<2.0.0,>1.16.0)', b'Requires-Dist: numpy (>1.16.0)'),
    (b'Requires-Dist: graphviz (<0.9.0,>=0.8.1)', b'Requires-Dist: graphviz (>=0.8.1)'),
)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Write the wheel, as pip asks a build backend to; return the name of its file (PEP 517)."""
    with tempfile.TemporaryDirectory() as folder:
        published = _download(folder)
        name = os.path.basename(published).replace(f'-{VERSION}-', f'-{LOCAL}-')
        _repack(published, os.path.join(wheel_directory, name))
    return name


def build_sdist(sdist_directory, config_settings=None):
    """Refuse: there is no source to distribute."""
    raise NotImplementedError('the wheel of MXNet is published, and only its metadata is changed')


def _download(folder):
    """Return the path of the published wheel for this machine, whose SHA-256 pip has compared."""
    hashes = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'hashes.txt')
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check'),
            *('--no-deps', '--only-binary', ':all:', '--require-hashes'),
            *('--dest', folder, '--requirement', hashes),
        ]
    )
    if done.returncode:
        raise SystemExit(f'{NAME} {VERSION} could not be downloaded, see above')
    (name,) = os.listdir(folder)
    return os.path.join(folder, name)


def _repack(published, path):
    """Copy a wheel with the metadata changed, and the version, so that the two are told apart."""
    with zipfile.ZipFile(published) as old, zipfile.ZipFile(path, 'w') as new:
        for member in old.infolist():
            content = old.read(member)
            name = member.filename.replace(f'-{VERSION}.dist-info/', f'-{LOCAL}.dist-info/')
            if name.endswith('.dist-info/METADATA'):
                metadata = content = _without_limits(content)
            elif name.endswith('.dist-info/RECORD'):
                content = _record(content, metadata)
            new.writestr(name, content)


def _without_limits(metadata):
    for limited, free in LIMITS:
        if limited not in metadata:
            raise SystemExit(f'the wheel of {NAME} does not say {limited.decode()!r}')
        metadata = metadata.replace(limited, free)
    return metadata.replace(f'\nVersion: {VERSION}\n'.encode(), f'\nVersion: {LOCAL}\n'.encode())


def _record(record, metadata):
    """Return the list of files with the new metadata's digest and size."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(metadata).digest()).rstrip(b'=').decode()
    text = record.decode().replace(f'-{VERSION}.dist-info/', f'-{LOCAL}.dist-info/')
    line = rf'\g<1>,sha256={digest},{len(metadata)}'
    return re.sub(r'(?m)^(.*\.dist-info/METADATA),.*$', line, text).encode()
