"""Figure 11: how deep the components of networks are, computed from the networks themselves."""

import matplotlib

import symbols
from graphs import paths
from report.figures import COLUMN, STYLE, pyplot
from symbols import imagenet


def figure11(networks):
    """Return Figure 11: for each network, the share of its paths (its components) by depth.

    Parameters
    ----------
    networks : list of (title, mx.sym.Symbol)
    """
    counts = [paths.histogram(symbol) for _, symbol in networks]
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            1,
            len(networks),
            squeeze=False,
            sharex=True,
            figsize=(2 * COLUMN, 2.2),
            constrained_layout=True,
        )
        for axis, (title, _), found in zip(axes[0], networks, counts):
            size = sum(found.values())
            axis.bar(list(found), [100 * count / size for count in found.values()], color='#0072B2')
            mean, deviation = paths.mean_and_deviation(found)
            axis.set_title(f'{title} ({mean:.2f} ± {deviation:.2f})\n{_short(size)} networks')
            axis.set_xlabel('depth')
            axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
        axes[0, 0].set_ylabel('networks (%)')
    return figure


def _short(size):
    """Return a number of paths as a title has it."""
    return format(size, ',') if size < 10**7 else f'{size:.2e}'


def imagenet_networks():
    """Return [(title, symbol)] of ResNet-50, DFN1 and DFN2, the networks of Figure 11."""
    return [
        (title, imagenet.get_symbol(network, 50))
        for title, network in (('ResNet-50', 'resnet'), ('DFN1', 'dfn1'), ('DFN2', 'dfn2'))
    ]


def cifar_networks(depth):
    """Return [(title, symbol)] of ResNet, DFN-IL and DFN-MR of one size (Table 4).

    ``depth`` is d1, that of the ResNet; the others have the depth d2 = d1 / 2 + 1.
    """
    pairs = [
        ('ResNet', 'resnet', depth),
        ('DFN-IL', 'il', depth // 2 + 1),
        ('DFN-MR', 'mr', depth // 2 + 1),
    ]
    return [(f'{title}-{own}', symbols.get_symbol(network, own)) for title, network, own in pairs]
