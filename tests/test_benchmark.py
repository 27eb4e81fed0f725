"""benchmark.py measures both sides in turn and prints their ratio."""

import os
import re
import stat
import venv

import pytest
from scripts import run_script, user_error

from graphs import summary
from symbols import ensemble

SHORT = (
    '--network',
    'mr',
    '--depth',
    '8',
    '--batch-size',
    '8',
    '--rounds',
    '2',
    '--seconds',
    '0.2',
)
ENSEMBLE = ('--network', 'ensemble', *SHORT[2:])


def rates(said, task, side):
    return float(re.search(rf'^{task} +{side} +([\d.]+)', said, re.MULTILINE).group(1))


@pytest.mark.slow
def test_alone_and_from_records(sample):
    said = run_script('benchmark.py', *SHORT)
    assert rates(said, 'train', 'ours') > 10 and rates(said, 'inference', 'ours') > rates(
        said, 'train', 'ours'
    )
    assert (
        rates(
            run_script('benchmark.py', *SHORT, '--task', 'train', '--data', sample / 'sample'),
            'train',
            'ours',
        )
        > 10
    )


@pytest.mark.slow
def test_record_files_of_ones_own(sample, tmp_path):
    """They lie in any folder, and no table of data sets has their name."""
    (tmp_path / 'mine').mkdir()
    for name in ('train.rec', 'train.idx', 'test.rec', 'test.idx'):
        (tmp_path / 'mine' / name).symlink_to(sample / 'sample' / name)
    said = run_script('benchmark.py', *SHORT, '--task', 'train', '--data', tmp_path / 'mine')
    assert rates(said, 'train', 'ours') > 10


def test_images_that_the_network_does_not_take(sample):
    # No file is opened: the table of data sets says what CIFAR-100 is.
    said = user_error('benchmark.py', *SHORT, '--data', sample / 'cifar100')
    assert 'has 100 classes of images of 32 pixels' in said and 'name other images' in said
    large = ('--network', 'mr', '--depth', '44', '--image-size', '64')
    assert 'and the networks of a benchmark take 64 pixels' in user_error(
        'benchmark.py', *large, '--data', sample / 'sample'
    )
    said = user_error('benchmark.py', *large, '--compare', 'textbook')
    assert 'the textbook graphs are for images of 32 pixels' in said


def test_a_python_without_numpy_or_torch(tmp_path):
    venv.create(tmp_path / 'bare', with_pip=False)
    python = tmp_path / 'bare' / 'bin' / 'python'
    said = run_script('benchmark.py', *SHORT, '--compare', 'torch', '--python', python, status=2)
    assert f'install it with "{python} -m pip install' in said and 'Traceback' not in said


@pytest.mark.slow
def test_against_the_textbook():
    said = run_script('benchmark.py', *SHORT, '--compare', 'textbook', '--task', 'train')
    assert rates(said, 'train', 'textbook') > 1
    ratio = float(re.search(r'ours / textbook: ([\d.]+)', said).group(1))
    assert ratio == pytest.approx(
        rates(said, 'train', 'ours') / rates(said, 'train', 'textbook'), rel=0.5
    )


def test_against_pytorch():
    pytest.importorskip('torch')
    assert re.search(
        r'ours / torch n(chw|hwc): [\d.]+', run_script('benchmark.py', *SHORT, '--compare', 'torch')
    )


@pytest.mark.slow
def test_the_ensemble():
    said = run_script('benchmark.py', *ENSEMBLE)
    assert rates(said, 'inference', 'ours') > rates(said, 'train', 'ours') > 10


def test_the_ensemble_for_pytorch():
    """It has the parameters of the project's own, and as many outputs of its shape."""
    torch = pytest.importorskip('torch')
    from benchmarks.torch_ensemble import Ensemble

    network = Ensemble(2, 10)
    expected = summary.parameters(ensemble.get_symbol(2, 10))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    scores = network(torch.zeros(3, 3, 32, 32))
    assert [tuple(each.shape) for each in scores] == [(3, 10)] * len(ensemble.NAMES)


@pytest.mark.slow
def test_other_comparisons_of_the_project_with_itself(sample):
    said = run_script(
        'benchmark.py',
        *SHORT,
        '--task',
        'train',
        '--compare',
        'synthetic',
        '--data',
        sample / 'sample',
    )
    assert rates(said, 'train', 'synthetic') > 10 and 'ours / synthetic' in said
    said = run_script('benchmark.py', *SHORT, '--task', 'train', '--compare', 'denormals')
    assert rates(said, 'train', 'denormals') > 10


def test_against_onnx_runtime():
    """It reads the network from a file, and computes inference alone."""
    said = run_script('benchmark.py', *SHORT, '--compare', 'onnxruntime')
    assert rates(said, 'inference', 'ONNX Runtime') > 10 and 'ours / ONNX Runtime' in said
    assert 'train' not in said


@pytest.mark.slow
def test_against_onnx_runtime_in_integers():
    said = run_script('benchmark.py', *SHORT, '--compare', 'onnxruntime', '--fast', 'int8')
    assert rates(said, 'inference', 'ONNX Runtime') > 10


@pytest.mark.slow
@pytest.mark.parametrize('rival', ['torch-compile', 'openvino'])
def test_against_what_is_installed_elsewhere(rival):
    """Skipped where the package is not installed beside the tests."""
    pytest.importorskip(rival.split('-')[0])
    assert re.search(
        r'ours / \S+( n\S+)?: [\d.]+', run_script('benchmark.py', *SHORT, '--compare', rival)
    )


@pytest.mark.slow
def test_networks_for_imagenet():
    said = run_script(
        'benchmark.py', *SHORT[4:], '--network', 'resnet', '--depth', '50', '--image-size', '64'
    )
    assert rates(said, 'inference', 'ours') > 0.1


@pytest.mark.slow
def test_limit_and_start_up():
    said = run_script('benchmark.py', *SHORT, '--task', 'train')
    assert float(re.search(r'multiply-adds on every thread reach (\d+) GFLOP/s', said).group(1)) > 1
    import_, bind, first = (
        float(text)
        for text in re.search(
            r'import ([\d.]+), bind ([\d.]+), first batch ([\d.]+)', said
        ).groups()
    )
    assert import_ > 0.1 and bind > 0 and first > 0


def test_operators():
    """The times by class of operator; and /dev/null, which the profiler was once given, is still a
    device.
    """
    said = run_script(
        'benchmark.py', '--network', 'mr', '--depth', '8', '--batch-size', '8', '--operators'
    )
    shares = {
        line.split('%  ')[1]: float(line.split('ms')[1].split('%')[0])
        for line in said.splitlines()[1:]
    }
    assert abs(sum(shares.values()) - 100) < 1
    assert {
        'convolution, forward',
        'convolution, backward',
        'BatchNorm, sums, ReLU, forward',
        'update',
    } <= set(shares)
    assert shares['other'] < 50
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_mistakes():
    assert '--data DIR' in user_error('benchmark.py', '--compare', 'synthetic')
    assert 'is no interpreter' in user_error(
        'benchmark.py', *SHORT, '--compare', 'torch', '--python', '/nowhere/python'
    )
    assert 'nearest' in user_error('benchmark.py', '--depth', '15')
    assert 'leave --compare' in user_error('benchmark.py', *ENSEMBLE, '--compare', 'textbook')
    assert 'leave --image-size' in user_error('benchmark.py', *ENSEMBLE, '--image-size', '224')
