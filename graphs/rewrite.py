"""Rewriting a symbol's graph: the base class of all rewritings, and BatchNorm's momentum."""

import json
from collections import defaultdict

from engine import mx


def with_bn_momentum(symbol, momentum):
    """Return the symbol with ``momentum`` for the moving statistics of every BatchNorm."""
    graph = json.loads(symbol.tojson())
    for node in graph['nodes']:
        if node['op'] == 'BatchNorm':
            node['attrs']['momentum'] = str(momentum)
    return mx.sym.load_json(json.dumps(graph))


def bn_momentum(symbol):
    """Return the momentum of a network's BatchNorms; without any, what MXNet would give them."""
    nodes = json.loads(symbol.tojson())['nodes']
    found = [node.get('attrs', {}) for node in nodes if node['op'] == 'BatchNorm']
    return float(found[0].get('momentum', 0.9)) if found else 0.9


class Rewriter:
    """Copies a graph node by node; subclasses replace some of its operators.

    A subclass replaces the operator OP by defining ``make_OP(node)``, which adds nodes with
    ``emit`` and returns the entry of the first output. OP is the operator's name in lower case,
    without underscores at its ends. An entry is [node, output, version], as in the JSON form of
    symbols.

    Attributes
    ----------
    old : list of dict
        The nodes of the symbol's JSON form.
    new : list of dict
        The nodes of the new graph so far.
    made : dict of int to entry
        For each old node that has been copied or replaced, the new entry of its first output.
    readers : dict of int to list of int
        For each old node, the numbers of the old nodes that read it.
    """

    def __init__(self, symbol):
        self.graph = json.loads(symbol.tojson())
        self.old, self.new, self.made = self.graph['nodes'], [], {}
        self.readers = defaultdict(list)
        for number, node in enumerate(self.old):
            for source, _, _ in node['inputs']:
                self.readers[source].append(number)

    def symbol(self):
        """Return the new symbol."""
        # ``value`` calls itself for the inputs of a node. Called for each ReLU in turn, it goes
        # back only to the ReLU before; called for the head, it would go through the whole network.
        for number, node in enumerate(self.old):
            if node['op'] == 'Activation':
                self.value([number, 0, 0])
        heads = [self.value(head) for head in self.graph['heads']]
        arguments = [number for number, node in enumerate(self.new) if node['op'] == 'null']
        return mx.sym.load_json(
            json.dumps(
                {
                    'nodes': self.new,
                    'arg_nodes': arguments,
                    'heads': heads,
                    'attrs': self.graph['attrs'],
                }
            )
        )

    def value(self, entry):
        """Return the new entry for an old one. The first call for a node makes the new node."""
        number, output, version = entry
        if number not in self.made:
            node = self.old[number]
            maker = getattr(self, 'make_' + node['op'].lower().strip('_'), self.make_other)
            self.made[number] = maker(node)
        first = self.made[number]
        return [first[0], first[1] + output, version]

    def depends(self, number, on):
        """Return whether the old node ``number`` depends on the old node ``on``."""
        used, to_visit = {number}, [number]
        while to_visit:
            # A node comes after those that it uses, so nodes before ``on`` cannot use it.
            sources = {
                source for source, _, _ in self.old[to_visit.pop()]['inputs'] if source >= on
            }
            to_visit.extend(sources - used)
            used |= sources
        return on in used

    def make_other(self, node):
        """Copy a node; this is what happens to every operator without a method of its own."""
        return self.emit(
            node['op'],
            node['name'],
            [self.value(entry) for entry in node['inputs']],
            **node.get('attrs', {}),
        )

    def emit(self, op, name, inputs, **attrs):
        """Append a node to the new graph and return the entry of its first output."""
        self.new.append(
            {
                'op': op,
                'name': name,
                'inputs': inputs,
                'attrs': {key: str(value) for key, value in attrs.items()},
            }
        )
        return [len(self.new) - 1, 0, 0]

    def source(self, node):
        """Return the old node that is the first input of an old node."""
        return self.old[node['inputs'][0][0]]
