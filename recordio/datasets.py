"""Looking up a data set by name, and telling the image files of one run from those of another."""

import hashlib
import os

from recordio import manifest
from recordio.dataset_table import DATASETS, PHOTOGRAPHS, Dataset
from system import files
from system.errors import UserError, command, printable

__all__ = ['DATASETS', 'PHOTOGRAPHS', 'Dataset', 'get', 'identity']


def get(name, data_dir='data', size=None):
    """Return the ``Dataset`` of that name.

    Parameters
    ----------
    name : str
        A key of ``DATASETS``, or the name of photographs that data/prepare.py has packed.
    data_dir : str
        The folder that holds the folders of the data sets; only needed for photographs.
    size : int, optional
        Of photographs, height and width of the network's input in pixels; default 224.

    Raises
    ------
    UserError
        There is no such data set.
    """
    if name in DATASETS:
        return DATASETS[name]
    known = manifest.read(os.path.join(data_dir, name)) if name == os.path.basename(name) else None
    if not known or 'short_side' not in known or 'classes' not in known:
        raise UserError(
            f'no data set is called {name!r}: there are {", ".join(sorted(DATASETS))}, and the '
            f'photographs that "{command("data/prepare.py")}" with "imagenet" or "folder" has '
            f'packed in {data_dir}'
        )
    names, short = [printable(each) for each in known['classes']], int(known['short_side'])
    return PHOTOGRAPHS._replace(
        classes=len(names), names=names, size=size or PHOTOGRAPHS.size, short=short
    )


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
