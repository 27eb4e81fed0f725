"""Looking up a data set by name, and telling the image files of one run from those of another."""

import hashlib
import os

from recordio import manifest
from recordio.dataset_table import DATASETS, OWN, PHOTOGRAPHS, Dataset
from system import files
from system.errors import UserError, command, printable

__all__ = ['DATASETS', 'OWN', 'PHOTOGRAPHS', 'Dataset', 'difference', 'get', 'identity', 'small']

SMALL = OWN.size


def get(name, data_dir='data', size=None):
    """Return the ``Dataset`` of that name.

    Parameters
    ----------
    name : str
        A key of ``DATASETS``, or the name of photographs that data/prepare.py has packed, or of
        record files of a user's own.
    data_dir : str
        The folder that holds the folders of the data sets; not needed for those of ``DATASETS``.
    size : int, optional
        Of photographs, height and width of the network's input in pixels; default 224. Images of
        32x32 of a user's own are photographs only with a size.

    Raises
    ------
    UserError
        There is no such data set, or its images cannot be used.
    """
    if name in DATASETS:
        return DATASETS[name]
    known = _known(name, data_dir)
    if size is None and known.get('longest_side') == known['short_side'] == SMALL:
        return small(name, data_dir)
    least, most = known.get('short_sides', (known['short_side'],) * 2)
    if least != most:
        raise UserError(
            f'{os.path.join(data_dir, name)} has images whose shorter sides are {least} to {most} '
            'pixels, and random crops need one length: pack them with --resize, see docs/data.md'
        )
    return _with_classes(PHOTOGRAPHS._replace(size=size or PHOTOGRAPHS.size, short=least), known)


def photographs(name, data_dir='data', size=None):
    """Return the ``Dataset`` of that name, as ``get`` does, if it is one of photographs.

    Raises
    ------
    UserError
        Its images are small: it is one of ``DATASETS``, or a user's own of 32x32 and no size is
        named. Or see ``get``.
    """
    dataset = get(name, data_dir, size)
    if dataset.short is None:
        raise UserError(
            f'{name} has images of {SMALL}x{SMALL}, and this network is for photographs: train '
            f'with "{command("train_cifar.py", "--dataset", name)}"'
        )
    return dataset


def small(name, data_dir='data'):
    """Return the ``Dataset`` of that name for networks that take images of 32x32.

    Raises
    ------
    UserError
        There is no such data set, or its images have other sizes.
    """
    if name in DATASETS:
        return DATASETS[name]
    known = _known(name, data_dir)
    sides = sorted({known['short_side'], known.get('longest_side', known['short_side'])})
    if sides != [SMALL]:
        raise UserError(
            f'{os.path.join(data_dir, name)} has images with sides of '
            f'{" to ".join(map(str, sides))} pixels, and this network takes {SMALL}x{SMALL}: pack '
            'them in that size, see docs/data.md, or train with '
            f'"{command("train_imagenet.py", "--dataset", name)}"'
        )
    own = OWN._replace(mean=PHOTOGRAPHS.mean, std=PHOTOGRAPHS.std)
    return _with_classes(own, known)


def _known(name, data_dir):
    """Return the manifest of photographs or of a user's own record files."""
    from recordio import own_records  # not at the top, since it imports OpenCV, which takes 0.3 s

    simple = name == os.path.basename(name)
    known = own_records.known(os.path.join(data_dir, name)) if simple else None
    if not known or 'short_side' not in known or 'classes' not in known:
        raise UserError(
            f'no data set is called {name!r}: there are {", ".join(sorted(DATASETS))}, and the '
            f'photographs that "{command("data/prepare.py")}" with "imagenet" or "folder" has '
            f'packed in {data_dir}, and folders there with train.rec and test.rec of your own, '
            'each with its .idx'
        )
    return known


def _with_classes(template, known):
    names = [printable(each) for each in known['classes']]
    mean, std = (
        tuple(known.get(key, default))
        for key, default in (('mean', template.mean), ('std', template.std))
    )
    return template._replace(classes=len(names), names=names, mean=mean, std=std)


def difference(known, found):
    """Return in which entry two identities differ, as in "classes is 9 instead of 10", or ''.

    Parameters
    ----------
    known, found : dict
        See ``identity``. ``known`` may have some of the entries, as in older logs.
    """
    for name in ('train_images', 'test_images', 'classes', 'manifest_sha256'):
        if name in known and known[name] != found[name]:
            return f'{name} is {found[name]} instead of {known[name]}'
    return ''


def identity(folder):
    """Return what identifies the files of a prepared data set, for the header of a log.

    Parameters
    ----------
    folder : str
        Holds train.rec and test.rec, and the manifest if data/prepare.py wrote them.

    Returns
    -------
    dict
        ``manifest_sha256`` (of the manifest; without one, of the .rec files), ``train_images``,
        ``test_images``, ``classes`` (their number), and ``official``: whether, according to the
        manifest, these are all of the published images.

    Raises
    ------
    UserError
        The manifest is damaged or belongs to other files, or a conversion was interrupted while it
        replaced the files.
    """
    if os.path.lexists(os.path.join(folder, manifest.WORK, manifest.NAME)):
        raise UserError(
            f'{folder} has files of two conversions, since the last one was interrupted: '
            f'"{manifest.prepare_command(folder)}" completes it'
        )
    known = manifest.read(folder)
    if known is None:
        return _identity_of_records(folder)
    name, holds = os.path.basename(os.path.abspath(folder)), known.get('dataset')
    if holds not in (None, name) and {name, holds} <= {'imagenet', *DATASETS}:
        raise UserError(
            f'{folder} holds {holds}, as its manifest says: rename the folder to {holds}'
        )
    for name in ('train.rec', 'test.rec'):
        path = os.path.join(folder, name)
        if not os.path.isfile(path) or os.path.getsize(path) != known['files'][name]['bytes']:
            raise UserError(
                f'{path} is not the file that {manifest.NAME} beside it describes: '
                f'make it again with "{manifest.prepare_command(folder, "--force")}"'
            )
    path = os.path.join(folder, manifest.NAME)
    return {
        'manifest_sha256': files.digest_of(path, hashlib.sha256()),
        'train_images': manifest.images(known, 'train'),
        'test_images': manifest.images(known, 'test'),
        'classes': max(len(counts) for counts in known['splits'].values()),
        'official': known.get('official', False),
    }


def _identity_of_records(folder):
    from recordio import records  # not at the top, since it imports OpenCV, which takes 0.3 s

    paths = [os.path.join(folder, name) for name in ('train.rec', 'test.rec')]
    train, test = (records.labels(path) for path in paths)
    digest = hashlib.sha256(''.join(records.digest(path) for path in paths).encode())
    return {
        'manifest_sha256': digest.hexdigest(),
        'train_images': len(train),
        'test_images': len(test),
        'classes': int(max(train.max(), test.max())) + 1,
        'official': False,
    }
