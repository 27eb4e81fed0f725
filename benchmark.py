#!/usr/bin/env python
"""Measure training and inference in images/s, alone or in turn with something else.

python benchmark.py --network mr --depth 14
python benchmark.py --network resnet --depth 110 --compare torch
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import symbols
from common import options
from common.errors import UserError, run

ROOT = os.path.dirname(os.path.abspath(__file__))
COMPARE = {'textbook': [{'side': 'textbook'}],
           'torch': [{'side': 'torch', 'layout': 'nchw'}, {'side': 'torch', 'layout': 'nhwc'}]}


def parse_args():
    number = options.number
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument('--network', choices=sorted(symbols.NETWORKS), default='mr', help='default: %(default)s')
    parse.add_argument('--depth', type=int, default=14, help="the network's own depth (default: %(default)s)")
    parse.add_argument('--widen', type=number(int, 1), default=1, help='factor on the channels (default: %(default)s)')
    parse.add_argument('--batch-size', type=number(int, 1), default=64, metavar='N', help='default: %(default)s')
    parse.add_argument('--task', choices=('train', 'inference'), nargs='+', default=['train', 'inference'],
                       help='default: both')
    parse.add_argument('--data', metavar='DIR', help='a folder of data/prepare.py to read (default: one fixed batch)')
    parse.add_argument('--compare', choices=sorted(COMPARE),
                       help="in turn with the textbook graph on MXNet's default settings, or with PyTorch at the better "
                            'of its two memory formats')
    parse.add_argument('--rounds', type=number(int, 1), default=5, metavar='N', help='turns (default: %(default)s)')
    parse.add_argument('--seconds', type=number(float, 0.1), default=4, metavar='S',
                       help='length of a turn, about (default: %(default)s)')
    options.add_devices(parse)
    return parse.parse_args()


class Side:
    """A worker process that runs steps when told to."""

    def __init__(self, spec):
        self.name = ' '.join(spec[key] for key in ('side', 'layout') if key in spec)
        self.batch, self.peak, self.steps, self.rates = spec['batch'], 0, {}, {}
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.worker', json.dumps(spec)], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, universal_newlines=True)
        self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise UserError('%s did not start: see its message above; for PyTorch, pip install torch' % self.name)
        answer = json.loads(line)
        self.peak = answer['peak'] / 1024
        return answer.get('seconds')

    def _time(self, task, steps):
        self.process.stdin.write('%s %d\n' % (task, steps))
        self.process.stdin.flush()
        return self._answer()

    def warm_up(self, task, seconds):
        """Run until caches and threads are there, and find how many steps make a turn."""
        self._time(task, 2)
        self.steps[task] = max(2, round(seconds / (self._time(task, 3) / 3)))
        self.rates[task] = []

    def turn(self, task):
        steps = self.steps[task]
        self.rates[task].append(steps * self.batch / self._time(task, steps))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(args):
    """Return the sides after all their turns: ours first."""
    common = {'network': args.network, 'depth': args.depth, 'widen': args.widen, 'batch': args.batch_size,
              'threads': args.threads, 'gpus': args.gpus, 'data': args.data and os.path.abspath(args.data)}
    sides = []
    try:
        for spec in [{'side': 'ours'}] + COMPARE.get(args.compare, []):
            sides.append(Side(dict(common, **spec)))
        for task in args.task:
            for side in sides:
                side.warm_up(task, args.seconds)
            for _ in range(args.rounds):
                for side in sides:
                    side.turn(task)
    finally:
        for side in sides:
            side.close()
    return sides


def print_results(sides, args):
    print('%s-%d w%d, batch %d, median of %d turns' % (args.network, args.depth, args.widen, args.batch_size, args.rounds))
    print('%-10s %-12s %10s %20s %10s' % ('task', 'side', 'images/s', 'lowest - highest', 'peak MB'))
    for task in args.task:
        for side in sides:
            rates = side.rates[task]
            print('%-10s %-12s %10.1f %20s %10.0f' % (task, side.name, statistics.median(rates), '%.1f - %.1f' % (
                min(rates), max(rates)), side.peak))
        if len(sides) > 1:
            # The rival's better setting, and the ratio turn by turn: the machine's speed drifts.
            best = max(sides[1:], key=lambda side: statistics.median(side.rates[task]))
            ratios = [a / b for a, b in zip(sides[0].rates[task], best.rates[task])]
            print('%-10s ours / %s: %.2f (%.2f - %.2f)' % (task, best.name, statistics.median(ratios), min(ratios), max(ratios)))


def main():
    args = parse_args()
    symbols.check_depth(args.network, args.depth)
    print_results(measure(args), args)


if __name__ == '__main__':
    run(main)
