#!/usr/bin/env python
"""Cut photographs into small ones, a class for each photograph, for a first try of ImageNet's path without ImageNet.

python data/crops.py PHOTOGRAPH... --out TREE
python data/prepare.py folder --source TREE --name photographs

Training crops come from the left seven tenths of a photograph, validation from the rest, so they
never overlap.
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

LEFT, SEED = 0.7, 0
COUNTS = {'train': 250, 'val': 50}  # crops of each photograph


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument('photographs', nargs='+', metavar='PHOTOGRAPH')
    parse.add_argument(
        '--out',
        required=True,
        metavar='TREE',
        help='gets train/NAME/NUMBER.jpg and val/NAME/NUMBER.jpg',
    )
    parse.add_argument(
        '--size',
        type=number(int, 32),
        default=96,
        metavar='PIXELS',
        help='of the crops (default: %(default)s)',
    )
    return parse.parse_args()


def read(path, size):
    """Return a photograph, (height, width, 3) in BGR, that crops of ``size`` pixels fit into."""
    image = images.read(path)
    if min(part.shape[side] for part in parts(image).values() for side in (0, 1)) < size:
        raise UserError(
            f'{path} is too small for crops of {size} pixels: leave it out, or choose a '
            'smaller --size'
        )
    return image


def parts(image):
    """Return the two parts of a photograph that training and validation crops come from."""
    edge = int(image.shape[1] * LEFT)
    return {'train': image[:, :edge], 'val': image[:, edge:]}


def classes_of(paths):
    """Return the names of the classes: each file's, without its ending, and no two equal."""
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
    """Write a crop; a file of other content that has its name is somebody else's, and stays."""
    content = images.cv2.imencode('.jpg', image)[1].tobytes()
    if os.path.lexists(path):
        with open(path, 'rb') as file:
            found = file.read()
        if not content.startswith(found):  # a run that was killed may have left its beginning
            raise UserError(
                f'{path} is there already with other content: choose another folder with --out'
            )
    with open(path, 'wb') as file:
        file.write(content)


def main():
    args, random = parse_args(), numpy.random.RandomState(SEED)
    classes = classes_of(args.photographs)
    for path in args.photographs:
        read(path, args.size)  # nothing is written before all of them are known to be right
    for path, name in zip(args.photographs, classes):
        for split, part in parts(read(path, args.size)).items():
            folder = os.path.join(args.out, split, name)
            os.makedirs(folder, exist_ok=True)
            for place in range(COUNTS[split]):
                top, left = (random.randint(0, side - args.size + 1) for side in part.shape[:2])
                write(
                    os.path.join(folder, f'{place:04d}.jpg'),
                    part[top : top + args.size, left : left + args.size],
                )


if __name__ == '__main__':
    run_main(main)
