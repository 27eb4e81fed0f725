"""The parts that networks are built from (section 6.2, Figures 6 and 7).

A feature map has shape (batch, channels, height, width); the input of a network for CIFAR or SVHN
has shape (batch, 3, 32, 32).

The argument ``variables`` of some functions is {name of an operator's input: its variable}. MXNet
makes the variables that are missing and names them after the operator, such as
``stem_conv_weight``. The networks of an ensemble share their parameters through it (ensemble.py).
"""

from typing import NamedTuple

from engine import mx

GROUPS = 3
STEM_CHANNELS = 16  # before widening; group g = 1, 2, 3 has 2**(g - 1) times as many
# The share of its old value that a moving statistic keeps at each update, in the authors' code on
# the day the paper was submitted (first commit, 2016-11-23). They changed it to 0.9 later.
BN_MOMENTUM, BN_EPSILON = 0.99, 2e-5


class UnitSpec(NamedTuple):
    """What the plan of a network says of one unit."""

    name: str  # such as group2_unit1
    channels: int  # of its output
    stride: int  # 2 where group 2 or 3 begins: the width doubles and the map shrinks; else 1
    first: bool  # whether it is the first unit of the network


def plan(units, widen=1):
    """Return the ``UnitSpec`` of each unit of a network with ``units`` units in each group."""
    specs = []
    for group in range(GROUPS):
        for unit in range(units):
            specs.append(
                UnitSpec(
                    name=f'group{group + 1}_unit{unit + 1}',
                    channels=STEM_CHANNELS * widen * 2**group,
                    stride=2 if group and not unit else 1,
                    first=not group and not unit,
                )
            )
    return specs


def relu(data, name):
    """The ReLU called NAME_relu."""
    return mx.sym.Activation(data, act_type='relu', name=name + '_relu')


def add(name, *terms):
    """The sum of feature maps of one shape: the + of Figures 6 and 7, between BN and ReLU."""
    return mx.sym.add_n(*terms, name=name + '_sum')


def conv_bn(data, name, channels, kernel=3, stride=1, variables=None):
    """A convolution without bias, padded to keep the size at stride 1, and BatchNorm.

    ``variables`` may have ``weight``, ``gamma`` and ``beta``.
    """
    variables = variables or {}
    conv = mx.sym.Convolution(
        data,
        weight=variables.get('weight'),
        num_filter=channels,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        no_bias=True,
        name=name + '_conv',
    )
    return mx.sym.BatchNorm(
        conv,
        gamma=variables.get('gamma'),
        beta=variables.get('beta'),
        fix_gamma=False,
        momentum=BN_MOMENTUM,
        eps=BN_EPSILON,
        name=name + '_bn',
    )


def basic(data, name, channels, stride=1):
    """The basic layer: 3x3 Conv-BN-ReLU."""
    return relu(conv_bn(data, name, channels, stride=stride), name)


def chain(data, name, channels, stride, layers):
    """``layers`` basic layers in a row, the last without ReLU; only the first has the stride."""
    for number in range(1, layers):
        data = basic(data, f'{name}_layer{number}', channels, stride)
        stride = 1
    return conv_bn(data, f'{name}_layer{layers}', channels, stride=stride)


def branch(data, name, spec):
    """The two-layer branch of a unit: Conv-BN-ReLU-Conv-BN."""
    return chain(data, name, spec.channels, spec.stride, layers=2)


def line(data, name, spec):
    """The identity, or where the width changes a 1x1 projection: Conv-BN without a ReLU."""
    if spec.stride == 1:
        return data
    return conv_bn(data, name + '_projection', spec.channels, kernel=1, stride=spec.stride)


def stem(channels, kernel=3, stride=1, prefix='', variables=None):
    """The input ``data`` and the first layer of a network, Conv-BN-ReLU.

    ``prefix`` begins the names. ``variables``, if given, has ``data`` and may have ``weight``,
    ``gamma`` and ``beta``.
    """
    variables = variables or {'data': mx.sym.Variable('data')}
    name = prefix + 'stem'
    return relu(conv_bn(variables['data'], name, channels, kernel, stride, variables), name)


def classifier(data, num_classes, prefix='', variables=None):
    """Global average pooling and the fully connected layer FC, which gives the class scores.

    The pooling is a mean over the two spatial axes. Its numbers are those of global ``Pooling``,
    whose backward pass is slow on the CPU. ``prefix`` begins the names. ``variables`` may have
    ``weight`` and ``bias``.
    """
    variables = variables or {}
    pool = mx.sym.mean(data, axis=(2, 3), name=prefix + 'pool')
    return mx.sym.FullyConnected(
        pool,
        weight=variables.get('weight'),
        bias=variables.get('bias'),
        num_hidden=num_classes,
        name=prefix + 'fc',
    )


def head(data, num_classes, prefix='', variables=None, output='softmax'):
    """The classifier and the loss; ``output`` names the softmax.

    ``prefix`` and ``variables`` are those of ``classifier``; ``variables`` may also have ``label``.
    """
    scores = classifier(data, num_classes, prefix, variables)
    return mx.sym.SoftmaxOutput(scores, label=(variables or {}).get('label'), name=output)
