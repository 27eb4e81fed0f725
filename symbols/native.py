"""A network's graph on the project's own CPU operators (native/), for training and for inference."""
from ast import literal_eval

from symbols import graph

MOST_TERMS = 6  # in one sum, see with_count in native/combine.h
LANES = 16      # channels come in sixteens
IMAGE = (1, 3, 32, 32)
INPUTS = ('data', 'softmax_label')
BATCHNORM = {'eps', 'momentum', 'fix_gamma'}
CONVOLUTION = {'kernel', 'stride', 'pad', 'num_filter', 'no_bias'}


class Unsupported(Exception):
    """The graph has something that the operators do not do; the text says what."""


class Rewriter(graph.Rewriter):
    """Builds a graph whose feature maps are (batch, height, width, channels).

    A convolution becomes one operator, with the mean and the variance of its output if ``train``; all
    that follows it up to the next one (BatchNorm, sums, multiplication by constants, ReLU) another. In a
    graph without BatchNorm, see ``fold.fold``, the convolution's operator does that too.

    Raises
    ------
    Unsupported
    """

    def __init__(self, symbol, train):
        super().__init__(symbol)
        self.train = train
        shapes, _, auxiliary = symbol.infer_shape(data=IMAGE)
        self.shapes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), shapes + auxiliary))

    def make_null(self, node):
        attrs = dict(node.get('attrs', {}))
        if node['name'] not in INPUTS:
            # An operator of a library may not be asked for the shapes of its own parameters: MXNet 1.9.1
            # counts an unknown shape as -1 numbers and writes past its buffer.
            attrs['__shape__'] = self.shapes[node['name']]
        return self.emit('null', node['name'], [], **attrs)

    def make_convolution(self, node):
        if len(node['inputs']) == 2:
            return self.emit('_dfn_convolution', node['name'], self._inputs(node), moments=int(self.train),
                             data_gradient=int(not self._is_variable(node['inputs'][0])), **_geometry(node))
        return self._folded(node, [('conv', 1.0, node)], [], relu=0)

    def _inputs(self, conv):
        """Return the data with its channels last, and what else the convolution has."""
        data, *parameters = map(self.value, conv['inputs'])
        if self._is_variable(conv['inputs'][0]):
            data = self.emit('transpose', conv['name'] + '_layout', [data], axes=(0, 2, 3, 1))
        return [data, *parameters]

    def _is_variable(self, entry):
        return self.old[entry[0]]['op'] == 'null'

    def make_mean(self, node):
        if node['attrs'] != {'axis': '(2, 3)'}:
            raise Unsupported('a mean that is no global average pooling')
        return self.emit('mean', node['name'], [self.value(node['inputs'][0])], axis=(1, 2))

    def make_fullyconnected(self, node):
        if self.source(node)['op'] != 'mean':
            raise Unsupported('a fully connected layer that does not follow the pooling')
        # Not FullyConnected: MXNet's inference keeps a copy of its weights, which training then changes.
        data, weight, bias = map(self.value, node['inputs'])
        product = self.emit('dot', node['name'] + '_product', [data, weight], transpose_b=True)
        return self.emit('broadcast_add', node['name'], [product, bias])

    make_softmaxoutput = graph.Rewriter.make_other

    def make_other(self, node):
        raise Unsupported('operator %s' % node['op'])

    def make_activation(self, node):
        if node['attrs']['act_type'] != 'relu':
            raise Unsupported('activation %s' % node['attrs']['act_type'])
        return self._sum(node, self._terms(node['inputs'][0], 1.0), relu=1)

    def make_add_n(self, node):
        return self._sum(node, self._parts(node, 1.0), relu=0)

    make_mul_scalar = make_batchnorm = make_add_n

    def _terms(self, entry, scale):
        """Return the terms (kind, factor, entry or node) whose sum an old entry, times ``scale``, is."""
        alone = self.readers[entry[0]] == 1
        return alone and self._parts(self.old[entry[0]], scale) or [('map', scale, entry)]

    def _parts(self, node, scale):
        if node['op'] == 'add_n':
            return [term for entry in node['inputs'] for term in self._terms(entry, scale)]
        if node['op'] == '_mul_scalar':
            return self._terms(node['inputs'][0], scale * float(node['attrs']['scalar']))
        if node['op'] == 'BatchNorm':
            return [('bn', scale, node)]
        if node['op'] == 'Convolution' and len(node['inputs']) == 3:
            return [('conv', scale, node)]
        return []

    def _sum(self, node, terms, relu):
        if len(terms) > MOST_TERMS:
            raise Unsupported('a sum of %d terms' % len(terms))
        convs = [term for term in terms if term[0] == 'conv']
        others = [term for term in terms if term[0] != 'conv']
        if convs and not any(kind == 'bn' for kind, _, _ in others):
            return self._folded(node, convs, [(self.value(entry), scale) for _, scale, entry in others], relu)
        return self._combine(node, terms, relu)

    def _combine(self, node, terms, relu):
        inputs = []
        for kind, _, what in terms:
            inputs += self._normalised(what) if kind == 'bn' else [self.value(what)]
        options = {_batchnorm(what) for kind, _, what in terms if kind == 'bn'} or {(0.0, 0.0)}
        if len(options) > 1:
            raise Unsupported('a sum of BatchNorms with different options')
        (eps, momentum), = options
        return self.emit('_dfn_combine', node['name'], inputs, relu=relu, train=int(self.train), eps=eps, momentum=momentum,
                         terms=','.join('%s*%r' % (kind, scale) for kind, scale, _ in terms))

    def _normalised(self, bn):
        conv = self.source(bn)
        if conv['op'] != 'Convolution' or len(conv['inputs']) > 2:
            raise Unsupported('a BatchNorm that does not follow a convolution without bias')
        output = self.value(bn['inputs'][0])
        return [output, [output[0], 1, 0]] + [self.value(entry) for entry in bn['inputs'][1:]]

    def _folded(self, node, convs, maps, relu):
        """Add one convolution after another to the sum of the maps; the last has the ReLU."""
        for number, (_, scale, conv) in enumerate(convs):
            last = number == len(convs) - 1
            out = self.emit('_dfn_folded_convolution', node['name'] if last else conv['name'],
                            self._inputs(conv) + [entry for entry, _ in maps], maps=','.join(repr(factor) for _, factor in maps),
                            scale=scale, relu=int(relu and last), **_geometry(conv))
            maps = [(out, 1.0)]
        return out


def _geometry(conv):
    """Return the operators' attributes of a convolution node."""
    attrs = conv['attrs']
    kernel, stride = (literal_eval(attrs[name]) for name in ('kernel', 'stride'))
    known = set(attrs) <= CONVOLUTION and kernel in ((1, 1), (3, 3)) and len(set(stride)) == 1
    if not known or literal_eval(attrs['pad']) != (kernel[0] // 2,) * 2 or int(attrs['num_filter']) % LANES:
        raise Unsupported('convolution %s' % conv['name'])
    return {'kernel': kernel[0], 'stride': stride[0], 'outputs': attrs['num_filter']}


def _batchnorm(bn):
    """Return eps and momentum of a BatchNorm node."""
    attrs = bn['attrs']
    if not set(attrs) <= BATCHNORM or attrs.get('fix_gamma') != 'False':
        raise Unsupported('BatchNorm %s' % bn['name'])
    return float(attrs['eps']), float(attrs['momentum'])
