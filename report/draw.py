"""Networks drawn as Figures 1, 3, 6 and 7 draw them: convolutions and sums, nothing else.

A trapezoid is a layer with stride 2, a dashed arrow leads through a projection, and + is a sum.
"""

import os
import subprocess

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
    """Return the drawing of several, [(title, symbol)]."""
    drawing = _empty('')
    for number, (title, symbol) in enumerate(panels):
        with drawing.subgraph(name=f'cluster_{number}') as part:
            part.attr(label=title, color='white', fontname='Helvetica')
            _fill(part, symbol, f'panel{number}_')
    return drawing


def _empty(title):
    import graphviz

    return graphviz.Digraph(
        graph_attr={'label': title, 'labelloc': 't', 'ranksep': '0.25'},
        node_attr={'fontname': 'Helvetica', 'fontsize': '10'},
        edge_attr={'arrowsize': '0.6'},
    )


def _fill(drawing, symbol, prefix=''):
    # For each node of the symbol: the drawn nodes its value comes from, and the style of the arrow.
    origins = []
    for node in nodes(symbol):
        sources = [origin for source, _, _ in node['inputs'] for origin in origins[source]]
        origins.append(_place(drawing, node, sources, prefix))


def _place(drawing, node, sources, prefix):
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
    """Write a drawing to ``path``; its ending (.pdf, .png, .svg) names the format.

    Nothing but ``path`` is written: ``dot`` reads and writes pipes. See ``files.write_outputs`` for
    a file of that name.

    Raises
    ------
    UserError
        graphviz's ``dot`` is not installed or fails, or the format is not one of the three.
    """
    import graphviz

    ending = os.path.splitext(path)[1]
    if ending not in ('.pdf', '.png', '.svg'):
        raise UserError(f'{path}: end the name of the drawing in .pdf, .png or .svg')
    try:
        content = drawing.pipe(format=ending[1:])
    except graphviz.backend.ExecutableNotFound:
        raise UserError(
            "drawing needs graphviz's program dot, which is not installed: install the "
            'package graphviz of your system, or leave --plot out'
        )
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"graphviz's program dot failed with status {error.returncode}: see what "
            'it said, or leave --plot out'
        )
    files.write_output(path, content, overwrite)
