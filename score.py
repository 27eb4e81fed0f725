#!/usr/bin/env python
"""Score a trained network: its error on a .rec file, or the class probabilities of one image.

python score.py --run RUN
python score.py --run RUN --image FILE
"""
import argparse
import os

from common import engine, options
from common.datasets import get
from common.errors import UserError, run


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument('--run', metavar='RUN', help='name or checkpoint folder of a run')
    parse.add_argument('--checkpoint', default='last', metavar='WHICH',
                       help='last, best, or an epoch that the run keeps (default: %(default)s)')
    parse.add_argument('--symbol', metavar='FILE', help='instead of --run: a model-symbol.json')
    parse.add_argument('--params', metavar='FILE', help='and with it the .params file')
    parse.add_argument('--dataset', metavar='NAME',
                       help='whose normalisation, classes and test.rec to use (default: those of the run)')
    parse.add_argument('--image-size', type=options.number(int, 32, 1024), metavar='PIXELS',
                       help='of the central crop of photographs (default: that of the run, or 224)')
    parse.add_argument('--rec', metavar='FILE', help='score this file (default: test.rec of the data set)')
    parse.add_argument('--image', metavar='FILE', help='print the class probabilities of this image instead')
    parse.add_argument('--batch-size', type=options.number(int, 1), default=100, metavar='N',
                       help='images in a batch (default: %(default)s)')
    parse.add_argument('--fast', nargs='?', choices=('float32', 'int8'), const='float32',
                       help='fold BatchNorm into the convolutions; int8: and compute in 8-bit integers, which changes the '
                            "result a little; it is calibrated on the data set's train.rec")
    options.add_devices(parse)
    options.add_folders(parse)
    return parse.parse_args()


def load(args):
    """Return symbol, arrays, title, and the name and ``Dataset`` of the data set."""
    from common import checkpoint, scorer
    if args.run:
        folder = scorer.find_run(args.run, args.checkpoint_dir)
        symbol, arrays, state, epoch = scorer.load_run(folder, args.checkpoint)
        known = state['header']['options']
        name, size = args.dataset or known['dataset'], args.image_size or known.get('image_size')
        return symbol, arrays, '%s, epoch %d' % (state['header']['run'], epoch), name, get(name, args.data_dir, size)
    if not (args.symbol and args.params and args.dataset):
        raise UserError('say which network: --run RUN, or --symbol FILE --params FILE --dataset NAME')
    dataset = get(args.dataset, args.data_dir, args.image_size)
    return checkpoint.load_symbol(args.symbol), checkpoint.load_arrays(args.params), args.params, args.dataset, dataset


def scorer_for(symbol, arrays, device, batch, args, name, dataset):
    from common.data import Records
    from common.scorer import Scorer
    calibration = None
    if args.fast == 'int8':
        if device.device_type != 'cpu':
            raise UserError('--fast int8 is for the CPU: leave int8 out, or add --cpus 1')
        path = os.path.join(args.data_dir, name, 'train.rec')
        training = Records(path, dataset, batch, engine.cores(), shrink=True)
        batch, calibration = training.batch, training.batches()
    return Scorer(symbol, arrays, device, batch, dataset.shape, args.fast, calibration)


def print_error(symbol, arrays, device, args, title, name, dataset):
    from common.data import Records
    path = args.rec or os.path.join(args.data_dir, name, 'test.rec')
    images = Records(path, dataset, args.batch_size, engine.cores(), shrink=True)
    scorer = scorer_for(symbol, arrays, device, images.batch, args, name, dataset)
    result = scorer.score(images.batches())
    top5 = ', top-5 error %.2f%%' % result.top5 if dataset.top5 else ''
    print('%s: top-1 error %.2f%%%s, loss %.4f on the %d images of %s' % (
        title, result.error, top5, result.loss, images.total, path))


def print_probabilities(symbol, arrays, device, args, name, dataset):
    from common.scorer import read_image
    image, size = read_image(args.image, dataset)
    if size != (dataset.size,) * 2:
        print('%s is %dx%d and was %s to %dx%d' % ((args.image,) + size + (('cropped' if dataset.short else 'scaled'),) + dataset.shape[1:]))
    probabilities = scorer_for(symbol, arrays, device, 1, args, name, dataset).probabilities(image)
    for label in probabilities.argsort()[::-1][:10]:
        print('%6.2f%%  %s' % (100 * probabilities[label], dataset.names[label] if dataset.names else label))


def main():
    args = parse_args()
    engine.set_threads(args.threads)
    symbol, arrays, title, name, dataset = load(args)
    device = engine.devices(args.gpus, args.cpus)[0]
    if args.image:
        print_probabilities(symbol, arrays, device, args, name, dataset)
    else:
        print_error(symbol, arrays, device, args, title, name, dataset)


if __name__ == '__main__':
    run(main)
