"""Half precision as far as a CPU can show it: MXNet has no float16 convolution there, so that one
operator
computes in float32 on values rounded to float16. No GPU was used."""

import numpy
import pytest
from test_fast import bind, values_for

import symbols
from engine import mx
from graphs import half, paths, summary


class Emulated(half.HalfRewriter):
    def make_convolution(self, node):
        super().make_convolution(node)
        conv = self.new.pop()
        conv['inputs'] = [
            self.cast(entry, 'float32', f'{conv["name"]}_input{number}')
            for number, entry in enumerate(conv['inputs'])
        ]
        self.new.append(conv)
        return self.cast([len(self.new) - 1, 0, 0], 'float16', conv['name'])


def gradients(symbol, values, scale=1):
    executor = bind(symbol, values, training=True)
    executor.forward(is_train=True)
    executor.backward()
    assert all(
        array.dtype == numpy.float32
        for array in executor.arg_arrays + executor.grad_arrays + executor.aux_arrays
    )
    return executor.outputs[0].asnumpy(), {
        name: array.asnumpy() / scale
        for name, array in executor.grad_dict.items()
        if name not in ('data', 'softmax_label')
    }


@pytest.mark.parametrize('network,depth', [('mr', 8), ('resnet', 8), ('il', 8), ('fuse3', 8)])
def test_the_same_network_in_half_precision(network, depth):
    symbol = symbols.get_symbol(network, depth)
    values = values_for(symbol, batch=16)
    expected, exact = gradients(symbol, values)
    found, rounded = gradients(Emulated(symbol).symbol(), values, half.LOSS_SCALE)
    assert found.dtype == numpy.float32 and 1e-6 < abs(found - expected).max() < 0.02
    for name, array in exact.items():
        error = numpy.linalg.norm(rounded[name] - array) / numpy.linalg.norm(array)
        assert error < 0.2, f'{name} differs by {error:.3f}'


def test_what_a_gpu_would_bind():
    symbol = symbols.get_symbol('mr', 14)
    bound = half.half(symbol)
    assert (bound.list_arguments(), bound.list_auxiliary_states()) == (
        symbol.list_arguments(),
        symbol.list_auxiliary_states(),
    )
    assert summary.parameters(bound) == summary.parameters(symbol)
    arguments, outputs, auxiliary = bound.infer_type(data='float32')
    assert set(arguments + outputs + auxiliary) == {numpy.float32}
    inner = bound.get_internals()
    convolutions = [node['name'] for node in paths.nodes(bound) if node['op'] == 'Convolution']
    for name in convolutions:
        assert inner[name + '_output'].infer_type(data='float32')[1] == [numpy.float16]
    assert len(convolutions) == 29 and inner['fc_output'].infer_type(data='float32')[1] == [
        numpy.float32
    ]


def test_the_scale_saves_gradients_that_half_precision_loses():
    symbol = symbols.get_symbol('resnet', 8)
    values = values_for(symbol, batch=4)
    values['fc_weight'] *= 1e-3  # gradients of the feature maps get small
    exact = gradients(symbol, values)[1]['stem_conv_weight']
    errors = []
    for scale in (1, half.LOSS_SCALE):
        emulated = Emulated(symbol)
        bound = emulated.symbol()
        unscaled = bound.attr_dict()['softmax']['grad_scale']
        assert float(unscaled) == half.LOSS_SCALE
        if scale == 1:
            bound = mx.sym.load_json(
                bound.tojson().replace(f'"grad_scale": "{unscaled}"', '"grad_scale": "1"')
            )
        found = gradients(bound, values, scale)[1]['stem_conv_weight']
        errors.append(numpy.linalg.norm(found - exact) / numpy.linalg.norm(exact))
    assert errors[1] < 0.1 and errors[1] < errors[0] / 3
