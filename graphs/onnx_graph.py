"""A network as an ONNX model, made node by node from its MXNet symbol.

MXNet 1.9.1 has an exporter of its own, which does not import with a current ``onnx`` package.
"""

import ast
import json

import numpy

from system.errors import UserError, missing_package

# The newest version in which one of the operators below changed for float32: ReduceMean. Every ONNX
# Runtime from 1.14 on has it. The changes since then (22: Conv, MaxPool) are for bfloat16 alone.
OPSET = 18
OUTPUT = 'probabilities'
MOST_BYTES = 2**31 - 2**20  # an ONNX file is one protocol buffer, which has at most 2 GiB
# For each operator the attributes that the methods below translate, or that have no effect here.
ATTRIBUTES = {
    'Convolution': {'kernel', 'stride', 'pad', 'num_filter', 'no_bias'},
    'BatchNorm': {'eps', 'momentum', 'fix_gamma'},
    'Activation': {'act_type'},
    'Pooling': {'kernel', 'stride', 'pad', 'pool_type'},
    'add_n': {'num_args'},
    '_mul_scalar': {'scalar'},
    'mean': {'axis'},
    'FullyConnected': {'num_hidden'},
    'SoftmaxOutput': set(),
}
# Attributes of which the methods below translate a single value.
ONLY = {'act_type': 'relu', 'pool_type': 'max', 'axis': '(2, 3)', 'fix_gamma': 'False'}


def convert(symbol, arrays, shape, components=False):
    """Return the ``onnx.ModelProto`` of a network, which ``onnx.checker`` has found to be valid.

    Its input ``data`` is float32 (batch, *shape) for any batch, and its output ``probabilities``
    (batch, classes). Of an ensemble these are the mean of its softmax outputs.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The paper's, or what ``graphs.fold`` made of it.
    arrays : dict of str to mx.nd.NDArray
        Parameters and moving statistics.
    shape : tuple of int
        (channels, height, width) of an image.
    components : bool
        Whether an ensemble's softmax outputs, softmax_LLL and so on, are outputs as well.

    Raises
    ------
    UserError
        The package onnx is missing, the network is too large for a file of ONNX, or it has an
        operator that no network of this project has.
    """
    try:
        # Not at the top: onnx is optional, and no other file needs it.
        import onnx
    except ModuleNotFoundError:
        raise missing_package('onnx') from None
    size = sum(array.size for array in arrays.values()) * 4
    if size > MOST_BYTES:
        raise UserError(
            f'the network has {size / 2**30:.1f} GiB of parameters, and a file of ONNX holds less '
            'than 2: export a narrower one'
        )
    graph = _Graph(onnx, symbol, arrays)
    graph.translate()
    outputs = [OUTPUT] + (graph.softmax if components else [])
    _, (classes, *_), _ = symbol.infer_shape(data=(1, *shape))
    model = onnx.helper.make_model(
        graph.proto(shape, dict.fromkeys(outputs, classes[1:])),
        producer_name='Deep Fusion in MXNet',
        opset_imports=[onnx.helper.make_opsetid('', OPSET)],
    )
    # The oldest format of files that has this opset, for older programs to read it too.
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    onnx.checker.check_model(model, full_check=True)
    return model


def describe(model, properties):
    """Give an ``onnx.ModelProto`` {name: text} as metadata."""
    for name, text in properties.items():
        model.metadata_props.add(key=name, value=text)


class _Graph:
    """Translates the nodes of a symbol; each value has the name of the node that computes it.

    Attributes
    ----------
    softmax : list of str
        The names of the softmax outputs of an ensemble.
    """

    def __init__(self, onnx, symbol, arrays):
        self.onnx, self.arrays = onnx, arrays
        graph = json.loads(symbol.tojson())
        self.old, self.heads = graph['nodes'], [number for number, _, _ in graph['heads']]
        self.nodes, self.constants, self.softmax = [], {}, []

    def translate(self):
        for node in self.old:  # they are in topological order, in ONNX as in MXNet
            if node['op'] == 'null':
                continue
            attributes = node.get('attrs', {})
            _check(node, attributes)
            make = getattr(self, '_' + node['op'].lower().strip('_'))
            make(node, attributes, [self.old[source]['name'] for source, _, _ in node['inputs']])
        if len(self.heads) > 1:
            self.emit('Mean', self.softmax, OUTPUT)

    def proto(self, shape, outputs):
        """Return the graph; ``outputs`` has the shape of each output for one image."""
        helper, real = self.onnx.helper, self.onnx.TensorProto.FLOAT
        return helper.make_graph(
            self.nodes,
            'network',
            [helper.make_tensor_value_info('data', real, ['batch', *shape])],
            [
                helper.make_tensor_value_info(name, real, ['batch', *rest])
                for name, rest in outputs.items()
            ],
            [self.onnx.numpy_helper.from_array(*named) for named in self.constants.values()],
        )

    def emit(self, op, inputs, output, **attributes):
        node = self.onnx.helper.make_node(op, inputs, [output], name=output, **attributes)
        self.nodes.append(node)

    def constant(self, name, array):
        """Make an array a constant of the model, unless it is one already; return its name."""
        if name not in self.constants:
            self.constants[name] = array, name
        return name

    def parameters(self, names):
        return [self.constant(name, self.arrays[name].asnumpy()) for name in names]

    def _convolution(self, node, attributes, inputs):
        data, *parameters = inputs
        self.emit('Conv', [data, *self.parameters(parameters)], node['name'], **_window(attributes))

    def _batchnorm(self, node, attributes, inputs):
        data, *parameters = inputs
        self.emit(
            'BatchNormalization',
            [data, *self.parameters(parameters)],
            node['name'],
            epsilon=float(attributes['eps']),
        )

    def _activation(self, node, attributes, inputs):
        self.emit('Relu', inputs, node['name'])

    def _pooling(self, node, attributes, inputs):
        self.emit('MaxPool', inputs, node['name'], **_window(attributes))

    def _add_n(self, node, attributes, inputs):
        self.emit('Sum', inputs, node['name'])

    def _mul_scalar(self, node, attributes, inputs):
        factor = numpy.array(float(attributes['scalar']), numpy.float32)
        name = self.constant(node['name'] + '_scalar', factor)
        self.emit('Mul', [*inputs, name], node['name'])

    def _mean(self, node, attributes, inputs):
        name = self.constant(node['name'] + '_axes', numpy.array([2, 3], numpy.int64))
        self.emit('ReduceMean', [*inputs, name], node['name'], keepdims=0)

    def _fullyconnected(self, node, attributes, inputs):
        data, *parameters = inputs
        if self.old[node['inputs'][0][0]]['op'] != 'mean':  # MXNet makes one axis of the last three
            self.emit('Flatten', [data], node['name'] + '_data', axis=1)
            data = node['name'] + '_data'
        self.emit('Gemm', [data, *self.parameters(parameters)], node['name'], transB=1)

    def _softmaxoutput(self, node, attributes, inputs):
        name = node['name'] if len(self.heads) > 1 else OUTPUT
        self.softmax.append(name)
        self.emit('Softmax', inputs[:1], name, axis=1)


def _check(node, attributes):
    """Raise ``UserError`` for an operator without a translation."""
    op = node['op']
    known = ATTRIBUTES.get(op, set())
    odd = [key for key in known & set(ONLY) if attributes.get(key) != ONLY[key]]
    odd += set(attributes) - known
    if op not in ATTRIBUTES or odd:
        raise UserError(
            f'{node["name"]} is the operator {op}{f" with {min(odd)}" if odd else ""}, which has '
            'no translation to ONNX here: graphs/onnx_graph.py would need one'
        )


def _window(attributes):
    """Return the attributes of ONNX for the window of a convolution or a pooling."""
    kernel, stride, pad = (
        list(ast.literal_eval(attributes.get(key, default)))
        for key, default in (('kernel', ''), ('stride', '(1, 1)'), ('pad', '(0, 0)'))
    )
    return {'kernel_shape': kernel, 'strides': stride, 'pads': pad * 2}
