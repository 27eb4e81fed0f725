"""The networks of the paper's diagrams, Figures 1, 3, 6, 7, 9 and 10; draw.py draws them."""

import symbols
from engine import mx
from symbols import ensemble, fuse, il, imagenet, layers, mr, resnet


def architecture_resemblance():
    """Figure 1: a fused net, its tandem ensemble, and the ensemble of its components.

    The net has three fusions, whose deep branches have two layers.
    """
    units = 2
    return [
        ('(a) fused net', symbols.get_symbol('fuse3', 3 * units + 2)),
        ('(b) tandem ensemble', tandem(units, 10)),
        ('(c) ensemble of the same components', ensemble.get_symbol(units, 10, sharing=False)),
    ]


def tandem(units, num_classes):
    """Return the tandem ensemble: components side by side with sums between them (section 3.1).

    After each block, a component adds the output of the component that takes the other branch here
    and the same branches elsewhere. With the weights of the fused net, each output is the fused
    net's.
    """
    image = mx.sym.Variable('data')
    columns = {
        name: layers.stem(layers.STEM_CHANNELS, prefix=name + '_', variables={'data': image})
        for name in ensemble.NAMES
    }
    for number, spec in enumerate(layers.plan(1)):
        blocks = {}
        for name, data in columns.items():
            own = spec._replace(name=f'{name}_{spec.name}')
            deep = name[number] == 'R'
            blocks[name] = (
                layers.chain(data, own.name + '_deep', own.channels, own.stride, units)
                if deep
                else fuse.shallow(data, own)
            )
        columns = {
            name: layers.relu(
                layers.add(
                    f'{name}_{spec.name}',
                    *(blocks[name[:number] + letter + name[number + 1 :]] for letter in 'LR'),
                ),
                f'{name}_{spec.name}',
            )
            for name in blocks
        }
    return mx.sym.Group(
        [layers.classifier(data, num_classes, name + '_') for name, data in columns.items()]
    )


def fusions():
    """Figure 3: a plain network of depth 14, the same with three fusions and with six."""
    return [
        (title, symbols.get_symbol(network, 14))
        for title, network in (
            ('(a) plain', 'plain'),
            ('(b) three fusions', 'fuse3'),
            ('(c) six fusions', 'fuse6'),
        )
    ]


def units():
    """Figure 6: one unit of DFN-IL, one of DFN-MR and two of ResNet, inside a group."""
    spec = layers.UnitSpec('unit', 16, 1, first=False)
    data, data1, data2 = map(mx.sym.Variable, ('data0', 'data1', 'data2'))
    merged = mx.sym.Group(mr.unit(data1, data2, spec))
    second = spec._replace(name='unit2')
    return [
        ('(a) inception-like', il.unit(data, spec)),
        ('(b) merge-and-run', merged),
        ('(c) two residual units', resnet.unit(resnet.unit(data, spec), second)),
    ]


def networks_of_one_size():
    """Figure 7: ResNet, DFN-IL and DFN-MR with the same number of layers."""
    return [
        (title, symbols.get_symbol(network, depth))
        for title, network, depth in (
            ('(a) ResNet', 'resnet', 26),
            ('(b) DFN-IL', 'il', 14),
            ('(c) DFN-MR', 'mr', 14),
        )
    ]


def imagenet_networks():
    """Figure 9: ResNet-101 and DFN-MR for ImageNet."""
    return [
        ('(a) ResNet-101', imagenet.get_symbol('resnet', 101)),
        ('(b) DFN-MR', imagenet.get_symbol('mr', 44)),
    ]


def resnet50_and_variants():
    """Figure 10: ResNet-50, and DFN1 and DFN2 as symbols/imagenet.py reconstructs them."""
    return [
        ('(a) ResNet-50', imagenet.get_symbol('resnet', 50)),
        ('(b) DFN1', imagenet.get_symbol('dfn1', 50)),
        ('(c) DFN2', imagenet.get_symbol('dfn2', 50)),
    ]


FIGURES = {
    1: architecture_resemblance,
    3: fusions,
    6: units,
    7: networks_of_one_size,
    9: imagenet_networks,
    10: resnet50_and_variants,
}


def panels(number):
    """Return [(title, symbol)], the panels of the figure with this number."""
    return FIGURES[number]()
