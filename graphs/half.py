"""A network's graph in half precision for GPUs: ``--dtype float16``. It was never run on a GPU.

Parameters, BatchNorm's statistics, the pooling, the fully connected layer and the loss stay in
single precision, so checkpoints do not depend on it; feature maps and convolutions are float16,
through casts in the graph. The loss is multiplied by ``LOSS_SCALE`` for the backward pass, since
most gradients of a network lie below what float16 can hold; the optimiser divides by it
(Micikevicius et al., arXiv 1710.03740).
"""

from graphs import rewrite

# SoftmaxOutput's gradients are those of the sum over the batch, not of the mean, so 128 here is
# 8192 where the batch is 64 and the loss a mean.
LOSS_SCALE = 128


def half(symbol):
    """Return the graph to bind on GPUs; use it with gradients divided by ``LOSS_SCALE``."""
    return Rewriter(symbol).symbol()


class Rewriter(rewrite.Rewriter):
    def cast(self, entry, dtype, name):
        return self.emit('Cast', f'{name}_{dtype}', [entry], dtype=dtype)

    def make_convolution(self, node):
        inputs = []
        for entry in node['inputs']:
            source, value = self.old[entry[0]], self.value(entry)
            # Images and parameters are float32; what operators return is float16 already.
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
            self.new[entry[0]]['attrs']['__dtype__'] = (
                '0'  # float32, whatever its readers would like
            )
        return entry

    def make_softmaxoutput(self, node):
        attrs = node.get('attrs', {})
        return self.emit(
            'SoftmaxOutput',
            node['name'],
            [self.value(entry) for entry in node['inputs']],
            **dict(attrs, grad_scale=LOSS_SCALE * float(attrs.get('grad_scale', 1))),
        )
