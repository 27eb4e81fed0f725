#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Score a trained ensemble: each component alone, and the ensemble without it (Table 3).

python study/score_ensemble.py --run RUN
"""

import argparse
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import engine
from common import options, scoring_options
from common.model import of_run, open_records
from common.scorer import Scorer
from symbols import ensemble
from system.errors import UserError, command
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--run',
        required=True,
        metavar='RUN',
        help='name or checkpoint folder of a run of study/train_ensemble.py',
    )
    parser.set_defaults(dataset=None, image_size=None)  # None: those of the run
    scoring_options.add_scoring(parser)
    options.add_devices(parser)
    options.add_folders(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    engine.set_threads(args.threads)
    model = of_run(args)
    if not ensemble.names_of(model.symbol.list_outputs()):
        raise UserError(
            f'{args.run} is a run of one network: '
            f'"{command("score.py", "--run", args.run)}" scores it'
        )
    images = open_records(
        args.rec or os.path.join(args.data_dir, model.name, 'test.rec'), model, args.batch_size
    )
    scorer = Scorer(model, engine.devices(args.gpus, args.cpus)[0], images.batch)
    result = scorer.score(images.batches())
    print(f'{model.title}: top-1 error in %')
    print('network  alone   ensemble without it')
    for component, error in result.components.items():
        note = ''
        if component == ensemble.DEEPEST:
            note = f'  (Ensemble-{len(result.components) - 1} without retraining)'
        print(f'{component:<7} {error:6.2f}   {result.without[component]:6.2f}{note}')
    print(f'overall {result.error:6.2f}')


if __name__ == '__main__':
    run_main(main)
