#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Make pretrained weights, for score.py --pretrained, from a run.

python study/add_pretrained.py --run RUN --name NAME
"""

import argparse
import os
import re
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from common import options, pretrained, scoring_options
from common.model import of_run, properties
from common.scorer import check_parameters
from system import files
from system.errors import command
from system.script import run_main


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--run', required=True, metavar='RUN', help='name or checkpoint folder of a run'
    )
    parser.add_argument(
        '--name',
        required=True,
        type=entry_name,
        metavar='NAME',
        help='what score.py --pretrained will call them, such as fashion-mnist-mr14',
    )
    parser.add_argument(
        '--out',
        default=pretrained.FOLDER,
        metavar='DIR',
        help='folder to write NAME.params, NAME-symbol.json and NAME.json into (default: '
        'pretrained/ of this repository)',
    )
    parser.set_defaults(dataset=None, image_size=None)  # None: those of the run
    scoring_options.add_checkpoint(parser)
    options.add_overwrite(parser)
    options.add_folders(parser)
    return parser.parse_args()


def entry_name(text):
    """Return the argument of --name if it can be the name of files, for ``type`` of argparse."""
    if not re.fullmatch(r'[\w.-]{1,100}', text) or text.startswith(('-', '.')):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a name of letters, digits, dots, hyphens and underscores'
        )
    if (text + pretrained.ENDING).endswith(pretrained.SYMBOL):
        raise argparse.ArgumentTypeError(f'{text!r} ends as the name of a symbol does')
    return text


def main():
    args = parse_args()
    model = of_run(args)
    check_parameters(model.symbol, model.arrays, model.dataset.shape)
    entry = pretrained.contents(args.name, model.symbol, model.arrays, properties(model))
    outputs = {os.path.join(args.out, name): content for name, content in entry.items()}
    files.write_outputs(outputs, args.overwrite)
    for path, content in outputs.items():
        print(f'{path}, {len(content):,} bytes')
    # What --pretrained takes: the name alone of what is in pretrained/, the path of all others.
    own = os.path.realpath(args.out) == os.path.realpath(pretrained.FOLDER)
    named = args.name if own else os.path.join(args.out, args.name)
    print(f'try them: {command("score.py", "--pretrained", named, "--image", "FILE")}')


if __name__ == '__main__':
    run_main(main)
