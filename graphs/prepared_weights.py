"""The weights of a folded network, transformed once for the CPU kernels instead of at each call."""

from engine import operators
from graphs import native_graph, summary


def on_native_operators(symbol, arg, image):
    """Return the graph for inference on the project's operators, and its parameters.

    The convolutions' weights among these are prepared: as the kernels read them.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        What ``graphs.fold.fold`` returned.
    arg : dict of str to mx.nd.NDArray
        Its parameters; they are not changed.
    image : tuple of int
        Shape (channels, height, width) of an image. The prepared weights are for this size.

    Raises
    ------
    native_graph.Unsupported
    """
    prepared = _prepared(symbol, arg, image)
    rewriter = native_graph.NativeRewriter(symbol, train=False)
    rewriter.shapes.update((name, array.shape) for name, array in prepared.items())
    return rewriter.symbol(), {**arg, **prepared}


def _prepared(symbol, arg, image):
    """Return {name: prepared weights} of the convolutions that have a bias."""
    shapes, nodes = summary.shapes(symbol, image), summary.nodes(symbol)
    function, prepared = operators.function('_dfn_prepared_weights'), {}
    for node in nodes:
        if node['op'] != 'Convolution' or len(node['inputs']) < 3:
            continue
        source, weight = (nodes[number] for number, _, _ in node['inputs'][:2])
        name = source['name'] if source['op'] == 'null' else source['name'] + '_output'
        _, inputs, height, width = (1, *image) if name == 'data' else shapes[name]
        prepared[weight['name']] = function(
            arg[weight['name']],
            **native_graph.geometry(node),
            inputs=inputs,
            height=height,
            width=width,
        )
    return prepared
