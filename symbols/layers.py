"""The pieces every CIFAR-sized network is built from (section 6.2, Figures 6 and 7).

A feature map has shape (batch, channels, height, width); the input is (batch, 3, 32, 32).
"""

from collections import namedtuple

from engine import mx

GROUPS = 3
STEM_CHANNELS = 16  # before widening; group g = 1, 2, 3 has 2**(g - 1) times as many
# The share of its old value that a moving statistic keeps at each update, in the authors' code on
# the day the paper was submitted (first commit, 2016-11-23); 0.9 is a later change of theirs.
BN_MOMENTUM, BN_EPSILON = 0.99, 2e-5

# One place in the group plan. stride is 2 where a group after the first begins, where the width
# doubles and the map shrinks; first marks the very first unit, last the very last.
Place = namedtuple('Place', 'name channels stride first last')


def plan(units, widen=1):
    """Return the places of a network with ``units`` units in each of the three groups."""
    places = []
    for group in range(GROUPS):
        for unit in range(units):
            places.append(
                Place(
                    name=f'group{group + 1}_unit{unit + 1}',
                    channels=STEM_CHANNELS * widen * 2**group,
                    stride=2 if group and not unit else 1,
                    first=not group and not unit,
                    last=group == GROUPS - 1 and unit == units - 1,
                )
            )
    return places


def relu(data, name):
    return mx.sym.Activation(data, act_type='relu', name=name + '_relu')


def add(name, *terms):
    """Sum feature maps of one shape: the + of Figures 6 and 7, between BN and ReLU."""
    return mx.sym.add_n(*terms, name=name + '_sum')


def conv_bn(data, name, channels, kernel=3, stride=1):
    """Convolution without bias, padded to keep the size at stride 1, then BatchNorm."""
    conv = mx.sym.Convolution(
        data,
        num_filter=channels,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        no_bias=True,
        name=name + '_conv',
    )
    return mx.sym.BatchNorm(
        conv, fix_gamma=False, momentum=BN_MOMENTUM, eps=BN_EPSILON, name=name + '_bn'
    )


def basic(data, name, channels, stride=1):
    """The basic layer: 3x3 Conv-BN-ReLU."""
    return relu(conv_bn(data, name, channels, stride=stride), name)


def chain(data, name, channels, stride, layers):
    """``layers`` basic layers in a row, the last without its ReLU; only the first has the stride."""
    for number in range(1, layers):
        data = basic(data, f'{name}_layer{number}', channels, stride)
        stride = 1
    return conv_bn(data, f'{name}_layer{layers}', channels, stride=stride)


def branch(data, name, place):
    """The two-layer branch of a unit: Conv-BN-ReLU-Conv-BN."""
    return chain(data, name, place.channels, place.stride, layers=2)


def line(data, name, place):
    """The identity, or where the width changes a 1x1 projection with BN and no ReLU."""
    if place.stride == 1:
        return data
    return conv_bn(data, name + '_projection', place.channels, kernel=1, stride=place.stride)


def stem(widen=1):
    """The input ``data`` and the first basic layer C, 16 channels times ``widen``."""
    return basic(mx.sym.Variable('data'), 'stem', STEM_CHANNELS * widen)


def head(data, num_classes):
    """Global average pooling, the fully connected layer FC, and the loss ``softmax``.

    The average is a mean over the two spatial axes: the same numbers as global ``Pooling``, whose
    backward pass takes a slow path on the CPU.
    """
    pool = mx.sym.mean(data, axis=(2, 3), name='pool')
    score = mx.sym.FullyConnected(pool, num_hidden=num_classes, name='fc')
    return mx.sym.SoftmaxOutput(score, name='softmax')
