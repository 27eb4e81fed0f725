#!/usr/bin/env python
"""Cut photographs into small ones, a class for each photograph, for a first try of ImageNet's path without ImageNet.

python data/crops.py PHOTOGRAPH... --out TREE
python data/prepare.py folder --source TREE --name photographs

Training crops come from the left seven tenths of a photograph, validation from the rest, so they never overlap.
"""
import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import numpy  # noqa: E402

from common.errors import UserError, run  # noqa: E402
from common.images import cv2  # noqa: E402
from common.options import number  # noqa: E402

LEFT, SEED = 0.7, 0
COUNTS = {'train': 250, 'val': 50}  # crops of each photograph


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument('photographs', nargs='+', metavar='PHOTOGRAPH')
    parse.add_argument('--out', required=True, metavar='TREE', help='gets train/NAME/NUMBER.jpg and val/NAME/NUMBER.jpg')
    parse.add_argument('--size', type=number(int, 32), default=96, metavar='PIXELS', help='of the crops (default: %(default)s)')
    return parse.parse_args()


def main():
    args, random = parse_args(), numpy.random.RandomState(SEED)
    for path in args.photographs:
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        if image is None:
            raise UserError('%s is not an image that OpenCV reads: leave it out' % path)
        edge = int(image.shape[1] * LEFT)
        for split, part in (('train', image[:, :edge]), ('val', image[:, edge:])):
            if min(part.shape[:2]) < args.size:
                raise UserError('%s is too small for crops of %d pixels: leave it out, or choose a smaller --size' % (path, args.size))
            folder = os.path.join(args.out, split, os.path.splitext(os.path.basename(path))[0])
            os.makedirs(folder, exist_ok=True)
            for crop in range(COUNTS[split]):
                top, left = (random.randint(0, side - args.size + 1) for side in part.shape[:2])
                cv2.imwrite(os.path.join(folder, '%04d.jpg' % crop), part[top:top + args.size, left:left + args.size])


if __name__ == '__main__':
    run(main)
