#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Verify a .rec file: its records and labels, and that every image decodes.

python data/verify.py data/cifar10/train.rec --classes 10
"""

import argparse
import math
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import numpy

from common.options import number
from data import dataset_files
from recordio import images, manifest, records
from system.errors import UserError, printable
from system.progress import Bar
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog='Before the first epoch, training itself checks everything but the decoding of the '
        'images, and for PNG the checksums in the files.',
    )
    parser.add_argument(
        'files', nargs='+', metavar='FILE.rec', help='files with their .idx beside them'
    )
    parser.add_argument(
        '--classes',
        type=number(int, 1),
        metavar='N',
        help='number of classes: the labels must be 0 to N - 1 (default: any labels)',
    )
    parser.add_argument(
        '--any-size',
        action='store_true',
        help='allow images of any size (default: only 32x32 in RGB, except for photographs that '
        'data/prepare.py has packed)',
    )
    return parser.parse_args()


def verify(path, classes, shape):
    """Return the list of labels and the set of image sizes, such as '32x32', of a file.

    Raises
    ------
    UserError
        A record is damaged, or its label or image is not allowed. The message names the first.
    """
    total = records.check(path, classes, shape, most=math.inf)
    labels, sizes = [], set()
    found = records.labelled_images(path)
    for label, data in Bar(found, total=total, unit=' images', desc=printable(path), disable=None):
        image = images.cv2.imdecode(numpy.frombuffer(data, numpy.uint8), images.cv2.IMREAD_COLOR)
        if image is None:
            raise UserError(
                f'{path}: image {len(labels) + 1} of {total} does not decode: '
                f'{records.remake_advice(path)}'
            )
        labels.append(int(label))
        sizes.add('x'.join(map(str, image.shape[1::-1])))
    return labels, sizes


def check_manifest(path):
    """Return the manifest beside a file if it lists the file, else None.

    Raises
    ------
    UserError
        The file is not the one that the manifest describes.
    """
    folder, name = os.path.split(os.path.abspath(path))
    known = manifest.read(folder)
    expected = known and known['files'].get(name)
    if expected and dataset_files.fingerprint(path) != expected:
        raise UserError(
            f'{path} is not the file that {os.path.join(folder, manifest.NAME)} '
            f'describes: {records.remake_advice(path)}'
        )
    return known if expected else None


def main():
    args = parse_args()
    for path in args.files:
        known = (check_manifest(path) if os.path.isfile(path) else None) or {}
        labels, sizes = verify(
            path, args.classes, None if args.any_size or 'short_side' in known else records.SHAPE
        )
        counts = numpy.bincount(labels)
        counts = counts[counts > 0]
        size = sizes.pop() if len(sizes) == 1 else 'several sizes'
        manifest_agrees = ', as its manifest says' if known else ''
        print(
            f'{printable(path)}: {len(labels)} images of {size}, {len(counts)} classes of '
            f'{counts.min()} to {counts.max()} images, no fault{manifest_agrees}'
        )


if __name__ == '__main__':
    run_main(main)
