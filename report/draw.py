"""Networks drawn as in the paper's Figures 1, 3, 6 and 7: weighted layers and sums, nothing else.

A trapezoid is a layer with stride 2, a dashed arrow is a projection, and + is a sum.
"""

import os
import subprocess

import graphviz

from graphs.paths import WEIGHTED, nodes
from system import files
from system.errors import UserError

INPUTS = {'data': 'image', 'data0': 'x', 'data1': 'x1', 'data2': 'x2'}
SUMS = ('add_n', 'elemwise_add', '_plus', 'broadcast_add')


def graph(symbol, title=''):
    """Return the drawing of one network as a ``graphviz.Digraph``."""
    drawing = _empty(title)
    _fill(drawing, symbol)
    return drawing


def side_by_side(panels):
    """Return one drawing of several networks; ``panels`` is [(title, symbol)]."""
    drawing = _empty('')
    for number, (title, symbol) in enumerate(panels):
        with drawing.subgraph(name=f'cluster_{number}') as panel:
            panel.attr(label=title, color='white', fontname='Helvetica')
            _fill(panel, symbol, f'panel{number}_')
    return drawing


def _empty(title):
    return graphviz.Digraph(
        graph_attr={'label': title, 'labelloc': 't', 'ranksep': '0.25'},
        node_attr={'fontname': 'Helvetica', 'fontsize': '10'},
        edge_attr={'arrowsize': '0.6'},
    )


def _fill(drawing, symbol, prefix=''):
    """Draw a symbol's nodes and arrows; ``prefix`` begins the names of the drawn nodes."""
    # For each node of the symbol: the drawn nodes that arrows from it begin at, and their style.
    origins = []
    for node in nodes(symbol):
        sources = [origin for source, _, _ in node['inputs'] for origin in origins[source]]
        origins.append(_draw_node(drawing, node, sources, prefix))


def _draw_node(drawing, node, sources, prefix):
    """Draw a node if it is of a kind that is drawn; return where arrows from it begin."""
    name = prefix + node['name']
    if node['op'] == 'null':
        if not node['name'].startswith('data'):
            return []
        drawing.node(name, INPUTS.get(node['name'], node['name']), shape='plaintext')
        return [(name, 'solid')]
    if _is_projection(node):
        return [(origin, 'dashed') for origin, _ in sources]
    if node['op'] in WEIGHTED:
        drawing.node(name, _label(node), **_shape(node))
    elif node['op'] in SUMS:
        drawing.node(name, '+', shape='circle', width='0.2', height='0.2', fixedsize='true')
    else:
        return sources
    for origin, style in sources:
        drawing.edge(origin, name, style=style)
    return [(name, 'solid')]


def _is_projection(node):
    return node['op'] == 'Convolution' and node['name'].endswith('projection_conv')


def _shape(node):
    stride = node['attrs'].get('stride', '(1, 1)')
    return {
        'shape': 'invtrapezium' if '2' in stride else 'box',
        'style': 'filled',
        'fillcolor': '#d8e6f3' if node['op'] == 'Convolution' else '#f0f0f0',
    }


def _label(node):
    if node['op'] == 'FullyConnected':
        return f'FC {node["attrs"]["num_hidden"]}'
    return (
        f'{node["attrs"]["kernel"].strip("()").replace(", ", "x")} conv, '
        f'{node["attrs"]["num_filter"]}'
    )


def save(drawing, path, overwrite=False):
    """Write a drawing to ``path``, in the format that its ending names: .pdf, .png or .svg.

    No other file is written, because ``dot`` reads and writes pipes. ``files.write_outputs`` says
    what happens to an existing file.

    Raises
    ------
    UserError
        graphviz's program ``dot`` is not installed or fails, or the path has another ending.
    """
    ending = os.path.splitext(path)[1]
    if ending not in ('.pdf', '.png', '.svg'):
        raise UserError(f'{path}: the name of a drawing ends in .pdf, .png or .svg')
    try:
        content = drawing.pipe(format=ending[1:])
    except graphviz.backend.ExecutableNotFound:
        raise UserError(
            "drawing needs graphviz's program dot, which is not installed: install your system's "
            'package graphviz, or leave --plot out'
        )
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"graphviz's program dot failed with status {error.returncode}: see its message, "
            'or leave --plot out'
        )
    files.write_output(path, content, overwrite)
