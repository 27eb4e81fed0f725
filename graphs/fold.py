"""BatchNorm folded into the convolutions before it: a network for inference alone."""

from graphs import rewrite


def fold(symbol, arg, aux):
    """Return a symbol without BatchNorm, and its parameters: outputs are equal up to rounding.

    gamma / sqrt(var + eps) goes into the weights of the convolution before, which gets a bias for
    the rest. A BatchNorm after anything else stays.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg, aux : dict of str to mx.nd.NDArray
        Parameters and BatchNorm's moving statistics; they stay as they are.
    """
    folder = Folder(symbol, arg, aux)
    symbol = folder.symbol()
    return symbol, *(
        {name: arrays[name] for name in names}
        for arrays, names in (
            (folder.arg, [name for name in symbol.list_arguments() if name in folder.arg]),
            (folder.aux, symbol.list_auxiliary_states()),
        )
    )


class Folder(rewrite.Rewriter):
    def __init__(self, symbol, arg, aux):
        super().__init__(symbol)
        self.arg, self.aux, self.folded_from = dict(arg), dict(aux), {}

    def make_batchnorm(self, node):
        conv, names = (
            self.source(node),
            [self.old[source]['name'] for source, _, _ in node['inputs'][1:]],
        )
        if conv['op'] != 'Convolution' or len(self.readers[node['inputs'][0][0]]) > 1:
            return self.make_other(node)
        gamma, beta = (self.arg[name] for name in names[:2])
        mean, variance = (self.aux[name] for name in names[2:])
        scale = 1 / (variance + float(node['attrs']['eps'])).sqrt()
        if node['attrs'].get('fix_gamma', 'True') in ('False', '0'):
            scale = scale * gamma
        return self._convolution(conv, scale, beta, mean)

    def _convolution(self, conv, scale, beta, mean):
        weight, new = self.old[conv['inputs'][1][0]]['name'], conv['name'] + '_weight'
        bias = conv['name'] + '_bias'
        if len(conv['inputs']) > 2:
            mean = mean - self.arg[bias]
        # By the convolution's own name: an ensemble's share their weights, and not their
        # statistics.
        self.arg[new] = self.folded_from.setdefault(weight, self.arg[weight]) * scale.reshape(
            (-1, 1, 1, 1)
        )
        self.arg[bias] = beta - mean * scale
        inputs = [
            self.value(conv['inputs'][0]),
            self.emit('null', new, []),
            self.emit('null', bias, []),
        ]
        return self.emit(
            'Convolution', conv['name'], inputs, **dict(conv['attrs'], no_bias='False')
        )
