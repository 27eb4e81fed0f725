"""A network drawn as Figures 3 and 7 draw it: convolutions and sums, nothing else.

A trapezoid is a layer with stride 2, a dashed arrow leads through a projection, and + is a sum.
"""
import os

from common.errors import UserError
from symbols.paths import WEIGHTED, nodes

SUMS = ('add_n', 'elemwise_add', '_plus', 'broadcast_add')


def graph(symbol, title=''):
    """Return the drawing as a ``graphviz.Digraph``."""
    import graphviz
    drawing = graphviz.Digraph(graph_attr={'label': title, 'labelloc': 't', 'ranksep': '0.25'},
                               node_attr={'fontname': 'Helvetica', 'fontsize': '10'},
                               edge_attr={'arrowsize': '0.6'})
    drawing.node('data', 'image', shape='plaintext')
    # For each node of the symbol: the drawn nodes its value comes from, and the style of the arrow.
    origins = []
    for node in nodes(symbol):
        sources = [origin for source, _, _ in node['inputs'] for origin in origins[source]]
        origins.append(_place(drawing, node, sources))
    return drawing


def _place(drawing, node, sources):
    name = node['name']
    if node['op'] == 'null':
        return [('data', 'solid')] if name == 'data' else []
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
    return {'shape': 'invtrapezium' if '2' in stride else 'box', 'style': 'filled',
            'fillcolor': '#d8e6f3' if node['op'] == 'Convolution' else '#f0f0f0'}


def _label(node):
    if node['op'] == 'FullyConnected':
        return 'FC %s' % node['attrs']['num_hidden']
    return '%s conv, %s' % (node['attrs']['kernel'].strip('()').replace(', ', 'x'),
                            node['attrs']['num_filter'])


def save(symbol, path, title=''):
    """Write the drawing to ``path``; its ending (.pdf, .png, .svg) names the format.

    Raises
    ------
    UserError
        graphviz's ``dot`` is not installed, or the format is not one of the three.
    """
    import graphviz
    stem, ending = os.path.splitext(path)
    if ending not in ('.pdf', '.png', '.svg'):
        raise UserError('%s: end the name of the drawing in .pdf, .png or .svg' % path)
    drawing = graph(symbol, title)
    drawing.format = ending[1:]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    try:
        drawing.render(stem, cleanup=True)
    except graphviz.backend.ExecutableNotFound:
        raise UserError("drawing needs graphviz's program dot, which is not installed: install the "
                        'package graphviz of your system, or leave --plot out')
