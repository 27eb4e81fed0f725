"""The networks for ImageNet: sizes, depths, components, and one pass at full size."""

import numpy
import pytest
from numpy_networks import NumpyNetwork, set_values

from engine import mx
from graphs import paths, summary
from symbols import imagenet
from system.errors import UserError

IMAGE = (3, 224, 224)


@pytest.mark.parametrize(
    'network,depth,parameters,printed',
    [
        ('resnet', 50, 25557032, '25.6'),
        ('resnet', 101, 44549160, '44.5'),
        ('resnet', 152, 60192808, '60.2'),
        ('mr', 44, 43338024, '43.3'),
        ('dfn1', 50, 40128552, '40.1'),
        ('dfn2', 50, 25557032, '25.6'),
    ],
)
def test_sizes_and_depths(network, depth, parameters, printed):
    """44.5M and 43.3M are Table 6's; 25.6M and 60.2M are those of every published ResNet-50 and
    152.
    """
    symbol = imagenet.get_symbol(network, depth)
    found = summary.parameters(symbol, IMAGE)
    assert found == parameters and f'{found / 10**6:.1f}' == printed
    assert paths.depth(symbol) == depth
    assert symbol.infer_shape(data=(2,) + IMAGE)[1] == [(2, 1000)]


def test_what_appendix_a1_says():
    """Ensemble sizes (equation 1), and of the observations on Figure 11 those that the
    reconstructions satisfy.
    """
    resnet, dfn1, dfn2 = (
        paths.histogram(imagenet.get_symbol(network, 50)) for network in ('resnet', 'dfn1', 'dfn2')
    )
    assert sum(resnet.values()) == sum(dfn1.values()) == 2**16 > sum(dfn2.values())
    assert (
        min(dfn1) > min(resnet)
        and paths.mean_and_deviation(dfn1)[0] > paths.mean_and_deviation(resnet)[0] + 5
    )
    assert (
        paths.mean_and_deviation(resnet)[1] > paths.mean_and_deviation(dfn1)[1]
    )  # ResNet-50's are more diverse
    assert all(count <= resnet[depth] for depth, count in dfn2.items())
    # The docstring gives these; DFN2's are more spread than ResNet-50's, against A.1's first
    # observation.
    assert [f'{paths.mean_and_deviation(counts)[1]:.2f}' for counts in (resnet, dfn1, dfn2)] == [
        '5.57',
        '4.00',
        '7.52',
    ]


def test_the_networks_of_dfn2_are_some_of_resnet_50s():
    """A path is the blocks that it goes through; by place in the group, those of DFN2 are paths of
    ResNet-50.
    """
    everything = set(_choices([1] * 16))
    assert set(_choices([blocks for group in imagenet.PAIRS for blocks in group])) < everything
    assert [sum(group) for group in imagenet.PAIRS] == list(imagenet.RESNET[50])


def _choices(branches):
    """Yield for every path which of the bottlenecks it has, where each branch is taken whole or not
    at all.
    """
    for number in range(2 ** len(branches)):
        yield tuple(
            bool(number >> place & 1)
            for place, blocks in enumerate(branches)
            for _ in range(blocks)
        )


def test_merge_and_run_by_numpy():
    """The whole network on small maps, every branch with weights of its own."""
    random = numpy.random.RandomState(0)
    images = random.randn(1, 3, 64, 64).astype('float32')
    executor = imagenet.get_symbol('mr', 44, 7).simple_bind(
        mx.cpu(), grad_req='null', data=images.shape
    )
    expected = NumpyNetwork(set_values(executor, images, random)).imagenet_mr(
        images, imagenet.MR[44]
    )
    found = executor.forward()[0].asnumpy()
    numpy.testing.assert_allclose(found, expected, atol=1e-5)
    assert 0.05 < expected.max() < 0.95


def test_the_ensemble_of_merge_and_run():
    counts = paths.histogram(imagenet.get_symbol('mr', 44))
    assert sum(counts.values()) == 2 * 3 ** sum(imagenet.MR[44])


def test_a_run_of_the_network_of_before_is_told_so():
    with pytest.raises(UserError, match='can be scored but not resumed'):
        imagenet.get_symbol(imagenet.MR_RELU, 44)


@pytest.mark.parametrize(
    'network,depth',
    [('mr', 44)]
    + [pytest.param(network, 50, marks=pytest.mark.slow) for network in ('resnet', 'dfn1', 'dfn2')],
)
def test_forward_and_backward_at_full_size(network, depth):
    symbol = imagenet.get_symbol(network, depth)
    module = mx.mod.Module(symbol)
    module.bind([('data', (2,) + IMAGE)], [('softmax_label', (2,))])
    mx.random.seed(1)
    module.init_params(mx.init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2))
    module.forward_backward(
        mx.io.DataBatch([mx.nd.random.normal(shape=(2,) + IMAGE)], [mx.nd.array([3, 999])])
    )
    output = module.get_outputs()[0].asnumpy()
    assert (
        output.shape == (2, 1000)
        and numpy.isfinite(output).all()
        and output.sum(axis=1) == pytest.approx(1, abs=1e-4)
    )
    gradients = {
        name: array[0].asnumpy()
        for name, array in zip(module._exec_group.param_names, module._exec_group.grad_arrays)
    }
    assert all(
        numpy.isfinite(array).all() and array.any()
        for name, array in gradients.items()
        if name.endswith('weight')
    )


def test_unknown_networks():
    for network, depth, word in (
        ('il', 50, 'dfn1, dfn2, mr, resnet'),
        ('resnet', 34, '50, 101, 152'),
        ('mr', 56, '44'),
    ):
        with pytest.raises(UserError, match=word):
            imagenet.get_symbol(network, depth)
