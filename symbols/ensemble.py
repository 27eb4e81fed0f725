"""The networks inside N_f3, and conventional ensembles of them (sections 3 and 4, Figure 1c, Tables 1 to 3).

N_f3 (fuse.py with one fusion a group) has in each of its three groups a shallow branch L, one
layer, and a deep branch R. Choosing one of them in each group gives a network; the eight are named
after their choices, LRR for L in group 1 and R in groups 2 and 3. Each choice ends in a ReLU.

With weight sharing the components have the parameters of N_f3, by the same names; BatchNorm's
moving statistics are each component's own. Those of components that begin alike are alike: what LRL
and LRR do up to their third group is the same, so it is drawn, and computed, once.
"""

import functools

from engine import mx
from symbols import layers
from system.errors import UserError

NAMES = ('LLL', 'RLL', 'LRL', 'LLR', 'RRL', 'RLR', 'LRR', 'RRR')  # the order of Table 1
DEEPEST = 'RRR'
OUTPUT = 'softmax_'


class Builder:
    """Builds components; what they share they share.

    Parameters
    ----------
    units : int
        Layers of a deep branch: (depth - 2) / 3.
    sharing : bool
        Components use the same parameters; else each has its own, whose names begin with the
        component's.
    """

    def __init__(self, units, num_classes, widen=1, sharing=True):
        self.units, self.classes, self.widen, self.sharing = units, num_classes, widen, sharing
        self.variables, self.maps = {}, {}

    def component(self, name):
        """Return the softmax output, named softmax_NAME, of one component."""
        own = '' if self.sharing else name + '_'
        data = self._once((own,), lambda: self._stem(own))
        for number, place in enumerate(layers.plan(1, self.widen)):
            path = name[: number + 1]
            data = self._once((own, path), functools.partial(self._group, data, own, path, place))
        pool = mx.sym.mean(data, axis=(2, 3), name=name + '_pool')
        score = mx.sym.FullyConnected(
            pool,
            weight=self._variable(own + 'fc_weight'),
            bias=self._variable(own + 'fc_bias'),
            num_hidden=self.classes,
            name=name + '_fc',
        )
        return mx.sym.SoftmaxOutput(
            score, label=self._variable('softmax_label'), name=OUTPUT + name
        )

    def _once(self, key, make):
        if key not in self.maps:
            self.maps[key] = make()
        return self.maps[key]

    def _variable(self, name):
        return self._once((name, 'variable'), lambda: mx.sym.Variable(name))

    def _stem(self, own):
        return self._basic(
            self._variable('data'), own + 'stem', own + 'stem', layers.STEM_CHANNELS * self.widen, 1
        )

    def _group(self, data, own, path, place):
        """One layer for L, the chain for R, by the names of N_f3 (fuse.py)."""
        if path[-1] == 'L':
            return self._basic(
                data,
                own + place.name + '_shallow',
                f'{own}{path}_{place.name}_shallow',
                place.channels,
                place.stride,
            )
        stride = place.stride
        for number in range(1, self.units + 1):
            layer = f'{place.name}_deep_layer{number}'
            data = self._basic(data, own + layer, f'{own}{path}_{layer}', place.channels, stride)
            stride = 1
        return data

    def _basic(self, data, parameters, name, channels, stride):
        """A basic layer with the parameters of one name and the moving statistics of another."""
        conv = mx.sym.Convolution(
            data,
            weight=self._variable(parameters + '_conv_weight'),
            num_filter=channels,
            kernel=(3, 3),
            stride=(stride, stride),
            pad=(1, 1),
            no_bias=True,
            name=name + '_conv',
        )
        norm = mx.sym.BatchNorm(
            conv,
            gamma=self._variable(parameters + '_bn_gamma'),
            beta=self._variable(parameters + '_bn_beta'),
            fix_gamma=False,
            momentum=layers.BN_MOMENTUM,
            eps=layers.BN_EPSILON,
            name=name + '_bn',
        )
        return layers.relu(norm, name)


def component(name, units, num_classes, widen=1):
    """Return one component network: the function that it is in the ensemble, alone.

    Raises
    ------
    UserError
        The name is not one of ``NAMES``.
    """
    if name not in NAMES:
        raise UserError(f'no component is called {name}; there are {", ".join(NAMES)}')
    return Builder(units, num_classes, widen).component(name)


def get_symbol(units, num_classes, widen=1, names=NAMES, sharing=True):
    """Return an ensemble: one softmax output and one loss for each component in ``names``.

    Its prediction is the mean of the outputs. ``NAMES`` is the paper's Ensemble-8; without
    ``DEEPEST`` it is Ensemble-7. Sharing adds no parameter to those of N_f3.
    """
    builder = Builder(units, num_classes, widen, sharing)
    return mx.sym.Group([builder.component(name) for name in names])


def names_of(outputs):
    """Return the names of the components whose softmax outputs these are, () for a single network's."""
    if len(outputs) < 2:
        return ()
    return tuple(output[len(OUTPUT) : -len('_output')] for output in outputs)
