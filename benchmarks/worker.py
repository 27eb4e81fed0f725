"""Runs one side of a benchmark: python -m benchmarks.worker SPEC.

It prints a line of JSON when it is ready, and one as the answer to each line ``TASK STEPS`` that it
reads. benchmark.py starts one process for each side, since their OpenMP threads and settings
differ, and lets the sides take turns.
"""

import ctypes
import json
import os
import resource
import sys
import tempfile
import time
import types

import numpy

import engine
import symbols
from benchmarks import textbook
from common.compute import Compute
from common.evaluate import Meter
from common.recipe import Recipe, cifar_decay
from common.trainer import Trainer
from engine import build, mx, numpy_names, operators, private
from recordio import datasets, record_iterator

CLASSES = 10
ROUNDS = 1 << 20  # of multiply-adds in a step of ``limit``, which takes some milliseconds


def random_batch(batch):
    """Return normally distributed images (batch, 3, 32, 32) and random labels (batch,)."""
    random = numpy.random.RandomState(0)
    return random.randn(batch, 3, 32, 32).astype('float32'), random.randint(0, CLASSES, batch)


class Ours:
    """The project's own trainer, with module, optimiser, loss and error as in a run."""

    def __init__(self, spec):
        start = time.perf_counter()
        engine.set_threads(spec['threads'])
        self.batch = spec['batch']
        operators.load()
        loaded = time.perf_counter()
        self._prepare(spec)
        mx.nd.waitall()
        bound = time.perf_counter()
        self.train(1)
        self.startup = {
            'import': loaded - start,
            'bind': bound - loaded,
            'first batch': time.perf_counter() - bound,
        }

    def _prepare(self, spec):
        images, labels = random_batch(self.batch)
        self.fixed = mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(labels)], pad=0)
        self.batches = self._batches(spec)
        symbol = symbols.get_symbol(spec['network'], spec['depth'], CLASSES, spec['widen'])
        trainer = self._bind(symbol, engine.devices(spec['gpus'], None if spec['gpus'] else 1))
        self.module, self.tester = trainer.module, trainer.tester
        if spec.get('denormals'):
            self._make_denormal()

    def _make_denormal(self):
        """Make every gradient smaller than 1e-38.

        All images are of class 0, and the network gives any other class the probability exp(-88).
        """
        arguments, auxiliary = self.module.get_params()
        arguments['fc_weight'][:] = 0
        arguments['fc_bias'][:] = [88] + [0] * (CLASSES - 1)
        self.module.set_params(arguments, auxiliary)
        self.fixed.label[0][:] = 0
        self.module.init_optimizer(optimizer=mx.optimizer.SGD(learning_rate=0), force_init=True)

    def _batches(self, spec):
        if not spec['data']:
            return iter(lambda: self.fixed, None)
        name = os.path.basename(os.path.normpath(spec['data']))
        source = record_iterator.Batches(
            spec['data'], datasets.get(name), self.batch, threads=engine.cores()
        )
        return (batch for epoch in range(1, 1 << 30) for batch in source.train(epoch))

    def _bind(self, symbol, devices):
        batches = types.SimpleNamespace(batch=self.batch, shape=(3, 32, 32), per_epoch=1 << 20)
        recipe = Recipe(epochs=1, lr=0.01, decay=cifar_decay(1))
        return Trainer(symbol, batches, recipe, Compute(devices))

    def train(self, steps):
        meter = Meter()
        for _ in range(steps):
            batch = next(self.batches)
            self.module.forward(batch, is_train=True)
            self.module.backward()
            self.module.update()
            meter.add(self.module.get_outputs(), batch.label[0], batch.pad)
        meter.result()
        mx.nd.waitall()

    def inference(self, steps):
        for _ in range(steps):
            self.tester.forward(next(self.batches), is_train=False)
            self.tester.get_outputs()
        mx.nd.waitall()

    def limit(self, steps):
        """Run independent multiply-adds on every thread; return the floating-point operations.

        They are those of engine/native/peak.h. Returns None on a GPU, and where the project's
        operators cannot be compiled.
        """
        if private.contexts(self.module)[0].device_type != 'cpu' or not operators.load():
            return None
        function = ctypes.CDLL(build.prepare()).dfn_multiply_adds
        function.argtypes, function.restype = [ctypes.c_long], ctypes.c_double
        return function(steps * ROUNDS)

    def profile(self, steps):
        """Return {operator: milliseconds in a training step}.

        The times mean something only if MXNet does not run operators in bulk.
        """
        profiler = mx.profiler
        # A folder, since MXNet replaces the file that it is given, even /dev/null.
        with tempfile.TemporaryDirectory() as folder:
            profiler.set_config(
                profile_imperative=True,
                profile_symbolic=True,
                aggregate_stats=True,
                filename=os.path.join(folder, 'profile.json'),
            )
            profiler.set_state('run')
            self.train(steps)
            profiler.set_state('stop')
            found = json.loads(profiler.dumps(format='json'))['Time']['operator']
        return {name: values['Total'] / steps for name, values in found.items()}


class Textbook(Ours):
    """The textbook graph with MXNet's default number of threads, MXNet's NAG and no metric."""

    def __init__(self, spec):
        os.environ.pop('OMP_NUM_THREADS', None)
        with numpy_names.restored():
            import mxnet  # not ``engine.mx``, which would change MXNet's settings

        images, labels = random_batch(spec['batch'])
        self.fixed = mxnet.io.DataBatch([mxnet.nd.array(images)], [mxnet.nd.array(labels)], pad=0)
        self.batches = iter(lambda: self.fixed, None)
        self.module = self.tester = mxnet.mod.Module(
            textbook.get_symbol(spec['network'], spec['depth'], CLASSES, spec['widen'])
        )
        self.module.bind([('data', images.shape)], [('softmax_label', labels.shape)])
        self.module.init_params(
            mxnet.init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2)
        )
        self.module.init_optimizer(
            optimizer='nag', optimizer_params={'learning_rate': 0.01, 'momentum': 0.9, 'wd': 1e-4}
        )

    def train(self, steps):
        for _ in range(steps):
            self.module.forward(self.fixed, is_train=True)
            self.module.backward()
            self.module.update()
        mx.nd.waitall()


class Torch:
    """Eager PyTorch, with SGD, Nesterov momentum and decay, in the memory format spec['layout']."""

    def __init__(self, spec):
        import torch  # not at the top, since the other sides do without PyTorch

        from pytorch.networks import Network

        torch.set_num_threads(spec['threads'] or engine.cores())
        self.torch = torch
        self.layout = {'nchw': torch.contiguous_format, 'nhwc': torch.channels_last}[spec['layout']]
        self.network = Network(spec['network'], spec['depth'], CLASSES, spec['widen']).to(
            memory_format=self.layout
        )
        images, labels = random_batch(spec['batch'])
        self.images = torch.from_numpy(images).contiguous(memory_format=self.layout)
        self.labels = torch.from_numpy(labels)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
        )

    def train(self, steps):
        self.network.train()
        for _ in range(steps):
            self.optimiser.zero_grad(set_to_none=True)
            loss = self.torch.nn.functional.cross_entropy(self.network(self.images), self.labels)
            loss.backward()
            self.optimiser.step()
        loss.item()

    def inference(self, steps):
        self.network.eval()
        with self.torch.inference_mode():
            for _ in range(steps):
                self.network(self.images)


SIDES = {'ours': Ours, 'textbook': Textbook, 'torch': Torch}


def answer(**values):
    print(
        json.dumps(dict(values, peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)),
        flush=True,
    )


def main():
    spec = json.loads(sys.argv[1])
    side = SIDES[spec['side']](spec)
    answer(startup=getattr(side, 'startup', None))
    for line in sys.stdin:
        task, steps = line.split()
        start = time.perf_counter()
        result = getattr(side, task)(int(steps))
        answer(seconds=time.perf_counter() - start, result=result)


if __name__ == '__main__':
    main()
