"""Runs: their names, what they begin from, how long they go on, and listing them."""

import argparse
import hashlib
import os
import shutil

import numpy
import official_archives as archives
import pytest
from scripts import run_script, user_error
from training_runs import arguments, arrays_of, back_to, name_of, small_cifar

import symbols
import train_cifar
import train_imagenet
from common import (
    changes,
    checkpoint,
    compute,
    fine_tuning,
    log,
    recipe,
    resumed_options,
    run_commands,
    run_state,
)
from common.run import Run
from distributed.cluster import ALONE
from engine import mx, params
from engine.optimizer import Schedule
from report import repetition, run_setting
from system.errors import UserError


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder with a small CIFAR-10 and a finished run of two epochs, called ``first``."""
    folder = small_cifar(tmp_path_factory.mktemp('runs'), fashion, 100, 40)
    run_script(*arguments(folder, '--epochs', '2', '--name', 'first'))
    return folder


def folders(folder):
    return ('--log-dir', folder / 'logs', '--checkpoint-dir', folder / 'checkpoints')


# ---- --name ----


def test_a_tag_is_in_the_name_of_the_run_and_its_files(place):
    name = name_of(place / 'checkpoints')
    assert name.startswith('cifar10-mr-8-first-20')
    header, _ = log.read(str(place / 'logs' / (name + '.jsonl')))
    assert header['run'] == name


@pytest.mark.parametrize('tag', ('../x', 'a/b', 'a b', '.hidden', '-x', '', 'a' * 41))
def test_a_tag_that_is_no_part_of_a_file_name_is_refused(tag, capsys):
    with pytest.raises(SystemExit):
        train_cifar.parse_args(['--name=' + tag])
    assert 'cannot be part of a file name' in capsys.readouterr().err


def test_a_tag_is_not_part_of_the_setting_and_stays(place):
    plain, tagged = (vars(train_cifar.parse_args(words)) for words in ([], ['--name', 'x']))
    assert run_setting.setting_of(plain) == run_setting.setting_of(tagged)
    del plain['name']  # as in a log of before
    with pytest.raises(UserError, match='was started without --name and cannot go on with x'):
        resumed_options.resumed(train_cifar.parse_args, ['--name', 'x'], dict(plain, epochs=400), 2)


# ---- --init-from ----


def params_of(place):
    name = name_of(place / 'checkpoints')
    return place / 'checkpoints' / name / 'model-0002.params'


def initial(place, named, symbol):
    args = train_cifar.parse_args(
        ['--init-from', str(named), '--checkpoint-dir', str(place / 'checkpoints')]
    )
    return fine_tuning.read(args, symbol, (3, 32, 32), ALONE)


def test_fine_tuning_with_other_classes(place, tmp_path, fashion):
    """With a learning rate of 0 the first epoch leaves the parameters as they began."""
    archives.cifar_binary(str(tmp_path / 'cifar-100-binary.tar.gz'), fashion, 'cifar100', 100, 100)
    run_script(
        *('data/prepare.py', 'cifar100', '--source', tmp_path, '--out', tmp_path / 'data'),
        '--no-checksum',
    )
    name = name_of(place / 'checkpoints')
    said = run_script(
        *arguments(tmp_path, '--epochs', '1', '--dataset', 'cifar100', '--lr', '0'),
        *('--init-from', place / 'checkpoints' / name),
        stderr=True,
    )
    assert 'fc_weight, fc_bias: made anew, because' in said and 'tells 10 classes apart' in said
    before = checkpoint.load_arrays(str(params_of(place)))['arg']
    (path,) = (tmp_path / 'checkpoints').glob('*/model-0001.params')
    after = checkpoint.load_arrays(str(path))['arg']
    assert after.keys() == before.keys()
    for key, array in before.items():
        if not key.startswith('fc_'):
            assert (array.asnumpy() == after[key].asnumpy()).all(), key
    head = after['fc_weight'].asnumpy()
    assert head.shape == (100, 64) and 0.9 / 8 < abs(head).max() <= 1 / 8
    assert not after['fc_bias'].asnumpy().any()
    (log_path,) = (tmp_path / 'logs').glob('*.jsonl')
    digest = hashlib.sha256(params_of(place).read_bytes()).hexdigest()
    header, _ = log.read(str(log_path))
    assert header['init_from'] == {'name': name, 'epoch': 2, 'params_sha256': digest}


def test_a_file_with_the_same_classes_is_taken_whole(place):
    found = initial(place, params_of(place), symbols.get_symbol('mr', 8))
    whole = checkpoint.load_arrays(str(params_of(place)))
    assert found.entry['name'] == 'model-0002.params' and found.entry['epoch'] is None
    for kind in ('arg', 'aux'):
        assert found.arrays[kind].keys() == whole[kind].keys()
    assert found.arrays['momentum'] == {} != whole['momentum']


@pytest.mark.parametrize(
    'network,depth,widen,why',
    [
        ('mr', 14, 1, 'it lacks group1_unit2_branch1_layer1_conv_weight'),
        ('mr', 8, 2, r'stem_conv_weight has the shape \(16, 3, 3, 3\) there and \(32, 3, 3, 3\)'),
        ('plain', 5, 1, 'it lacks group1_'),
    ],
)
def test_parameters_of_another_network_are_refused(place, network, depth, widen, why):
    with pytest.raises(UserError, match=f'is of another network .{why}'):
        initial(place, params_of(place), symbols.get_symbol(network, depth, 10, widen))


def test_a_file_with_more_than_the_network_is_refused(place, tmp_path):
    arrays = checkpoint.load_arrays(str(params_of(place)))
    arrays['aux']['more_bn_moving_mean'] = arrays['aux']['stem_bn_moving_mean']
    params.write(str(tmp_path / 'more.params'), checkpoint.flat(arrays))
    with pytest.raises(UserError, match='it has more_bn_moving_mean, which the network lacks'):
        initial(place, tmp_path / 'more.params', symbols.get_symbol('mr', 8))


def test_nothing_of_that_name(place):
    said = user_error(*arguments(place, '--init-from', 'nowhere'))
    assert '--init-from nowhere: there is no such file, and no such run in' in said
    assert len(list((place / 'logs').iterdir())) == 1  # nothing was begun


def test_what_a_run_began_from_is_part_of_its_setting():
    options = vars(train_cifar.parse_args([]))
    own = dict(options, init_from='checkpoints/RUN/')
    settings = [
        run_setting.setting_of(options),
        run_setting.setting_of(dict(options, init_from='RUN')),
        run_setting.setting_of(own),
        run_setting.setting_of(own, {'init_from': {'name': 'RUN', 'params_sha256': 'a' * 64}}),
    ]
    assert list(run_setting.differences(settings[:2])) == ['init_from']
    assert settings[1] == settings[2]
    assert list(run_setting.differences(settings[2:])) == ['init_sha256']
    assert run_setting.brief('init_sha256', 'a' * 64) == 'from parameters aaaaaaaa'


# ---- devices ----


def test_a_run_goes_on_with_the_devices_of_before(place, tmp_path):
    """Two CPU contexts have BatchNorm statistics of their own, so one gives other parameters."""
    data = ('--data-dir', place / 'data')
    run_script(*arguments(tmp_path, '--epochs', '2', '--cpus', '2', *data))
    name = name_of(tmp_path / 'checkpoints')
    run = tmp_path / 'checkpoints' / name
    whole = arrays_of(run, 2)
    resume = ('train_cifar.py', '--resume', name, *data, *folders(tmp_path))
    back_to(run, 1)
    assert 'goes on with' not in run_script(*resume, stderr=True)
    assert arrays_of(run, 2) == whole
    back_to(run, 1)
    assert 'devices 1 instead of 2' in run_script(*resume, '--cpus', '1', stderr=True)
    assert arrays_of(run, 2) != whole


def test_another_compression_of_gradients_is_said(place, capsys):
    """It is no part of what a run that goes on must keep, but of what makes repetitions."""
    run = name_of(place / 'checkpoints')
    header, _ = log.read(str(place / 'logs' / f'{run}.jsonl'))
    options = argparse.Namespace(**header['options'])
    machine = compute.Compute([mx.cpu(0)])
    changes.tell(header, options, machine)
    assert 'do not count it' not in capsys.readouterr().err
    options.gradient_compression, options.compression_threshold = '2bit', 0.25
    changes.tell(header, options, machine)
    said = capsys.readouterr().err
    assert (
        'goes on with synchronous updates and gradient compression 2bit of threshold 0.25' in said
    )
    assert 'was started with synchronous updates and gradient compression none' in said


@pytest.mark.parametrize(
    'words,devices,hint',
    [
        ([], ([0, 1], None), ''),
        (['--gpus', '1'], ([1], None), ' --gpus 1'),
        (['--cpus', '2'], (None, 2), ' --cpus 2'),
    ],
)
def test_devices_that_are_named_take_the_place_of_those_of_before(words, devices, hint, tmp_path):
    stored = vars(train_cifar.parse_args(['--gpus', '0,1', '--epochs', '2']))
    found = resumed_options.resumed(train_cifar.parse_args, words, stored, 1)
    assert (found.gpus, found.cpus) == devices
    found.checkpoint_dir = str(tmp_path)
    run = Run(found, {'run': 'r', 'options': stored}, recipe.Recipe(2, 0.1, None))
    assert run_commands.resume(run).endswith(f'--resume r --checkpoint-dir {tmp_path}{hint}')
    run.release()


# ---- more epochs for a finished run ----


@pytest.fixture
def copy(place, tmp_path):
    """A copy of the finished run; return its folder and its name."""
    for part in ('logs', 'checkpoints'):
        shutil.copytree(place / part, tmp_path / part)
    (tmp_path / 'data').symlink_to(place / 'data')
    return tmp_path, name_of(tmp_path / 'checkpoints')


def resume(folder, *more):
    return ('train_cifar.py', *more, '--data-dir', folder / 'data', *folders(folder))


def test_a_finished_run_goes_on_with_the_rate_of_its_end(copy):
    folder, name = copy
    run, path = folder / 'checkpoints' / name, str(folder / 'logs' / (name + '.jsonl'))
    before = log.read(path)[1]
    said = run_script(*resume(folder, '--resume', name, '--epochs', '3'))
    # The drops after 1/2, 3/4 and 7/8 of 2 epochs stay, so the rate stays a thousandth.
    assert (
        'the run of 2 epochs goes on to 3: the learning rate was 0.0001 at the end of epoch 2, is '
        '0.0001 at the beginning of epoch 3, and will be 0.0001 at the end of epoch 3' in said
    )
    header, records = log.read(path)
    assert (header['options']['epochs'], header['options']['epochs_before']) == (3, [2])
    assert records[:2] == before and records[2]['lr'] == pytest.approx(0.0001)
    assert repetition.read([path])[0].finished
    # Interrupted after epoch 2, it goes on as it was told, without --epochs.
    whole = arrays_of(run, 3)
    back_to(run, 2)
    run_script(*resume(folder, '--resume', name))
    assert arrays_of(run, 3) == whole
    once = dict(header['options'], epochs_before=None)
    settings = [run_setting.setting_of(each) for each in (header['options'], once)]
    assert list(run_setting.differences(settings)) == ['epochs_before']


def test_a_killed_run_knows_how_far_it_was_to_go(copy):
    """The state has the new number before the first of the new epochs."""
    folder, name = copy
    args = train_cifar.parse_args(['--resume', name, *map(str, folders(folder)), '--epochs', '7'])
    args.epochs_before = [2]
    header = run_state.load(str(folder / 'checkpoints' / name))['header']
    run = Run(args, header, recipe.Recipe(7, 0.1, recipe.cifar_decay(2)))
    run.load()
    run.release()

    def end():
        options = run_state.load(str(folder / 'checkpoints' / name))['header']['options']
        return options['epochs'], options['epochs_before']

    assert end() == (7, [2])
    # As long as none of the new epochs is done, their number can be corrected or taken back.
    run_script(*resume(folder, '--resume', name, '--epochs', '2'))
    assert end() == (2, None)
    path = str(folder / 'logs' / (name + '.jsonl'))
    assert repetition.read([path])[0].finished and not os.path.exists(path + '.kept-1')


def test_fewer_epochs_and_unfinished_runs_are_refused():
    stored = dict(vars(train_cifar.parse_args([])), epochs=8)
    for words, done, why in (
        (['--epochs', '7'], 8, 'was started with --epochs 8 and cannot go on with 7'),
        (['--epochs', '9'], 5, 'has done 5 of its 8 epochs: leave --epochs out'),
    ):
        with pytest.raises(UserError, match=why):
            resumed_options.resumed(train_cifar.parse_args, words, stored, done)
    again = resumed_options.resumed(train_cifar.parse_args, ['--epochs', '9'], stored, 8)
    more = resumed_options.resumed(train_cifar.parse_args, ['--epochs', '12'], vars(again), 9)
    assert (more.epochs, more.epochs_before) == (12, [8, 9])
    for words, epochs, before in (
        ([], 12, [8, 9]),
        (['--epochs', '10'], 10, [8, 9]),
        (['--epochs', '9'], 9, [8]),
    ):
        other = resumed_options.resumed(train_cifar.parse_args, words, vars(more), 9)
        assert (other.epochs, other.epochs_before) == (epochs, before)
    with pytest.raises(UserError, match='was started with --epochs 12'):
        resumed_options.resumed(train_cifar.parse_args, ['--epochs', '11'], vars(more), 10)


def test_the_rates_of_runs_that_go_on():
    def rates(decay, per_epoch=10):
        schedule = Schedule(0.1, decay, per_epoch)
        return numpy.array([schedule(update) for update in range(1, 12 * per_epoch + 1)])

    cosine = train_cifar.parse_args(['--decay', 'cosine', '--epochs', '12'])
    cosine.epochs_before = [8]
    found = rates(recipe.from_options(cosine, None).decay)
    numbers = numpy.arange(120)
    first, whole = (0.05 * (1 + numpy.cos(numpy.pi * numbers / end)) for end in (80, 120))
    numpy.testing.assert_allclose(found[:80], first[:80], rtol=1e-12)
    numpy.testing.assert_allclose(found[80:], whole[80:], rtol=1e-12)
    steps = train_imagenet.parse_args(['--epochs', '12', '--drop-every', '3'])
    steps.epochs_before = [8]
    found = rates(recipe.from_options(steps, train_imagenet.steps_of(steps)).decay)
    numpy.testing.assert_allclose(found, 0.1 / 10.0 ** (numbers // 30), rtol=1e-12)
