#!/usr/bin/env python
"""Score a trained network: its error on a .rec file, or the class probabilities of images.

python score.py --run RUN
python score.py --run RUN --image FILE...
"""

import argparse
import os

import engine
from common import options
from common.model import of_files, of_run, open_records
from common.scorer import Scorer, normalised, read_image
from system.errors import UserError, command, printable
from system.script import run_main

MOST_PRINTED = 10  # classes of an image


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--run', metavar='RUN', help='name or checkpoint folder of a run')
    parser.add_argument('--symbol', metavar='FILE', help='instead of --run: a model-symbol.json')
    parser.add_argument('--params', metavar='FILE', help='and with it the .params file')
    parser.add_argument(
        '--dataset',
        metavar='NAME',
        help='whose normalisation, classes and test.rec to use (default: those of the run)',
    )
    parser.add_argument(
        '--image-size',
        type=options.number(int, 32, 1024),
        metavar='PIXELS',
        help='of the central crop of photographs (default: that of the run, or 224)',
    )
    what = options.add_scoring(parser)
    what.add_argument(
        '--image',
        nargs='+',
        metavar='FILE',
        help='print the class probabilities of these images instead: PNG, JPEG, '
        'WebP, BMP, GIF or PPM of at most 64 megapixels',
    )
    parser.add_argument(
        '--fast',
        nargs='?',
        choices=('float32', 'int8'),
        const='float32',
        help='fold BatchNorm into the convolutions; int8: and compute in 8-bit '
        'integers, which changes the result a little; it is calibrated on the '
        "data set's train.rec",
    )
    options.add_devices(parser)
    options.add_folders(parser)
    return parser.parse_args()


def load(args):
    """Return the ``common.model.Model`` that the options name."""
    files = args.symbol and args.params and args.dataset
    if bool(args.run) == bool(files) or args.run and (args.symbol or args.params):
        raise UserError(
            'say which network: --run RUN, or --symbol FILE --params FILE --dataset NAME'
        )
    return of_run(args) if args.run else of_files(args)


def bind(model, batch, args):
    """Return the ``common.scorer.Scorer`` of a network."""
    device, calibration = engine.devices(args.gpus, args.cpus)[0], None
    if args.fast == 'int8':
        if device.device_type != 'cpu':
            raise UserError('--fast int8 is for the CPU: leave int8 out, or add --cpus 1')
        path = os.path.join(args.data_dir, model.name, 'train.rec')
        training = open_records(path, model, batch)
        batch, calibration = training.batch, training.batches()
    return Scorer(model, device, batch, args.fast, calibration)


def print_error(model, args):
    path = args.rec or os.path.join(args.data_dir, model.name, 'test.rec')
    images = open_records(path, model, args.batch_size)
    result = bind(model, images.batch, args).score(images.batches())
    top5 = f', top-5 error {result.top5:.2f}%' if model.dataset.top5 else ''
    print(
        f'{model.title}: top-1 error {result.error:.2f}%{top5}, loss {result.loss:.4f} on the '
        f'{images.total} images of {path}'
    )
    if args.run and result.components:
        print(f'each network of the ensemble alone: {command_for_components(args)}')


def command_for_components(args):
    """Return the command that scores each network of an ensemble, with the folders it needs."""
    words = ['--run', args.run]
    for key, default in options.FOLDERS.items():
        if getattr(args, key) != default:
            words += ['--' + key.replace('_', '-'), getattr(args, key)]
    return command('study/score_ensemble.py', *words)


def print_probabilities(model, args):
    # All of them first, so that a file that is no image costs no waiting.
    found = [read_image(path, model.dataset) for path in args.image]
    scorer = bind(model, 1, args)
    for path, (image, size) in zip(args.image, found):
        if len(args.image) > 1:
            print(printable(path))
        probabilities = scorer.probabilities(normalised(image, model.dataset))
        print_classes(path, size, probabilities, model.dataset)


def print_classes(path, size, probabilities, dataset):
    if size != (dataset.size,) * 2:
        how = 'cropped' if dataset.short else 'scaled'
        print(
            f'{printable(path)} is {size[0]}x{size[1]} and was {how} to '
            f'{dataset.size}x{dataset.size}'
        )
    for label in probabilities.argsort()[::-1][:MOST_PRINTED]:
        name = printable(dataset.names[label]) if dataset.names else label
        print(f'{100 * probabilities[label]:6.2f}%  {name}')


def main():
    args = parse_args()
    engine.set_threads(args.threads)
    model = load(args)
    if args.image:
        print_probabilities(model, args)
    else:
        print_error(model, args)


if __name__ == '__main__':
    run_main(main)
