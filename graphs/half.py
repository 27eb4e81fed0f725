"""A network's graph in half precision for GPUs: ``--dtype float16``. It was never run on a GPU.

Feature maps and convolutions are float16, through casts in the graph. Parameters, BatchNorm's
statistics, the pooling, the fully connected layer and the loss stay float32, so a checkpoint is the
same in both precisions. The loss is multiplied by ``LOSS_SCALE`` for the backward pass, because
most gradients of a network are too small for float16; the optimiser divides by it (Micikevicius et
al., arXiv 1710.03740).
"""

from graphs import rewrite

# SoftmaxOutput's gradients are those of the sum of the losses over the batch, so at batch 64 the
# scale 128 corresponds to 8192 for a mean loss.
LOSS_SCALE = 128


def half(symbol):
    """Return the graph to bind on GPUs; its gradients must be divided by ``LOSS_SCALE``."""
    return HalfRewriter(symbol).symbol()


class HalfRewriter(rewrite.Rewriter):
    """Puts casts to float16 before the convolutions, and casts to float32 before the pooling."""

    def cast(self, entry, dtype, name):
        """Emit a cast to ``dtype``, 'float16' or 'float32'."""
        return self.emit('Cast', f'{name}_{dtype}', [entry], dtype=dtype)

    def make_convolution(self, node):
        inputs = []
        for entry in node['inputs']:
            source, value = self.old[entry[0]], self.value(entry)
            # Images and parameters are float32; the outputs of operators are float16 already.
            inputs.append(
                self.cast(value, 'float16', source['name']) if source['op'] == 'null' else value
            )
        return self.emit('Convolution', node['name'], inputs, **node['attrs'])

    def make_mean(self, node):
        single = self.cast(self.value(node['inputs'][0]), 'float32', node['name'] + '_input')
        return self.emit('mean', node['name'], [single], **node['attrs'])

    def make_null(self, node):
        entry = self.make_other(node)
        if node['name'] != 'softmax_label':
            # 0 is float32. Without it MXNet infers the type from the operators that read the input.
            self.new[entry[0]]['attrs']['__dtype__'] = '0'
        return entry

    def make_softmaxoutput(self, node):
        attrs = node.get('attrs', {})
        return self.emit(
            'SoftmaxOutput',
            node['name'],
            [self.value(entry) for entry in node['inputs']],
            **dict(attrs, grad_scale=LOSS_SCALE * float(attrs.get('grad_scale', 1))),
        )
