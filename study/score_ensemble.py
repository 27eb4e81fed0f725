#!/usr/bin/env python
"""Score a trained ensemble without training again: each network alone, and the ensemble without it (Table 3).

python study/score_ensemble.py --run RUN
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import engine
from common import options
from recordio.datasets import get
from symbols import ensemble
from system.errors import UserError, command, run


def parse_args():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument(
        '--run',
        required=True,
        metavar='RUN',
        help='name or checkpoint folder of a run of study/train_ensemble.py',
    )
    parse.add_argument(
        '--checkpoint',
        default='last',
        metavar='WHICH',
        help='last, best, or an epoch that the run keeps (default: %(default)s)',
    )
    parse.add_argument(
        '--rec', metavar='FILE', help='score this file (default: test.rec of the data set)'
    )
    parse.add_argument(
        '--batch-size',
        type=options.number(int, 1),
        default=100,
        metavar='N',
        help='default: %(default)s',
    )
    options.add_devices(parse)
    options.add_folders(parse)
    return parse.parse_args()


def score(args):
    """Return the title of the run and its ``common.evaluate.Result``."""
    from common import classes, scorer
    from recordio.data import Records

    folder = scorer.find_run(args.run, args.checkpoint_dir)
    symbol, arrays, state, epoch = scorer.load_run(folder, args.checkpoint)
    if not ensemble.names_of(symbol.list_outputs()):
        raise UserError(
            f'{args.run} is a run of one network: '
            f'"{command("score.py", "--run", args.run)}" scores it'
        )
    name = state['header']['options']['dataset']
    title = f'{state["header"]["run"]}, epoch {epoch}'
    model = scorer.Model(symbol, arrays, title, name, get(name, args.data_dir))
    classes.check_classes(model)
    path = args.rec or os.path.join(args.data_dir, name, 'test.rec')
    images = Records(path, model.dataset, args.batch_size, engine.cores(), shrink=True)
    classes.check_record_file(path, model)
    device = engine.devices(args.gpus, args.cpus)[0]
    bound = scorer.Scorer(symbol, arrays, device, images.batch)
    return title, bound.score(images.batches())


def main():
    args = parse_args()
    engine.set_threads(args.threads)
    title, result = score(args)
    print(f'{title}: top-1 error in %')
    print('network  alone   ensemble without it')
    for component, error in result.components.items():
        fewer = f'  (Ensemble-{len(result.components) - 1} without retraining)'
        note = fewer if component == ensemble.DEEPEST else ''
        print(f'{component:<7} {error:6.2f}   {result.without[component]:6.2f}{note}')
    print(f'overall {result.error:6.2f}')


if __name__ == '__main__':
    run(main)
