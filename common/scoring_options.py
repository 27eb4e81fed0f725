"""The options that name a trained network, and what it is scored on."""

from common.options import number


def add_network(parser):
    """Add the options that name a trained network, which ``common.model.load`` reads."""
    parser.add_argument('--run', metavar='RUN', help='name or checkpoint folder of a run')
    parser.add_argument(
        '--pretrained',
        metavar='NAME',
        help='instead of --run: weights that come along, in pretrained/; or the path of others, '
        'without an ending',
    )
    parser.add_argument(
        '--symbol',
        metavar='FILE',
        help='instead of --run: the symbol of a network, a model-symbol.json, with --params',
    )
    parser.add_argument(
        '--params', metavar='FILE', help='the parameters that belong to --symbol, a .params file'
    )
    parser.add_argument(
        '--dataset',
        metavar='NAME',
        help='data set whose normalisation, classes and test.rec are used (default: that of the '
        'run)',
    )
    parser.add_argument(
        '--image-size',
        type=number(int, 32, 1024),
        metavar='PIXELS',
        help='height and width of the central crop of photographs (default: that of the run, or '
        '224)',
    )


def add_checkpoint(parser):
    parser.add_argument(
        '--checkpoint',
        default='last',
        metavar='WHICH',
        help='checkpoint of the run: last, best, or an epoch that it keeps (default: %(default)s)',
    )


def add_scoring(parser):
    """Add the options of scoring; return the group of those of which only one may be given."""
    add_checkpoint(parser)
    parser.add_argument(
        '--batch-size',
        type=number(int, 1),
        default=100,
        metavar='N',
        help='images in a batch (default: %(default)s)',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        '--rec',
        metavar='FILE',
        help='.rec file with the images to score (default: test.rec of the data set)',
    )
    return what
