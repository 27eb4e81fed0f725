"""Packs small images into .lst, .rec and .idx files, with MXNet's im2rec."""

import os
import subprocess
import sys

import numpy

from data import dataset_files, dataset_folder
from recordio import records
from recordio.images import cv2
from system.errors import ROOT, UserError
from system.processes import die_with_parent, signals_blocked, unblock_signals
from system.progress import Bar

# Level 9 makes images of this size no smaller than 6. A change would change the bytes of all files.
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 6]


def pack(splits, folder, classes, keep_images=False):
    """Write NAME.lst, NAME.rec and NAME.idx for each split into ``folder``.

    Parameters
    ----------
    splits : list of data.split.Split
    folder : str
    classes : int
        Number of classes.
    keep_images : bool
        Keep the PNG files in ``folder``/images.

    Returns
    -------
    dict
        ``splits`` and ``files`` of the manifest, see ``recordio.manifest.read``.
    """
    description = {'splits': {}, 'files': {}}
    root = os.path.join(folder, dataset_files.IMAGES)
    for split in splits:
        _write_images(split, root, os.path.join(folder, split.name + '.lst'))
    _run_im2rec(folder, root, sum(len(split.labels) for split in splits))
    for split in splits:
        _check_records(split, folder)
        counts = numpy.bincount(split.labels, minlength=classes)
        description['splits'][split.name] = {
            str(label): int(count) for label, count in enumerate(counts)
        }
        for ending in dataset_files.ENDINGS:
            name = split.name + ending
            description['files'][name] = dataset_files.fingerprint(os.path.join(folder, name))
    if not keep_images:
        dataset_folder.clear_images(root)
    return description


def _write_images(split, root, list_path):
    """Write each image to SPLIT/CLASS/NUMBER.png, and the list file that im2rec reads."""
    for label in numpy.unique(split.labels):
        os.makedirs(os.path.join(root, split.name, f'{label:03}'), exist_ok=True)
    with open(list_path, 'w') as listing:
        pairs = Bar(
            zip(split.labels, split.images),
            total=len(split.labels),
            unit=' images',
            desc=split.name + ' images',
            disable=None,
        )
        for number, (label, image) in enumerate(pairs):
            name = f'{split.name}/{label:03}/{number:06}.png'
            # OpenCV expects BGR, and writes RGB to the file.
            encoded = cv2.imencode('.png', numpy.ascontiguousarray(image[..., ::-1]), PNG)[1]
            with open(os.path.join(root, name), 'wb') as file:
                file.write(encoded.tobytes())
            listing.write(f'{number}\t{label:f}\t{name}\n')


def _prepare_process():
    unblock_signals()
    die_with_parent()  # else it would go on writing into a folder that the next run uses


def _run_im2rec(folder, root, total):
    """Run im2rec, which packs the unchanged PNG files of every list in ``folder``."""
    command = [
        sys.executable,
        '-m',
        'engine',
        'mxnet.tools.im2rec',
        os.path.abspath(folder),
        os.path.abspath(root),
        '--pass-through',
    ]
    with signals_blocked():
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            errors='replace',
            preexec_fn=_prepare_process,
        )
    with process:
        output = ['it printed nothing']
        try:
            with Bar(total=total, unit=' images', desc='im2rec', disable=None) as bar:
                for line in process.stdout:
                    output.append(line)
                    if ' count: ' in line:  # one such line for every 1,000 images
                        bar.update(min(1000, total - bar.n))
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise UserError(f'im2rec failed with status {process.returncode}: {output[-1].strip()}')


def _check_records(split, folder):
    """Read every record back: im2rec skips files that it cannot read, and a full disk truncates."""
    path = os.path.join(folder, split.name + '.rec')
    if records.check(path) != len(split.labels) or (records.labels(path) != split.labels).any():
        raise UserError(
            f'{split.name}.rec does not hold the {len(split.labels)} images it was made '
            'from: check the space left on the disk and run this again'
        )
