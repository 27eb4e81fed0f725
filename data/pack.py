"""From splits to a folder of .lst, .rec and .idx files, packed by MXNet's own im2rec."""
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy
from tqdm import tqdm

from common import engine, files
from common.datasets import MANIFEST
from common.errors import UserError
from common.images import cv2

FORMAT = 1
# 9 packs PNGs of this size no better than 6, and the bytes depend on it.
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 6]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@contextlib.contextmanager
def workplace(out, dataset, keep=False):
    """Give a folder inside ``out`` to build ``dataset`` in, and remove it at the end.

    It is a new one, and what a killed run left is removed first; with ``keep`` it is that of the last run, and stays
    if this one fails. Raises ``UserError`` where another run is at work.
    """
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, '.%s.lock' % dataset), 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError('another run is preparing %s in %s: wait for it to end' % (dataset, out))
        if keep:
            folder = os.path.join(out, '.%s.part' % dataset)
            os.makedirs(folder, exist_ok=True)
            yield folder
            return
        prefix = '.%s-' % dataset
        for name in os.listdir(out):
            if name.startswith(prefix):
                shutil.rmtree(os.path.join(out, name))
        folder = tempfile.mkdtemp(prefix=prefix, dir=out)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def pack(splits, folder, keep_images=False):
    """Write NAME.lst, NAME.rec and NAME.idx for each split, and the manifest, into ``folder``.

    Parameters
    ----------
    splits : list of data.split.Split
    keep_images : bool
        Leave the PNG files in ``folder``/images.

    Returns
    -------
    dict
        The manifest: for each split its images per class, for each file its size and SHA-256.
    """
    manifest = {'format': FORMAT, 'splits': {}, 'files': {}}
    root = os.path.join(folder, 'images')
    for split in splits:
        _write_images(split, root, os.path.join(folder, split.name + '.lst'))
    _run_im2rec(folder, root, sum(len(split.labels) for split in splits))
    for split in splits:
        _check_records(split, folder)
        counts = numpy.bincount(split.labels)
        manifest['splits'][split.name] = {str(label): int(count) for label, count in enumerate(counts)}
        for ending in ('.lst', '.rec', '.idx'):
            manifest['files'][split.name + ending] = fingerprint(os.path.join(folder, split.name + ending))
    if not keep_images:
        shutil.rmtree(root)
    with open(os.path.join(folder, MANIFEST), 'w') as file:
        json.dump(manifest, file, indent=1)
    return manifest


def _write_images(split, root, list_path):
    """Write one PNG an image, SPLIT/CLASS/NUMBER.png, and the list that im2rec reads."""
    for label in numpy.unique(split.labels):
        os.makedirs(os.path.join(root, split.name, '%03d' % label), exist_ok=True)
    with open(list_path, 'w') as listing:
        pairs = tqdm(zip(split.labels, split.images), total=len(split.labels), unit=' images',
                     desc=split.name + ' images', disable=None)
        for number, (label, image) in enumerate(pairs):
            name = '%s/%03d/%06d.png' % (split.name, label, number)
            # OpenCV takes BGR and writes an RGB file.
            encoded = cv2.imencode('.png', numpy.ascontiguousarray(image[..., ::-1]), PNG)[1]
            with open(os.path.join(root, name), 'wb') as file:
                file.write(encoded.tobytes())
            listing.write('%d\t%f\t%s\n' % (number, label, name))


def _run_im2rec(folder, root, total):
    """Pack the PNG files of every list in ``folder`` as they are, byte for byte."""
    command = [sys.executable, '-m', 'common.engine', 'mxnet.tools.im2rec', os.path.abspath(folder),
               os.path.abspath(root), '--pass-through']
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True) as process:
        said = ['it said nothing']
        with tqdm(total=total, unit=' images', desc='im2rec', disable=None) as bar:
            for line in process.stdout:
                said.append(line)
                if ' count: ' in line:  # one such line for a thousand images
                    bar.update(min(1000, total - bar.n))
    if process.returncode:
        raise UserError('im2rec failed with status %d: %s' % (process.returncode, said[-1].strip()))


def _check_records(split, folder):
    """Read every record back: im2rec skips what it cannot read, and a full disk cuts files short."""
    prefix = os.path.join(folder, split.name)
    records = engine.mx.recordio.MXIndexedRecordIO(prefix + '.idx', prefix + '.rec', 'r')
    try:
        right = len(records.keys) == len(split.labels) and all(
            engine.mx.recordio.unpack(records.read_idx(number))[0].label == label
            for number, label in enumerate(split.labels))
    finally:
        records.close()
    if not right:
        raise UserError('%s.rec does not hold the %d images it was made from: check the space left on '
                        'the disk and run this again' % (split.name, len(split.labels)))


def fingerprint(path):
    """Return the size and the SHA-256 of a file, as the manifest has them."""
    return {'bytes': os.path.getsize(path), 'sha256': files.digest_of(path, hashlib.sha256())}


def publish(folder, target):
    """Move the finished ``folder`` to ``target``; an older one is there until that moment."""
    os.chmod(folder, 0o755)  # mkdtemp makes it private
    aside = folder + '.old'
    if os.path.exists(target):
        os.rename(target, aside)
    os.rename(folder, target)
    shutil.rmtree(aside, ignore_errors=True)


def prepared(target):
    """Return the manifest of a prepared folder if all of its files are still what they were."""
    manifest = manifest_of(target)
    try:
        whole = manifest and all(fingerprint(os.path.join(target, name)) == expected for name, expected in manifest['files'].items())
    except OSError:
        return None
    return manifest if whole else None


def manifest_of(folder):
    """Return the manifest of a folder, or None where there is none of this version."""
    try:
        with open(os.path.join(folder, MANIFEST)) as file:
            manifest = json.load(file)
        return manifest if manifest['format'] == FORMAT and isinstance(manifest['files'], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
