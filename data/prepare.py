#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
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

from common.options import add_quiet, number
from data import conversion, dataset_files, dataset_folder, image_folders, source, target_checks
from data.conversion import PHOTOGRAPHS, SHORT_SIDE, SPACE
from engine import cores
from system.errors import UserError, printable, tell
from system.progress import be_quiet
from system.script import run_main


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
    add_photographs(parser)
    parser.add_argument('--force', action='store_true', help='convert again if the data set exists')
    add_quiet(parser)
    return parser.parse_args()


def add_photographs(parser):
    """Add the options that only ``imagenet`` and ``folder`` have."""
    group = parser.add_argument_group('for imagenet and folder')
    group.add_argument(
        '--name',
        metavar='NAME',
        help='name for the data set of an image folder, in the folder of --out and for --dataset',
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
        help='number of processes that convert images (default: %(default)s, one for each core)',
    )


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


def check_prepared(args, folder, manifest):
    """Raise ``UserError`` if a prepared data set was made with other options than are given now."""
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


def check_prepared_source(args, folder, manifest):
    """Raise ``UserError`` if a prepared data set was made from other files than are named now."""
    keep = 'leave --source out to keep it' if args.source else 'keep it'
    is_known = manifest.get('options') is not None
    if not is_known and args.source:
        raise UserError(
            f'{folder} was written by an earlier version, which did not record the source: '
            f'{keep}, or add --force to convert {args.source}'
        )
    if is_known and (args.source or args.dataset == 'sample'):
        if source.identity(conversion.find(args, checksum=False)) != manifest['source']:
            raise UserError(
                f'{folder} was made from other files than {args.source or "those of this version"}'
                f': {keep}, or add --force to convert them'
            )


def print_prepared(folder, manifest):
    print(f'{printable(folder)} is prepared and verified; --force converts it again')
    if manifest.get('options') is None:
        print('an earlier version wrote it, so its source is not known; --force adds that')


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
            tell(
                f'{count} images of {split} could not be read and were left out: '
                f'{printable(os.path.join(folder, split + ".reported"))} names them'
            )


def main():
    args = parse_args()
    if args.quiet:
        be_quiet()
    check(args)
    folder = os.path.join(args.out, args.name or args.dataset)
    dataset_folder.finish(folder)
    manifest = None if args.force else dataset_files.prepared(folder)
    if manifest:
        check_prepared(args, folder, manifest)
        check_prepared_source(args, folder, manifest)
        print_prepared(folder, manifest)
        # An interrupted conversion of photographs is kept, to be continued.
        if args.dataset not in PHOTOGRAPHS:
            dataset_folder.tidy(folder)
    else:
        manifest = conversion.convert(args, folder)
        print(f'written to {printable(folder)}')
    print_counts(manifest)
    print_left_out(manifest, folder)


if __name__ == '__main__':
    run_main(main)
