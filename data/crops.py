#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Cut crops from photographs, each of which becomes a class, to try train_imagenet.py on them.

python data/crops.py PHOTOGRAPH... --out TREE
python data/prepare.py folder --source TREE --name photographs

Training crops come from the left seven tenths of a photograph and validation crops from the rest,
so that they never overlap.
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import numpy

from common.options import number
from recordio import images
from system.errors import UserError
from system.script import run_main

TRAINING_SHARE = 0.7  # of the width of a photograph
SEED = 0
COUNTS = {'train': 250, 'val': 50}  # crops of each photograph


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'photographs',
        nargs='+',
        metavar='PHOTOGRAPH',
        help='photographs, each of which becomes a class with the name of the file',
    )
    parser.add_argument(
        '--out',
        required=True,
        metavar='TREE',
        help='folder to write train/NAME/NUMBER.jpg and val/NAME/NUMBER.jpg to',
    )
    parser.add_argument(
        '--size',
        type=number(int, 32),
        default=96,
        metavar='PIXELS',
        help='height and width of the crops (default: %(default)s)',
    )
    return parser.parse_args()


def read(path, size):
    """Return a photograph, (height, width, 3) in BGR, which must have room for the crops."""
    image = images.read(path)
    if min(min(area.shape[:2]) for area in split_areas(image).values()) < size:
        raise UserError(
            f'{path} is too small for crops of {size} pixels: leave it out, or choose a '
            'smaller --size'
        )
    return image


def split_areas(image):
    """Return {split: the area of a photograph that its crops come from}."""
    edge = int(image.shape[1] * TRAINING_SHARE)
    return {'train': image[:, :edge], 'val': image[:, edge:]}


def classes_of(paths):
    """Return the names of the classes: the names of the files without extension, all different."""
    found = {}
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0]
        if name in found:
            raise UserError(
                f'{path} and {found[name]} would both be the class {name}: rename one of them'
            )
        if name.startswith('.'):
            raise UserError(f'{path} would be a class of a hidden name: rename it')
        found[name] = path
    return list(found)


def write(path, image):
    """Write a crop as a JPEG; raise ``UserError`` if a file of this name has other content."""
    content = images.cv2.imencode('.jpg', image)[1].tobytes()
    if os.path.lexists(path):
        with open(path, 'rb') as file:
            found = file.read()
        if not content.startswith(found):  # a killed run may have written it incompletely
            raise UserError(
                f'{path} is there already with other content: choose another folder with --out'
            )
    with open(path, 'wb') as file:
        file.write(content)


def main():
    args, random = parse_args(), numpy.random.RandomState(SEED)
    classes = classes_of(args.photographs)
    for path in args.photographs:
        read(path, args.size)  # check all of them before anything is written
    for path, name in zip(args.photographs, classes):
        for split, area in split_areas(read(path, args.size)).items():
            folder = os.path.join(args.out, split, name)
            os.makedirs(folder, exist_ok=True)
            for index in range(COUNTS[split]):
                top, left = (random.randint(0, side - args.size + 1) for side in area.shape[:2])
                crop = area[top : top + args.size, left : left + args.size]
                write(os.path.join(folder, f'{index:04d}.jpg'), crop)


if __name__ == '__main__':
    run_main(main)
