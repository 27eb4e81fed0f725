"""CONTRIBUTING's example of a network works: one file of at most 40 lines, and one line."""

import re
from pathlib import Path
from types import ModuleType

import numpy
import pytest

import symbols
from engine import mx
from graphs import paths, summary, untrusted_symbol

PAGE = Path(__file__).resolve().parent.parent / 'CONTRIBUTING.md'
MOST_LINES = 40
DEPTH, UNITS = 14, 6  # units of the whole network


@pytest.fixture(scope='module')
def example():
    """The file of the example, and its line for the table of networks."""
    blocks = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.S)
    file = next(block for block in blocks if block.startswith('# symbols/'))
    line = next(block for block in blocks if 'Network(' in block)
    return file, line.strip()


@pytest.fixture
def network(example, monkeypatch):
    """The example's name, while it is in the table of networks."""
    file, line = example
    name = re.match(r'# symbols/(\w+)\.py\n', file).group(1)
    module = ModuleType(f'symbols.{name}')
    exec(compile(file, f'symbols/{name}.py', 'exec'), module.__dict__)
    for key, entry in eval(f'{{{line}}}', {'Network': symbols.Network, name: module}).items():
        monkeypatch.setitem(symbols.NETWORKS, key, entry)
    return key


def test_the_example_is_one_short_file_and_one_line(example):
    file, line = example
    assert len(file.splitlines()) <= MOST_LINES
    assert '\n' not in line


def test_the_example_has_the_layers_it_says(network):
    symbol = symbols.get_symbol(network, DEPTH)
    assert paths.depth(symbol) == DEPTH
    assert sum(paths.histogram(symbol).values()) == 4**UNITS
    # A stem, three branches of two layers a unit, two projections, and the fully connected layer.
    layers = summary.layers(symbol)
    assert len(layers) == 1 + 3 * 2 * UNITS + 2 + 1
    batch_norm = sum(2 * layer.output[0] for layer in layers[:-1])
    total = sum(layer.parameters for layer in layers) + batch_norm
    assert summary.parameters(symbol) == total == by_hand(UNITS // 3)


def by_hand(units):
    """Count the parameters of three branches, from the shapes of section 6.2."""
    total = 9 * 3 * 16 + 2 * 16 + (64 + 1) * 10
    for narrow, wide in ((16, 16), (16, 32), (32, 64)):
        first, other = 9 * narrow * wide + 2 * wide, 9 * wide * wide + 2 * wide
        total += 3 * (first + (2 * units - 1) * other)
        if narrow < wide:
            total += narrow * wide + 2 * wide
    return total


def test_the_example_computes_and_may_be_scored(network):
    symbol = symbols.get_symbol(network, 8)
    untrusted_symbol.load(symbol.tojson())
    bound = symbol.simple_bind(mx.cpu(), data=(2, 3, 32, 32))
    for array in (*bound.arg_arrays, *bound.aux_arrays):
        array[:] = mx.nd.random.uniform(0.01, 0.02, array.shape)
    (output,) = bound.forward(is_train=False)
    assert output.shape == (2, 10)
    assert numpy.allclose(output.asnumpy().sum(axis=1), 1, atol=1e-5)


def test_another_depth_is_refused_as_for_every_network(network):
    with pytest.raises(symbols.UserError, match='nearest 14 and 20'):
        symbols.get_symbol(network, 15)
