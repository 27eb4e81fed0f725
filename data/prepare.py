"""Turn a data set's official archives into .rec files: python data/prepare.py cifar10.

Writes OUT/NAME/{train,test}.{lst,rec,idx} (SVHN: val too) and a manifest. Running it again checks
what is there and does the rest. See data/README.md for each data set. For ImageNet, and photographs in folders:

python data/prepare.py imagenet --source FOLDER_WITH_THE_TARS
python data/prepare.py folder --source FOLDER_WITH_train_AND_val --name NAME
"""
import argparse
import os
import re
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common.engine import cores  # noqa: E402
from common.errors import UserError, run  # noqa: E402
from common.options import number  # noqa: E402

# Megabytes a conversion needs at its peak: the PNG files, each in blocks of 4 KB, and the .rec.
SPACE = {'sample': 60, 'fashion-mnist': 600, 'cifar10': 700, 'cifar100': 700, 'svhn': 7000}
PHOTOGRAPHS = ['imagenet', 'folder']


def options():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('dataset', choices=sorted(SPACE) + PHOTOGRAPHS, help='which data set; folder: any with a folder for each class')
    parser.add_argument('--source', metavar='PATH',
                        help='the official archive or the folder it is in (default: download it)')
    parser.add_argument('--out', metavar='DIR', default='data',
                        help='where the folder of the data set appears (default: %(default)s)')
    parser.add_argument('--no-checksum', dest='checksum', action='store_false',
                        help='take archives that differ from the official ones, such as a subset')
    parser.add_argument('--keep-images', action='store_true', help='keep the PNG files that are packed')
    group = parser.add_argument_group('imagenet and folder')
    group.add_argument('--name', help='of the data set, in OUT (default: imagenet)')
    group.add_argument('--short-side', type=number(int, 32, 2048), default=480, metavar='PIXELS', help='of the packed images (default: %(default)s)')
    group.add_argument('--processes', type=number(int, 1, 512), default=cores(), metavar='N', help='default: one a core, %(default)s')
    parser.add_argument('--force', action='store_true', help='convert again what is there already')
    return parser.parse_args()


def read(args):
    """Return the splits of the data set that was asked for."""
    from data import cifar, fashion_mnist, svhn
    cache = os.path.join(args.out, 'archives')
    if args.source is not None and not os.path.exists(args.source):
        raise UserError('--source %s: there is no such file or folder' % args.source)
    if args.dataset == 'sample':
        if args.source is not None:
            raise UserError('sample is part of this repository: leave --source out')
        return fashion_mnist.sample()
    if args.dataset == 'fashion-mnist':
        return fashion_mnist.splits(args.source, cache, args.checksum)
    if args.dataset == 'svhn':
        return svhn.splits(args.source, cache, args.checksum)
    return cifar.splits(args.dataset, args.source, cache, args.checksum)


def photographs(args):
    """Return the classes and splits of the photographs that were asked for."""
    from data import imagenet, tree
    if args.source is None or not os.path.isdir(args.source):
        raise UserError('name with --source the folder that has %s' % (
            'the official tars, which image-net.org gives after registration' if args.dataset == 'imagenet' else 'the folders train and val'))
    return imagenet.splits(args.source, args.checksum) if args.dataset == 'imagenet' else tree.splits(args.source)


def convert(args, name):
    """Convert into a folder that is the data set once it is finished; return the manifest."""
    from data import archives, pack, pack_photographs
    target, large = os.path.join(args.out, name), args.dataset in PHOTOGRAPHS
    with pack.workplace(args.out, name, keep=large) as folder:
        if large:
            classes, splits = photographs(args)
            pixels = sum(len(split.entries) for split in splits) * args.short_side ** 2 * 4 / 3
            done = sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder))
            archives.need_space(args.out, (pixels * pack_photographs.BYTES_PER_PIXEL - done) / 1e6)
            manifest = pack_photographs.pack_photographs(classes, splits, folder, args.short_side, args.processes)
        else:
            archives.need_space(args.out, SPACE[name])
            manifest = pack.pack(read(args), folder, args.keep_images)
        pack.publish(folder, target)
    return manifest


def print_counts(manifest):
    for split, counts in manifest['splits'].items():
        if len(counts) > 100:
            print('%-5s %7d images in %d classes of %d to %d' % (
                split, sum(counts.values()), len(counts), min(counts.values()), max(counts.values())))
            continue
        print('%-5s %7d images; of each class: %s' % (
            split, sum(counts.values()), ' '.join('%s:%d' % item for item in counts.items())))


def print_left_out(manifest, target):
    for split, count in manifest.get('left_out', {}).items():
        if count:
            print('%d images of %s could not be read and were left out: %s names them' % (
                count, split, os.path.join(target, split + '.reported')))


def main():
    args = options()
    name = args.name or args.dataset
    if (args.name is None) == (args.dataset == 'folder') or not re.fullmatch(r'[A-Za-z0-9][\w.-]*', name) or args.name in SPACE:
        raise UserError('--name is for folder, which needs it: letters, digits and hyphens, and not the name of another data set')
    from data import pack
    target = os.path.join(args.out, name)
    manifest = None if args.force else pack.prepared(target)
    if manifest and manifest.get('short_side', args.short_side) != args.short_side:
        raise UserError('%s has images whose shorter side is %d: add --force to convert it again' % (target, manifest['short_side']))
    if manifest:
        print('%s is prepared and verified; --force converts it again' % target)
    else:
        manifest = convert(args, name)
        print('written to %s' % target)
    print_counts(manifest)
    print_left_out(manifest, target)


if __name__ == '__main__':
    run(main)
