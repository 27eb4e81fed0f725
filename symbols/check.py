"""A network's JSON from a file that nobody vouches for."""
import json
import re

from common.engine import mx

SIZE, PAIR, REAL = r'[1-9]\d{0,4}', r'\([0-9]{1,2}, [0-9]{1,2}\)', r'-?[0-9.]{1,12}(e-?\d\d?)?'
# What the project's networks are made of: for each operator its numbers of inputs, and what its attributes
# must look like.
OPERATORS = {
    'null': ((0,), None),
    'Convolution': ((2,), {'kernel': PAIR, 'stride': PAIR, 'pad': PAIR, 'num_filter': SIZE, 'no_bias': 'True'}),
    'BatchNorm': ((5,), {'eps': REAL, 'momentum': REAL, 'fix_gamma': 'False'}),
    'Activation': ((1,), {'act_type': 'relu'}),
    'Pooling': ((1,), {'kernel': PAIR, 'stride': PAIR, 'pad': PAIR, 'pool_type': 'max'}),
    'add_n': (range(2, 65), {'num_args': SIZE}),
    '_mul_scalar': ((1,), {'scalar': REAL}),
    'mean': ((1,), {'axis': r'\(2, 3\)'}),
    'FullyConnected': ((3,), {'num_hidden': SIZE}),
    'SoftmaxOutput': ((2,), {}),
}
MOST_NODES = 100000


def load(text):
    """Return the symbol of a JSON text.

    MXNet's reader believes what it finds: a wrong node number or attribute can crash it, and some of its
    operators run code of their own. So every node is looked at first, and a graph of what was understood
    is handed on.

    Raises
    ------
    ValueError
        It is no graph, or has something in it that no network of the project has.
    """
    try:
        graph = json.loads(text)
        nodes = [_node(number, node) for number, node in enumerate(graph['nodes'][:MOST_NODES])]
        heads = graph['heads']
        if not heads or any(head != [head[0], 0, 0] or nodes[head[0]]['op'] != 'SoftmaxOutput' for head in heads):
            raise ValueError('it does not end in softmax')
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError('it is no graph')
    names = [node['name'] for node in nodes]
    if len(set(names)) < len(names) or not {'data', 'softmax_label'} <= set(names):
        raise ValueError('its names are not those of a network')
    variables = [number for number, node in enumerate(nodes) if node['op'] == 'null']
    for number, node in enumerate(nodes):
        _check_inputs(number, node, set(variables))
    try:
        return mx.sym.load_json(json.dumps({'nodes': nodes, 'arg_nodes': variables, 'heads': heads,
                                            'attrs': {'mxnet_version': ['int', 10901]}}))
    except mx.MXNetError as error:
        raise ValueError(str(error).strip().split('\n')[-1])


def _node(number, node):
    """Return a node with what is known of it, and nothing else."""
    op, name, attrs = node['op'], node['name'], node.get('attrs', {})
    if op not in OPERATORS:
        raise ValueError('it has the operator %s' % str(op)[:50])
    inputs, patterns = OPERATORS[op]
    if patterns is None:
        attrs, patterns = {}, {}  # of a variable: what it is initialised with
    if not re.fullmatch(r'\w{1,200}', name) or len(node['inputs']) not in inputs or set(attrs) != set(patterns) \
            or not all(re.fullmatch(pattern, attrs[key]) for key, pattern in patterns.items()) \
            or attrs.get('num_args', str(len(node['inputs']))) != str(len(node['inputs'])):
        raise ValueError('node %d is not one of the project\'s' % number)
    return {'op': op, 'name': name, 'attrs': attrs, 'inputs': node['inputs']}


def _check_inputs(number, node, variables):
    """Inputs are [node, 0, version]: nodes that come before, parameters where parameters belong and nowhere else."""
    for place, (source, output, version) in enumerate(node['inputs']):
        whole = all(type(part) is int for part in (source, output, version))
        parameter = place > 0 and node['op'] != 'add_n'
        if not whole or not 0 <= source < number or output or version not in (0, 1) or parameter and source not in variables:
            raise ValueError('node %d has an input that is not there' % number)
