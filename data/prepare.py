"""Turn a data set's official archives into .rec files: python data/prepare.py cifar10.

Writes OUT/NAME/{train,test}.{lst,rec,idx} (SVHN: val too) and a manifest. Running it again checks
what is there and does the rest. See data/README.md for each data set.
"""
import argparse
import os
import signal
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common.errors import UserError, run  # noqa: E402

# Megabytes a conversion needs at its peak: the PNG files, each in blocks of 4 KB, and the .rec.
SPACE = {'sample': 60, 'fashion-mnist': 600, 'cifar10': 700, 'cifar100': 700, 'svhn': 7000}


def options():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('dataset', choices=sorted(SPACE), help='which data set')
    parser.add_argument('--source', metavar='PATH',
                        help='the official archive or the folder it is in (default: download it)')
    parser.add_argument('--out', metavar='DIR', default='data',
                        help='where the folder of the data set appears (default: %(default)s)')
    parser.add_argument('--no-checksum', dest='checksum', action='store_false',
                        help='take archives that differ from the official ones, such as a subset')
    parser.add_argument('--keep-images', action='store_true', help='keep the PNG files that are packed')
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


def print_counts(manifest):
    for split, counts in manifest['splits'].items():
        print('%-5s %7d images; of each class: %s' % (
            split, sum(counts.values()), ' '.join('%s:%d' % item for item in counts.items())))


def stop(number, frame):
    raise KeyboardInterrupt


def main():
    args = options()
    signal.signal(signal.SIGTERM, stop)
    from data import archives, pack
    target = os.path.join(args.out, args.dataset)
    manifest = None if args.force else pack.prepared(target)
    if manifest:
        print('%s is prepared and verified; --force converts it again' % target)
        return print_counts(manifest)
    with pack.workplace(args.out, args.dataset) as folder:
        archives.need_space(args.out, SPACE[args.dataset])
        manifest = pack.pack(read(args), folder, args.keep_images)
        pack.publish(folder, target)
    print_counts(manifest)
    print('written to %s' % target)


if __name__ == '__main__':
    run(main)
