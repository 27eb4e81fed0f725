"""The networks of the paper's diagrams, for draw.py: Figures 1, 3, 6, 7, 9 and 10."""
import symbols
from common import engine
from symbols import ensemble, il, imagenet, layers, mr, resnet


def architecture_resemblance():
    """Figure 1: the fused net with three fusions of two layers each, and the ensemble of its components.

    The tandem ensemble of Figure 1b is the fused net written in another way, and no other symbol.
    """
    units = 2
    return [('(a) fused net', symbols.get_symbol('fuse3', 3 * units + 2)),
            ('(c) ensemble of the same components', ensemble.get_symbol(units, 10, sharing=False))]


def fusions():
    """Figure 3: a plain network, three fusions, six fusions, of depth 14."""
    return [(title, symbols.get_symbol(network, 14)) for title, network in
            (('(a) plain', 'plain'), ('(b) three fusions', 'fuse3'), ('(c) six fusions', 'fuse6'))]


def units():
    """Figure 6: one unit of DFN-IL and of DFN-MR, and two of a ResNet, inside a group."""
    place = layers.Place('unit', 16, 1, False, False)
    data, data1, data2 = map(engine.mx.sym.Variable, ('data0', 'data1', 'data2'))
    merged = engine.mx.sym.Group(mr.unit(data1, data2, place))
    second = place._replace(name='unit2')
    return [('(a) inception-like', il.unit(data, place)), ('(b) merge-and-run', merged),
            ('(c) two residual units', resnet.unit(resnet.unit(data, place), second))]


def networks_of_one_size():
    """Figure 7: ResNet, DFN-IL and DFN-MR with the same number of layers."""
    return [(title, symbols.get_symbol(network, depth)) for title, network, depth in
            (('(a) ResNet', 'resnet', 26), ('(b) DFN-IL', 'il', 14), ('(c) DFN-MR', 'mr', 14))]


def imagenet_networks():
    """Figure 9: ResNet-101 and DFN-MR for ImageNet."""
    return [('(a) ResNet-101', imagenet.get_symbol('resnet', 101)), ('(b) DFN-MR', imagenet.get_symbol('mr', 44))]


def resnet50_and_variants():
    """Figure 10: ResNet-50, DFN1 and DFN2, the latter two as reconstructed in imagenet.py."""
    return [('(a) ResNet-50', imagenet.get_symbol('resnet', 50)), ('(b) DFN1', imagenet.get_symbol('dfn1', 50)),
            ('(c) DFN2', imagenet.get_symbol('dfn2', 50))]


FIGURES = {1: architecture_resemblance, 3: fusions, 6: units, 7: networks_of_one_size, 9: imagenet_networks, 10: resnet50_and_variants}


def panels(number):
    """Return [(title, symbol)] of a figure."""
    return FIGURES[number]()
