"""The component networks of N_f3, and conventional ensembles of them (sections 3 and 4, Figure 1c).

N_f3 (fuse.py with one fusion in each group) has in each of its three groups a shallow branch L of
one layer and a deep branch R. A component takes one of them in each group: LRR takes L in group 1
and R in groups 2 and 3. There are eight. Each branch ends in a ReLU.

With weight sharing all components have the parameters of N_f3, by the same names. BatchNorm's
moving statistics are each component's own. Components whose names begin alike compute the same up
to there, LRL and LRR up to their second group, and the graph computes it once.
"""

from engine import mx
from symbols import layers
from system.errors import UserError

NAMES = ('LLL', 'RLL', 'LRL', 'LLR', 'RRL', 'RLR', 'LRR', 'RRR')  # the order of Table 1
DEEPEST = 'RRR'
OUTPUT = 'softmax_'


class Builder:
    """Builds components that share what they have in common.

    Parameters
    ----------
    units : int
        Layers of a deep branch: (depth - 2) / 3.
    num_classes, widen : int
        As in ``symbols.get_symbol``.
    sharing : bool
        Whether all components have the same parameters. If not, each has its own, whose names begin
        with the component's.
    """

    def __init__(self, units, num_classes, widen=1, sharing=True):
        self.units, self.num_classes, self.widen, self.sharing = units, num_classes, widen, sharing
        self.variables, self.maps = {}, {}

    def component(self, name):
        """Return the softmax output, named softmax_NAME, of one component."""
        prefix = '' if self.sharing else name + '_'
        data = self._stem(prefix)
        for number, spec in enumerate(layers.plan(1, self.widen)):
            data = self._group(data, spec, prefix, path=name[: number + 1])
        variables = {
            'weight': self._variable(prefix + 'fc_weight'),
            'bias': self._variable(prefix + 'fc_bias'),
            'label': self._variable('softmax_label'),
        }
        return layers.head(data, self.num_classes, name + '_', variables, OUTPUT + name)

    def _variable(self, name):
        if name not in self.variables:
            self.variables[name] = mx.sym.Variable(name)
        return self.variables[name]

    def _variables(self, name):
        """Return the variables of the layer whose parameters' names begin with ``name``."""
        return {
            'weight': self._variable(name + '_conv_weight'),
            'gamma': self._variable(name + '_bn_gamma'),
            'beta': self._variable(name + '_bn_beta'),
        }

    def _stem(self, prefix):
        """Return the stem's output; it is the same for all components with the same prefix."""
        if prefix not in self.maps:
            variables = {'data': self._variable('data'), **self._variables(prefix + 'stem')}
            self.maps[prefix] = layers.stem(
                layers.STEM_CHANNELS * self.widen, prefix=prefix, variables=variables
            )
        return self.maps[prefix]

    def _group(self, data, spec, prefix, path):
        """Return the output of a group; ``path`` has the branches of all groups up to this one."""
        if (prefix, path) not in self.maps:
            branch = self._shallow if path[-1] == 'L' else self._deep
            self.maps[prefix, path] = branch(data, spec, prefix, path)
        return self.maps[prefix, path]

    def _shallow(self, data, spec, prefix, path):
        """One layer, with the parameters of N_f3's branch L."""
        layer = spec.name + '_shallow'
        name = f'{prefix}{path}_{layer}'
        return self._basic(data, name, spec.channels, spec.stride, prefix + layer)

    def _deep(self, data, spec, prefix, path):
        """``units`` layers, with the parameters of N_f3's branch R."""
        stride = spec.stride
        for number in range(1, self.units + 1):
            layer = f'{spec.name}_deep_layer{number}'
            name = f'{prefix}{path}_{layer}'
            data = self._basic(data, name, spec.channels, stride, prefix + layer)
            stride = 1
        return data

    def _basic(self, data, name, channels, stride, parameters):
        """A basic layer, whose parameters have names that begin with ``parameters``."""
        variables = self._variables(parameters)
        norm = layers.conv_bn(data, name, channels, stride=stride, variables=variables)
        return layers.relu(norm, name)


def component(name, units, num_classes, widen=1):
    """Return one component as a network of its own; it computes what it does in the ensemble.

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

    Its prediction is the mean of the outputs. ``NAMES`` gives the paper's Ensemble-8; without
    ``DEEPEST`` it is Ensemble-7. With ``sharing`` it has the parameters of N_f3 and no others.
    """
    builder = Builder(units, num_classes, widen, sharing)
    return mx.sym.Group([builder.component(name) for name in names])


def names_of(outputs):
    """Return the names of the components with these softmax outputs, () for a single network."""
    if len(outputs) < 2:
        return ()
    return tuple(output[len(OUTPUT) : -len('_output')] for output in outputs)
