"""A symbol's graph, taken apart and built again: what fast.py, fold.py, half.py and native_graph.py share."""

import json
from collections import defaultdict

from engine import mx


def with_bn_momentum(symbol, momentum):
    """Return the symbol with another momentum of BatchNorm's moving statistics, in every BatchNorm."""
    graph = json.loads(symbol.tojson())
    for node in graph['nodes']:
        if node['op'] == 'BatchNorm':
            node['attrs']['momentum'] = str(momentum)
    return mx.sym.load_json(json.dumps(graph))


class Rewriter:
    """Copies a graph node by node; a subclass's ``make_OP(node)`` makes something else of an operator.

    ``old`` holds the nodes of the symbol's JSON form, ``readers`` for each one the numbers of those
    it feeds.
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
        for number, node in enumerate(
            self.old
        ):  # from the input on: a call for the head would go as deep as the network
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
        """Return the new [node, output, version] of an old one; the node is made at the first call."""
        number, output, version = entry
        if number not in self.made:
            node = self.old[number]
            maker = getattr(self, 'make_' + node['op'].lower().strip('_'), self.make_other)
            self.made[number] = maker(node)
        first = self.made[number]
        return [first[0], first[1] + output, version]

    def depends(self, number, on):
        """Return whether an old node uses the output of another, ``on``, directly or not."""
        used, front = {number}, [number]
        while front:
            sources = {
                source for source, _, _ in self.old[front.pop()]['inputs'] if source >= on
            }  # nodes come after those they use
            front.extend(sources - used)
            used |= sources
        return on in used

    def make_other(self, node):
        return self.emit(
            node['op'],
            node['name'],
            [self.value(entry) for entry in node['inputs']],
            **node.get('attrs', {}),
        )

    def emit(self, op, name, inputs, **attrs):
        """Append a node; return the entry of its first output."""
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
        """Return the old node that the first input comes from."""
        return self.old[node['inputs'][0][0]]
