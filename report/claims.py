"""The paper's claims that the study on Fashion-MNIST tests, as docs/claims.md states them.

The differences are written as they are there; report/compared_results.py reads them.
"""

from typing import NamedTuple

from report import finished_runs
from report.compared_results import EARLY, LOSS

# The kinds of comparisons, and the margins in percentage points; docs/claims.md has the reasons.
GREATER, ALIKE, NOT_MORE = 'greater', 'alike', 'not more'
MARGIN, MARGIN_WITHOUT = 0.5, 0.1
# Runs of each network and epochs of each run, by part of the study.
SEEDS = {'A': 5, 'B': 3, 'C': 3, 'D': 3}
EPOCHS = {'A': 12, 'B': 8, 'C': 12, 'D': 12}
SUBSETS = {'fashion-mnist': 'fashion-mnist-12000'}  # by the data set of the other parts
ON_SUBSET = ('C', 'D')


class Claim(NamedTuple):
    """What the paper says, and the comparisons that decide whether it holds."""

    title: str  # that of its section in docs/claims.md
    source: str  # where the paper says it
    part: str  # of experiments/fashion-mnist.txt, whose runs decide it
    kind: str  # of all of its comparisons
    differences: tuple  # of str
    table: int | None = None  # the paper's table with the errors of these networks
    margin: float = MARGIN
    unit: str = 'points'

    @property
    def planned_seeds(self):
        """The set of seeds that its part of the study has."""
        return set(range(1, SEEDS[self.part] + 1))

    def dataset(self, stand_in):
        """Return the data set of the claim's runs in a study on ``stand_in``."""
        return SUBSETS.get(stand_in, stand_in) if self.part in ON_SUBSET else stand_in


def check_runs(groups, stand_in):
    """Raise ``UserError`` if no finished run is on a data set of a study on ``stand_in``."""
    wanted = {claim.dataset(stand_in) for claim in CLAIMS}
    if not any(group.setting['dataset'] in wanted for group in groups):
        finished_runs.check_stand_in(groups, stand_in)


SHALLOW, DEEP = ('LLL', 'RLL', 'LRL', 'LLR'), ('RRL', 'RLR', 'LRR', 'RRR')  # caption of Table 2
MEDIUM = ('LLR', 'RLR', 'LRR')  # caption of Table 3


def _against_medium(run, component):
    """Return the differences between a run without a component and without each medium one."""
    return tuple(f'{run}: without {component} - {run}: without {name}' for name in MEDIUM)


CLAIMS = (
    Claim(
        'Order of the networks of one size',
        'section 6.3, Table 4',
        'A',
        GREATER,
        ('plain-26 - resnet-26', 'resnet-26 - il-14', 'il-14 - mr-14'),
        table=4,
    ),
    Claim(
        'DFNs gain more from depth than ResNet',
        'section 6.3, Table 4',
        'C',
        GREATER,
        ('resnet-110 - mr-56 - resnet-50 + mr-26', 'resnet-110 - il-56 - resnet-50 + il-26'),
        table=4,
    ),
    Claim(
        'The plain network falls behind ResNet with depth',
        'Table 4',
        'C',
        GREATER,
        ('plain-110 - resnet-110 - plain-50 + resnet-50',),
        table=4,
    ),
    Claim(
        'The plain network gets worse with depth',
        'section 3.2, Table 4',
        'C',
        GREATER,
        ('plain-110 - plain-50',),
        table=4,
    ),
    Claim(
        'ResNet and the DFNs do not get worse with depth',
        'sections 4 and 6.3, Table 4',
        'C',
        NOT_MORE,
        ('resnet-110 - resnet-50', 'il-56 - il-26', 'mr-56 - mr-26'),
        table=4,
    ),
    Claim(
        'N_f6 is better than N_f3',
        'section 3.2, Figure 4',
        'B',
        GREATER,
        ('fuse3-14 - fuse6-14', 'fuse3-26 - fuse6-26'),
        table=1,
    ),
    Claim(
        'ResNet is better than N_f6',
        'section 3.2, Figure 4',
        'B',
        GREATER,
        ('fuse6-26 - resnet-26',),
        table=4,
    ),
    Claim(
        'ResNet is better than N_f6 at depth 14',
        'section 3.2, Figure 4',
        'B',
        GREATER,
        ('fuse6-14 - resnet-14',),
        table=4,
    ),
    Claim(
        'Better components make a better net',
        'section 3.2, Table 1',
        'B',
        GREATER,
        ('fuse3-14 - fuse3-26', 'ensemble8-14 - ensemble8-26'),
        table=1,
    ),
    Claim(
        'The fused net and the ensemble perform alike',
        'Figure 2, Table 1',
        'B',
        ALIKE,
        ('fuse3-14 - ensemble8-14', 'fuse3-26 - ensemble8-26'),
        table=1,
    ),
    Claim(
        'The fused net and the ensemble are better than the plain network',
        'Figure 2',
        'B',
        GREATER,
        ('plain-14 - fuse3-14', 'plain-14 - ensemble8-14'),
        table=1,
    ),
    Claim(
        'The ensemble is better than the fused net over depth 20',
        'section 3.1, Table 1',
        'B',
        GREATER,
        ('fuse3-26 - ensemble8-26',),
        table=1,
    ),
    Claim(
        'The ensemble is better without weight sharing',
        'Table 2',
        'B',
        GREATER,
        ('ensemble8-14 - separate8-14',),
        table=2,
    ),
    Claim(
        'Sharing weights hurts the four shallow components',
        'section 4, Table 2',
        'B',
        GREATER,
        tuple(f'ensemble8-14: {name} alone - separate8-14: {name} alone' for name in SHALLOW),
        table=2,
    ),
    Claim(
        'Sharing weights helps the four deep components',
        'section 4, Table 2',
        'B',
        GREATER,
        tuple(f'separate8-14: {name} alone - ensemble8-14: {name} alone' for name in DEEP),
        table=2,
    ),
    Claim(
        'Ensemble-7 and Ensemble-8 are close',
        'section 4, Figure 5',
        'B',
        ALIKE,
        ('ensemble7-14 - ensemble8-14',),
        table=3,
    ),
    Claim(
        'Ensemble-7 is better when it is trained again',
        'section 4, Figure 5',
        'B',
        GREATER,
        ('ensemble8-14: without RRR - ensemble7-14',),
        table=3,
    ),
    Claim(
        'The deepest component matters no more than the medium ones at depth 14',
        'section 4, Table 3',
        'B',
        NOT_MORE,
        _against_medium('ensemble8-14', 'RRR'),
        table=3,
        margin=MARGIN_WITHOUT,
    ),
    Claim(
        'The shallowest component matters no more than the medium ones at depth 14',
        'section 4, Table 3',
        'B',
        NOT_MORE,
        _against_medium('ensemble8-14', 'LLL'),
        table=3,
        margin=MARGIN_WITHOUT,
    ),
    Claim(
        'The training loss of DFN-MR falls faster',
        'appendix B, Figure 12',
        'A',
        GREATER,
        (f'resnet-26: {LOSS} - mr-14: {LOSS}',),
        unit='nats',
    ),
    Claim(
        'The test error of DFN-MR falls faster',
        'appendix B, Figure 12',
        'A',
        GREATER,
        (f'resnet-26: {EARLY} - mr-14: {EARLY}',),
    ),
    Claim(
        'RLR is better alone than the shallowest and the deepest component',
        'Table 2',
        'D',
        GREATER,
        tuple(f'ensemble8-98: {name} alone - ensemble8-98: RLR alone' for name in ('LLL', 'RRR')),
        table=2,
    ),
    Claim(
        'The deepest component matters no more than the medium ones at depth 98',
        'section 4, Table 3',
        'D',
        NOT_MORE,
        _against_medium('ensemble8-98', 'RRR'),
        table=3,
        margin=MARGIN_WITHOUT,
    ),
)
