"""Training through the real record iterator, module and kvstore, by the scripts a user runs."""

import argparse
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import official_archives as written
import pytest
from scripts import ROOT, open_terminal, run_script, user_error
from training_runs import arguments, records_of, small_cifar

import engine.operators
import symbols
from common import checkpoint, evaluate, log, recipe, run_lock, run_state, start_run
from common.compute import Compute
from common.epoch import line_of
from common.model import Model, load_run
from common.recipe import Recipe
from common.scorer import Scorer
from common.trainer import Trainer
from engine import mx
from recordio import datasets, record_iterator

CPU = Compute([mx.cpu()])


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder with data/cifar10 made from a small archive in the official format."""
    return small_cifar(tmp_path_factory.mktemp('training'), fashion, 300, 64)


@pytest.fixture(scope='module')
def finished(place):
    """A finished run of 4 epochs: its folder, its name, its log."""
    run_script(*arguments(place))
    (path,) = glob.glob(str(place / 'logs' / '*.jsonl'))
    return place, os.path.splitext(os.path.basename(path))[0], path


def frozen(symbol):
    """The same symbol with BatchNorm computing from its moving statistics, whatever the batch."""
    graph = json.loads(symbol.tojson())
    for node in graph['nodes']:
        if node['op'] == 'BatchNorm':
            node['attrs']['use_global_stats'] = 'True'
    return mx.sym.load_json(json.dumps(graph))


def recipe_of(epochs):
    return Recipe(epochs, 0.1, recipe.cifar_decay(epochs), seed=2)


def steps(symbol, devices, batches, count):
    """Return the parameters after ``count`` updates of the first epoch."""
    trainer = Trainer(symbol, batches, recipe_of(4), Compute(devices))
    for _, batch in zip(range(count), batches.train(1)):
        trainer.module.forward(batch, is_train=True)
        trainer.module.backward()
        trainer.module.update()
    return {name: array.asnumpy() for name, array in trainer.module.get_params()[0].items()}


@pytest.mark.parametrize('network', ('mr', 'fuse3'))
def test_two_devices_step_as_one(place, network):
    """Section 6.2 splits a batch of 64 over two devices; their gradients are summed by the
    kvstore.
    """
    symbol = frozen(symbols.get_symbol(network, 8))
    batches = record_iterator.Batches(str(place / 'data' / 'cifar10'), datasets.get('cifar10'), 64)
    one, two = (
        steps(symbol, devices, batches, 1) for devices in ([mx.cpu()], [mx.cpu(0), mx.cpu(1)])
    )
    start = steps(symbol, [mx.cpu()], batches, 0)
    for name in one:
        numpy.testing.assert_allclose(two[name], one[name], atol=1e-5, err_msg=name)
    assert max(abs(one[name] - start[name]).max() for name in one) > 1e-2


@pytest.mark.parametrize('operators', ('native', 'mxnet'))
def test_no_training_step_runs_as_evaluation(place, operators, monkeypatch):
    """Evaluating right behind queued training steps must not change what they compute.

    Without the wait in ``evaluate`` MXNet's operators use BatchNorm's moving statistics
    (common/evaluate.py); the project's own have a graph for each.
    """
    if operators == 'mxnet':
        monkeypatch.setattr(engine.operators, 'load', lambda: False)
    batches = record_iterator.Batches(str(place / 'data' / 'cifar10'), datasets.get('cifar10'), 32)
    # Copies: the record iterator uses its own arrays again a few batches later.
    queue = [
        mx.io.DataBatch(
            [mx.nd.array(batch.data[0].asnumpy())], [mx.nd.array(batch.label[0].asnumpy())]
        )
        for batch in batches.train(1)
    ]
    results = []
    for wait in (True, False):
        trainer = Trainer(symbols.get_symbol('resnet', 14), batches, recipe_of(1), CPU)
        mx.nd.waitall()
        for batch in queue:
            trainer.module.forward(batch, is_train=True)
            trainer.module.backward()
            trainer.module.update()
        if wait:
            mx.nd.waitall()
        evaluate.evaluate(trainer.tester, batches.test())
        results.append(trainer.module.get_params()[0])
    for name, array in results[0].items():
        numpy.testing.assert_allclose(
            results[1][name].asnumpy(), array.asnumpy(), atol=1e-4, err_msg=name
        )


@pytest.mark.parametrize('batch', (1, 5, 7, 32, 64))
def test_every_test_image_counts_once(place, batch):
    """Whatever the batch size: the error is that of the 64 images one by one."""
    folder, dataset = str(place / 'data' / 'cifar10'), datasets.get('cifar10')
    batches = record_iterator.Batches(folder, dataset, batch)
    trainer = Trainer(symbols.get_symbol('mr', 8), batches, recipe_of(1), CPU)
    result = trainer.test()
    reference = Trainer(
        symbols.get_symbol('mr', 8), record_iterator.Batches(folder, dataset, 1), recipe_of(1), CPU
    )
    losses, wrong, wrong5 = [], [], []
    for item in reference.batches.test():
        reference.tester.forward(item, is_train=False)
        probability = reference.tester.get_outputs()[0].asnumpy()[0].astype('float64')
        label = int(item.label[0].asscalar())
        losses.append(-numpy.log(probability[label]))
        wrong.append(probability.argmax() != label)
        wrong5.append(label not in probability.argsort()[-5:])
    assert len(losses) == 64
    assert result.loss == pytest.approx(numpy.mean(losses), rel=1e-4)
    assert result.error == pytest.approx(100 * numpy.mean(wrong)) and result.top5 == pytest.approx(
        100 * numpy.mean(wrong5)
    )


def test_not_a_number_is_an_error_and_not_a_success():
    meter = evaluate.Meter()
    meter.add([mx.nd.array([[numpy.nan] * 3, [0.7, 0.2, 0.1]])], mx.nd.array([0, 0]))
    assert meter.result().error == 50 and numpy.isnan(meter.result().loss)


def test_log_of_a_run(finished):
    folder, name, path = finished
    header, records = log.read(path)
    assert (
        header['run'] == name and header['parameters'] == 154970 and header['train_images'] == 300
    )
    for option in (
        'network',
        'depth',
        'widen',
        'dataset',
        'epochs',
        'batch_size',
        'lr',
        'seed',
        'kv_store',
        'cpus',
    ):
        assert option in header['options']
    assert set(header['versions']) >= {'python', 'mxnet', 'numpy'}
    assert [record['epoch'] for record in records] == [1, 2, 3, 4]
    # 4 epochs of 10 updates: the rate drops after 20, 30 and 35 updates; the log has each epoch's
    # first.
    assert [record['lr'] for record in records] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    for record in records:
        assert (
            record['seconds'] > 0
            and record['images_per_second'] > 0
            and 0 <= record['test_error'] <= 100
        )
        assert 'test_top5' not in record  # for 100 classes and more


def test_checkpoints_of_a_run(finished):
    folder, name, path = finished
    run = folder / 'checkpoints' / name
    records = log.read(path)[1]
    state = run_state.load(str(run))
    best = min(records, key=lambda record: record['test_error'])['epoch']
    assert (state['epoch'], state['best'], state['header']['options']['seed']) == (4, best, 1)
    kept = sorted({2, 3, 4, best})  # the steps of the schedule, the last, the best
    assert state['kept'] == kept and sorted(p.name for p in run.glob('*.params')) == [
        f'model-{e:04}.params' for e in kept
    ]
    # MXNet reads it by itself, and there is nothing to unpickle.
    symbol, arg, aux = mx.model.load_checkpoint(str(run / 'model'), 4)
    arrays = checkpoint.load_arrays(str(run / 'model-0004.params'))
    assert (
        set(arg)
        == set(arrays['momentum'])
        == set(symbol.list_arguments()) - {'data', 'softmax_label'}
    )
    assert set(aux) == set(symbol.list_auxiliary_states())
    assert any(abs(array.asnumpy()).max() > 0 for array in arrays['momentum'].values())
    assert sorted(p.name for p in run.iterdir() if p.suffix != '.params') == [
        'lock',
        'model-symbol.json',
        'state-before.json',
        'state.json',
    ]


@pytest.mark.parametrize(
    'number,devices',
    [
        pytest.param(signal.SIGINT, (), marks=pytest.mark.slow),
        (signal.SIGTERM, ()),
        (signal.SIGKILL, ()),
        pytest.param(signal.SIGTERM, ('--cpus', '2'), marks=pytest.mark.slow),
    ],
)
def test_interrupted_and_resumed_run_is_the_same_run(finished, tmp_path, number, devices):
    place, name, path = finished
    if devices:
        run_script(
            *arguments(
                place,
                *devices,
                '--log-dir',
                tmp_path / 'whole',
                '--checkpoint-dir',
                tmp_path / 'whole',
            )
        )
        (path,) = glob.glob(str(tmp_path / 'whole' / '*.jsonl'))
        name = os.path.splitext(os.path.basename(path))[0]
        whole = tmp_path / 'whole' / name
    else:
        whole = place / 'checkpoints' / name
    files = ('--log-dir', tmp_path / 'logs', '--checkpoint-dir', tmp_path / 'checkpoints', *devices)
    command = [sys.executable] + [str(part) for part in arguments(place, *files)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    while not glob.glob(str(tmp_path / 'checkpoints' / '*' / 'state.json')):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    (stopped,) = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    stopped_name = os.path.splitext(os.path.basename(stopped))[0]
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    assert number == signal.SIGKILL or f'--resume {stopped_name} --data-dir' in said
    assert 1 <= run_state.load(str(tmp_path / 'checkpoints' / stopped_name))['epoch'] < 4
    run_script('train_cifar.py', '--resume', stopped_name, '--data-dir', place / 'data', *files)
    assert records_of(stopped) == records_of(path)
    ends = [
        checkpoint.load_arrays(str(folder / 'model-0004.params'))
        for folder in (whole, tmp_path / 'checkpoints' / stopped_name)
    ]
    for kind in checkpoint.KINDS:
        for key, array in ends[0][kind].items():
            numpy.testing.assert_array_equal(
                ends[1][kind][key].asnumpy(), array.asnumpy(), err_msg=key
            )


def test_resume_restores_a_lost_or_torn_log(finished, tmp_path):
    place, name, path = finished
    shutil.copytree(str(place / 'checkpoints'), str(tmp_path / 'checkpoints'))
    original = open(path).read()
    for content in (None, original[:-20], original + '{"type": "epoch", "epo'):
        shutil.rmtree(str(tmp_path / 'logs'), ignore_errors=True)
        if content is not None:
            (tmp_path / 'logs').mkdir()
            (tmp_path / 'logs' / os.path.basename(path)).write_text(content)
        run_script(
            'train_cifar.py',
            '--resume',
            name,
            '--data-dir',
            place / 'data',
            '--log-dir',
            tmp_path / 'logs',
            '--checkpoint-dir',
            tmp_path / 'checkpoints',
        )
        assert (tmp_path / 'logs' / os.path.basename(path)).read_text() == original


def test_a_run_in_progress_is_not_resumed(finished):
    place, name, _ = finished
    lock = run_lock.Lock(str(place / 'checkpoints' / name))
    try:
        said = user_error(
            'train_cifar.py',
            '--resume',
            name,
            '--data-dir',
            place / 'data',
            '--log-dir',
            place / 'logs',
            '--checkpoint-dir',
            place / 'checkpoints',
        )
        assert 'another process' in said
    finally:
        lock.release()


def test_it_learns(sample, tmp_path):
    """A small network on the sample, one epoch, too short for moving statistics of momentum 0.99:
    chance is 90 % error.
    """
    run_script(
        'train_cifar.py',
        '--dataset',
        'sample',
        '--network',
        'mr',
        '--depth',
        '8',
        '--epochs',
        '1',
        '--bn-momentum',
        '0.9',
        '--cpus',
        '1',
        '--data-dir',
        sample,
        '--log-dir',
        tmp_path,
        '--checkpoint-dir',
        tmp_path,
    )
    (record,) = log.read(glob.glob(str(tmp_path / '*.jsonl'))[0])[1]
    assert record['test_error'] < 45 and record['test_loss'] < record['train_loss']


def test_top5_with_100_classes(tmp_path, fashion):
    written.cifar_binary(
        str(tmp_path / 'cifar-100-binary.tar.gz'), fashion, 'cifar100', train=200, test=100
    )
    run_script(
        'data/prepare.py', 'cifar100', '--source', tmp_path, '--out', tmp_path, '--no-checksum'
    )
    run_script(
        'train_cifar.py',
        '--dataset',
        'cifar100',
        '--network',
        'plain',
        '--depth',
        '5',
        '--epochs',
        '1',
        '--data-dir',
        tmp_path,
        '--log-dir',
        tmp_path,
        '--checkpoint-dir',
        tmp_path,
    )
    (record,) = log.read(glob.glob(str(tmp_path / '*.jsonl'))[0])[1]
    assert (
        0 <= record['test_top5'] <= record['test_error'] <= 100
        and record['train_top5'] <= record['train_error']
    )


def test_the_papers_command_on_cpus(place):
    """python train_cifar.py --network mr --depth 56, two devices, on an archive in CIFAR-10's
    format.
    """
    said = run_script(
        'train_cifar.py',
        '--network',
        'mr',
        '--depth',
        '56',
        '--cpus',
        '2',
        '--epochs',
        '1',
        '--data-dir',
        place / 'data',
        '--log-dir',
        place / 'mr56',
        '--checkpoint-dir',
        place / 'mr56',
    )
    assert 'cifar10-mr-56-' in said and 'epoch 1/1' in said
    header, _ = log.read(glob.glob(str(place / 'mr56' / '*.jsonl'))[0])
    assert header['parameters'] == 1710426 and header['devices'] == ['cpu(0)', 'cpu(1)']


@pytest.mark.slow
def test_progress_bar_on_a_terminal_and_lines_elsewhere(place, tmp_path):
    command = [sys.executable] + [
        str(part)
        for part in arguments(
            place, '--epochs', '1', '--log-dir', tmp_path, '--checkpoint-dir', tmp_path
        )
    ]
    try:
        ours, theirs = open_terminal()
    except OSError as error:
        pytest.skip(f'no terminal to be had: {error}')
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, universal_newlines=True
    )
    os.close(theirs)
    shown = b''
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    assert process.wait() == 0 and 'epoch 1/1  lr 0.1' in process.stdout.read()
    assert b'epoch 1:' in shown and b'/300' in shown and b'loss ' in shown
    assert (
        '/300' not in run_script(*command[1:])
        and not subprocess.run(command, cwd=ROOT, capture_output=True).stderr
    )


def test_names_never_collide(tmp_path):
    header = {'options': {'network': 'mr', 'depth': 8, 'dataset': 'cifar10', 'epochs': 1}}
    logs, others, checkpoints = (str(tmp_path / name) for name in ('logs', 'others', 'checkpoints'))

    def start(number):
        folder = (logs, others)[number % 2]
        args = argparse.Namespace(log_dir=folder, checkpoint_dir=checkpoints)
        return start_run._create_log('same', args, header)

    os.mkdir(logs)
    with open(os.path.join(logs, 'same-3.jsonl'), 'w') as file:
        file.write('mine')
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(start, range(8)))
    names = [os.path.splitext(os.path.basename(path))[0] for path in made]
    assert sorted(names) == sorted(os.listdir(checkpoints)) and len(set(names)) == 8
    assert all(log.read(path)[0]['run'] == name for path, name in zip(made, names))
    assert open(os.path.join(logs, 'same-3.jsonl')).read() == 'mine'


class Random:
    """As much of ``Batches`` as a trainer asks for, and fixed batches of noise."""

    batch, shape, per_epoch = 32, (3, 32, 32), 1 << 20

    def __init__(self):
        random = numpy.random.RandomState(0)
        self.batches = [
            mx.io.DataBatch(
                [mx.nd.array(random.randn(32, 3, 32, 32))],
                [mx.nd.array(random.randint(0, 10, 32))],
                pad=0,
            )
            for _ in range(3)
        ]

    def test(self):
        return iter(self.batches)


@pytest.mark.slow
def test_every_evaluation_is_of_the_parameters_of_its_time():
    """Evaluation has a graph of its own over the same arrays: it must not keep anything of them."""
    source, symbol, states = Random(), symbols.get_symbol('mr', 8), []
    for evaluated in (True, False):
        trainer = Trainer(symbol, source, recipe_of(1), CPU)
        for _ in range(3):
            for batch in source.batches:
                trainer.module.forward(batch, is_train=True)
                trainer.module.backward()
                trainer.module.update()
            if evaluated:
                found = trainer.test()  # it waits for the training steps that are queued
                model = Model(symbol, trainer.state(), 'mr-8', 'cifar10', datasets.get('cifar10'))
                assert found == Scorer(model, mx.cpu(), 32).score(source.test())
        evaluate.wait_for_mxnet()
        states.append(
            {
                name: array.asnumpy()
                for kind in trainer.state().values()
                for name, array in kind.items()
            }
        )
    for name, array in states[0].items():
        numpy.testing.assert_array_equal(array, states[1][name], err_msg=name)


# ---- score.py ----


def test_score_repeats_the_log(finished):
    place, name, path = finished
    files = ('--data-dir', place / 'data', '--checkpoint-dir', place / 'checkpoints')
    records = log.read(path)[1]
    for which, epoch in (('last', 4), ('2', 2)):
        said = run_script('score.py', '--run', name, '--checkpoint', which, *files)
        assert (
            f'epoch {epoch}: top-1 error {records[epoch - 1]["test_error"]:.2f}%' in said
            and '64 images' in said
        )
    folder = place / 'checkpoints' / name
    said = run_script(
        'score.py',
        '--symbol',
        folder / 'model-symbol.json',
        '--params',
        folder / 'model-0004.params',
        '--dataset',
        'cifar10',
        '--rec',
        place / 'data' / 'cifar10' / 'test.rec',
        '--batch-size',
        '7',
    )
    assert f'top-1 error {records[3]["test_error"]:.2f}%' in said


@pytest.mark.slow
def test_fast_scores_are_the_same_scores(finished):
    place, name, _ = finished
    command = (
        'score.py',
        '--run',
        name,
        '--data-dir',
        place / 'data',
        '--checkpoint-dir',
        place / 'checkpoints',
    )
    plain = run_script(*command)
    assert run_script(*command, '--fast') == plain
    # Without the operators of native/ the folded graph goes through MXNet's own.
    assert (
        run_script(*command, '--fast', DFN_NATIVE='0')
        == plain
        == run_script(*command, DFN_NATIVE='0')
    )
    error, loss = (
        float(plain.split(word)[1].split()[0].rstrip('%,')) for word in ('error ', 'loss ')
    )
    rough = run_script(*command, '--fast', 'int8')
    assert (
        abs(float(rough.split('error ')[1].split('%')[0]) - error) < 5
        and f'loss {loss:.4f}' not in rough
    )
    assert 'train.rec' in user_error(
        'score.py',
        '--run',
        place / 'checkpoints' / name,
        '--fast',
        'int8',
        '--rec',
        place / 'data' / 'cifar10' / 'test.rec',
        '--data-dir',
        place,
    )


@pytest.mark.parametrize('fast,tolerance', [('float32', 1e-3), ('int8', 0.2)])
def test_fast_probabilities(finished, fast, tolerance):
    place, name, _ = finished
    symbol, arrays, _, _ = load_run(place / 'checkpoints' / name, 'last')
    dataset, folder = datasets.get('cifar10'), str(place / 'data' / 'cifar10')
    model = Model(symbol, arrays, name, 'cifar10', dataset)
    calibration = record_iterator.Records(os.path.join(folder, 'train.rec'), dataset, 32).batches()
    batch = next(record_iterator.Records(os.path.join(folder, 'test.rec'), dataset, 32).batches())
    plain, quick = (
        Scorer(model, mx.cpu(), 32),
        Scorer(model, mx.cpu(), 32, fast=fast, calibration=calibration),
    )
    for scorer in (plain, quick):
        scorer.module.forward(batch, is_train=False)
    expected, found = (scorer.module.get_outputs()[0].asnumpy() for scorer in (plain, quick))
    assert 1e-9 < abs(found - expected).max() < tolerance


def test_score_one_image(finished, tmp_path, fashion):
    import cv2

    place, name, _ = finished
    command = ('score.py', '--run', place / 'checkpoints' / name)
    cv2.imwrite(str(tmp_path / 'small.png'), fashion[1].images[0])
    cv2.imwrite(str(tmp_path / 'large.png'), cv2.resize(fashion[1].images[0], (96, 64)))
    said = run_script(*command, '--image', tmp_path / 'small.png').splitlines()
    shares = [float(line.split('%')[0]) for line in said]
    assert (
        len(said) == 10 and abs(sum(shares) - 100) < 0.1 and shares == sorted(shares, reverse=True)
    )
    assert {line.split()[-1] for line in said} == set(datasets.get('cifar10').names)
    assert '96x64 and was scaled' in run_script(*command, '--image', tmp_path / 'large.png')
    (tmp_path / 'text.png').write_text('no image')
    assert 'not an image' in user_error(*command, '--image', tmp_path / 'text.png')
    assert 'not there' in user_error(*command, '--image', tmp_path / 'none.png')


def test_score_errors(finished, tmp_path):
    place, name, _ = finished
    folder = place / 'checkpoints' / name
    assert '--run RUN' in user_error('score.py')
    assert 'not there' in user_error('score.py', '--run', 'nowhere')
    assert 'keeps last, best' in user_error('score.py', '--run', folder, '--checkpoint', '77')
    (tmp_path / 'short.params').write_bytes((folder / 'model-0004.params').read_bytes()[:5000])
    loose = ('score.py', '--dataset', 'cifar10', '--rec', place / 'data' / 'cifar10' / 'test.rec')
    assert 'damaged' in user_error(
        *loose, '--symbol', folder / 'model-symbol.json', '--params', tmp_path / 'short.params'
    )
    assert 'not a network' in user_error(
        *loose, '--symbol', folder / 'state.json', '--params', folder / 'model-0004.params'
    )
    (tmp_path / 'other.json').write_text(symbols.get_symbol('mr', 14).tojson())
    assert 'not those of this network' in user_error(
        *loose, '--symbol', tmp_path / 'other.json', '--params', folder / 'model-0004.params'
    )


# ---- mistakes ----


@pytest.mark.parametrize(
    'options,word',
    [
        (('--depth', '57'), 'nearest 56 and 62'),
        (('--gpus', '0,1'), '--cpus'),
        (('--gpus', '0,0'), 'twice'),
        (('--gpus', 'all'), 'not a number'),
        (('--epochs', '0'), 'less than 1'),
        (('--lr', 'nan'), 'finite'),
        (('--lr', '-1'), 'less than 0'),
        (('--batch-size', '0'), 'less than 1'),
        (('--batch-size', '100'), 'smaller batch'),
        (('--batch-size', '33', '--cpus', '2'), 'evenly'),
        (('--dataset', 'svhn'), 'data/prepare.py'),
        (('--data-dir', '/nowhere'), 'not there'),
        (('--resume', 'nowhere'), 'no checkpoint yet'),
        (('--kv-store', 'nccl', '--cpus', '2'), '--kv-store device'),
        (('--dtype', 'float16', '--cpus', '1'), 'for GPUs'),
        (('--widen', '0'), 'less than 1'),
        (('--seed', '-1'), 'less than 0'),
    ],
)
def test_mistakes_in_options(place, options, word):
    assert word in user_error(*arguments(place, *options))


def test_resume_with_other_options(finished):
    place, name, _ = finished
    said = user_error(*arguments(place, '--resume', name, '--depth', '14'))
    assert '--depth 8' in said and 'new run' in said


@pytest.mark.parametrize('option', ('--resume', '--init-from'))
def test_a_run_without_a_name(place, option):
    """A shell variable that is not set; no new run may begin."""
    assert 'it is empty: name a run' in user_error(*arguments(place, option, ''))


def test_log_folder_that_cannot_be_written(place):
    (place / 'file').write_text('')
    assert 'check the path' in user_error(*arguments(place, '--log-dir', place / 'file' / 'logs'))


def test_help_names_the_papers_defaults():
    said = run_script('train_cifar.py', '--help')
    assert '400 for cifar10' in ' '.join(said.split()) and '40 for svhn' in ' '.join(said.split())


def test_the_line_of_an_epoch():
    record = {
        'epoch': 1,
        'lr': 0.1,
        'train_loss': 1,
        'train_error': 2,
        'test_loss': 3,
        'test_error': 4,
        'images_per_second': 5,
    }
    first = 'epoch 1/9  lr 0.1  train loss 1.0000 error 2.00%  '
    last = 'test loss 3.0000 error 4.00%  5 images/s'
    assert line_of(record, 9) == first + last
    record.update(validation_loss=6, validation_error=7)
    assert line_of(record, 9) == f'{first}validation loss 6.0000 error 7.00%  {last}'


def test_a_run_of_one_epoch_has_no_drop():
    assert recipe.drop_epochs(recipe.cifar_decay(1)) == []
