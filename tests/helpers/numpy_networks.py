"""DFN-MR's equations on NumPy arrays, written from the paper and without MXNet: whole networks of
both families.
"""

import numpy

EPSILON = 2e-5  # of BatchNorm


def set_values(executor, images, random):
    """Give a bound symbol a value for every parameter; return {name: array}.

    He's scale keeps the softmax from being sure of one class, which would hide every difference.
    """
    values = {}
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        if name.endswith(('gamma', 'var')):
            drawn = random.rand(*array.shape) + 0.5
        else:
            drawn = random.randn(*array.shape) * (
                numpy.prod(array.shape[1:]) ** -0.5 if array.ndim > 1 else 0.2
            )
        values[name] = (images if name == 'data' else drawn).astype('float32')
        array[:] = values[name]
    return values


class NumpyNetwork:
    """Evaluates with the parameters and moving statistics ``values`` of a symbol."""

    def __init__(self, values):
        self.values = values

    def conv_bn(self, x, name, stride=1):
        weight = self.values[name + '_conv_weight']
        pad = weight.shape[2] // 2
        padded = numpy.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = numpy.lib.stride_tricks.sliding_window_view(
            padded, weight.shape[2:], axis=(2, 3)
        )[:, :, ::stride, ::stride]
        out = numpy.einsum('ncijhw,ochw->noij', windows, weight, optimize=True)
        gamma, beta, mean, var = (
            self.values[f'{name}_bn_{key}'].reshape(-1, 1, 1)
            for key in ('gamma', 'beta', 'moving_mean', 'moving_var')
        )
        return gamma * (out - mean) / numpy.sqrt(var + EPSILON) + beta

    def head(self, x):
        score = x.mean((2, 3)) @ self.values['fc_weight'].T + self.values['fc_bias']
        likely = numpy.exp(score - score.max(1, keepdims=True))
        return likely / likely.sum(1, keepdims=True)

    def lines(self, x1, x2, name, projected, stride):
        """The mean of both lines."""
        if projected:
            x1, x2 = (
                self.conv_bn(x, f'{name}_line{number}_projection', stride)
                for number, x in ((1, x1), (2, x2))
            )
        return (x1 + x2) / 2

    def cifar_mr(self, x, units, late):
        """CIFAR's DFN-MR with the ending of ``mr`` or of ``mr-late``; return the class
        probabilities.
        """
        x1 = x2 = relu(self.conv_bn(x, 'stem'))
        for group in (1, 2, 3):
            for number in range(1, units + 1):
                name, stride = f'group{group}_unit{number}', 2 if group > 1 and number == 1 else 1
                merge = self.lines(x1, x2, name, stride == 2, stride)
                two1, two2 = (
                    self.conv_bn(
                        relu(self.conv_bn(x, f'{name}_branch{i}_layer1', stride)),
                        f'{name}_branch{i}_layer2',
                    )
                    for i, x in ((1, x1), (2, x2))
                )
                x1, x2 = relu(merge + two1), relu(merge + two2)
        return self.head(relu(merge + two1 + two2 if late else (merge + two1) + (merge + two2)))

    def imagenet_mr(self, x, groups):
        """ImageNet's DFN-MR of bottlenecks; return the class probabilities."""
        stem = relu(self.conv_bn(x, 'stem', 2))
        padded = numpy.pad(
            stem, ((0, 0), (0, 0), (1, 1), (1, 1))
        )  # zeros are never more than what ReLU leaves
        x1 = x2 = numpy.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[
            :, :, ::2, ::2
        ].max((4, 5))
        for group, units in enumerate(groups, 1):
            for number in range(1, units + 1):
                name, stride = f'group{group}_unit{number}', 2 if group > 1 and number == 1 else 1
                merge = self.lines(x1, x2, name, number == 1, stride)
                state1, state2 = (
                    merge + self.bottleneck(x, f'{name}_branch{i}', stride)
                    for i, x in ((1, x1), (2, x2))
                )
                x1, x2 = relu(state1), relu(state2)
        return self.head(relu(state1 + state2))

    def bottleneck(self, x, name, stride):
        inner = relu(
            self.conv_bn(relu(self.conv_bn(x, name + '_layer1')), name + '_layer2', stride)
        )
        return self.conv_bn(inner, name + '_layer3')


def relu(x):
    return numpy.maximum(x, 0)
