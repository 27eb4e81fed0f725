"""Symbols from untrusted files: checked before MXNet reads them, and their cost computed."""

import ast
import json
import re
from typing import NamedTuple

from engine import mx
from graphs import summary

# Each of these functions returns a check of an attribute's text.


def _text(expected):
    return lambda text: text == expected


def _whole(least, most):
    return lambda text: re.fullmatch('[0-9]{1,6}', text) and least <= int(text) <= most


def _pair(least, most):
    def fits(text):
        numbers = re.fullmatch(r'\(([0-9]{1,2}), ([0-9]{1,2})\)', text)
        return numbers and all(least <= int(number) <= most for number in numbers.groups())

    return fits


def _real(least, most):
    return lambda text: (
        re.fullmatch(r'-?[0-9.]{1,20}(e-?[0-9]{1,2})?', text)
        and text.count('.') <= 1
        and least <= float(text) <= most
    )


# The limits of symbols.get_symbol, and the most terms in a sum.
MOST_FILTERS, MOST_CLASSES, MOST_TERMS = 64 * 64, 100_000, 64
_CONVOLUTION = {'kernel': _pair(1, 7), 'stride': _pair(1, 2), 'pad': _pair(0, 3)}
# The operators of the project's networks: for each the possible numbers of inputs, and a check of
# each attribute (None: the attributes are dropped).
OPERATORS = {
    'null': ((0,), None),
    'Convolution': (
        (2,),
        {**_CONVOLUTION, 'num_filter': _whole(1, MOST_FILTERS), 'no_bias': _text('True')},
    ),
    'BatchNorm': (
        (5,),
        {'eps': _real(1e-8, 0.1), 'momentum': _real(0, 1), 'fix_gamma': _text('False')},
    ),
    'Activation': ((1,), {'act_type': _text('relu')}),
    'Pooling': ((1,), {**_CONVOLUTION, 'pool_type': _text('max')}),
    'add_n': (range(2, MOST_TERMS + 1), {'num_args': _whole(2, MOST_TERMS)}),
    '_mul_scalar': ((1,), {'scalar': _real(-100, 100)}),
    'mean': ((1,), {'axis': _text('(2, 3)')}),
    'FullyConnected': ((3,), {'num_hidden': _whole(1, MOST_CLASSES)}),
    'SoftmaxOutput': ((2,), {}),
}
# Enough for a ResNet of depth 7,000 or a DFN-MR of depth 3,000, which MXNet binds in half a minute.
MOST_OPERATORS, MOST_NODES = 25_000, 100_000
MOST_BYTES = 64 << 20  # of the text
# Operators in a row without a ReLU. The project's networks have 6 at most. More would make the
# functions of graphs/ that rewrite graphs call themselves too often (see Rewriter.symbol).
MOST_LINEAR = 50
# How many copies of parameters and feature maps MXNet's own operators keep. With ImageNet's
# DFN-MR-44, 3.4 copies of the maps and 4.2 of the parameters were measured. The project's operators
# keep fewer.
FLOAT_BYTES, COPIES = 4, 4


def load(text):
    """Return the symbol of a JSON text.

    MXNet does not check what it reads: a wrong node number or attribute can crash it, and some of
    its operators, such as Custom, run code that is not MXNet's. So every node is checked first, and
    MXNet gets a new graph of nothing but the checked parts. What a forward pass costs depends on
    the size of the images, see ``needs``.

    Raises
    ------
    ValueError
        The text is no graph, or has something that no network of the project has.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f'it has more than {MOST_BYTES >> 20} MB')
    try:
        graph = json.loads(text)
        if len(graph['nodes']) > MOST_NODES:
            raise ValueError(f'it has more than {MOST_NODES} nodes')
        nodes = [_node(number, node) for number, node in enumerate(graph['nodes'])]
        heads = graph['heads']
        if not heads or any(
            head != [head[0], 0, 0] or nodes[head[0]]['op'] != 'SoftmaxOutput' for head in heads
        ):
            raise ValueError('it does not end in softmax')
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError('it is no graph') from None
    names = [node['name'] for node in nodes]
    if len(set(names)) < len(names) or not {'data', 'softmax_label'} <= set(names):
        raise ValueError('its names are not those of a network')
    _check_graph(nodes)
    variables = [number for number, node in enumerate(nodes) if node['op'] == 'null']
    try:
        return mx.sym.load_json(
            json.dumps(
                {
                    'nodes': nodes,
                    'arg_nodes': variables,
                    'heads': heads,
                    'attrs': {'mxnet_version': ['int', 10901]},
                }
            )
        )
    except mx.MXNetError as error:
        raise ValueError(str(error).strip().split('\n')[-1]) from None


def _node(number, node):
    """Return a node with its checked parts alone; ``ValueError`` if a check fails."""
    op, name, attrs = node['op'], node['name'], node.get('attrs', {})
    if op not in OPERATORS:
        raise ValueError(f'it has the operator {str(op)[:50]}')
    inputs, checks = OPERATORS[op]
    if checks is None:
        attrs, checks = {}, {}  # a variable's, which say how it is initialised
    if not re.fullmatch(r'\w{1,200}', name) or len(node['inputs']) not in inputs:
        raise ValueError(f"node {number} is not one of the project's")
    if set(attrs) != set(checks):
        raise ValueError(f'node {number}, {op}, has other attributes than in the project')
    for key, fits in checks.items():
        if not fits(attrs[key]):
            raise ValueError(
                f'node {number}, {op}, has {key} {attrs[key][:20]!r}, which no '
                'network of the project has'
            )
    if attrs.get('num_args', str(len(node['inputs']))) != str(len(node['inputs'])):
        raise ValueError(f'node {number} has another number of inputs than it says')
    return {'op': op, 'name': name, 'attrs': attrs, 'inputs': node['inputs']}


def _check_graph(nodes):
    """Raise ``ValueError`` for an input that does not exist and for a graph that is too large.

    An input is [node, 0, version], where the node comes before its reader. All inputs after the
    first must be parameters, except in sums.
    """
    linear, operators = [], 0  # linear: for each node, the number of operators since the last ReLU
    for number, node in enumerate(nodes):
        for position, (source, output, version) in enumerate(node['inputs']):
            are_integers = all(type(value) is int for value in (source, output, version))
            is_parameter = position > 0 and node['op'] != 'add_n'
            if (
                not are_integers
                or not 0 <= source < number
                or output
                or version not in (0, 1)
                or is_parameter
                and nodes[source]['op'] != 'null'
            ):
                raise ValueError(f'node {number} has an input that is not there')
        operators += node['op'] != 'null'
        before = max((linear[source] for source, _, _ in node['inputs']), default=-1)
        linear.append(0 if node['op'] == 'Activation' else before + 1)
        if linear[-1] > MOST_LINEAR:
            raise ValueError(f'it has more than {MOST_LINEAR} operators in a row without a ReLU')
    if operators > MOST_OPERATORS:
        raise ValueError(f'it has {operators} operators, and at most {MOST_OPERATORS} are allowed')


class Needs(NamedTuple):
    """What a forward pass takes."""

    parameters: int  # number of weights, biases, gammas, betas and moving statistics
    maps: int  # the most numbers in feature maps of one image that are needed at the same time
    operations: int  # approximate multiplications and additions for one image

    def memory(self, batch):
        """Return approximately how many bytes of memory a batch of so many images takes."""
        return FLOAT_BYTES * COPIES * (self.parameters + self.maps * batch)


def needs(symbol, image):
    """Return the ``Needs`` of a network for images of shape (channels, height, width).

    A feature map is needed from the operator that makes it to the last one that reads it. Raises
    what ``mx.sym.Symbol.infer_shape`` raises.
    """
    shapes = summary.shapes(symbol, image)
    nodes = json.loads(symbol.tojson())['nodes']
    sizes = [
        summary.size(shapes[node['name'] + ('_output' if node['op'] != 'null' else '')])
        for node in nodes
    ]
    last = {source: number for number, node in enumerate(nodes) for source, _, _ in node['inputs']}
    held = most = parameters = operations = 0
    for number, node in enumerate(nodes):
        if node['op'] == 'null' and node['name'] != 'data':
            parameters += sizes[number]
            continue
        held += sizes[number]
        most = max(most, held)
        operations += sizes[number] * _operations(node, nodes, shapes)
        for source in {source for source, _, _ in node['inputs']}:
            if last[source] == number and nodes[source]['op'] != 'null':
                held -= sizes[source]
    return Needs(parameters, most, operations)


def _operations(node, nodes, shapes):
    """Return how many operations an operator needs for each number of its output."""
    if node['op'] in summary.WEIGHTED:
        return summary.size(shapes[nodes[node['inputs'][1][0]]['name']][1:])
    if node['op'] == 'Pooling':
        return summary.size(ast.literal_eval(node['attrs']['kernel']))
    return len(node['inputs'])
