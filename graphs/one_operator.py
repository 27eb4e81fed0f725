"""A folded network as one operator, ``_dfn_network``, instead of one operator for each layer.

For a single image MXNet's calls of the layers took longer than the layers themselves.
"""

import json

from engine import mx
from graphs.native_graph import Unsupported

OPERATOR = '_dfn_network'


def merged(symbol):
    """Return the graph as one operator, from the images to the probabilities.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        What ``prepared_weights.on_native_operators`` returned.

    Raises
    ------
    Unsupported
        The graph has something that a plan (engine/native/network.h) cannot describe.
    """
    graph = json.loads(symbol.tojson())
    return Planner(graph['nodes']).symbol(graph)


class Planner:
    """Writes the plan of a network, see engine/native/network.h.

    Attributes
    ----------
    nodes : list of dict
        Of the graph's JSON form.
    steps : list of str
        The plan so far.
    inputs : list of int
        The nodes of the operator's inputs, the images first.
    buffers : dict of int to int
        For each node that has been computed and is still to be read, the buffer that holds it.
    """

    def __init__(self, nodes):
        self.nodes, self.steps, self.inputs = nodes, [], []
        self.buffers = {}
        self.free, self.most = [], 0  # buffers that can be used again, and how many there are
        # Of the fully connected layers: the inputs of each product, by node; which output of the
        # operator a layer is, by node; and the number of classes of each output.
        self.products, self.results, self.classes = {}, {}, []
        self.left = [0] * len(nodes)  # for each node, how often it is still to be read
        for node in nodes:
            for number in _sources(node):
                self.left[number] += 1
        self.inputs.append(self._named('data'))

    def _named(self, name):
        return next(number for number, node in enumerate(self.nodes) if node['name'] == name)

    def symbol(self, graph):
        """Return the new symbol of a graph, which is the JSON form of the old one."""
        for number, node in enumerate(self.nodes):
            if node['op'] not in ('null', 'SoftmaxOutput'):
                maker = getattr(self, '_plan_' + node['op'].strip('_'), None)
                if maker is None:
                    raise Unsupported(f'operator {node["op"]}')
                maker(number, node)
        heads = [self.nodes[number] for number, _, _ in graph['heads']]
        if any(head['op'] != 'SoftmaxOutput' for head in heads):
            raise Unsupported('an output that is no softmax')
        nodes = self._operator(heads[0]['name'] if len(heads) == 1 else 'network')
        operator = len(nodes) - 1
        results = [[operator, self.results[head['inputs'][0][0]], 0] for head in heads]
        if len(heads) > 1:  # the outputs have the names of the heads
            nodes += [
                {'op': '_copy', 'name': head['name'], 'inputs': [result]}
                for head, result in zip(heads, results)
            ]
            results = [[operator + 1 + number, 0, 0] for number in range(len(heads))]
        new = {
            'nodes': nodes,
            'arg_nodes': list(range(operator)),
            'heads': results,
            'attrs': graph['attrs'],
        }
        return mx.sym.load_json(json.dumps(new))

    def _operator(self, name):
        """Return the nodes of the operator's inputs, and the operator's own."""
        inputs = [
            # MXNet must know the shapes of all parameters, see native_graph.py.
            {key: self.nodes[number].get(key, {}) for key in ('op', 'name', 'attrs')}
            for number in self.inputs
        ]
        attrs = {
            'plan': ';'.join(self.steps),
            'inputs': str(len(inputs)),
            'classes': ','.join(map(str, self.classes)),
        }
        entries = [[number, 0, 0] for number in range(len(inputs))]
        return [
            *(dict(node, inputs=[]) for node in inputs),
            {'op': OPERATOR, 'name': name, 'inputs': entries, 'attrs': attrs},
        ]

    def _input(self, number):
        """Return the number of the operator's input that a parameter is; add it if it is new."""
        if number not in self.inputs:
            self.inputs.append(number)
        return self.inputs.index(number)

    def _step(self, number, kind, words, data=(), maps=()):
        """Add the step that computes a node, and free the buffers that nothing reads any more.

        The result can take the place of a map that only this step still reads: of maps a step reads
        an element before it writes that of the result. ``data`` stays until the step is done.

        Parameters
        ----------
        number : int
            The node.
        kind : str
            Of the step, such as ``conv``.
        words : list
            What follows the number of the step's buffer.
        data, maps : list of int
            The nodes whose feature maps the step reads.
        """
        self._read(maps)
        if self.free:
            out = self.free.pop()
        else:
            out, self.most = self.most, self.most + 1
        self._read(data)
        self.buffers[number] = out
        self.steps.append(' '.join(map(str, [kind, out, *words])))

    def _read(self, sources):
        """Count that nodes have been read, and free the buffers that nothing reads any more."""
        for source in sources:
            self.left[source] -= 1
            if not self.left[source]:
                self.free.append(self.buffers.pop(source))

    def _plan_transpose(self, number, node):
        if _sources(node) != self.inputs[:1]:
            raise Unsupported('a transposition of a feature map')
        self._step(number, 'layout', [])

    def _plan_dfn_folded_convolution(self, number, node):
        attrs = node['attrs']
        if attrs['normalised'] != '0':
            raise Unsupported('a BatchNorm')
        data, weight, bias, *maps = _sources(node)
        words = [self.buffers[data], self._input(weight), self._input(bias)]
        words += [attrs[name] for name in ('kernel', 'stride', 'outputs', 'scale', 'relu')]
        factors = [factor for factor in attrs['maps'].split(',') if factor]
        self._step(number, 'conv', words + self._with_factors(maps, factors), [data], maps)

    def _plan_dfn_combine(self, number, node):
        terms = [term.split('*') for term in node['attrs']['terms'].split(',')]
        if any(kind != 'map' for kind, _ in terms) or node['attrs']['outputs'] != '1':
            raise Unsupported('a BatchNorm')
        maps = _sources(node)
        factors = [factor for _, factor in terms]
        words = [node['attrs']['relu'], *self._with_factors(maps, factors)]
        self._step(number, 'sum', words, maps=maps)

    def _with_factors(self, maps, factors):
        """Return the words COUNT (BUFFER FACTOR)... of a plan."""
        pairs = [
            word for pair in zip((self.buffers[map_] for map_ in maps), factors) for word in pair
        ]
        return [len(maps), *pairs]

    def _plan_dfn_max_pool(self, number, node):
        data = _sources(node)
        words = [self.buffers[data[0]], node['attrs']['kernel'], node['attrs']['stride']]
        self._step(number, 'maxpool', words, data)

    def _plan_dfn_pool(self, number, node):
        data = _sources(node)
        self._step(number, 'pool', [self.buffers[data[0]]], data)

    def _plan_dot(self, number, node):
        self.products[number] = _sources(node)

    def _plan_broadcast_add(self, number, node):
        product, bias = _sources(node)
        data, weight = self.products[product]
        classes = int(self.nodes[weight]['attrs']['__shape__'].strip('()').split(',')[0])
        words = [self.buffers[data], self._input(weight), self._input(bias), classes]
        result = self.results[number] = len(self.classes)
        self.classes.append(classes)
        self._step(number, 'head', [*words, result], [data])
        self.free.append(self.buffers.pop(number))  # its result is an output of the operator


def _sources(node):
    """Return the numbers of the nodes that a node reads."""
    return [number for number, _, _ in node['inputs']]
