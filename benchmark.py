#!/usr/bin/env python
"""Measure training and inference in images/s, alone or in turn with something else.

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
PASSES = {'train': 3, 'inference': 1}  # forward, and backward to the data and to the weights
# Operators by the start of their names; what matches none is "other".
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
    'sums of maps or gradients': ('add_n', 'ElementWiseSum', '_grad_add', 'elemwise_add'),
    'update': ('_dfn_nesterov', 'nag_mom_update', 'multi_sgd_update', 'sgd_mom_update'),
}


def parse_args():
    number = options.number
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument(
        '--network', choices=sorted(symbols.NETWORKS), default='mr', help='default: %(default)s'
    )
    parse.add_argument(
        '--depth', type=int, default=14, help="the network's own depth (default: %(default)s)"
    )
    parse.add_argument(
        '--widen',
        type=number(int, 1),
        default=1,
        help='factor on the channels (default: %(default)s)',
    )
    parse.add_argument(
        '--batch-size', type=number(int, 1), default=64, metavar='N', help='default: %(default)s'
    )
    parse.add_argument(
        '--task',
        choices=('train', 'inference'),
        nargs='+',
        default=['train', 'inference'],
        help='default: both',
    )
    parse.add_argument(
        '--data',
        metavar='DIR',
        help='a folder of data/prepare.py to read (default: one fixed batch)',
    )
    parse.add_argument(
        '--compare',
        choices=sorted(COMPARE),
        help="in turn with the textbook graph on MXNet's default settings, with PyTorch at "
        'the better of its '
        'two memory formats, or of the project itself: with one fixed batch where --data '
        'gives files, or '
        'with gradients below 1e-38',
    )
    parse.add_argument(
        '--operators',
        action='store_true',
        help='print the time of a training step by class of operator instead',
    )
    parse.add_argument(
        '--rounds', type=number(int, 1), default=5, metavar='N', help='turns (default: %(default)s)'
    )
    parse.add_argument(
        '--seconds',
        type=number(float, 0.1),
        default=4,
        metavar='S',
        help='length of a turn, about (default: %(default)s)',
    )
    options.add_devices(parse)
    return parse.parse_args()


class Side:
    """A worker process that runs steps when told to."""

    def __init__(self, spec):
        self.name = spec.get('name') or ' '.join(
            spec[key] for key in ('side', 'layout') if key in spec
        )
        self.batch, self.peak, self.steps, self.rates, self.limits = spec['batch'], 0, {}, {}, []
        # A session of its own: Ctrl-C is for this process, with which its workers end.
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
        self.startup = self._answer()['startup']

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise UserError(
                f'{self.name} did not start: see its message above; PyTorch is installed with '
                f'"{command("-m pip", "install", "torch")}"'
            )
        answer = json.loads(line)
        self.peak = answer['peak'] / 1024
        return answer

    def ask(self, task, steps):
        """Run some steps of a task; return the worker's answer."""
        self.process.stdin.write(f'{task} {steps}\n')
        self.process.stdin.flush()
        return self._answer()

    def _time(self, task, steps):
        return self.ask(task, steps)['seconds']

    def warm_up(self, task, seconds):
        """Run until caches and threads are there, and find how many steps make a turn."""
        self._time(task, 2)
        self.steps[task] = max(2, round(seconds / (self._time(task, 3) / 3)))
        self.rates[task] = []

    def turn(self, task):
        steps = self.steps[task]
        self.rates[task].append(steps * self.batch / self._time(task, steps))

    def limit(self):
        """Measure what the machine can compute at most, in floating-point operations a second."""
        for steps in (10, 50):  # the first are a warm-up
            answer = self.ask('limit', steps)
        if answer['result']:
            self.limits.append(answer['result'] / answer['seconds'])

    def close(self):
        """End the worker, in the middle of a turn too."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()


def specification(args):
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
    """Return the sides after all their turns: ours first."""
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
    from graphs import summary

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
            f'independent multiply-adds on every thread reach {limit / 1e9:.0f} '
            'GFLOP/s; a direct convolution would need the share "of it"'
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
            # The rival's better setting, and the ratio turn by turn: the machine's speed drifts.
            best = max(sides[1:], key=lambda side: statistics.median(side.rates[task]))
            ratios = [a / b for a, b in zip(sides[0].rates[task], best.rates[task])]
            print(
                f'{task:10} ours / {best.name}: {statistics.median(ratios):.2f} '
                f'({min(ratios):.2f} - {max(ratios):.2f})'
            )


def print_operators(args):
    """Print the time of a step by class of operator, each operator run by itself."""
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
        raise UserError('--compare synthetic needs files to compare with: name them by --data DIR')
    if args.operators:
        print_operators(args)
    else:
        print_results(measure(args), args)


if __name__ == '__main__':
    run_main(main)
