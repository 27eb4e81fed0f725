"""A network's graph rewritten for speed on the CPU: the same function of the same parameters.

The builders draw the paper's graph, and checkpoints and logs hold that one. What is bound on a CPU
is ``for_training(symbol)`` or ``for_inference(symbol)``: names, shapes and numbers of parameters
are the same, and so are outputs and gradients up to rounding. Each departure from the textbook
graph, and what it gained in a training step of mr-14 on 2 cores, batch 64 (`benchmark.py
--operators` shows the parts):

* native_graph.py: convolutions of 3x3 at stride 1 by Winograd's algorithm. Direct convolution took 110 of 154 ms
  at 180 GFLOP/s, where the processor's peak is 231; 110 ms became 82.
* native_graph.py: one pass over memory for the BatchNorms, sums and ReLU between two convolutions, and their
  statistics where the convolution is made. 44 ms became 24; 19 with both outputs of a merge-and-run
  unit in one pass.
* gradient_accumulation.py: convolutions add up the gradients of maps with several readers, where MXNet's add_n took 8 ms.
* recipe.py: all parameters updated by one operator: 3% to 4% of a step.
* Without the operators (no compiler, or a graph they do not know) a ReLU that only follows a BatchNorm is
  made part of it: 6%, and the same bits.
* layers.py: sums of several terms are one ``add_n``, and the pooling is a ``mean``, whose backward pass is
  not MXNet's slow one.

IL's and MR's two branches stay two convolutions: the cost of a convolution is that of its
arithmetic, not of the call, so one wider or grouped convolution has nothing to gain.
"""

from engine import operators
from graphs import native_graph, rewrite

FUSED = '_contrib_BatchNormWithReLU'


def for_training(symbol):
    """Return the graph to bind for training."""
    found = _native(symbol, train=True)
    return BatchNormReLU(symbol).symbol() if found is None else found


def for_inference(symbol):
    """Return the graph to bind for inference, or ``symbol`` itself, which MXNet fuses, where training's will do."""
    found = _native(symbol, train=False)
    return symbol if found is None else found


def _native(symbol, train):
    if not operators.load():
        return None
    try:
        return native_graph.Rewriter(symbol, train).symbol()
    except native_graph.Unsupported:
        return None


class BatchNormReLU(rewrite.Rewriter):
    """Makes each ReLU that only follows a BatchNorm part of it; every bit of the result is the same."""

    def make_activation(self, node):
        norm = self.source(node)
        # With other options (frozen statistics, say) a BatchNorm stays what it is.
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
