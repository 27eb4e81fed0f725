"""Gradient accumulation for feature maps with more than one reader.

MXNet adds up the readers' gradients in an operator of its own, which writes and reads each of them
once more. On the project's operators the convolutions among the readers form a chain instead: while
a convolution computes its own gradient, it adds that of the next reader. The readers that are no
convolutions come after the last convolution. ``engine/native/ops.cc`` describes the links, the
extra inputs and outputs through which the gradients travel.
"""


class Accumulation:
    """Tells which convolution of a graph takes a reader's gradient.

    Parameters
    ----------
    nodes : list of dict
        The nodes of the symbol's JSON form.
    readers : dict of int to list of int
        For each node, the numbers of the nodes that read it.

    An entry below is [node, output, version], as in the JSON form.
    """

    def __init__(self, nodes, readers):
        self.nodes, self.readers = nodes, readers

    def chain(self, entry):
        """Return the numbers of the convolutions that read an entry, [] for a graph's input."""
        if self.nodes[entry[0]]['op'] == 'null':
            return []
        return [
            number for number in self.readers[entry[0]] if self.nodes[number]['op'] == 'Convolution'
        ]

    def receiver(self, entry, reader=None):
        """Return the number of the convolution that takes a reader's gradient of an entry.

        ``reader`` is the node of a convolution, None for any other operator. The result is None for
        the first convolution of a chain and where there is no chain: MXNet handles that gradient.
        """
        chain = self.chain(entry)
        if reader is None:
            position = len(chain)
        else:
            position = [self.nodes[number] for number in chain].index(reader) if chain else 0
        return chain[position - 1] if position else None

    def receives(self, conv):
        """Return whether the convolution ``conv`` takes the gradient of another reader."""
        entry = conv['inputs'][0]
        chain = self.chain(entry)
        if not chain:
            return False
        is_last = self.nodes[chain[-1]] is conv
        return not is_last or len(self.readers[entry[0]]) > len(chain)
