"""A network's graph on the project's CPU operators (engine/native)."""

from ast import literal_eval

from graphs import rewrite
from graphs.gradient_accumulation import Accumulation

# The most terms of one sum, and the most terms that two outputs share: the cases that with_counts
# in engine/native/combine.h has.
MOST_TERMS, MOST_SHARED = 6, 2
LANES = 16  # numbers of channels are multiples of this, see engine/native/vec.h
IMAGE = (1, 3, 32, 32)
INPUTS = ('data', 'softmax_label')
BATCHNORM = {'eps', 'momentum', 'fix_gamma'}
WINDOW = ('kernel', 'stride', 'pad')
CONVOLUTION = {*WINDOW, 'num_filter', 'no_bias'}
POOLING = {*WINDOW, 'pool_type'}


class Unsupported(Exception):
    """The graph has something that the operators cannot compute; the text says what."""


class NativeRewriter(rewrite.Rewriter):
    """Builds a graph whose feature maps have shape (batch, height, width, channels).

    Each convolution becomes one operator, which also computes the mean and the variance of its
    output if ``train``. All operators between two convolutions (BatchNorm, sums, multiplication by
    constants, ReLU) become another. In inference they become the epilogue of the convolution's
    operator.

    A *term* below is (kind, factor, what): ('map', factor, entry) for a feature map, ('bn', factor,
    node) for a BatchNorm, and ('conv', factor, node) for a convolution with a bias or, in
    inference, for a BatchNorm together with the convolution before it. Entries and nodes are those
    of the old graph.

    Raises
    ------
    Unsupported
    """

    def __init__(self, symbol, train):
        super().__init__(symbol)
        self.train = train
        self.accumulation = Accumulation(self.old, self.readers)
        shapes, _, auxiliary = symbol.infer_shape(data=IMAGE)
        self.shapes = dict(
            zip(symbol.list_arguments() + symbol.list_auxiliary_states(), shapes + auxiliary)
        )

    def make_null(self, node):
        attrs = dict(node.get('attrs', {}))
        if node['name'] not in INPUTS:
            # MXNet must know the shapes of all parameters: if it asks an operator of a library for
            # them, MXNet 1.9.1 takes an unknown shape for -1 numbers and writes past its buffer.
            attrs['__shape__'] = self.shapes[node['name']]
        return self.emit('null', node['name'], [], **attrs)

    def make_convolution(self, node):
        if len(node['inputs']) > 2:
            return self._folded(node, [('conv', 1.0, node)], [], relu=0)
        inputs, entry = self._inputs(node), node['inputs'][0]
        linked = self._linked(entry, node) if self.train else []
        if linked:
            inputs = [linked[0], inputs[1], linked[1]]
        flags = {
            'moments': self.train,
            'data_gradient': not self._is_variable(entry),
            'link_in': bool(linked),
            'link_out': self.train and self.accumulation.receives(node),
        }
        return self.emit(
            '_dfn_convolution',
            node['name'],
            inputs,
            **{name: int(flag) for name, flag in flags.items()},
            **geometry(node),
        )

    def _linked(self, entry, reader=None):
        """Return [feature map without gradient, link_in], or [] where there is no link.

        ``reader`` is as in ``Accumulation.receiver``. The link is the third output of the
        convolution that takes the gradient.
        """
        receiver = self.accumulation.receiver(entry, reader)
        if receiver is None:
            return []
        data, (conv, _, _) = self.value(entry), self.value([receiver, 0, 0])
        name = f'{self.old[entry[0]]["name"]}_value{len(self.new)}'
        return [self.emit('BlockGrad', name, [data]), [conv, 2, 0]]

    def _inputs(self, conv):
        """Return a convolution's inputs: the data, channels last, and the parameters."""
        data, *parameters = map(self.value, conv['inputs'])
        if self._is_variable(conv['inputs'][0]):
            data = self.emit('transpose', conv['name'] + '_layout', [data], axes=(0, 2, 3, 1))
        return [data, *parameters]

    def _is_variable(self, entry):
        return self.old[entry[0]]['op'] == 'null'

    def make_mean(self, node):
        if node['attrs'] != {'axis': '(2, 3)'}:
            raise Unsupported('a mean that is no global average pooling')
        return self.emit('_dfn_pool', node['name'], [self.value(node['inputs'][0])])

    def make_pooling(self, node):
        if self.train or node['attrs'].get('pool_type') != 'max':
            raise Unsupported('pooling that is not by the maximum, or that is trained')
        window = _window(node, POOLING)
        return self.emit('_dfn_max_pool', node['name'], [self.value(node['inputs'][0])], **window)

    def make_fullyconnected(self, node):
        if self.source(node)['op'] != 'mean':
            raise Unsupported('a fully connected layer that does not follow the pooling')
        # Not FullyConnected: in inference MXNet keeps a copy of its weights, which would be out of
        # date after the next training step.
        data, weight, bias = map(self.value, node['inputs'])
        product = self.emit('dot', node['name'] + '_product', [data, weight], transpose_b=True)
        return self.emit('broadcast_add', node['name'], [product, bias])

    make_softmaxoutput = rewrite.Rewriter.make_other

    def make_other(self, node):
        raise Unsupported(f'operator {node["op"]}')

    def make_activation(self, node):
        if node['attrs']['act_type'] != 'relu':
            raise Unsupported(f'activation {node["attrs"]["act_type"]}')
        pair = self.train and self._relus_that_share_a_sum(node)
        if not pair:
            return self._sum(node, self._terms(node['inputs'][0], 1.0), relu=1)
        relus, terms = pair
        out = self._combine(node, terms, relu=1, outputs=len(relus))
        self.made.update({number: [out[0], output, 0] for output, number in enumerate(relus)})
        return self.made[self.old.index(node)]

    def _relus_that_share_a_sum(self, node):
        """Return the numbers of two ReLUs with a sum in common and their terms, or None.

        The two states of a merge-and-run unit are such a pair, and the merge is the sum in common.
        The terms are first those of that sum, then one for each ReLU. ``node`` is one of the ReLUs.
        """
        for shared, _, _ in self.source(node)['inputs']:
            sums = self.readers[shared]
            relus = [reader for number in sums for reader in self.readers[number]]
            if (
                [self.old[number]['op'] for number in sums + relus]
                != ['add_n', 'add_n', 'Activation', 'Activation']
                or any(len(self.readers[number]) > 1 for number in sums)
                or self.depends(relus[1], relus[0])
            ):
                continue
            own = [
                term
                for number in sums
                for entry in self.old[number]['inputs']
                if entry[0] != shared
                for term in self._terms(entry, 1.0)
            ]
            terms = _without_repeats(self._parts(self.old[shared], 1.0))
            if len(own) == 2 and 1 <= len(terms) <= MOST_SHARED:
                return relus, terms + own

    def make_add_n(self, node):
        """Make a sum, a multiple or a BatchNorm that no ReLU follows."""
        return self._sum(node, self._parts(node, 1.0), relu=0)

    make_mul_scalar = make_batchnorm = make_add_n

    def _terms(self, entry, scale):
        """Return terms whose sum is an old entry times ``scale``.

        An operator with one reader is replaced by its own terms. The output of an operator with
        several readers is a term, a feature map that is computed once.
        """
        parts = self._parts(self.old[entry[0]], scale) if len(self.readers[entry[0]]) == 1 else []
        return parts or [('map', scale, entry)]

    def _parts(self, node, scale):
        """Return terms whose sum is an old node's output times ``scale``, [] for other nodes."""
        if node['op'] == 'add_n':
            return [term for entry in node['inputs'] for term in self._terms(entry, scale)]
        if node['op'] == '_mul_scalar':
            return self._terms(node['inputs'][0], scale * float(node['attrs']['scalar']))
        if node['op'] == 'BatchNorm':
            return [('conv' if self._is_epilogue(node) else 'bn', scale, node)]
        if node['op'] == 'Convolution' and len(node['inputs']) == 3:
            return [('conv', scale, node)]
        return []

    def _is_epilogue(self, bn):
        """Return whether a BatchNorm can be computed by the operator of the convolution before it.

        In training it cannot: it needs the mean and the variance of the convolution's whole output.
        """
        conv = self.source(bn)
        return (
            not self.train
            and conv['op'] == 'Convolution'
            and len(conv['inputs']) == 2
            and len(self.readers[bn['inputs'][0][0]]) == 1
        )

    def _sum(self, node, terms, relu):
        """Make the sum of terms, with a ReLU if ``relu`` is 1."""
        terms = self._inlined(_without_repeats(terms), terms)
        if len(terms) > MOST_TERMS:
            raise Unsupported(f'a sum of {len(terms)} terms')
        convs = [term for term in terms if term[0] == 'conv']
        others = [term for term in terms if term[0] != 'conv']
        if not convs:
            return self._combine(node, terms, relu)
        if any(kind == 'bn' for kind, _, _ in others):
            maps = [(self._combine(node, others, relu=0, name=node['name'] + '_rest'), 1.0)]
        else:
            maps = [(self.value(entry), scale) for _, scale, entry in others]
        return self._folded(node, convs, maps, relu)

    def _inlined(self, terms, repeated):
        """Return ``terms`` with each feature map that nothing else reads replaced by its own terms.

        ``terms`` has each map once, ``repeated`` as often as it is read. In the last unit of DFN-MR
        both states read the merge, and one sum reads both states: it adds the terms of the merge
        times 2, and the merge is not written to memory.
        """
        inlined = []
        for kind, scale, what in terms:
            parts = []
            if kind == 'map':
                uses = sum(
                    other == 'map' and list(entry) == list(what) for other, _, entry in repeated
                )
                if uses > 1 and uses == len(self.readers[what[0]]):
                    parts = self._parts(self.old[what[0]], scale)
            inlined += parts or [(kind, scale, what)]
        return _without_repeats(inlined)

    def _combine(self, node, terms, relu, outputs=1, name=None):
        """Emit the operator that adds terms up, see _dfn_combine in engine/native/ops.cc."""
        inputs, kinds = [], []
        for kind, scale, what in terms:
            linked = self._linked(what) if kind == 'map' and self.train else []
            inputs += self._normalised(what) if kind == 'bn' else linked or [self.value(what)]
            kinds.append(f'{"linked" if linked else kind}*{scale!r}')
        options = {_batchnorm(what) for kind, _, what in terms if kind == 'bn'} or {(0.0, 0.0)}
        if len(options) > 1:
            raise Unsupported('a sum of BatchNorms with different options')
        ((eps, momentum),) = options
        return self.emit(
            '_dfn_combine',
            name or node['name'],
            inputs,
            terms=','.join(kinds),
            outputs=outputs,
            relu=relu,
            train=int(self.train),
            eps=eps,
            momentum=momentum,
        )

    def _normalised(self, bn):
        """Return the inputs of a BatchNorm's term, see _dfn_combine in engine/native/ops.cc."""
        conv = self.source(bn)
        if conv['op'] != 'Convolution' or len(conv['inputs']) > 2:
            raise Unsupported('a BatchNorm that does not follow a convolution without bias')
        output = self.value(bn['inputs'][0])
        return [output, [output[0], 1, 0]] + [self.value(entry) for entry in bn['inputs'][1:]]

    def _folded(self, node, convs, maps, relu):
        """Add one convolution after another to the sum of the maps; the last applies the ReLU.

        ``convs`` are terms of that kind; the maps are (new entry, factor).
        """
        for number, (_, scale, what) in enumerate(convs):
            last = number == len(convs) - 1
            conv, parameters, options = what, [], {'normalised': 0}
            if what['op'] == 'BatchNorm':
                conv = self.source(what)
                parameters = [self.value(entry) for entry in what['inputs'][1:]]
                options = {'normalised': 1, 'eps': _batchnorm(what)[0]}
            out = self.emit(
                '_dfn_folded_convolution',
                node['name'] if last else conv['name'],
                self._inputs(conv) + parameters + [entry for entry, _ in maps],
                maps=','.join(repr(factor) for _, factor in maps),
                scale=scale,
                relu=int(relu and last),
                **options,
                **geometry(conv),
            )
            maps = [(out, 1.0)]
        return out


def _without_repeats(terms):
    """Return the terms with each feature map once, times the sum of its factors.

    In the first merge-and-run unit both states are the stem's output, which the merge adds twice.
    """
    maps = {}
    for kind, scale, what in terms:
        if kind == 'map':
            maps[tuple(what)] = maps.get(tuple(what), 0.0) + scale
    return [('map', scale, list(entry)) for entry, scale in maps.items()] + [
        term for term in terms if term[0] != 'map'
    ]


def geometry(conv):
    """Return the attributes kernel, stride and outputs of _dfn_convolution for a convolution.

    Raises ``Unsupported`` for one that the project's operators cannot compute.
    """
    window, outputs = _window(conv, CONVOLUTION), int(conv['attrs']['num_filter'])
    if outputs % LANES:
        raise Unsupported(f'{outputs} output channels')
    return {**window, 'outputs': outputs}


def _window(node, known):
    """Return kernel and stride of a convolution or a pooling whose padding is half its kernel.

    ``known`` are the attributes that the operators understand. Raises ``Unsupported`` where there
    are others, where one of the window is missing, and where height and width differ.
    """
    attrs = node['attrs']
    if set(WINDOW) <= set(attrs) <= known:
        kernel, stride, pad = (literal_eval(attrs[name]) for name in WINDOW)
        size, step = kernel[0], stride[0]
        if (kernel, stride, pad) == ((size,) * 2, (step,) * 2, (size // 2,) * 2) and size % 2:
            return {'kernel': size, 'stride': step}
    raise Unsupported(f'{node["op"]} {node["name"]}')


def _batchnorm(bn):
    """Return eps and momentum of a BatchNorm node; raise ``Unsupported`` for other options."""
    attrs = bn['attrs']
    if not set(attrs) <= BATCHNORM or attrs.get('fix_gamma') != 'False':
        raise Unsupported(f'BatchNorm {bn["name"]}')
    return float(attrs['eps']), float(attrs['momentum'])
