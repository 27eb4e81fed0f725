"""The ways of the gradients of maps that several operators read, see `_dfn_convolution` in engine/native/ops.cc.

MXNet would add them up in operators of their own, for which each is written and read once more.
Here the convolutions among the readers form a chain: each adds what the next reader has for it to
its own gradient of the map, while it makes that; the readers that are no convolutions come after
the last one.
"""


class Routes:
    """Answers for the nodes ``old`` of a graph, of which ``readers`` has the numbers of those each one feeds."""

    def __init__(self, old, readers):
        self.old, self.readers = old, readers

    def chain(self, entry):
        """Return the numbers of the convolutions that read an entry, none if it is an input of the graph."""
        if self.old[entry[0]]['op'] == 'null':
            return []
        return [
            number for number in self.readers[entry[0]] if self.old[number]['op'] == 'Convolution'
        ]

    def before(self, entry, reader=None):
        """Return the convolution that takes the gradient of an entry from a reader (None: no convolution).

        None for the first of the chain, and where there is no chain: MXNet has that gradient.
        """
        chain = self.chain(entry)
        place = (
            len(chain)
            if reader is None
            else [self.old[number] for number in chain].index(reader)
            if chain
            else 0
        )
        return chain[place - 1] if place else None

    def passes(self, conv):
        """Return whether a convolution takes gradients of other readers."""
        entry = conv['inputs'][0]
        chain = self.chain(entry)
        return bool(chain) and (
            self.old[chain[-1]] is not conv or len(self.readers[entry[0]]) > len(chain)
        )
