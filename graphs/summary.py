"""What a network consists of: weighted layers, parameters, multiply-adds."""

from typing import NamedTuple

from graphs.paths import WEIGHTED, nodes


class Layer(NamedTuple):
    """A convolution or fully connected layer."""

    name: str
    kind: str  # such as "3x3 convolution, stride 2"
    output: tuple  # shape of the output for one image
    parameters: int  # number of weights and biases
    multiply_adds: int  # for one image


def shapes(symbol, image=(3, 32, 32)):
    """Return {name: shape} of every output inside the graph and every argument, for one image."""
    internals = symbol.get_internals()
    _, found, _ = internals.infer_shape(data=(1,) + tuple(image))
    return dict(zip(internals.list_outputs(), found))


def parameters(symbol, image=(3, 32, 32)):
    """Return the number of parameters: weights, biases, and gamma and beta of BatchNorm."""
    arguments, _, _ = symbol.infer_shape(data=(1,) + tuple(image))
    return sum(
        size(shape)
        for name, shape in zip(symbol.list_arguments(), arguments)
        if name not in ('data', 'softmax_label')
    )


def layers(symbol, image=(3, 32, 32)):
    """Return a ``Layer`` for each convolution and fully connected layer, in graph order.

    Multiply-adds of BatchNorm, sums and pooling are not counted.
    """
    shape = shapes(symbol, image)
    graph = nodes(symbol)
    return [_layer(node, graph, shape) for node in graph if node['op'] in WEIGHTED]


def _layer(node, graph, shape):
    output = shape[node['name'] + '_output'][1:]
    own = [shape[graph[source]['name']] for source, _, _ in node['inputs'][1:]]  # of its parameters
    weight = own[0]
    return Layer(
        name=node['name'],
        kind=_kind(node, weight),
        output=output,
        parameters=sum(map(size, own)),
        multiply_adds=size(weight) * size(output[1:]),  # the weights are used once at every pixel
    )


def _kind(node, weight):
    if node['op'] == 'FullyConnected':
        return 'fully connected'
    stride = node['attrs'].get('stride', '(1, 1)').strip('()').split(',')[0]
    return f'{weight[2]}x{weight[3]} convolution{"" if stride == "1" else ", stride " + stride}'


def size(shape):
    """Return how many numbers an array of this shape has."""
    product = 1
    for length in shape:
        product *= length
    return product
