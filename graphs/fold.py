"""BatchNorm folded into the convolution before it: a network for inference alone."""

from graphs import rewrite


def fold(symbol, arg, aux):
    """Return a symbol whose BatchNorms are folded, its parameters and remaining moving statistics.

    The weights of a convolution are multiplied by gamma / sqrt(var + eps) of the BatchNorm after
    it, and what the BatchNorm adds becomes the convolution's bias. A BatchNorm after any other
    operator is kept. Outputs are equal up to rounding.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg, aux : dict of str to mx.nd.NDArray
        Parameters and moving statistics; they are not changed.
    """
    folder = BatchNormFolder(symbol, arg, aux)
    symbol = folder.symbol()
    arg = {name: folder.arg[name] for name in symbol.list_arguments() if name in folder.arg}
    aux = {name: folder.aux[name] for name in symbol.list_auxiliary_states()}
    return symbol, arg, aux


class BatchNormFolder(rewrite.Rewriter):
    """Folds a network's BatchNorms; ``arg`` and ``aux`` become those of the new symbol."""

    def __init__(self, symbol, arg, aux):
        super().__init__(symbol)
        self.arg, self.aux = dict(arg), dict(aux)
        self.unfolded = {}  # the original weights by name, which several convolutions may share

    def make_batchnorm(self, node):
        conv = self.source(node)
        if conv['op'] != 'Convolution' or len(self.readers[node['inputs'][0][0]]) > 1:
            return self.make_other(node)
        names = [self.old[source]['name'] for source, _, _ in node['inputs'][1:]]
        gamma, beta = (self.arg[name] for name in names[:2])
        mean, variance = (self.aux[name] for name in names[2:])
        scale = 1 / (variance + float(node['attrs']['eps'])).sqrt()
        if node['attrs'].get('fix_gamma', 'True') in ('False', '0'):
            scale = scale * gamma
        return self._convolution(conv, scale, beta, mean)

    def _convolution(self, conv, scale, beta, mean):
        """Emit ``conv`` with its weights times ``scale`` and with a bias."""
        old_weight, weight = self.old[conv['inputs'][1][0]]['name'], conv['name'] + '_weight'
        bias = conv['name'] + '_bias'
        if len(conv['inputs']) > 2:
            mean = mean - self.arg[bias]
        # The folded weights have the convolution's own name: the networks of an ensemble share
        # weights but not moving statistics, so the results of folding differ.
        unfolded = self.unfolded.setdefault(old_weight, self.arg[old_weight])
        self.arg[weight] = unfolded * scale.reshape((-1, 1, 1, 1))
        self.arg[bias] = beta - mean * scale
        inputs = [
            self.value(conv['inputs'][0]),
            self.emit('null', weight, []),
            self.emit('null', bias, []),
        ]
        return self.emit(
            'Convolution', conv['name'], inputs, **dict(conv['attrs'], no_bias='False')
        )
