"""The fast graph and PyTorch's twin compute what the textbook graph computes, with the same weights."""
import numpy
import pytest

import symbols
from benchmarks import textbook
from common.engine import mx
from symbols import fast, paths, summary

NETWORKS = [('plain', 8), ('resnet', 14), ('il', 8), ('mr', 14), ('side', 8), ('fuse3', 14), ('fuse6', 14)]


def values_for(symbol, batch=8):
    """Return a value for every argument and statistic of a symbol."""
    random = numpy.random.RandomState(1)
    arguments, _, auxiliary = symbol.infer_shape(data=(batch, 3, 32, 32))
    values = {}
    for name, shape in list(zip(symbol.list_arguments(), arguments)) + list(zip(symbol.list_auxiliary_states(), auxiliary)):
        if name == 'softmax_label':
            values[name] = random.randint(0, 10, shape).astype('float32')
        elif name.endswith(('gamma', 'var')):
            values[name] = (random.rand(*shape) + 0.5).astype('float32')
        else:
            fan_in = numpy.prod(shape[1:]) if name.endswith('weight') else 1
            values[name] = (random.randn(*shape) * numpy.sqrt(2 / fan_in)).astype('float32')
    return values


def evaluate(symbol, values, training):
    """Return output, gradients and BatchNorm's statistics after one pass."""
    executor = symbol.simple_bind(mx.cpu(), grad_req='write', data=values['data'].shape)
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        array[:] = values[name]
    output = executor.forward(is_train=training)[0].asnumpy()
    if training:
        executor.backward()
    gradients = {name: array.asnumpy() for name, array in executor.grad_dict.items() if name not in ('data', 'softmax_label')}
    return output, gradients if training else {}, {name: array.asnumpy() for name, array in executor.aux_dict.items()}


@pytest.mark.parametrize('training', (True, False))
@pytest.mark.parametrize('network,depth', NETWORKS)
def test_fast_and_textbook_graph_are_one_function(network, depth, training):
    plain = textbook.get_symbol(network, depth)
    values = values_for(plain)
    expected = evaluate(plain, values, training)
    found = evaluate(fast.rewrite(symbols.get_symbol(network, depth)), values, training)
    numpy.testing.assert_allclose(found[0], expected[0], atol=1e-4)
    for kind in (1, 2):
        assert set(found[kind]) == set(expected[kind])
        for name, array in expected[kind].items():
            numpy.testing.assert_allclose(found[kind][name], array, atol=1e-4 * max(1, abs(array).max()), err_msg=name)


@pytest.mark.parametrize('network,depth', NETWORKS)
def test_nothing_else_depends_on_the_rewriting(network, depth):
    symbol = symbols.get_symbol(network, depth)
    rewritten = fast.rewrite(symbol)
    assert rewritten.list_arguments() == symbol.list_arguments()
    assert rewritten.list_auxiliary_states() == symbol.list_auxiliary_states()
    assert rewritten.list_outputs() == symbol.list_outputs()
    assert summary.parameters(rewritten) == summary.parameters(symbol)
    assert paths.histogram(rewritten) == paths.histogram(symbol) == paths.histogram(textbook.get_symbol(network, depth))
    operators = [node['op'] for node in paths.nodes(rewritten)]
    assert fast.FUSED in operators and len(operators) < len(paths.nodes(symbol))


@pytest.mark.parametrize('network,depth', [('plain', 8), ('resnet', 14), ('il', 8), ('mr', 14)])
def test_the_pytorch_twin_is_the_same_function(network, depth):
    torch = pytest.importorskip('torch')
    from benchmarks.torch_networks import Network, load
    symbol = symbols.get_symbol(network, depth)
    values = values_for(symbol)
    twin = Network(network, depth)
    load(twin, values)
    for training in (True, False):
        twin.train(training)
        with torch.no_grad():
            found = torch.softmax(twin(torch.from_numpy(values['data'])), dim=1).numpy()
        expected, _, statistics = evaluate(symbol, values, training)
        numpy.testing.assert_allclose(found, expected, atol=1e-4)
        load(twin, values)
    assert sum(p.numel() for p in twin.parameters()) == summary.parameters(symbol)
