"""From the archives or photographs of a data set to its folder, by the options of prepare.py."""

import os

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
from recordio import manifest as manifests
from recordio.dataset_table import DATASETS
from system.errors import UserError

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


def find(args, checksum):
    """Return the ``Source`` of the data set; without --source, archives are downloaded.

    ``args`` are the options of data/prepare.py, here and below.
    """
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


def convert(args, folder):
    """Convert a data set into a folder; return the manifest."""
    are_photographs = args.dataset in PHOTOGRAPHS
    endings = dataset_files.PHOTOGRAPH_ENDINGS if are_photographs else dataset_files.ENDINGS
    splits = ('train', 'test') + ('val',) * (args.dataset == 'svhn')
    names = [split + ending for split in splits for ending in endings]
    target_checks.check_files(folder, names, args.keep_images)
    with dataset_folder.working_folder(folder, keep=are_photographs) as work:
        found = find(args, args.checksum)
        known = source.identity(found)
        if are_photographs:
            manifest = pack_photographs_of(args, found, known['tree_sha256'], work)
        else:
            manifest = pack_images_of(args, found, work)
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


def pack_images_of(args, found, work):
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


def pack_photographs_of(args, found, digest, work):
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
    if not args.force:
        pack_photographs.check_unfinished(splits, work, short, digest)
    return pack_photographs.pack_photographs(classes, splits, work, short, args.processes, digest)
