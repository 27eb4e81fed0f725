"""ImageNet (ILSVRC2012): two tars of images, and the labels of the validation images (section 6.5).

A label is the position of the WordNet id in alphabetical order. Nothing is unpacked: the tars are
not compressed, so an image is a range of bytes of the tar that holds it.
"""

import io
import os
import tarfile
import tempfile

from data import archives, tar_archives
from data.archives import Archive
from data.source import Source
from data.split import Entry, Photographs
from system.errors import UserError

HOME = 'https://image-net.org, which provides it after registration'
TRAIN = Archive(
    'ILSVRC2012_img_train.tar', HOME, ('1d675b47d978889d74fa0da5fadfb00e',), 147900, False
)
TEST = Archive('ILSVRC2012_img_val.tar', HOME, ('29b22e2961454d5413ddabcf34fc5622',), 6800, False)
DEVKIT = Archive(
    'ILSVRC2012_devkit_t12.tar.gz', HOME, ('fa75699e90414af021442c21a62c3abf',), 3, False
)
# Alternative to the devkit: one WordNet id in each line, in the order of the validation images.
SYNSETS = 'imagenet_2012_validation_synset_labels.txt'
META, TRUTH = 'meta.mat', 'ILSVRC2012_validation_ground_truth.txt'
IMAGES, CLASSES = {'train': 1281167, 'test': 50000}, 1000
MOST_BYTES = 10 << 20  # of a file in the devkit


def find(source, checksum=True):
    """Return the ``Source``: both tars, and the devkit or ``SYNSETS``.

    Parameters
    ----------
    source : str
        The folder that holds them.
    checksum : bool
        Whether the files must have the published MD5; ``SYNSETS`` has none.

    Raises
    ------
    UserError
        A file is missing, or has another MD5.
    """
    paths = archives.locate_all([TRAIN, TEST], source, checksum)
    labels = os.path.join(source, SYNSETS)
    if os.path.isfile(labels):
        return Source(paths + [labels], root=source)
    labels = archives.locate(DEVKIT, source, checksum)
    return Source(paths + [labels], verified=checksum, root=source)


def splits(source, checksum=True):
    """Return the WordNet ids in the order of the labels, and the ``Photographs`` of both splits.

    Parameters
    ----------
    source : data.source.Source
    checksum : bool
        Whether all images must be there.

    Raises
    ------
    UserError
        A file is damaged or not of this data set.
    """
    train_tar, test_tar, labels = source.paths
    classes, train = _training(train_tar)
    test = _validation(test_tar, classes, _truth(labels, checksum))
    for name, entries in (('train', train), ('test', test)):
        if checksum and (len(entries), len(classes)) != (IMAGES[name], CLASSES):
            raise UserError(
                f'{source.root} has {len(entries)} images for the {name} split, and the '
                f'official one has {IMAGES[name]}; {archives.NO_CHECKSUM}'
            )
    return classes, [Photographs('train', train), Photographs('test', test)]


def _training(path):
    """Return the sorted WordNet ids and the entries of the training tar, a tar of tars."""
    found = {}
    with tar_archives.opened(path, compression='') as outer:
        for member in tar_archives.files_of(path, outer):
            synset = os.path.splitext(os.path.basename(member.name))[0]
            with tarfile.open(fileobj=outer.extractfile(member), mode='r:') as inner:
                found[synset] = [
                    (
                        member.offset_data + image.offset_data,
                        image.size,
                        f'{synset}/{os.path.basename(image.name)}',
                    )
                    for image in tar_archives.files_of(path, inner)
                ]
    classes = sorted(found)
    if not all(found.values()) or len(classes) < 2:
        raise UserError(
            f'{path} does not hold a tar of images for each class: it is not the official archive'
        )
    return classes, [
        Entry(path, offset, size, label, name)
        for label, synset in enumerate(classes)
        for offset, size, name in sorted(found[synset], key=lambda image: image[2])
    ]


def _validation(path, classes, truth):
    """Return the entries of the validation tar; ``truth`` has the WordNet id of each image."""
    with tar_archives.opened(path, compression='') as archive:
        found = sorted(
            (os.path.basename(member.name), member.offset_data, member.size)
            for member in tar_archives.files_of(path, archive)
        )
    if len(found) != len(truth):
        raise UserError(
            f'{path} has {len(found)} images and there are {len(truth)} labels: they do '
            'not belong together'
        )
    labels = {synset: label for label, synset in enumerate(classes)}
    unknown = sorted(set(truth) - set(labels))
    if unknown:
        raise UserError(
            f'{path} has images of class {unknown[0]}, and {TRAIN.name} has none to train on'
        )
    return [
        Entry(path, offset, size, labels[synset], name)
        for (name, offset, size), synset in zip(found, truth)
    ]


def _truth(path, checksum):
    """Return the WordNet id of each validation image, from the devkit or from ``SYNSETS``."""
    if os.path.basename(path) == SYNSETS:
        with open(path, encoding='utf-8-sig', errors='replace') as file:
            return file.read(MOST_BYTES).split()
    wanted = {META: MOST_BYTES, TRUTH: MOST_BYTES}
    content = tar_archives.members(path, wanted)
    tar_archives.check_members(path, content, wanted)
    try:
        synsets = _synsets(content[META], checksum)
        return [synsets[int(number)] for number in content[TRUTH].split()]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f'{path} does not have the classes of the validation images ({error}): it is '
            'damaged or another file'
        )


def _synsets(content, checksum):
    """Return {class number in the devkit: WordNet id} from the content of meta.mat."""
    import scipy.io  # not at the top, since it takes 0.3 s and most data sets do not need it

    if not checksum:
        with tempfile.NamedTemporaryFile(suffix='.mat') as file:
            file.write(content)
            file.flush()
            archives.check_matlab(file.name)
    try:
        table = scipy.io.loadmat(io.BytesIO(content), squeeze_me=True)['synsets']
        return {int(row['ILSVRC2012_ID']): str(row['WNID']) for row in table}
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f'meta.mat of the devkit cannot be read ({error}): fetch it again')
