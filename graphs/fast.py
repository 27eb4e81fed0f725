"""A network's graph rewritten for speed on the CPU: the same function of the same parameters.

The builders in symbols/ make the paper's graph, and checkpoints and logs hold that one. On a CPU,
``for_training(symbol)`` or ``for_inference(symbol)`` is bound instead. Names, shapes and numbers of
the parameters are the same, and so are outputs and gradients up to rounding.

These are the differences from the textbook graph, with what each gained in a training step of mr-14
on 2 cores of an AMD EPYC at batch 64 when it was introduced; ``python benchmark.py --operators``
shows the parts of a step as they are today.

* native_graph.py: convolutions of 3x3 at stride 1 use Winograd's algorithm: 110 ms became 82.
* native_graph.py: the BatchNorms, sums and ReLU between two convolutions are one pass over memory,
  and the statistics are computed where the convolution writes its output: 44 ms became 24, and 19
  with both outputs of a merge-and-run unit in one pass.
* native_graph.py: in inference a BatchNorm, and what follows it up to the next convolution, is
  computed where the convolution before it writes its output, without a pass over memory.
* gradient_accumulation.py: convolutions add up the gradients of feature maps with several readers;
  MXNet's add_n took 8 ms.
* engine/optimizer.py: one operator updates all parameters: 3% to 4% of a step.
* prepared_weights.py and one_operator.py, for a folded network alone: weights are transformed once,
  and MXNet calls one operator and not one for each layer.
* Where the operators cannot be used (no compiler, or a graph that they do not know), a ReLU that
  follows a BatchNorm is fused with it: 6%, and every bit is the same.
* Networks for ImageNet are trained by MXNet's operators, since maximum pooling has no backward
  pass in engine/native; inference is on the project's.
* symbols/layers.py: a sum of several terms is one ``add_n``, and the pooling is a ``mean``, whose
  backward pass avoids the slow one of MXNet's pooling.

The two branches of DFN-IL and DFN-MR stay two convolutions. The cost of a convolution is that of
its arithmetic and not of the call, so one wider or grouped convolution would gain nothing.
"""

from engine import operators
from graphs import native_graph, one_operator, prepared_weights, rewrite

FUSED = '_contrib_BatchNormWithReLU'


def for_training(symbol):
    """Return the graph to bind for training."""
    native = _on_native_operators(symbol, train=True)
    return BatchNormReLU(symbol).symbol() if native is None else native


def for_inference(symbol):
    """Return the graph to bind for inference.

    Without the project's operators it is ``symbol`` itself, which MXNet fuses where it is bound.
    """
    native = _on_native_operators(symbol, train=False)
    return symbol if native is None else native


def for_folded_inference(symbol, arg, image):
    """Return the graph to bind for inference with a folded network, and its parameters.

    Where the project's operators cannot be used, both are returned unchanged.

    Parameters
    ----------
    symbol, arg
        What ``graphs.fold.fold`` returned.
    image : tuple of int
        The shape (channels, height, width) of the images.
    """
    if not operators.load():
        return symbol, arg
    try:
        layers, prepared = prepared_weights.on_native_operators(symbol, arg, image)
    except native_graph.Unsupported:
        return symbol, arg
    try:
        return one_operator.merged(layers), prepared
    except native_graph.Unsupported:
        return layers, prepared


def _on_native_operators(symbol, train):
    """Return the graph on the project's operators, or None where they cannot be used."""
    if not operators.load():
        return None
    try:
        return native_graph.NativeRewriter(symbol, train).symbol()
    except native_graph.Unsupported:
        return None


class BatchNormReLU(rewrite.Rewriter):
    """Fuses a ReLU with the BatchNorm before it if nothing else reads that; no bit changes."""

    def make_activation(self, node):
        norm = self.source(node)
        # A BatchNorm with other options, such as fixed statistics, is copied unchanged.
        if (
            node['attrs']['act_type'] != 'relu'
            or norm['op'] != 'BatchNorm'
            or len(self.readers[node['inputs'][0][0]]) > 1
            or not set(norm['attrs']) <= native_graph.BATCHNORM
        ):
            return self.make_other(node)
        return self.emit(
            FUSED, norm['name'], [self.value(entry) for entry in norm['inputs']], **norm['attrs']
        )
