"""Runs the project itself, or the textbook graph, as one side of a benchmark.

benchmark.py starts ``python -m benchmarks.worker SPEC`` for each side, since the sides differ in
threads and settings, and lets the sides take turns, see benchmarks/serve.py.
"""

import ctypes
import json
import os
import tempfile
import time
import types

import engine
from benchmarks import networks, textbook
from benchmarks.serve import CLASSES, random_batch, serve
from common.compute import Compute
from common.evaluate import Meter
from common.recipe import Recipe, cifar_decay
from common.scorer import Scorer
from common.trainer import Trainer
from engine import build, mx, numpy_names, operators, private
from recordio import datasets, record_iterator

ROUNDS = 1 << 20  # of multiply-adds in a step of ``limit``, which takes some milliseconds


class Ours:
    """The project's own trainer, with graph, optimiser, loss and error as in a run."""

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
        self.shape = tuple(spec['shape'])
        images, labels = random_batch(self.batch, self.shape)
        self.fixed = mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(labels)], pad=0)
        self.batches = self._batches(spec)
        devices = engine.devices(spec['gpus'], None if spec['gpus'] else 1)
        trainer = self._bind(networks.symbol_of(spec), devices)
        self.module, self.tester = trainer.module, trainer.tester
        if spec['fast']:
            model = networks.model_of(spec, trainer)
            self.tester = Scorer(
                model, devices[0], self.batch, spec['fast'], iter([self.fixed])
            ).module
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
        folder, name = os.path.split(os.path.normpath(spec['data']))
        source = record_iterator.Batches(
            spec['data'],
            datasets.get(name, folder or '.', spec['image_size']),
            self.batch,
            threads=engine.cores(),
        )
        return (batch for epoch in range(1, 1 << 30) for batch in source.train(epoch))

    def _bind(self, symbol, devices):
        batches = types.SimpleNamespace(batch=self.batch, shape=self.shape, per_epoch=1 << 20)
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
            self.tester.get_outputs()[0].wait_to_read()

    def limit(self, steps):
        """Run the multiply-adds of engine/native/peak.h; return the number of operations.

        Returns None on a GPU, and if the project's operators cannot be compiled.
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

        images, labels = random_batch(spec['batch'], spec['shape'])
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


def main():
    serve({'ours': Ours, 'textbook': Textbook})


if __name__ == '__main__':
    main()
