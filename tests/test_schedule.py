"""The learning rate at every update, and the update itself where the rate always changes."""

import os
import shutil

import numpy
import pytest
from scripts import run_script, user_error
from test_recipe import NumpyNesterov
from training_runs import arguments, arrays_of, back_to, name_of, records_of, small_cifar

import symbols
import train_cifar
import train_imagenet
from common import log, recipe, resumed_options
from engine import mx, optimizer
from report import repetition, run_setting, table_captions

UPDATES = 7  # in an epoch
EPOCHS = 8


def rates(decay, lr=0.1):
    schedule = optimizer.Schedule(lr, decay, UPDATES)
    return [schedule(update) for update in range(1, EPOCHS * UPDATES + 1)]


def with_options(*words):
    """Return the ``Decay`` that train_cifar.py makes of options."""
    args = train_cifar.parse_args(['--epochs', str(EPOCHS), *words])
    return recipe.from_options(args, recipe.cifar_decay(EPOCHS)).decay


def test_cosine_at_every_update():
    total = EPOCHS * UPDATES
    expected = 0.05 * (1 + numpy.cos(numpy.pi * numpy.arange(total) / total))
    numpy.testing.assert_allclose(rates(with_options('--decay', 'cosine')), expected, rtol=1e-12)


@pytest.mark.parametrize('warmup', ('1', '2.5'))
def test_warmup_before_a_cosine(warmup):
    first, total = round(UPDATES * float(warmup)), EPOCHS * UPDATES
    falling = numpy.arange(total - first) / (total - first)
    expected = [
        *(0.1 * numpy.arange(1, first + 1) / first),
        *(0.05 * (1 + numpy.cos(numpy.pi * falling))),
    ]
    found = rates(with_options('--decay', 'cosine', '--warmup', warmup))
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)


def test_warmup_leaves_the_drops_where_they_are():
    plain, warm = rates(with_options()), rates(with_options('--warmup', '5'))
    ramp = numpy.minimum(1, numpy.arange(1, len(plain) + 1) / (5 * UPDATES))
    numpy.testing.assert_allclose(warm, plain * ramp, rtol=1e-12)
    assert plain[:28] == [0.1] * 28 and plain[28] == 0.01  # section 6.2, half of the epochs


def test_updates_equal_numpy_where_every_one_has_another_rate():
    """Warm-up and cosine, and a new optimizer in the middle, as a resumed run has one."""
    random, batch = numpy.random.RandomState(0), 4
    module = mx.mod.Module(symbols.get_symbol('resnet', 8), context=mx.cpu())
    module.bind([('data', (batch, 3, 32, 32))], [('softmax_label', (batch,))])
    mx.random.seed(0)
    module.init_params(recipe.initializer())
    schedule = optimizer.Schedule(0.1, recipe.Decay(cosine=(10,), warmup=3), 1)
    names = module._param_names
    weights = [mx.nd.array(module.get_params()[0][name]) for name in names]
    twin = NumpyNesterov(
        {name: weight.asnumpy() for name, weight in zip(names, weights)}, momentum=0.8, decay=0.05
    )
    states = None
    for update in range(1, 11):
        if update in (1, 3, 7):  # in the warm-up, and while the rate falls
            before = schedule(update - 1) if update > 1 else None
            own = optimizer.Nesterov(
                learning_rate=0.1,
                momentum=0.8,
                lr_scheduler=schedule,
                wd=0.05,
                rescale_grad=1 / batch,
                begin_num_update=update - 1,
                velocity_lr=before,
            )
            states = states or [own.create_state(*pair) for pair in enumerate(weights)]
        gradients = [random.randn(*weight.shape).astype('float32') for weight in weights]
        own.update(
            list(range(len(names))), weights, [mx.nd.array(each) for each in gradients], states
        )
        twin.update(dict(zip(names, gradients)), schedule(update), batch)
        for name, weight in zip(names, weights):
            numpy.testing.assert_allclose(
                weight.asnumpy(), twin.weights[name], rtol=2e-4, atol=2e-5, err_msg=name
            )


def test_a_rate_of_zero_leaves_no_momentum_and_no_nan():
    own = optimizer.Nesterov(learning_rate=0.1, momentum=0.9, wd=0, rescale_grad=1)
    weight, gradient = mx.nd.ones((3,)), mx.nd.ones((3,))
    state = own.create_state(0, weight)
    for rate in (0.1, 0, 0.1):
        own.set_learning_rate(rate)
        own.update(0, weight, gradient, state)
    numpy.testing.assert_allclose(weight.asnumpy(), 1 - 2 * 0.1 * 1.9, rtol=1e-6)


# ---- through the scripts ----

NEW = ('--decay', 'cosine', '--warmup', '1', '--momentum', '0.8', '--weight-decay', '0.001')


@pytest.fixture(scope='module')
def trained(tmp_path_factory, fashion):
    """A folder with a finished run of three epochs with every one of the options."""
    folder = small_cifar(tmp_path_factory.mktemp('schedule'), fashion, 100, 40)
    run_script(*arguments(folder, '--epochs', '3', *NEW))
    return folder


def test_the_log_has_the_options_and_the_rates(trained):
    name = name_of(trained / 'checkpoints')
    header, records = log.read(str(trained / 'logs' / (name + '.jsonl')))
    options = header['options']
    assert [options[key] for key in ('decay', 'warmup', 'momentum', 'weight_decay')] == [
        'cosine',
        1,
        0.8,
        0.001,
    ]
    # Of the first update of an epoch: a quarter of 0.1, then the beginning and half of the cosine.
    assert [record['lr'] for record in records] == pytest.approx([0.025, 0.1, 0.05])


def test_momentum_and_weight_decay_reach_the_recipe():
    args = train_cifar.parse_args(['--epochs', '3', *NEW])
    plan = recipe.from_options(args, recipe.cifar_decay(3))
    assert (plan.momentum, plan.weight_decay) == (0.8, 0.001)
    assert plan.decay == recipe.Decay(cosine=(3,), warmup=1)


def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_never_stopped(trained, tmp_path):
    for part in ('logs', 'checkpoints'):
        shutil.copytree(trained / part, tmp_path / part)
    os.symlink(trained / 'data', tmp_path / 'data')
    name = name_of(tmp_path / 'checkpoints')
    run, path = tmp_path / 'checkpoints' / name, tmp_path / 'logs' / (name + '.jsonl')
    whole, records = arrays_of(run, 3), records_of(path)
    back_to(run, 2)
    said = user_error(*arguments(tmp_path)[:1], '--resume', run, '--momentum', '0.9')
    assert 'was started with --momentum 0.8' in said
    run_script('train_cifar.py', '--resume', name, *arguments(tmp_path)[-6:])
    assert arrays_of(run, 3) == whole and records_of(path) == records


def test_a_run_of_before_has_the_papers_values():
    """Its header lacks the options; it shares a curve with a run that has them as defaults."""
    now = vars(train_cifar.parse_args(['--epochs', '8']))
    before = {key: value for key, value in now.items() if key not in resumed_options.IMPLIED}
    assert run_setting.setting_of(before) == run_setting.setting_of(now)
    args = resumed_options.resumed(train_cifar.parse_args, [], before, 8)
    assert (args.momentum, args.weight_decay, args.decay, args.warmup) == (0.9, 1e-4, 'steps', 0)
    with pytest.raises(resumed_options.UserError, match='was started with --decay steps'):
        resumed_options.resumed(train_cifar.parse_args, ['--decay', 'cosine'], before, 8)


def test_each_option_is_part_of_the_setting():
    plain = run_setting.setting_of(vars(train_cifar.parse_args([])))
    for words in (NEW[:2], NEW[2:4], NEW[4:6], NEW[6:]):
        other = run_setting.setting_of(vars(train_cifar.parse_args([*words])))
        assert list(run_setting.differences([plain, other])) == [words[0][2:].replace('-', '_')]


def test_a_caption_says_that_a_table_has_a_cosine(trained):
    name = name_of(trained / 'checkpoints')
    (run,) = repetition.read([str(trained / 'logs' / (name + '.jsonl'))])

    class Table:
        number, settings = 4, [('cifar10', run.setting)]

    said = table_captions.differences_from_paper(Table)
    assert 'the decay of the learning rate cosine instead of steps' in said
    assert 'the epochs of warm-up 1.0 instead of 0' in said


def test_a_warmup_as_long_as_the_training_is_refused(trained):
    said = user_error(*arguments(trained, '--epochs', '2', '--warmup', '2'))
    assert '--warmup 2 is not shorter than the training of 2 epochs' in said


def test_photographs_with_a_cosine_have_no_steps():
    args = train_imagenet.parse_args(['--decay', 'cosine', '--epochs', '90'])
    assert args.drop_every is None
    assert recipe.from_options(args, train_imagenet.steps_of(args)).decay.cosine == (90,)
    assert 'leave it out with a cosine' in user_error(
        'train_imagenet.py', '--decay', 'cosine', '--drop-every', '5'
    )
