"""Section 6.2's recipe: initial weights, learning rate, and the update, number by number."""

import math

import numpy
import pytest
from test_faults import trained_here
from training_runs import arrays_of, small_cifar

import engine.operators
import symbols
import train_cifar
import train_imagenet
from common import log, recipe
from common.compute import Compute
from common.trainer import Trainer
from distributed.cluster import Cluster
from engine import mx, optimizer
from recordio import datasets, record_iterator


def initialised(network='mr', depth=8, seed=3):
    symbol = symbols.get_symbol(network, depth)
    module = mx.mod.Module(symbol, context=mx.cpu())
    module.bind([('data', (2, 3, 32, 32))], [('softmax_label', (2,))])
    mx.random.seed(seed)
    module.init_params(recipe.initializer())
    return module.get_params()


def test_initial_weights():
    arguments, auxiliary = initialised(depth=20)
    spreads = []
    for name, array in arguments.items():
        values = array.asnumpy()
        if name.endswith('conv_weight'):
            # He et al. 2015: normal with variance 2 / fan-in, fan-in = input channels x kernel
            # area.
            spreads.append(values.ravel() / math.sqrt(2 / values[0].size))
        elif name.endswith('gamma'):
            assert (values == 1).all()
        elif name.endswith(('beta', 'bias')):
            assert (values == 0).all()
    every = numpy.concatenate(spreads)
    assert abs(every.mean()) < 0.01 and abs(every.var() - 1) < 0.01
    assert abs((every**4).mean() - 3) < 0.1  # normal, not uniform
    assert all(abs(spread.var() - 1) < 6 * math.sqrt(2 / len(spread)) for spread in spreads)
    limit = math.sqrt(1 / 64)
    fc = arguments['fc_weight'].asnumpy()
    assert 0.95 * limit < abs(fc).max() <= limit and abs(fc.var() / (limit**2 / 3) - 1) < 0.2
    assert all((array.asnumpy() == name.endswith('var')).all() for name, array in auxiliary.items())


def test_initial_weights_follow_the_seed():
    first, again, other = (
        initialised(seed=seed)[0]['stem_conv_weight'].asnumpy() for seed in (3, 3, 4)
    )
    assert (first == again).all() and not (first == other).any()


@pytest.mark.parametrize('epochs,per_epoch', [(400, 782), (40, 9350), (8, 5)])
def test_learning_rate_at_every_epoch_boundary(epochs, per_epoch):
    schedule = optimizer.Schedule(0.1, recipe.cifar_decay(epochs), per_epoch)
    for epoch in range(1, epochs + 1):
        done = epoch - 1
        expected = 0.1 / 10 ** sum(done >= drop * epochs for drop in (1 / 2, 3 / 4, 7 / 8))
        first, last = (epoch - 1) * per_epoch + 1, epoch * per_epoch
        assert schedule(first) == pytest.approx(expected, rel=1e-12)
        assert schedule(last) == pytest.approx(expected, rel=1e-12)
    assert recipe.drop_epochs(recipe.cifar_decay(epochs)) == [
        epochs // 2,
        epochs * 3 // 4,
        epochs * 7 // 8,
    ]


def test_learning_rate_of_a_length_that_eight_does_not_divide():
    schedule = optimizer.Schedule(1.0, recipe.cifar_decay(3), 10)
    rates = [schedule(update) for update in range(1, 31)]
    assert [rates.index(rate) for rate in (0.1, 0.01, 0.001)] == [15, 22, 26]


class NumpyNesterov:
    """Nesterov momentum as MXNet 0.9 wrote it, the momentum without learning rate, in float64."""

    def __init__(self, weights, momentum=0.9, decay=1e-4):
        self.weights = {name: value.astype('float64') for name, value in weights.items()}
        self.velocity = dict.fromkeys(weights, 0)
        self.momentum, self.decay = momentum, decay

    def update(self, gradients, lr, batch):
        for name, gradient in gradients.items():
            step = gradient.astype('float64') / batch + self.decay * self.weights[name]
            self.velocity[name] = self.momentum * self.velocity[name] + step
            self.weights[name] = self.weights[name] - lr * (
                step + self.momentum * self.velocity[name]
            )


@pytest.mark.parametrize('operators', ('native', 'mxnet'))
@pytest.mark.parametrize('devices', (1, 2))
def test_updates_equal_a_numpy_nesterov(devices, operators, monkeypatch):
    """Through the module and the kvstore, with the rate dropping after the 4th of 8 updates.

    The decay is large, so that a parameter that is left out of it shows: beta, gamma and the bias.
    """
    assert engine.operators.load()
    if operators == 'mxnet':
        monkeypatch.setattr(engine.operators, 'load', lambda: False)
    random, batch, decay = numpy.random.RandomState(0), 4, 0.05
    module = mx.mod.Module(
        symbols.get_symbol('resnet', 8), context=[mx.cpu(i) for i in range(devices)]
    )
    module.bind([('data', (batch, 3, 32, 32))], [('softmax_label', (batch,))])
    mx.random.seed(0)
    module.init_params(recipe.initializer())
    arguments, auxiliary = module.get_params()
    for name, array in arguments.items():  # gamma 1 and beta 0 would hide a missing decay
        arguments[name] = array + mx.nd.array(0.1 * random.randn(*array.shape))
    module.set_params(arguments, auxiliary)
    schedule = optimizer.Schedule(0.1, recipe.cifar_decay(8), 1)
    module.init_optimizer(
        'device',
        optimizer.Nesterov(
            learning_rate=0.1,
            momentum=recipe.MOMENTUM,
            lr_scheduler=schedule,
            wd=decay,
            rescale_grad=1 / batch,
        ),
    )
    twin = NumpyNesterov({name: array.asnumpy() for name, array in arguments.items()}, decay=decay)
    for update in range(1, 9):
        images = mx.nd.array(random.randn(batch, 3, 32, 32))
        module.forward(mx.io.DataBatch([images], [mx.nd.array([1, 2, 3, 4])]), is_train=True)
        module.backward()
        group = module._exec_group
        gradients = {
            name: sum(array.asnumpy() for array in arrays)
            for name, arrays in zip(group.param_names, group.grad_arrays)
        }
        module.update()
        twin.update(gradients, schedule(update), batch)
        for name, array in module.get_params()[0].items():
            numpy.testing.assert_allclose(
                array.asnumpy(), twin.weights[name], rtol=2e-4, atol=2e-5, err_msg=name
            )


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return small_cifar(tmp_path_factory.mktemp('recipe'), fashion, 300, 64)


def test_a_trainer_updates_by_its_recipe(place):
    """No number is a default, and the rate drops after 5 of the 10 updates."""
    folder = str(place / 'data' / 'cifar10')
    batches = record_iterator.Batches(folder, datasets.get('cifar10'), 60)
    plan = recipe.Recipe(2, 0.1, recipe.Decay((1,), 10), seed=2, momentum=0.8, weight_decay=0.05)
    symbol = symbols.get_symbol('resnet', 8)
    trainer = Trainer(symbol, batches, plan, Compute([mx.cpu()]))
    start = {name: array.asnumpy() for name, array in trainer.state()['arg'].items()}
    twin = NumpyNesterov(start, momentum=0.8, decay=0.05)
    group = trainer.module._exec_group
    for epoch, lr in ((1, 0.1), (2, 0.01)):
        for batch in batches.train(epoch):
            trainer.module.forward(batch, is_train=True)
            trainer.module.backward()
            gradients = {
                name: array.asnumpy()
                for name, (array,) in zip(group.param_names, group.grad_arrays)
            }
            trainer.module.update()
            twin.update(gradients, lr, batch=60)
    for name, array in trainer.module.get_params()[0].items():
        numpy.testing.assert_allclose(array.asnumpy(), twin.weights[name], rtol=2e-4, atol=2e-5)
    of_two = Trainer(symbol, batches, plan, Compute([mx.cpu()], workers=Cluster(size=2)))
    assert of_two.module._optimizer.rescale_grad == 1 / 120


def test_another_seed_has_other_weights_and_another_order(place, tmp_path, monkeypatch):
    def first_epoch(folder, *more):
        """Return the parameters after an epoch with a rate of 0, and its training loss."""
        path = trained_here(monkeypatch, place, folder, '--epochs', '1', '--lr', '0', *more)
        return arrays_of(path[: -len('.jsonl')], 1), log.read(path)[1][0]['train_loss']

    one, two = (first_epoch(tmp_path / seed, '--seed', seed)[0] for seed in '12')
    assert one['arg', 'stem_conv_weight'] != two['arg', 'stem_conv_weight']
    (weights,) = (tmp_path / '1').glob('*/model-0001.params')
    (one, first), (two, second) = (
        first_epoch(tmp_path / f'from-{seed}', '--seed', seed, '--init-from', weights)
        for seed in '12'
    )
    assert all(one[key] == two[key] for key in one if key[0] == 'arg') and first != second


def test_the_defaults_for_imagenet_are_the_papers():
    """Section 6.5, and the schedule of appendix A.1."""
    given = train_imagenet.parse_args([])
    found = (given.batch_size, given.lr, given.image_size, given.augment)
    assert found == (256, 0.1, 224, 'paper')
    for section, drops, factor in (('6.5', (30, 60, 90), 10), ('a1', tuple(range(10, 100, 10)), 2)):
        given = train_imagenet.parse_args(['--schedule', section, '--epochs', '100'])
        assert train_imagenet.steps_of(given) == recipe.Decay(drops, factor)


def test_the_defaults_are_the_papers():
    assert (recipe.MOMENTUM, recipe.WEIGHT_DECAY) == (0.9, 1e-4)
    options = train_cifar.parse_args([])
    assert (options.lr, options.batch_size, options.network, options.depth, options.dataset) == (
        0.1,
        64,
        'mr',
        56,
        'cifar10',
    )
    from recordio.dataset_table import DATASETS

    assert [DATASETS[name].epochs for name in ('cifar10', 'cifar100', 'svhn')] == [400, 400, 40]
    assert [DATASETS[name].augment for name in ('cifar10', 'cifar100', 'svhn')] == [
        True,
        True,
        False,
    ]
