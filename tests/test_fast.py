"""The fast graphs and PyTorch's twin compute what the textbook graph computes, with the same
weights.
"""

import re

import numpy
import pytest

import symbols
from benchmarks import textbook
from engine import mx
from graphs import fast, paths, summary
from graphs.fold import fold
from symbols import ensemble, imagenet, layers

NETWORKS = [
    ('plain', 8),
    ('resnet', 14),
    ('il', 8),
    ('mr', 14),
    ('mr', 8),
    ('mr-late', 14),
    ('side', 8),
    ('fuse3', 14),
    ('fuse6', 14),
]


def values_for(symbol, batch=8, seed=1, size=32):
    """Return a value for every argument and statistic of a symbol, for images of this size."""
    random = numpy.random.RandomState(seed)
    arguments, _, auxiliary = symbol.infer_shape(data=(batch, 3, size, size))
    values = {}
    for name, shape in list(zip(symbol.list_arguments(), arguments)) + list(
        zip(symbol.list_auxiliary_states(), auxiliary)
    ):
        if name == 'softmax_label':
            values[name] = random.randint(0, 10, shape).astype('float32')
        elif name.endswith(('gamma', 'var')):
            values[name] = (random.rand(*shape) + 0.5).astype('float32')
        else:
            fan_in = numpy.prod(shape[1:]) if name.endswith('weight') else 1
            values[name] = (random.randn(*shape) * numpy.sqrt(2 / fan_in)).astype('float32')
    values['fc_weight'] *= 0.1  # classes alike: of sure ones the gradient is all rounding
    return values


def parameters_and_statistics(symbol, values):
    """Return the values of a symbol's parameters, and those of its moving statistics."""
    return [
        {name: mx.nd.array(values[name]) for name in names if name not in ('data', 'softmax_label')}
        for names in (symbol.list_arguments(), symbol.list_auxiliary_states())
    ]


def bind(symbol, values, training=False):
    executor = symbol.simple_bind(
        mx.cpu(), grad_req='write' if training else 'null', data=values['data'].shape
    )
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        array[:] = values[name]
    return executor


def evaluate(symbol, values, training):
    """Return the class scores, gradients and BatchNorm's statistics after one pass."""
    executor = bind(
        mx.sym.Group([symbol, symbol.get_internals()['fc_output'] * 1]), values, training
    )
    scores = executor.forward(is_train=training)[1].asnumpy()
    if training:
        executor.backward([executor.outputs[0], mx.nd.zeros_like(executor.outputs[1])])
    gradients = (
        {
            name: executor.grad_dict[name].asnumpy()
            for name in executor.grad_dict
            if name not in ('data', 'softmax_label')
        }
        if training
        else {}
    )
    return scores, gradients, {name: array.asnumpy() for name, array in executor.aux_dict.items()}


def nearest_to_zero(symbol, values):
    """Return the least |input| of any ReLU."""
    inner = symbol.get_internals()
    before = [node['inputs'][0][0] for node in paths.nodes(symbol) if node['op'] == 'Activation']
    names = [paths.nodes(symbol)[number]['name'] + '_output' for number in before]
    outputs = bind(
        mx.sym.Group([inner[name] * 1 for name in names]), values, training=True
    ).forward(is_train=True)
    return min(abs(array.asnumpy()).min() for array in outputs)


def values_off_the_kinks(symbol):
    """Return values with which rounding turns no ReLU on or off: there a gradient jumps, however
    small the error.
    """
    return max(
        (values_for(symbol, batch=2, seed=seed) for seed in range(12)),
        key=lambda values: nearest_to_zero(symbol, values),
    )


def assert_close(found, expected, tolerance=1e-4):
    for name, array in expected.items():
        numpy.testing.assert_allclose(
            found[name], array, atol=tolerance * abs(array).max(), rtol=0, err_msg=name
        )
    assert set(found) == set(expected)


GRAPHS = {
    'native': lambda symbol: fast.for_training(symbol),
    'fused': lambda symbol: fast.BatchNormReLU(symbol).symbol(),
}


@pytest.mark.parametrize('graph', sorted(GRAPHS))
@pytest.mark.parametrize('network,depth', NETWORKS)
def test_fast_and_textbook_graph_train_alike(network, depth, graph):
    plain = textbook.get_symbol(network, depth)
    values = values_off_the_kinks(plain)
    scores, gradients, statistics = evaluate(plain, values, training=True)
    found = evaluate(GRAPHS[graph](symbols.get_symbol(network, depth)), values, training=True)
    assert_close(
        {'scores': found[0], **found[1], **found[2]}, {'scores': scores, **gradients, **statistics}
    )


@pytest.mark.parametrize('network,depth', NETWORKS)
def test_fast_and_textbook_graph_infer_alike(network, depth):
    plain, symbol = textbook.get_symbol(network, depth), symbols.get_symbol(network, depth)
    values = values_for(plain)
    expected = {'scores': evaluate(plain, values, training=False)[0]}
    parts = parameters_and_statistics(symbol, values)
    folded, *rest = fold(symbol, *parts)
    for graph, arrays in (
        (fast.for_inference(symbol), parts),
        (folded, rest),
        (fast.for_inference(folded), rest),
    ):
        given = dict(
            values, **{name: array.asnumpy() for part in arrays for name, array in part.items()}
        )
        assert_close({'scores': evaluate(graph, given, training=False)[0]}, expected)
    assert not any(node['op'] == 'BatchNorm' for node in paths.nodes(folded))


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('network,depth', [*NETWORKS, ('ensemble', 14)])
def test_a_folded_network_is_one_operator(network, depth, batch):
    """Its probabilities are the textbook graph's, of one image and of several."""
    if network == 'ensemble':
        plain = symbol = ensemble.get_symbol((depth - 2) // 3, 10)
    else:
        plain, symbol = textbook.get_symbol(network, depth), symbols.get_symbol(network, depth)
    values = values_for(plain, batch)
    values.update((name, 0.3 * values[name]) for name in values if name.endswith('fc_weight'))
    parts = parameters_and_statistics(symbol, values)
    folded, *rest = fold(symbol, *parts)
    graph, arg = fast.for_folded_inference(folded, rest[0], (3, 32, 32))
    given = dict(values, **{name: array.asnumpy() for name, array in arg.items()})
    expected = bind(plain, values).forward()
    for found, right in zip(bind(graph, given).forward(), expected, strict=True):
        numpy.testing.assert_allclose(found.asnumpy(), right.asnumpy(), atol=1e-5)
        assert right.asnumpy().max() < 0.9  # a saturated softmax would hide errors
    assert {node['op'] for node in paths.nodes(graph)} - {'null', '_copy'} == {'_dfn_network'}
    assert graph.list_outputs() == symbol.list_outputs()


@pytest.mark.parametrize('size', [64, 112])
@pytest.mark.parametrize('network,depth', [('resnet', 50), ('mr', 44), ('dfn1', 50), ('dfn2', 50)])
def test_networks_for_imagenet_infer_alike(network, depth, size):
    """Their stem has a 7x7 convolution and maximum pooling. Maps are of 28, 14 and 7 at size 112,
    and of 2 at size 64.
    """
    symbol = imagenet.get_symbol(network, depth, 10)
    values = values_for(symbol, 2, size=size)
    values['fc_weight'] /= abs(evaluate(symbol, values, training=False)[0]).max()
    parts = parameters_and_statistics(symbol, values)
    folded, *rest = fold(symbol, *parts)
    one, arg = fast.for_folded_inference(folded, rest[0], (3, size, size))
    given = dict(values, **{name: array.asnumpy() for name, array in arg.items()})
    expected = bind(symbol, values).forward()[0].asnumpy()
    assert expected.max() < 0.9  # a saturated softmax would hide errors
    for graph, numbers in ((fast.for_inference(symbol), values), (one, given)):
        found = bind(graph, numbers).forward()[0].asnumpy()
        numpy.testing.assert_allclose(found, expected, atol=1e-5)
        assert not {'Convolution', 'BatchNorm', 'Pooling'} & {
            node['op'] for node in paths.nodes(graph)
        }


def test_networks_for_imagenet_are_trained_by_mxnet():
    """For their maximum pooling the operators have no backward pass."""
    symbol = fast.for_training(imagenet.get_symbol('resnet', 50))
    assert {'Convolution', 'Pooling', fast.FUSED} <= {node['op'] for node in paths.nodes(symbol)}


def test_a_folded_network_that_no_plan_describes():
    """A BatchNorm is kept where something else reads its convolution, so layers stay operators.

    It is added to another one, which is computed by the operator of its convolution.
    """
    data = mx.sym.Variable('data')
    conv = mx.sym.Convolution(
        data,
        num_filter=16,
        kernel=(3, 3),
        stride=(1, 1),
        pad=(1, 1),
        no_bias=True,
        name='stem_conv',
    )
    norm = mx.sym.BatchNorm(conv, fix_gamma=False, eps=2e-5, momentum=0.9, name='stem_bn')
    both = mx.sym.Activation(
        layers.add('sum', norm, conv, layers.conv_bn(data, 'side', 16)),
        act_type='relu',
        name='relu',
    )
    symbol = layers.head(mx.sym.Activation(layers.conv_bn(both, 'next', 16), act_type='relu'), 10)
    values = values_for(symbol, 2)
    parts = parameters_and_statistics(symbol, values)
    folded, *rest = fold(symbol, *parts)
    graph, arg = fast.for_folded_inference(folded, rest[0], (3, 32, 32))
    given = dict(values, **{name: array.asnumpy() for name, array in arg.items()})
    right = bind(symbol, values).forward()[0].asnumpy()
    assert right.max() < 0.9
    for one, numbers in ((graph, given), (fast.for_inference(symbol), values)):
        numpy.testing.assert_allclose(bind(one, numbers).forward()[0].asnumpy(), right, atol=1e-5)
        assert '_dfn_combine' in {node['op'] for node in paths.nodes(one)}


@pytest.mark.parametrize('network,depth', NETWORKS)
def test_nothing_else_depends_on_the_rewriting(network, depth):
    symbol = symbols.get_symbol(network, depth)
    for rewritten in (
        fast.for_training(symbol),
        fast.for_inference(symbol),
        fast.BatchNormReLU(symbol).symbol(),
    ):
        assert set(rewritten.list_arguments()) == set(symbol.list_arguments())
        assert set(rewritten.list_auxiliary_states()) == set(symbol.list_auxiliary_states())
        assert rewritten.list_outputs() == symbol.list_outputs()
        assert summary.parameters(rewritten) == summary.parameters(symbol)
    assert (
        paths.histogram(symbol)
        == paths.histogram(textbook.get_symbol(network, depth))
        == paths.histogram(fast.BatchNormReLU(symbol).symbol())
    )


def test_the_operators_are_in_use():
    symbol = symbols.get_symbol('mr', 14)
    found = {node['op'] for node in paths.nodes(fast.for_training(symbol))}
    assert found == {
        'null',
        'transpose',
        '_dfn_convolution',
        '_dfn_combine',
        'BlockGrad',
        '_dfn_pool',
        'dot',
        'broadcast_add',
        'SoftmaxOutput',
    }
    found = {node['op'] for node in paths.nodes(fast.for_inference(symbol))}
    assert '_dfn_folded_convolution' in found and 'BatchNorm' not in found
    assert fast.FUSED in {node['op'] for node in paths.nodes(fast.BatchNormReLU(symbol).symbol())}


@pytest.mark.parametrize('network,depth', NETWORKS)
def test_no_gradient_is_added_up_nor_a_map_copied(network, depth):
    """Convolutions add the gradients of a map's other readers; BlockGrad, which cuts a map off from
    them, moves nothing.
    """
    plan = (
        fast.for_training(symbols.get_symbol(network, depth))
        .simple_bind(mx.cpu(), data=(4, 3, 32, 32))
        .debug_str()
    )
    operators = re.findall(r'^Op:(\w+)', plan, re.MULTILINE)
    assert '_backward__dfn_convolution' in operators and not {
        'add_n',
        'ElementWiseSum',
        '_grad_add',
        '_backward_mean',
    } & set(operators)


@pytest.mark.parametrize('network', ('mr', 'mr-late'))
def test_merge_and_run_is_one_pass_for_both_runs(network):
    """One operator for each unit's two outputs, one for each BatchNorm-ReLU of its branches, one
    for the stem's.
    """
    symbol = symbols.get_symbol(network, 14)
    combines = [
        node for node in paths.nodes(fast.for_training(symbol)) if node['op'] == '_dfn_combine'
    ]
    assert len(combines) == 6 + 12 + 1
    assert [node['attrs']['outputs'] for node in combines].count(
        '2'
    ) == 5  # the last unit has one output


def test_two_sums_of_one_sum_that_depend_on_each_other():
    """The second ReLU uses the first here: they cannot be made at once."""
    data = mx.sym.Activation(
        layers.conv_bn(mx.sym.Variable('data'), 'a', 16), act_type='relu', name='a_relu'
    )
    shared = 0.5 * mx.sym.add_n(
        data,
        mx.sym.Activation(layers.conv_bn(data, 'b', 16), act_type='relu', name='b_relu'),
        name='shared',
    )
    one = mx.sym.Activation(
        mx.sym.add_n(shared, layers.conv_bn(data, 'c', 16), name='c_sum'),
        act_type='relu',
        name='c_relu',
    )
    two = mx.sym.Activation(
        mx.sym.add_n(shared, layers.conv_bn(one, 'd', 16), name='d_sum'),
        act_type='relu',
        name='d_relu',
    )
    symbol = layers.head(two, 10)
    values = values_off_the_kinks(symbol)
    found, expected = (
        evaluate(graph, values, training=True) for graph in (fast.for_training(symbol), symbol)
    )
    assert any(node['op'] == '_dfn_combine' for node in paths.nodes(fast.for_training(symbol)))
    # Not to 1e-4: what BatchNorm takes out again has gradients that are near nothing but rounding.
    assert_close({'scores': found[0], **found[1]}, {'scores': expected[0], **expected[1]}, 0.01)


def test_deep_networks_are_rewritten():
    """Deeper than Python's limit on calls within calls."""
    for network, depth in ('resnet', 1202), ('mr', 602):
        ops = [
            node['op']
            for node in paths.nodes(fast.for_training(symbols.get_symbol(network, depth)))
        ]
        assert ops.count('_dfn_convolution') >= 1200


@pytest.mark.parametrize(
    'options',
    [
        {'kernel': (2, 2)},
        {'global_pool': True, 'pool_type': 'max'},  # without a kernel
        {'kernel': (3, 3), 'stride': (2, 1), 'pad': (1, 1), 'pool_type': 'max'},
    ],
)
def test_a_graph_that_the_operators_do_not_know_is_trained_by_mxnet(options):
    pooled = mx.sym.Pooling(
        symbols.get_symbol('plain', 8).get_internals()['group1_unit1_relu_output'], **options
    )
    symbol = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(pooled, num_hidden=10), name='softmax')
    assert not any(node['op'].startswith('_dfn') for node in paths.nodes(fast.for_training(symbol)))
    assert fast.for_inference(symbol) is symbol


@pytest.mark.parametrize(
    'network,depth', [('plain', 8), ('resnet', 14), ('il', 8), ('mr', 14), ('mr-late', 14)]
)
def test_the_pytorch_twin_is_the_same_function(network, depth):
    torch = pytest.importorskip('torch')
    from pytorch.networks import Network
    from pytorch.state_dict import load

    symbol = symbols.get_symbol(network, depth)
    values = values_for(symbol)
    twin = Network(network, depth)
    load(twin, values)
    for training in (True, False):
        twin.train(training)
        with torch.no_grad():
            found = twin(torch.from_numpy(values['data'])).numpy()
        assert_close({'scores': found}, {'scores': evaluate(symbol, values, training)[0]})
        load(twin, values)
    assert sum(p.numel() for p in twin.parameters()) == summary.parameters(symbol)
