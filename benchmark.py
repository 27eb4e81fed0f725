#!/usr/bin/env python
"""Measure the speed of training and inference in images/s, alone or in comparison.

python benchmark.py --network mr --depth 14
python benchmark.py --network resnet --depth 110 --compare torch
python benchmark.py --network mr --depth 14 --operators
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

import symbols
from common import options
from graphs import summary
from system.errors import UserError, command
from system.processes import die_with_parent
from system.script import run_main

ROOT = os.path.dirname(os.path.abspath(__file__))
COMPARE = {
    'textbook': [{'side': 'textbook'}],
    'torch': [{'side': 'torch', 'layout': 'nchw'}, {'side': 'torch', 'layout': 'nhwc'}],
    'synthetic': [{'side': 'ours', 'data': None, 'name': 'synthetic'}],
    'denormals': [{'side': 'ours', 'denormals': True, 'name': 'denormals'}],
}
# Passes over the network: forward, and backward to the data and to the weights.
PASSES = {'train': 3, 'inference': 1}
# The classes of operators, by prefixes of their names; all others are "other".
CLASSES = {
    'convolution, forward': ('_dfn_convolution', 'Convolution'),
    'convolution, backward': ('_backward__dfn_convolution', '_backward_Convolution'),
    'BatchNorm, sums, ReLU, forward': (
        '_dfn_combine',
        'BatchNorm',
        '_contrib_BatchNorm',
        'Activation',
        '_mul_scalar',
    ),
    'BatchNorm, sums, ReLU, backward': (
        '_backward__dfn_combine',
        '_backward_BatchNorm',
        '_backward__contrib_BatchNorm',
        '_backward_Activation',
        '_backward_mul_scalar',
    ),
    'sums of feature maps or gradients': ('add_n', 'ElementWiseSum', '_grad_add', 'elemwise_add'),
    'update': ('_dfn_nesterov', 'nag_mom_update', 'multi_sgd_update', 'sgd_mom_update'),
}


def parse_args():
    number = options.number
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--network',
        choices=sorted(symbols.NETWORKS),
        default='mr',
        help='name of the network (default: %(default)s)',
    )
    parser.add_argument(
        '--depth', type=int, default=14, help='depth of the network (default: %(default)s)'
    )
    parser.add_argument(
        '--widen',
        type=number(int, 1),
        default=1,
        help='factor on the numbers of channels (default: %(default)s)',
    )
    parser.add_argument(
        '--batch-size',
        type=number(int, 1),
        default=64,
        metavar='N',
        help='number of images in a batch (default: %(default)s)',
    )
    parser.add_argument(
        '--task',
        choices=('train', 'inference'),
        nargs='+',
        default=['train', 'inference'],
        help='what to measure (default: both)',
    )
    parser.add_argument(
        '--data',
        metavar='DIR',
        help='folder of a data set to read (default: repeat one fixed batch)',
    )
    parser.add_argument(
        '--compare',
        choices=sorted(COMPARE),
        help="compare with the textbook graph on MXNet's default settings (textbook), with PyTorch "
        'in the better of its two memory formats (torch), or with the project itself on one fixed '
        'batch instead of --data (synthetic) or with gradients below 1e-38 (denormals)',
    )
    parser.add_argument(
        '--operators',
        action='store_true',
        help='instead, print how long each class of operators takes in a training step',
    )
    parser.add_argument(
        '--rounds',
        type=number(int, 1),
        default=5,
        metavar='N',
        help='number of turns (default: %(default)s)',
    )
    parser.add_argument(
        '--seconds',
        type=number(float, 0.1),
        default=4,
        metavar='S',
        help='approximate length of a turn in seconds (default: %(default)s)',
    )
    options.add_devices(parser)
    return parser.parse_args()


class Side:
    """One side of the comparison: a process that runs steps of a task when asked to.

    Parameters
    ----------
    spec : dict
        See ``specification``.
    """

    def __init__(self, spec):
        self.name = spec.get('name') or ' '.join(
            spec[key] for key in ('side', 'layout') if key in spec
        )
        self.batch, self.peak, self.steps, self.rates, self.limits = spec['batch'], 0, {}, {}, []
        # In a session of its own, so that Ctrl-C reaches only this process, with which it ends.
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.worker', json.dumps(spec)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            env=dict(os.environ, **spec.get('environment', {})),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self.startup = self._read_answer()['startup']

    def _read_answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise UserError(
                f'{self.name} did not start: see its message above; to install PyTorch, use '
                f'"{command("-m pip", "install", "torch")}"'
            )
        answer = json.loads(line)
        self.peak = answer['peak'] / 1024
        return answer

    def ask(self, task, steps):
        """Run some steps of a task; return the answer as a dict."""
        self.process.stdin.write(f'{task} {steps}\n')
        self.process.stdin.flush()
        return self._read_answer()

    def _time(self, task, steps):
        return self.ask(task, steps)['seconds']

    def warm_up(self, task, seconds):
        """Fill caches and start threads, and find how many steps a turn of ``seconds`` has."""
        self._time(task, 2)
        self.steps[task] = max(2, round(seconds / (self._time(task, 3) / 3)))
        self.rates[task] = []

    def turn(self, task):
        """Run a turn and note its images/s."""
        steps = self.steps[task]
        self.rates[task].append(steps * self.batch / self._time(task, steps))

    def limit(self):
        """Measure how many floating-point operations the machine can compute in a second."""
        for steps in (10, 50):  # the first ones warm up
            answer = self.ask('limit', steps)
        if answer['result']:
            self.limits.append(answer['result'] / answer['seconds'])

    def close(self):
        """End the process, even in the middle of a turn."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()


def specification(args):
    """Return the specification of the project's own side, for benchmarks/worker.py."""
    return {
        'side': 'ours',
        'network': args.network,
        'depth': args.depth,
        'widen': args.widen,
        'batch': args.batch_size,
        'threads': args.threads,
        'gpus': args.gpus,
        'data': args.data and os.path.abspath(args.data),
    }


def measure(args):
    """Run all turns; return the list of ``Side``, the project's own first."""
    sides = []
    try:
        for spec in [{}] + COMPARE.get(args.compare, []):
            sides.append(Side(dict(specification(args), **spec)))
        for task in args.task:
            for side in sides:
                side.warm_up(task, args.seconds)
            for _ in range(args.rounds):
                sides[0].limit()
                for side in sides:
                    side.turn(task)
    finally:
        for side in sides:
            side.close()
    return sides


def print_results(sides, args):
    symbol = symbols.get_symbol(args.network, args.depth, widen=args.widen)
    image = 2 * sum(layer.multiply_adds for layer in summary.layers(symbol))
    limit = statistics.median(sides[0].limits) if sides[0].limits else None
    print(
        f'{args.network}-{args.depth} w{args.widen}, batch {args.batch_size}, median of '
        f'{args.rounds} turns'
    )
    print(
        'start-up in s: '
        + ', '.join(f'{name} {seconds:.2f}' for name, seconds in sides[0].startup.items())
    )
    if limit:
        print(
            f'independent multiply-adds on every thread reach {limit / 1e9:.0f} GFLOP/s; '
            '"of it" is the share of this that direct convolutions would need at the same speed'
        )
    print(
        f'{"task":10} {"side":12} {"images/s":>10} {"lowest - highest":>20} {"GFLOP/s":>9} '
        f'{"of it":>8} {"peak MB":>8}'
    )
    for task in args.task:
        for side in sides:
            rates = side.rates[task]
            speed = statistics.median(rates) * image * PASSES[task]
            spread = f'{min(rates):.1f} - {max(rates):.1f}'
            share = f'{speed / limit:.0%}' if limit else '-'
            print(
                f'{task:10} {side.name:12} {statistics.median(rates):10.1f} {spread:>20} '
                f'{speed / 1e9:9.0f} {share:>8} {side.peak:8.0f}'
            )
        if len(sides) > 1:
            # The faster setting of the rival. Ratios are taken turn by turn, because the speed of
            # the machine drifts.
            best = max(sides[1:], key=lambda side: statistics.median(side.rates[task]))
            ratios = [a / b for a, b in zip(sides[0].rates[task], best.rates[task])]
            print(
                f'{task:10} ours / {best.name}: {statistics.median(ratios):.2f} '
                f'({min(ratios):.2f} - {max(ratios):.2f})'
            )


def print_operators(args):
    """Print the time of a training step by class of operator, with each operator run separately."""
    side = Side(dict(specification(args), environment={'MXNET_EXEC_BULK_EXEC_TRAIN': '0'}))
    side.ask('train', 3)
    found = side.ask('profile', args.rounds)['result']
    side.close()
    totals = {}
    for name, milliseconds in found.items():
        kind = next((kind for kind, starts in CLASSES.items() if name.startswith(starts)), 'other')
        totals[kind] = totals.get(kind, 0) + milliseconds
    print(
        f'{args.network}-{args.depth} w{args.widen}, batch {args.batch_size}, a training '
        f'step, mean of {args.rounds}'
    )
    for kind, milliseconds in sorted(totals.items(), key=lambda item: -item[1]):
        print(f'{milliseconds:9.2f} ms {100 * milliseconds / sum(totals.values()):5.1f}%  {kind}')


def main():
    args = parse_args()
    symbols.check_depth(args.network, args.depth)
    if args.compare == 'synthetic' and not args.data:
        raise UserError('--compare synthetic needs files to compare with: add --data DIR')
    if args.operators:
        print_operators(args)
    else:
        print_results(measure(args), args)


if __name__ == '__main__':
    run_main(main)
