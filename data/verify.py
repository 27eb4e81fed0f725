#!/usr/bin/env python
"""Verify a .rec file: its frame, its labels, and that every image decodes.

python data/verify.py data/cifar10/train.rec --classes 10
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import numpy

from common.options import number
from data import dataset_folder
from recordio import images, manifest, records
from system.errors import UserError, printable
from system.progress import Bar
from system.script import run_main


def parse_args():
    parse = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog='Training runs the quick part of this by '
        'itself before the first epoch: everything but decoding, and the checksum of each PNG.',
    )
    parse.add_argument('files', nargs='+', metavar='FILE.rec', help='its .idx must lie beside it')
    parse.add_argument(
        '--classes', type=number(int, 1), metavar='N', help='labels must be 0 to N - 1'
    )
    parse.add_argument(
        '--any-size',
        action='store_true',
        help='images may have any size (default: 32x32 in RGB, but for photographs that '
        'data/prepare.py has packed)',
    )
    return parse.parse_args()


def verify(path, classes, shape):
    """Return the labels and the range of sizes of a file; raises ``UserError`` for the first fault."""
    total = records.check(path, classes, shape)
    labels, sizes = [], set()
    for label, data in Bar(
        records.labelled_images(path),
        total=total,
        unit=' images',
        desc=printable(path),
        disable=None,
    ):
        image = images.cv2.imdecode(numpy.frombuffer(data, numpy.uint8), images.cv2.IMREAD_COLOR)
        if image is None:
            raise UserError(
                f'{path}: image {len(labels) + 1} of {total} does not decode: {records.remake_advice(path)}'
            )
        labels.append(int(label))
        sizes.add('x'.join(map(str, image.shape[1::-1])))
    return labels, sizes


def check_manifest(path):
    """Return the manifest that names the file, or None; raises ``UserError`` where the file is not what it says."""
    folder, name = os.path.split(os.path.abspath(path))
    known = manifest.read(folder)
    expected = known and known['files'].get(name)
    if expected and dataset_folder.fingerprint(path) != expected:
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
        print(
            f'{printable(path)}: {len(labels)} images of '
            f'{sizes.pop() if len(sizes) == 1 else "several sizes"}, '
            f'{int((counts > 0).sum())} classes of {int(counts[counts > 0].min())} to '
            f'{int(counts.max())} images, no '
            f'fault{", as its manifest says" if known else ""}'
        )


if __name__ == '__main__':
    run_main(main)
