"""What a network consists of: weighted layers, parameters, multiply-adds."""

from collections import namedtuple

from graphs.paths import WEIGHTED, nodes

Layer = namedtuple('Layer', 'name kind output parameters multiply_adds')


def shapes(symbol, image=(3, 32, 32)):
    """Return {name: shape} of every internal output and argument, for a batch of one image."""
    internals = symbol.get_internals()
    _, found, _ = internals.infer_shape(data=(1,) + tuple(image))
    return dict(zip(internals.list_outputs(), found))


def parameters(symbol, image=(3, 32, 32)):
    """Return the number of trained numbers: weights, biases, BatchNorm's gamma and beta."""
    arguments, _, _ = symbol.infer_shape(data=(1,) + tuple(image))
    return sum(
        _size(shape)
        for name, shape in zip(symbol.list_arguments(), arguments)
        if name not in ('data', 'softmax_label')
    )


def layers(symbol, image=(3, 32, 32)):
    """Return a ``Layer`` for each convolution and fully connected layer, in graph order.

    Multiply-adds are those of one image; BatchNorm, sums and pooling are not counted.
    """
    shape = shapes(symbol, image)
    graph = nodes(symbol)
    return [_layer(node, graph, shape) for node in graph if node['op'] in WEIGHTED]


def _layer(node, graph, shape):
    output = shape[node['name'] + '_output'][1:]
    weight = shape[graph[node['inputs'][1][0]]['name']]
    own = [graph[source]['name'] for source, _, _ in node['inputs'][1:]]
    positions = _size(output[1:])
    return Layer(
        node['name'],
        _kind(node, weight),
        output,
        sum(_size(shape[name]) for name in own),
        _size(weight) * positions,
    )


def _kind(node, weight):
    if node['op'] == 'FullyConnected':
        return 'fully connected'
    stride = node['attrs'].get('stride', '(1, 1)').strip('()').split(',')[0]
    return f'{weight[2]}x{weight[3]} convolution{"" if stride == "1" else ", stride " + stride}'


def _size(shape):
    size = 1
    for length in shape:
        size *= length
    return size
