"""A network's JSON from a file that nobody vouches for: what is in it, and what it takes to run."""

import ast
import json
import re
from typing import NamedTuple

from engine import mx
from graphs import summary


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


MOST_FILTERS, MOST_CLASSES, MOST_TERMS = 64 * 64, 100_000, 64  # as symbols.get_symbol has them
_CONVOLUTION = {'kernel': _pair(1, 7), 'stride': _pair(1, 2), 'pad': _pair(0, 3)}
# What the project's networks are made of: for each operator its numbers of inputs, and what its
# attributes may be.
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
# A ResNet of depth 7,000, or a DFN-MR of 3,000, which is bound within half a minute.
MOST_OPERATORS, MOST_NODES = 25_000, 100_000
MOST_BYTES = 64 << 20  # of the text
# Operators in a row without a ReLU. The project's networks have 6 at most; graphs are rewritten by
# functions that call themselves from one ReLU back to the one before.
MOST_LINEAR = 50
# MXNet's own operators keep up to this many copies of parameters and maps: 3.4 of the maps and 4.2
# of the parameters were measured with ImageNet's DFN-MR-44. The operators of native/ keep fewer.
FLOAT_BYTES, COPIES = 4, 4


def load(text):
    """Return the symbol of a JSON text.

    MXNet's reader believes what it finds: a wrong node number or attribute can crash it, and some
    of its operators run code of their own. So every node is looked at first, and a graph of what
    was understood is handed on. What it takes to run depends on the images, see ``needs``.

    Raises
    ------
    ValueError
        It is no graph, or has something in it that no network of the project has.
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
    """Return a node with what is known of it, and nothing else."""
    op, name, attrs = node['op'], node['name'], node.get('attrs', {})
    if op not in OPERATORS:
        raise ValueError(f'it has the operator {str(op)[:50]}')
    inputs, checks = OPERATORS[op]
    if checks is None:
        attrs, checks = {}, {}  # of a variable: what it is initialised with
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
    """Raise ``ValueError`` for inputs that are not there, and for a graph that is too large.

    Inputs are [node, 0, version]: nodes that come before, parameters where parameters belong and
    nowhere else.
    """
    linear, operators = [], 0  # linear: for each node, the operators since the last ReLU before it
    for number, node in enumerate(nodes):
        for place, (source, output, version) in enumerate(node['inputs']):
            whole = all(type(part) is int for part in (source, output, version))
            parameter = place > 0 and node['op'] != 'add_n'
            if (
                not whole
                or not 0 <= source < number
                or output
                or version not in (0, 1)
                or parameter
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

    parameters: int  # numbers
    maps: int  # numbers of the feature maps of one image that are needed at the same time, at most
    operations: int  # multiplications and additions for one image, about

    def memory(self, batch):
        """Return about how many bytes a batch takes."""
        return FLOAT_BYTES * COPIES * (self.parameters + self.maps * batch)


def needs(symbol, image):
    """Return the ``Needs`` of a network for images of shape (channels, height, width).

    A map is needed from the operator that makes it to the last one that reads it. Raises what
    ``mx.sym.Symbol.infer_shape`` raises.
    """
    shapes = summary.shapes(symbol, image)
    nodes = json.loads(symbol.tojson())['nodes']
    sizes = [
        _size(shapes[node['name'] + ('_output' if node['op'] != 'null' else '')]) for node in nodes
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
    """Return how many operations one number of an operator's output takes."""
    if node['op'] in summary.WEIGHTED:
        return _size(shapes[nodes[node['inputs'][1][0]]['name']][1:])
    if node['op'] == 'Pooling':
        return _size(ast.literal_eval(node['attrs']['kernel']))
    return len(node['inputs'])


def _size(shape):
    size = 1
    for length in shape:
        size *= length
    return size
