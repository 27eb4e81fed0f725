#!/usr/bin/env python
"""Score a trained ensemble without training again: each network alone, and the ensemble without it (Table 3).

python score_ensemble.py --run RUN
"""
import argparse
import os

from common import engine, options
from common.datasets import get
from common.errors import UserError, run
from symbols import ensemble


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument('--run', required=True, metavar='RUN', help='name or checkpoint folder of a run of train_ensemble.py')
    parse.add_argument('--checkpoint', default='last', metavar='WHICH', help='last, best, or an epoch that the run keeps (default: %(default)s)')
    parse.add_argument('--rec', metavar='FILE', help='score this file (default: test.rec of the data set)')
    parse.add_argument('--batch-size', type=options.number(int, 1), default=100, metavar='N', help='default: %(default)s')
    options.add_devices(parse)
    options.add_folders(parse)
    return parse.parse_args()


def score(args):
    """Return the title, the epoch and the ``Result`` of the run."""
    from common import scorer
    from common.data import Records
    symbol, arrays, state, epoch = scorer.load_run(scorer.find_run(args.run, args.checkpoint_dir), args.checkpoint)
    if not ensemble.names_of(symbol.list_outputs()):
        raise UserError('%s is a run of one network: score it with score.py' % args.run)
    name = state['header']['options']['dataset']
    path = args.rec or os.path.join(args.data_dir, name, 'test.rec')
    images = Records(path, get(name), args.batch_size, engine.cores(), shrink=True)
    device = engine.devices(args.gpus, args.cpus)[0]
    result = scorer.Scorer(symbol, arrays, device, images.batch).score(images.batches())
    return state['header']['run'], epoch, result


def main():
    args = parse_args()
    engine.set_threads(args.threads)
    name, epoch, result = score(args)
    print('%s, epoch %d: top-1 error in %%' % (name, epoch))
    print('network  alone   ensemble without it')
    for component, error in result.components.items():
        note = '  (Ensemble-%d without retraining)' % (len(result.components) - 1) if component == ensemble.DEEPEST else ''
        print('%-7s %6.2f   %6.2f%s' % (component, error, result.without[component], note))
    print('overall %6.2f' % result.error)


if __name__ == '__main__':
    run(main)
