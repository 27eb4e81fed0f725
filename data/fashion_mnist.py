"""Fashion-MNIST: four gzip-compressed idx files, and the sample of it in this repository."""

import gzip
import os
import struct
import zlib

import numpy

from data import archives
from data.archives import Archive
from data.source import Source
from data.split import Split
from system.errors import UserError

HOME = 'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/'
DEBIAN = '/usr/share/datasets/fashion-mnist'  # of the package dataset-fashion-mnist
SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fashion_mnist_sample')
CLASSES = 10
SUBSETS = {'fashion-mnist-12000': 12000}  # training images in a subset, by data set
GZIP = b'\x1f\x8b'  # the first bytes of a compressed file

# The second checksum is that of Debian's package.
ARCHIVES = {
    (split, kind): Archive(name, HOME + name, md5, 32)
    for split, kind, name, md5 in (
        (
            'train',
            'images',
            'train-images-idx3-ubyte.gz',
            ('8d4fb7e6c68d591d4c3dfef9ec88bf0d', 'cf8536b0aa1a6ac5fa3f23001093305c'),
        ),
        (
            'train',
            'labels',
            'train-labels-idx1-ubyte.gz',
            ('25c81989df183df01b3e8a0aad5dffbe', '10bea18fdb374794d4bb42e356e600c9'),
        ),
        (
            'test',
            'images',
            't10k-images-idx3-ubyte.gz',
            ('bef4ecab320f06d8554ea6380940ec79', 'f78720b4224f21cce2f2ccf2d7a94c9a'),
        ),
        (
            'test',
            'labels',
            't10k-labels-idx1-ubyte.gz',
            ('bb300cfdad3c16e7a12a480ee83cd310', '0d30e22e447f3c33dab9ed536400ac01'),
        ),
    )
}

# The files of the sample have the names of the archives, but other content.
SAMPLE_MD5 = {
    'train-images-idx3-ubyte.gz': '3e144ba5f2ae29b3355c394630550f4c',
    'train-labels-idx1-ubyte.gz': 'e0acda2be4b13f3c4918ab8a91ecc33d',
    't10k-images-idx3-ubyte.gz': '06dafe375039ffc07616760e30695824',
    't10k-labels-idx1-ubyte.gz': 'ed8855620c744eaf0de8644400899f57',
}


def find(source, cache, checksum=True):
    """Return the ``Source``: the images and labels for training, then those for testing.

    Parameters
    ----------
    source : str or None
        The folder with the four files. None uses those of Debian's package if it is installed, and
        else downloads them (30 MB).
    cache : str
        Folder for downloads.
    checksum : bool
        Whether the files must have a published MD5.

    Raises
    ------
    UserError
        A file is missing, or has another MD5.
    """
    if source is None and os.path.isdir(DEBIAN):
        source = DEBIAN
    wanted = list(ARCHIVES.values())
    paths = (
        [archives.download(archive, cache) for archive in wanted]
        if source is None
        else archives.locate_all(wanted, source, checksum)
    )
    known = tuple(archive.md5 for archive in wanted)
    return Source(paths, known, verified=checksum or source is None)


def find_sample(checksum=True):
    """Return the ``Source`` of the sample in this repository.

    Raises
    ------
    UserError
        A file is missing or, with ``checksum``, has been changed.
    """
    paths = archives.locate_all(list(ARCHIVES.values()), SAMPLE, checksum=False)
    known = tuple((SAMPLE_MD5[os.path.basename(path)],) for path in paths)
    for path, (md5,) in zip(paths, known):
        if checksum and archives.md5(path) != md5:
            raise UserError(
                f'{path} is not the file of this repository: restore it with git, or '
                'add --no-checksum'
            )
    return Source(paths, known, verified=checksum)


def splits(source):
    """Return the training and test ``Split``: grey 28x28 images, padded with 0 to 32x32, as RGB.

    Parameters
    ----------
    source : data.source.Source

    Raises
    ------
    UserError
        A file is damaged or not of this data set.
    """
    paths = dict(zip(ARCHIVES, source.paths))
    return [
        _split(split, paths[split, 'images'], paths[split, 'labels']) for split in ('train', 'test')
    ]


def subset(splits, count):
    """Return the splits with ``count`` training images, equally many of each class.

    Of each class the first images in the order of the official files are taken, and they stay in
    that order. The test split stays whole.

    Raises
    ------
    UserError
        A class has too few images.
    """
    train, test = splits
    each = count // CLASSES
    of_class = [numpy.flatnonzero(train.labels == label)[:each] for label in range(CLASSES)]
    if min(map(len, of_class)) < each:
        raise UserError(
            f'the archive has fewer than {each} training images of some class: prepare the subset '
            'from the official files'
        )
    chosen = numpy.sort(numpy.concatenate(of_class))
    return [train._replace(labels=train.labels[chosen], images=train.images[chosen]), test]


def _split(split, *paths):
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if images.shape != (len(labels), 28, 28) or not len(labels):
        raise UserError(
            f'{paths[0]} holds {"x".join(map(str, images.shape))} bytes for {len(labels)} '
            'labels, not 28x28 for each: it is not Fashion-MNIST'
        )
    if labels.max() >= CLASSES:
        raise UserError(
            f'{paths[1]} holds the label {int(labels.max())}, outside 0 to 9: it is '
            'damaged or another data set'
        )
    padded = numpy.pad(images, ((0, 0), (2, 2), (2, 2)))
    return Split(split, labels.astype(int), numpy.repeat(padded[..., None], 3, axis=3))


def read_idx(path, axes):
    """Return the content of an idx file, compressed or not, as an array of uint8.

    Raises
    ------
    UserError
        The file is damaged, or does not hold bytes with ``axes`` axes.
    """
    most = 100 * archives.BLOCK  # the training images are 47 MB
    try:
        with open(path, 'rb') as file:  # some browsers unpack a file and keep its name
            compressed = file.read(2) == GZIP
        with (gzip.open if compressed else open)(path, 'rb') as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise UserError(f'{path} cannot be unpacked ({error}): it is damaged; fetch it again')
    header = 4 + 4 * axes
    if len(content) > most or content[:4] != bytes([0, 0, 8, axes]) or len(content) < header:
        raise UserError(f'{path} is not an idx file of bytes with {axes} axes: it is another file')
    shape = struct.unpack(f'>{axes}I', content[4:header])
    size = 1
    for length in shape:
        size *= length
    if len(content) - header != size:
        raise UserError(
            f'{path} announces {size} bytes and holds {int(len(content) - header)}: it is '
            'truncated or damaged; fetch it again'
        )
    return numpy.frombuffer(content, numpy.uint8, offset=header).reshape(shape)
