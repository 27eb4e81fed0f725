"""export.py: what other programs compute with a network that it has written is what MXNet does."""

import json
import os
import subprocess
import sys

import numpy
import pytest
import training_runs
from scripts import ROOT, run_script, user_error

import export
import symbols
from common import checkpoint, run_state, symbol_file
from engine import mx
from graphs import fold, onnx_graph, untrusted_symbol
from symbols import ensemble, imagenet
from system.errors import UserError

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

INPUTS = ('data', 'softmax_label')
SMALL_DEPTHS = {name: 2 + 2 * entry.unit_depth for name, entry in symbols.NETWORKS.items()}
IMAGENET = [(name, depth) for name, depths in imagenet.NETWORKS.items() for depth in depths]
EXACT = 1e-5


def random_arrays(symbol, shape):
    """Return {'arg': ..., 'aux': ...} of random values that keep the feature maps' size."""
    random = numpy.random.RandomState(0)
    arguments, _, auxiliary = symbol.infer_shape(data=(1, *shape))
    arrays = {'arg': {}, 'aux': {}, 'momentum': {}}
    for kind, names, shapes in (
        ('arg', symbol.list_arguments(), arguments),
        ('aux', symbol.list_auxiliary_states(), auxiliary),
    ):
        for name, size in zip(names, shapes):
            if name in INPUTS:
                continue
            if name.endswith(('gamma', 'var')):
                drawn = random.rand(*size) + 0.5
            else:
                scale = numpy.prod(size[1:]) ** -0.5 if len(size) > 1 else 0.2
                drawn = random.randn(*size) * scale
            arrays[kind][name] = mx.nd.array(drawn)
    return arrays


def with_unit_logits(symbol, arrays, shape):
    """Scale the classifiers' weights so that logits have the standard deviation 1.

    In a deep ResNet every unit adds to what is passed on. So with unscaled weights its softmax
    output is 1 for one class, which hides what an export got wrong.
    """
    internals, images = symbol.get_internals(), images_of(5, shape)
    for name in filter(lambda name: name.endswith('fc_weight'), symbol.list_arguments()):
        output = name[: -len('weight')] + 'output'
        *_, last = (each for each in internals.list_outputs() if each.endswith(output))
        (logits,) = by_mxnet(internals[last], arrays, images)
        arrays['arg'][name] /= logits.std()
    return arrays


def images_of(batch, shape):
    return numpy.random.RandomState(batch).randn(batch, *shape).astype('float32')


def by_mxnet(symbol, arrays, images):
    """Return the outputs of MXNet's own operators, of an ensemble one for each component."""
    executor = symbol.simple_bind(mx.cpu(), data=images.shape, grad_req='null')
    executor.copy_params_from(arrays['arg'], arrays['aux'], allow_extra_params=True)
    return [output.asnumpy() for output in executor.forward(is_train=False, data=images)]


def by_onnx(content, images):
    """Return {name: output} of ONNX Runtime."""
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {'data': images})))


def check_onnx(symbol, shape, components=False):
    """Compare the outputs of ONNX Runtime with MXNet's, folded and not, for batches of 1 and 5."""
    arrays = with_unit_logits(symbol, random_arrays(symbol, shape), shape)
    folded, *values = fold.fold(symbol, arrays['arg'], arrays['aux'])
    for graph, (arg, aux) in ((symbol, (arrays['arg'], arrays['aux'])), (folded, values)):
        model = onnx_graph.convert(graph, {**arg, **aux}, shape, components)
        kinds = {node.op_type for node in model.graph.node}
        assert ('BatchNormalization' in kinds) == (graph is symbol)
        content = model.SerializeToString()
        for batch in (1, 5):
            images = images_of(batch, shape)
            expected, found = by_mxnet(symbol, arrays, images), by_onnx(content, images)
            mean = numpy.mean(expected, axis=0)
            # The network neither calls all classes alike nor is sure of one.
            assert mean.std() > 1e-3 and mean.max() < 0.9
            compare(found.pop(onnx_graph.OUTPUT), mean)
            names = symbol.list_outputs() if components else []
            assert list(found) == [name[: -len('_output')] for name in names]
            for output, each in zip(found.values(), expected):
                compare(output, each)


def compare(found, expected, tolerance=EXACT):
    assert found.shape == expected.shape
    assert abs(found - expected).max() < tolerance


# ---- ONNX: every network ----


@pytest.mark.parametrize('network', symbols.NETWORKS)
@pytest.mark.parametrize('widen', [1, 2])
def test_networks_for_small_images(network, widen):
    symbol = symbols.get_symbol(network, SMALL_DEPTHS[network], 7, widen)
    check_onnx(symbol, (3, 32, 32))


@pytest.fixture
def narrow(monkeypatch):
    """ImageNet's networks with a sixteenth of their channels."""
    monkeypatch.setattr(imagenet, 'STEM_CHANNELS', 4)
    monkeypatch.setattr(imagenet, 'CHANNELS', (16, 32, 64, 128))


@pytest.mark.parametrize('network,depth', IMAGENET)
def test_networks_for_imagenet(narrow, network, depth):
    check_onnx(imagenet.get_symbol(network, depth, 11), (3, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize('network,depth', IMAGENET)
def test_networks_for_imagenet_with_all_their_channels(network, depth):
    check_onnx(imagenet.get_symbol(network, depth), (3, 64, 64))


@pytest.mark.parametrize('components', [False, True])
@pytest.mark.parametrize(
    'options', [{}, {'sharing': False}, {'names': ensemble.NAMES[:-1]}, {'widen': 2}]
)
def test_ensembles(options, components):
    check_onnx(ensemble.get_symbol(2, 10, **options), (3, 32, 32), components)


def test_every_operator_that_a_checkpoint_may_have_is_translated():
    """What untrusted_symbol lets through, with the attributes that it lets through."""
    for op, (_, attributes) in untrusted_symbol.OPERATORS.items():
        if op != 'null':
            assert set(attributes) <= onnx_graph.ATTRIBUTES[op]


def test_a_classifier_without_the_mean():
    """Which a network of a user's own may have: MXNet flattens the feature map."""
    maps = symbols.get_symbol('plain', 5).get_internals()['group3_unit1_relu_output']
    scores = mx.sym.FullyConnected(maps, num_hidden=5, name='fc')
    check_onnx(mx.sym.SoftmaxOutput(scores, name='softmax'), (3, 32, 32))


def test_other_operators_are_refused():
    data = mx.sym.Variable('data')
    for odd, word in (
        (
            mx.sym.Activation(data, act_type='tanh', name='odd'),
            'odd is the .* Activation with act_',
        ),
        (mx.sym.tanh(data, name='odd'), 'odd is the operator tanh, which'),
        (mx.sym.BatchNorm(data, name='odd'), 'BatchNorm with fix_gamma'),
        (
            mx.sym.Convolution(data, kernel=(3, 3), num_filter=3, num_group=3, name='odd'),
            'Convolution with num_group',
        ),
    ):
        scores = mx.sym.FullyConnected(odd, num_hidden=5, name='fc')
        symbol = mx.sym.SoftmaxOutput(scores, name='softmax')
        arrays = random_arrays(symbol, (3, 8, 8))
        with pytest.raises(UserError, match=word):
            onnx_graph.convert(symbol, {**arrays['arg'], **arrays['aux']}, (3, 8, 8))


# ---- runs, through the script ----


@pytest.fixture(scope='module')
def trained(tmp_path_factory, fashion):
    """A folder with a run of mr-8 of two epochs and one of an ensemble, on the small CIFAR-10."""
    place = training_runs.small_cifar(tmp_path_factory.mktemp('export'), fashion, 160, 40)
    run_script(*training_runs.arguments(place, '--cpus', '1', '--epochs', '2'))
    words = training_runs.arguments(place / 'ensemble', '--cpus', '1', '--epochs', '1')
    words = ['study/train_ensemble.py', *words[3:], '--data-dir', place / 'data']
    run_script(*words[:1], '--depth', '5', *words[3:])
    return place


def run_of(place):
    """Return the checkpoint folder of the only run in a folder."""
    return place / 'checkpoints' / training_runs.name_of(place / 'checkpoints')


def expected_of(run, epoch, images):
    symbol = symbol_file.load(str(run / run_state.SYMBOL))
    arrays = checkpoint.load_arrays(run_state.params_path(str(run), epoch))
    return by_mxnet(symbol, arrays, images)


def test_a_run_as_onnx(trained, tmp_path):
    run, images = run_of(trained), images_of(5, (3, 32, 32))
    outputs = {}
    for fold_it in ([], ['--fold']):
        path = tmp_path / 'made' / f'model{len(fold_it)}.onnx'
        said = run_script('export.py', '--run', run, '--onnx', path, *fold_it)
        assert said == f'{path}\n'
        outputs[path] = by_onnx(str(path), images)
        compare(outputs[path]['probabilities'], expected_of(run, 2, images)[0])
        model = onnx.load(str(path))
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version == onnx_graph.OPSET
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert metadata['run'] == run.name and metadata['epoch'] == '2'
        assert metadata['bn_momentum'] == '0.9'
        assert (
            metadata['network'] == 'mr'
            and metadata['depth'] == '8'
            and metadata['dataset'] == 'cifar10'
        )
        assert json.loads(metadata['classes'])[3] == 'cat' and metadata['folded'] == str(
            bool(fold_it)
        )
        assert json.loads(metadata['mean']) == [125.307, 122.95, 113.865]
        assert json.loads(metadata['std']) == [62.993, 62.089, 66.705]
    path = tmp_path / 'first.onnx'
    run_script('export.py', '--run', run, '--checkpoint', '1', '--onnx', path)
    compare(by_onnx(str(path), images)['probabilities'], expected_of(run, 1, images)[0])
    files = ['--symbol', run / 'model-symbol.json', '--params', run / 'model-0002.params']
    path = tmp_path / 'files.onnx'
    run_script('export.py', *files, '--dataset', 'cifar10', '--onnx', path)
    compare(by_onnx(str(path), images)['probabilities'], expected_of(run, 2, images)[0])
    metadata = {entry.key for entry in onnx.load(str(path)).metadata_props}
    assert 'mean' in metadata and 'run' not in metadata


def test_the_ensemble_of_a_run(trained, tmp_path):
    run, images = run_of(trained / 'ensemble'), images_of(5, (3, 32, 32))
    path, expected = tmp_path / 'model.onnx', expected_of(run, 1, images)
    run_script('export.py', '--run', run, '--onnx', path)
    (found,) = by_onnx(str(path), images).values()
    compare(found, numpy.mean(expected, axis=0))
    run_script('export.py', '--run', run, '--onnx', path, '--components', '--fold', '--overwrite')
    mean, *each = by_onnx(str(path), images).values()
    assert len(each) == len(expected) == 8
    compare(mean, numpy.mean(expected, axis=0))
    for found, own in zip(each, expected):
        compare(found, own)


@pytest.mark.slow
def test_a_model_of_another_file_stays(trained, tmp_path):
    path, run = tmp_path / 'model.onnx', run_of(trained)
    path.write_bytes(b'of somebody else')
    said = user_error('export.py', '--run', run, '--onnx', path)
    assert 'is there already' in said and '--overwrite' in said
    assert path.read_bytes() == b'of somebody else'
    run_script('export.py', '--run', run, '--onnx', path, '--overwrite')
    before = path.read_bytes()
    run_script('export.py', '--run', run, '--onnx', path)  # the same content
    assert path.read_bytes() == before
    assert 'is there already' in user_error('export.py', '--run', run, '--fold', '--onnx', path)
    assert path.read_bytes() == before


def test_what_a_user_can_do_wrong(trained, tmp_path, monkeypatch):
    run, path = run_of(trained), tmp_path / 'model.onnx'
    for words, said in (
        (['--onnx', path], 'say which network'),
        (['--run', run], 'say what to write'),
        (['--run', run, '--pretrained', 'x', '--onnx', path], 'say which network'),
        (['--run', 'nowhere', '--onnx', path], 'the run has no checkpoint yet'),
        (['--run', run, '--checkpoint', '77', '--onnx', path], 'keeps last, best'),
        (['--run', run, '--onnx', tmp_path / 'model.pb'], 'ends in .onnx'),
        (['--run', run, '--torch', tmp_path / 'model.pt'], 'ends in .safetensors'),
        (['--run', run, '--torch', tmp_path / 'm.safetensors', '--fold'], '--fold is for the ONNX'),
        (['--run', run, '--onnx', path, '--components'], 'is one network and no ensemble'),
        (['--run', run, '--onnx', path, '--dataset', 'cifar100'], 'has other ones'),
    ):
        monkeypatch.setattr(sys, 'argv', ['export.py', *map(str, words)])
        with pytest.raises(UserError, match=said):
            export.main()
    assert 'say which network' in user_error('export.py', '--onnx', path)
    assert not list(tmp_path.iterdir())


# What Python imports when it starts: a package cannot be imported then.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == '{0}':
            raise ModuleNotFoundError('No module named ' + name, name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize(
    'package,option',
    [('onnx', 'model.onnx'), ('safetensors', 'm.safetensors'), ('torch', 'm.safetensors')],
)
def test_a_package_that_is_missing(trained, tmp_path, package, option):
    if package == 'torch':
        pytest.importorskip('safetensors')
    (tmp_path / 'sitecustomize.py').write_text(WITHOUT.format(package))
    path = os.pathsep.join([str(tmp_path), ROOT])
    key = '--onnx' if package == 'onnx' else '--torch'
    done = subprocess.run(
        [sys.executable, 'export.py', '--run', str(run_of(trained)), key, str(tmp_path / option)],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f'the package {package} is missing' in done.stderr
    assert f'-m pip install {package}"' in done.stderr
    assert not (tmp_path / option).exists()


# ---- PyTorch ----


def check_torch(network, symbol, shape):
    """Compare a module of pytorch/networks.py, given a symbol's random parameters, with MXNet."""
    import torch

    from pytorch import state_dict

    arrays = random_arrays(symbol, shape)
    named = {**arrays['arg'], **arrays['aux']}
    named = {name: array.asnumpy() for name, array in named.items()}
    state_dict.load(network, named)
    counted = {state_dict.mxnet_name(name) for name in network.state_dict()}
    assert {name for name in counted if not name.endswith(state_dict.COUNTER)} == set(named)
    network.eval()
    for batch in (1, 5):
        images = images_of(batch, shape)
        with torch.no_grad():
            found = network(torch.from_numpy(images)).softmax(1).numpy()
        compare(found, by_mxnet(symbol, arrays, images)[0], 1e-4)


@pytest.mark.parametrize('network', symbols.NETWORKS)
@pytest.mark.parametrize('widen', [1, 2])
def test_modules_for_small_images(network, widen):
    pytest.importorskip('torch', reason='PyTorch is not installed here')
    from pytorch.networks import SMALL, Network

    if network not in SMALL:
        pytest.skip(f'{network} has no module, which is up to whoever adds a network')
    depth = SMALL_DEPTHS[network]
    symbol = symbols.get_symbol(network, depth, 7, widen)
    check_torch(Network(network, depth, 7, widen), symbol, (3, 32, 32))


@pytest.mark.parametrize('network,depth', IMAGENET)
def test_modules_for_imagenet(narrow, monkeypatch, network, depth):
    pytest.importorskip('torch', reason='PyTorch is not installed here')
    from pytorch import networks

    monkeypatch.setattr(networks, 'STEM_CHANNELS_IMAGENET', imagenet.STEM_CHANNELS)
    monkeypatch.setattr(networks, 'CHANNELS_IMAGENET', imagenet.CHANNELS)
    symbol = imagenet.get_symbol(network, depth, 11)
    check_torch(networks.ImageNetNetwork(network, depth, 11), symbol, (3, 64, 64))


def test_the_constants_of_the_module_are_those_of_the_symbols():
    """The file imports nothing of the project, so that it can be copied."""
    pytest.importorskip('torch', reason='PyTorch is not installed here')
    from pytorch import networks
    from symbols import layers

    assert networks.BN_EPSILON == layers.BN_EPSILON
    assert networks.BN_MOMENTUM == pytest.approx(1 - layers.BN_MOMENTUM)
    assert networks.STEM_CHANNELS == layers.STEM_CHANNELS
    assert networks.STEM_CHANNELS_IMAGENET == imagenet.STEM_CHANNELS
    assert networks.CHANNELS_IMAGENET == imagenet.CHANNELS


# What docs/export.md shows, in a folder that has only the file and the weights.
ELSEWHERE = """
import numpy, torch
from networks import load

network, metadata = load('model.safetensors')
images = numpy.load('images.npy')
with torch.no_grad():
    numpy.save('found', network(torch.from_numpy(images)).softmax(1).numpy())
print(*(metadata[key] for key in ('network', 'depth', 'run')))
print(metadata['classes'][3], metadata['std'][0])
print(network.stem.bn.momentum)
"""


def test_a_run_for_pytorch(trained, tmp_path):
    pytest.importorskip('torch', reason='PyTorch is not installed here')
    pytest.importorskip('safetensors')
    run, images = run_of(trained), images_of(5, (3, 32, 32))
    path = tmp_path / 'model.safetensors'
    run_script('export.py', '--run', run, '--torch', path, '--onnx', tmp_path / 'model.onnx')
    numpy.save(str(tmp_path / 'images.npy'), images)
    with open(os.path.join(ROOT, 'pytorch', 'networks.py'), encoding='utf-8') as file:
        (tmp_path / 'networks.py').write_text(file.read())
    done = subprocess.run(
        [sys.executable, '-c', ELSEWHERE], cwd=str(tmp_path), capture_output=True, text=True
    )
    said = done.stdout.split()
    assert said[:5] == ['mr', '8', run.name, 'cat', '62.993'], done.stderr
    assert float(said[5]) == pytest.approx(0.1)  # 1 - 0.9, as PyTorch has it
    found = numpy.load(str(tmp_path / 'found.npy'))
    compare(found, expected_of(run, 2, images)[0], 1e-4)
    compare(found, by_onnx(str(tmp_path / 'model.onnx'), images)['probabilities'], 1e-4)


def test_networks_that_pytorch_has_not(trained, tmp_path):
    pytest.importorskip('torch', reason='PyTorch is not installed here')
    pytest.importorskip('safetensors')
    run, path = run_of(trained), tmp_path / 'm.safetensors'
    said = user_error('export.py', '--run', run_of(trained / 'ensemble'), '--torch', path)
    assert 'and not that of' in said and 'fuse3' in said and 'take --onnx' in said
    files = ['--symbol', run / 'model-symbol.json', '--params', run / 'model-0002.params']
    said = user_error('export.py', *files, '--dataset', 'cifar10', '--torch', path)
    assert 'and not that of' in said
    assert not path.exists()
