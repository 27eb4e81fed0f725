"""CIFAR-10 and CIFAR-100, binary and Python versions (section 6.1).

In both versions a record is the label and 3,072 bytes: the red values of all pixels, row by row,
then the green ones and the blue ones.
"""

import os
from typing import NamedTuple

import numpy

from data import archives, safe_pickle, tar_archives
from data.archives import Archive
from data.source import Source
from data.split import Split
from system.errors import UserError

HOME = 'https://www.cs.toronto.edu/~kriz/'
PIXELS = 3 * 32 * 32


class Version(NamedTuple):
    """One of the two versions that a data set is published in."""

    archive: Archive
    folder: str  # its name in the archive
    files: dict  # {split: names of its files}
    # Binary version: number of bytes in front of the pixels. The last of them is the class; in
    # CIFAR-100 the superclass comes first.
    label_bytes: int | None = None
    key: bytes | None = None  # Python version: key of the labels


def _archive(name, md5):
    return Archive(name, HOME + name, (md5,), 180)


VERSIONS = {
    'cifar10': (
        Version(
            _archive('cifar-10-binary.tar.gz', 'c32a1d4ab5d03f1284b67883e8d87530'),
            'cifar-10-batches-bin',
            {'train': [f'data_batch_{i}.bin' for i in range(1, 6)], 'test': ['test_batch.bin']},
            label_bytes=1,
        ),
        Version(
            _archive('cifar-10-python.tar.gz', 'c58f30108f718f92721af3b95e74349a'),
            'cifar-10-batches-py',
            {'train': [f'data_batch_{i}' for i in range(1, 6)], 'test': ['test_batch']},
            key=b'labels',
        ),
    ),
    'cifar100': (
        Version(
            _archive('cifar-100-binary.tar.gz', '03b5dce01913d631647c71ecec9e9cb8'),
            'cifar-100-binary',
            {'train': ['train.bin'], 'test': ['test.bin']},
            label_bytes=2,
        ),
        Version(
            _archive('cifar-100-python.tar.gz', 'eb9058c3a382ffc7106e4002c42a8d85'),
            'cifar-100-python',
            {'train': ['train'], 'test': ['test']},
            key=b'fine_labels',
        ),
    ),
}
CLASSES = {'cifar10': 10, 'cifar100': 100}
IMAGES = {'train': 50000, 'test': 10000}
MOST_BYTES = 200 * archives.BLOCK  # of a file in an archive; CIFAR-100's training file has 155 MB


def find(dataset, source, cache, checksum=True):
    """Return the ``Source`` of ``cifar10`` or ``cifar100``.

    Parameters
    ----------
    source : str or None
        An official archive, the folder that holds it, or the unpacked archive; None downloads the
        binary version.
    cache : str
        Folder for downloads.
    checksum : bool
        Whether an archive must have the published MD5.

    Raises
    ------
    UserError
        The source is missing, or has another MD5.
    """
    published = [version.archive for version in VERSIONS[dataset]]
    known = (tuple(md5 for archive in published for md5 in archive.md5),)
    if source is None:
        return Source([archives.download(published[0], cache)], known, verified=True)
    for version in VERSIONS[dataset]:
        folder = _unpacked(version, source)
        if folder:
            return Source([os.path.join(folder, name) for name in _wanted(version)])
    there = [archive for archive in published if os.path.isfile(os.path.join(source, archive.name))]
    path = archives.locate((there or published)[0], source, checksum=False)
    if checksum:
        archives.verify(path, *published)
    return Source([path], known, verified=checksum)


def splits(dataset, source, checksum=True):
    """Return the training and test ``Split`` of ``cifar10`` or ``cifar100``.

    Parameters
    ----------
    source : data.source.Source
    checksum : bool
        Whether all 50,000 + 10,000 images must be there.

    Raises
    ------
    UserError
        The source is damaged or not this data set.
    """
    version, content = _content(dataset, source)
    result = []
    for split, names in version.files.items():
        batches = [_parse(version, name, content[name], CLASSES[dataset]) for name in names]
        labels, images = (numpy.concatenate(arrays) for arrays in zip(*batches))
        if checksum and len(labels) != IMAGES[split]:
            raise UserError(
                f'{os.path.dirname(source.paths[0]) or os.curdir} has {len(labels)} '
                f'images for the {split} split, and the official one has {IMAGES[split]}; '
                f'{archives.NO_CHECKSUM}'
            )
        result.append(Split(split, labels, images))
    return result


def _content(dataset, source):
    """Return the ``Version`` of a source, judged by the names of its files, and {name: bytes}."""
    versions = VERSIONS[dataset]
    if len(source.paths) > 1:
        content = {os.path.basename(path): _read(path) for path in source.paths}
    else:
        every = {name: most for version in versions for name, most in _wanted(version).items()}
        content = tar_archives.members(source.paths[0], every)
    version = max(versions, key=lambda version: len(set(_wanted(version)) & set(content)))
    tar_archives.check_members(source.paths[0], content, _wanted(version))
    return version, content


def _wanted(version):
    """Return {name: the largest number of bytes it may have} of the files of a version."""
    return {name: MOST_BYTES for names in version.files.values() for name in names}


def _unpacked(version, source):
    """Return the folder of an unpacked archive, which is ``source`` or lies in it, or None."""
    for folder in (source, os.path.join(source, version.folder)):
        if all(os.path.isfile(os.path.join(folder, name)) for name in _wanted(version)):
            return folder
    return None


def _read(path):
    if os.path.getsize(path) > MOST_BYTES:
        raise UserError(f'{path} is larger than any file of the official archive: name another')
    with open(path, 'rb') as file:
        return file.read()


def _parse(version, name, content, classes):
    if version.key is None:
        labels, pixels = _parse_binary(name, content, version.label_bytes)
    else:
        labels, pixels = _parse_python(name, content, version.key)
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise UserError(
            f'{name} holds the label '
            f'{int(labels.max() if labels.max() >= classes else labels.min())}, outside 0 '
            f'to {classes - 1}: it is damaged or another data set'
        )
    return labels, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _parse_binary(name, content, label_bytes):
    length = label_bytes + PIXELS
    if not content or len(content) % length:
        raise UserError(
            f'{name} has {len(content)} bytes, not a multiple of the {length} of a '
            'record: it is truncated or another file'
        )
    records = numpy.frombuffer(content, numpy.uint8).reshape(-1, length)
    return records[:, label_bytes - 1].astype(int), records[:, label_bytes:]


def _parse_python(name, content, key):
    try:
        batch = safe_pickle.load(content)
        array, labels = batch[b'data'], numpy.array(batch[key], dtype=int)
        well_formed = (
            isinstance(array, safe_pickle.Array)
            and array.dtype.code == 'u1'
            and not array.fortran
            and array.shape == (len(labels), PIXELS)
            and labels.ndim == 1
            and len(array.bytes) == len(labels) * PIXELS
            and len(labels)
        )
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(
            f"{name} is not a batch of CIFAR's Python version ({error}): it is damaged or "
            'another file, and nothing in it was run'
        )
    if not well_formed:
        raise UserError(
            f'{name} does not hold one row of 3,072 bytes for each label: it is damaged '
            'or another file'
        )
    return labels, numpy.frombuffer(array.bytes, numpy.uint8).reshape(-1, PIXELS)
