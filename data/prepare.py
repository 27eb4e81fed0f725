#!/usr/bin/env python
"""Convert a data set's official archives to .rec files: python data/prepare.py cifar10.

Writes OUT/NAME/{train,test}.{lst,rec,idx} (SVHN: val too) and a manifest. Run again, it verifies
the files, or continues an interrupted conversion. See docs/data.md for each data set. ImageNet
and image folders:

python data/prepare.py imagenet --source FOLDER_WITH_THE_TARS
python data/prepare.py folder --source FOLDER_WITH_train_AND_val --name NAME
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common.options import number
from data import (
    archives,
    cifar,
    dataset_files,
    dataset_folder,
    fashion_mnist,
    image_folders,
    imagenet,
    pack_images,
    pack_photographs,
    source,
    svhn,
    target_checks,
)
from engine import cores
from recordio import manifest as manifests
from recordio.dataset_table import DATASETS
from system.errors import UserError, printable
from system.script import run_main

# Megabytes of disk that a conversion needs: the PNG files, in blocks of 4 kB, and the .rec files.
SPACE = {
    'sample': 60,
    'fashion-mnist': 600,
    'fashion-mnist-12000': 200,
    'cifar10': 700,
    'cifar100': 700,
    'svhn': 7000,
}
PHOTOGRAPHS = ['imagenet', 'folder']
REQUIRED_SOURCE = {
    'imagenet': 'the official tars, which image-net.org provides after registration',
    'folder': 'the folders train and val',
}
SHORT_SIDE = 480  # pixels (section 6.5)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'dataset',
        choices=sorted(SPACE) + PHOTOGRAPHS,
        help='name of the data set; "folder" is for an image folder of your own',
    )
    parser.add_argument(
        '--source',
        metavar='PATH',
        help='the official archive or the folder that holds it (default: download it)',
    )
    parser.add_argument(
        '--out',
        metavar='DIR',
        default='data',
        help='folder in which the folder of the data set is made (default: %(default)s)',
    )
    parser.add_argument(
        '--no-checksum',
        dest='checksum',
        action='store_false',
        help='accept archives that differ from the official ones, such as a subset',
    )
    parser.add_argument(
        '--keep-images', action='store_true', help='keep the PNG files after packing them'
    )
    group = parser.add_argument_group('imagenet and folder')
    group.add_argument(
        '--name', help='name for the data set of an image folder, in OUT and for --dataset'
    )
    group.add_argument(
        '--short-side',
        type=number(int, 32, 2048),
        metavar='PIXELS',
        help=f'shorter side of the packed images (default: {SHORT_SIDE})',
    )
    group.add_argument(
        '--processes',
        type=number(int, 1, 512),
        default=cores(),
        metavar='N',
        help='number of processes that convert images (default: one for each core, %(default)s)',
    )
    parser.add_argument('--force', action='store_true', help='convert again if the data set exists')
    return parser.parse_args()


def check(args):
    """Raise ``UserError`` for options that cannot be combined, and for a source that is missing."""
    folder = os.path.join(args.out, args.name or args.dataset)
    if args.dataset == 'folder':
        if args.name is None:
            raise UserError('folder needs a name for the data set: add --name NAME')
        target_checks.check_name(args.name)
    elif args.name is not None:
        raise UserError(f'--name is for folder, and {args.dataset} has a name: leave --name out')
    if args.dataset not in PHOTOGRAPHS and args.short_side:
        raise UserError(f'--short-side is for imagenet and folder: leave it out for {args.dataset}')
    if args.dataset in PHOTOGRAPHS and args.keep_images:
        raise UserError(
            f'--keep-images is for data sets of small images: leave it out for {args.dataset}'
        )
    if args.dataset == 'sample' and args.source is not None:
        raise UserError('sample is in this repository: leave --source out')
    if args.source is not None and not os.path.exists(args.source):
        raise UserError(f'--source {args.source}: there is no such file or folder')
    if args.source is not None:
        target_checks.check_source(folder, args.source)
        if args.dataset == 'folder':
            image_folders.check_apart(args.source, folder)


def find(args, checksum):
    """Return the ``Source`` of the data set; without --source, archives are downloaded."""
    cache = os.path.join(args.out, 'archives')
    if args.dataset == 'sample':
        return fashion_mnist.find_sample(checksum)
    if args.dataset == 'fashion-mnist' or args.dataset in fashion_mnist.SUBSETS:
        return fashion_mnist.find(args.source, cache, checksum)
    if args.dataset == 'svhn':
        return svhn.find(args.source, cache, checksum)
    if args.dataset not in PHOTOGRAPHS:
        return cifar.find(args.dataset, args.source, cache, checksum)
    if args.source is None or not os.path.isdir(args.source):
        raise UserError(f'name with --source the folder that has {REQUIRED_SOURCE[args.dataset]}')
    if args.dataset == 'imagenet':
        return imagenet.find(args.source, checksum)
    return image_folders.find(args.source)


def report_prepared(args, folder, manifest):
    """Print that a data set is prepared.

    Raises
    ------
    UserError
        It was made from another source, or with other options, than are asked for now.
    """
    keep = 'leave --source out to keep it' if args.source else 'keep it'
    options, made = manifest.get('options'), manifest.get('short_side')
    if manifest.get('dataset', args.dataset) != args.dataset:
        raise UserError(
            f'{folder} holds {manifest["dataset"]} and not {args.dataset}: choose another folder '
            'with --out, or add --force to replace it'
        )
    if args.short_side and made != args.short_side:
        raise UserError(
            f'{folder} has images whose shorter side is {made}: leave --short-side out to '
            'keep it, or add --force to convert it again'
        )
    if args.keep_images and not os.path.isdir(os.path.join(folder, 'images')):
        raise UserError(
            f'{folder} was converted without --keep-images: leave that out, or add --force '
            'to convert it again'
        )
    if options is None and args.source:
        raise UserError(
            f'{folder} was written by an earlier version, which did not record the source: '
            f'{keep}, or add --force to convert {args.source}'
        )
    if (
        options
        and args.checksum
        and args.dataset != 'folder'
        and not (options['checksum'] or manifest['official'])
    ):
        raise UserError(
            f'{folder} was converted with --no-checksum and may not be the official data: '
            'add --no-checksum to keep it, or --force to convert the official data'
        )
    if options and (args.source or args.dataset == 'sample'):
        if source.identity(find(args, checksum=False)) != manifest['source']:
            raise UserError(
                f'{folder} was made from other files than {args.source or "those of this version"}'
                f': {keep}, or add --force to convert them'
            )
    print(f'{printable(folder)} is prepared and verified; --force converts it again')
    if options is None:
        print('an earlier version wrote it, so its source is not known; --force adds that')


def convert(args, folder):
    """Convert a data set into a folder; return the manifest."""
    large = args.dataset in PHOTOGRAPHS
    endings = dataset_files.ENDINGS + (dataset_files.REPORTED,) * large
    splits = ('train', 'test') + ('val',) * (args.dataset == 'svhn')
    names = [split + ending for split in splits for ending in endings]
    target_checks.check(folder, names, args.keep_images)
    with dataset_folder.working_folder(folder, keep=large) as work:
        found = find(args, args.checksum)
        known = source.identity(found)
        if large:
            manifest = pack_large(args, found, known['tree_sha256'], work)
        else:
            manifest = pack_small(args, found, work)
        options = {'checksum': args.checksum}
        if args.keep_images:
            options['keep_images'] = True
        if args.dataset in fashion_mnist.SUBSETS:
            options['subset'] = fashion_mnist.SUBSETS[args.dataset]
        manifest.update(
            dataset=args.dataset,
            source=known,
            options=options,
            official=is_official(args, found, manifest),
        )
        manifests.write(work, manifest)
        dataset_folder.publish(work, folder)
    return manifest


def is_official(args, found, manifest):
    """Return whether all of the published archives were converted, as the paper uses them."""
    if args.dataset in PHOTOGRAPHS:
        return (
            found.verified
            and manifest['short_side'] == SHORT_SIDE
            and not any(manifest['left_out'].values())
        )
    return args.dataset not in fashion_mnist.SUBSETS and source.is_official(found)


def pack_small(args, found, work):
    """Pack the small images of a ``Source`` into the folder ``work``; return their manifest."""
    archives.need_space(work, SPACE[args.dataset])
    dataset = DATASETS[args.dataset]
    if args.dataset in cifar.VERSIONS:
        splits = cifar.splits(args.dataset, found, args.checksum)
    else:
        splits = (svhn if args.dataset == 'svhn' else fashion_mnist).splits(found)
    if args.dataset in fashion_mnist.SUBSETS:
        splits = fashion_mnist.subset(splits, fashion_mnist.SUBSETS[args.dataset])
    manifest = pack_images.pack(splits, work, dataset.classes, args.keep_images)
    manifest['classes'] = dataset.names or [str(label) for label in range(dataset.classes)]
    return manifest


def pack_large(args, found, digest, work):
    """Pack the photographs of a ``Source`` into the folder ``work``; return their manifest."""
    classes, splits = (
        imagenet.splits(found, args.checksum)
        if args.dataset == 'imagenet'
        else image_folders.splits(found)
    )
    short = args.short_side or SHORT_SIDE
    pixels = sum(len(split.entries) for split in splits) * short**2 * 4 / 3
    done = sum(os.path.getsize(os.path.join(work, name)) for name in os.listdir(work))
    archives.need_space(work, (pixels * pack_photographs.BYTES_PER_PIXEL - done) / 1e6)
    return pack_photographs.pack_photographs(classes, splits, work, short, args.processes, digest)


def print_counts(manifest):
    for split, counts in manifest['splits'].items():
        if len(counts) > 100:
            print(
                f'{split:5} {sum(counts.values()):7} images in {len(counts)} classes of '
                f'{min(counts.values())} to {max(counts.values())}'
            )
            continue
        each = ' '.join(f'{name}:{count}' for name, count in counts.items())
        print(f'{split:5} {sum(counts.values()):7} images; of each class: {each}')


def print_left_out(manifest, folder):
    for split, count in manifest.get('left_out', {}).items():
        if count:
            print(
                f'{count} images of {split} could not be read and were left out: '
                f'{printable(os.path.join(folder, split + ".reported"))} names them'
            )


def main():
    args = parse_args()
    check(args)
    folder = os.path.join(args.out, args.name or args.dataset)
    dataset_folder.finish(folder)
    manifest = None if args.force else dataset_files.prepared(folder)
    if manifest:
        report_prepared(args, folder, manifest)
        # An interrupted conversion of photographs is kept, to be continued.
        if args.dataset not in PHOTOGRAPHS:
            dataset_folder.tidy(folder)
    else:
        manifest = convert(args, folder)
        print(f'written to {printable(folder)}')
    print_counts(manifest)
    print_left_out(manifest, folder)


if __name__ == '__main__':
    run_main(main)
