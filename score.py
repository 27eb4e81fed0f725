#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Score a trained network: its error on a .rec file, or the class probabilities of images.

python score.py --run RUN
python score.py --run RUN --confusion OUT.csv OUT.png
python score.py --run RUN --image FILE...
python score.py --pretrained NAME --image FILE...
"""

import argparse
import os

import engine
from common import options, scoring_options
from common.model import load, open_records
from common.predictions import Prediction, image_paths, print_json, print_one, print_table
from common.scorer import Scorer, read_image
from recordio.network_input import normalised
from report import confusion
from system import files
from system.errors import UserError, command, printable
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    scoring_options.add_network(parser)
    what = scoring_options.add_scoring(parser)
    what.add_argument(
        '--image',
        nargs='+',
        metavar='FILE',
        help='print the class probabilities of these images instead, and of those in these '
        'folders: PNG, JPEG, WebP, BMP, GIF or PPM of at most 64 megapixels',
    )
    parser.add_argument(
        '--confusion',
        nargs='+',
        metavar='OUT',
        help='print the error of each class too, and write how many images of each class are '
        'taken for which: .csv or .png',
    )
    options.add_overwrite(parser)
    parser.add_argument(
        '--json',
        action='store_true',
        help='with --image: print a JSON object a line, with every class (default: the most '
        'likely classes, of several images in a table)',
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


def bind(model, batch, args, native=True):
    """Return the ``common.scorer.Scorer`` of a network.

    Without ``native`` it computes with MXNet's own operators and not with those of engine/native/.
    """
    device, calibration = engine.devices(args.gpus, args.cpus)[0], None
    if args.fast == 'int8':
        if device.device_type != 'cpu':
            raise UserError('--fast int8 is for the CPU: leave int8 out, or add --cpus 1')
        path = os.path.join(args.data_dir, model.name, 'train.rec')
        training = open_records(path, model, batch)
        batch, calibration = training.batch, training.batches()
    return Scorer(model, device, batch, args.fast, calibration, native)


def print_error(model, args):
    """Score the network on a .rec file, and print its error."""
    path = args.rec or os.path.join(args.data_dir, model.name, 'test.rec')
    images = open_records(path, model, args.batch_size)
    result = bind(model, images.batch, args).score(images.batches(), bool(args.confusion))
    top5 = f', top-5 error {result.top5:.2f}%' if model.dataset.top5 else ''
    print(
        f'{model.title}: top-1 error {result.error:.2f}%{top5}, loss {result.loss:.4f} on the '
        f'{images.total} images of {path}'
    )
    if args.run and result.components:
        print(f'each network of the ensemble alone: {command_for_components(args)}')
    if args.confusion:
        names = confusion.names_of(model.dataset)
        print(confusion.table(result.confusion, names))
        write_confusion(result.confusion, names, model.title, args)


def write_confusion(matrix, names, title, args):
    """Write the confusion matrix to the files that ``--confusion`` names."""
    contents = {}
    for path in args.confusion:
        if path.endswith('.csv'):
            contents[path] = confusion.as_csv(matrix, names)
        else:
            from report import confusion_figure, figures  # not at the top: they import matplotlib

            figure = confusion_figure.draw(matrix, names, title)
            contents[path] = figures.content_of(figure, '.png')
    files.write_outputs(contents, args.overwrite)
    print(f'written: {", ".join(map(printable, contents))}')


def command_for_components(args):
    """Return the command that scores each network of an ensemble, with the options for folders."""
    words = ['--run', args.run]
    for key, default in options.FOLDERS.items():
        if getattr(args, key) != default:
            words += ['--' + key.replace('_', '-'), getattr(args, key)]
    return command('study/score_ensemble.py', *words)


def print_probabilities(model, args):
    """Print the class probabilities of the images that ``--image`` names."""
    paths = image_paths(args.image)
    # All images are read before the network is bound, so that a file that is no image is refused at
    # once. They are not kept, since a folder may have more than the memory holds.
    for path in paths:
        read_image(path, model.dataset)
    # The project's operators gain little with one image at a time, and compiling them takes long.
    scorer = bind(model, 1, args, native=False)
    predictions = []
    for path in paths:
        image, size = read_image(path, model.dataset)
        probabilities = scorer.probabilities(normalised(image, model.dataset))
        predictions.append(Prediction(path, size, probabilities))
    if args.json:
        print_json(predictions, model.dataset)
    elif len(predictions) > 1:
        print_table(predictions, model.dataset)
    else:
        print_one(predictions[0], model.dataset)


def main():
    args = parse_args()
    if args.json and not args.image:
        raise UserError('--json is for images: add --image FILE, or leave it out')
    if args.confusion and args.image:
        raise UserError('--confusion is for a .rec file: leave it or --image out')
    for path in args.confusion or ():
        if not path.endswith(('.csv', '.png')):
            raise UserError(f'--confusion {path}: the name ends in .csv or .png')
    engine.set_threads(args.threads)
    model = load(args)
    if args.image:
        print_probabilities(model, args)
    else:
        print_error(model, args)


if __name__ == '__main__':
    run_main(main)
