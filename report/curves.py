"""Curves from logs: the mean and the range, epoch by epoch, of the runs of one setting."""

from typing import NamedTuple

import numpy

import symbols
from report import repetition, run_setting
from system.errors import UserError

# What the paper calls the networks, in its order. mr-late and mr-relu are DFN-MR with other
# endings, see symbols/mr.py and symbols/imagenet.py.
NAMES = {
    'plain': 'Plain',
    'resnet': 'ResNet',
    'il': 'DFN-IL',
    'mr': 'DFN-MR',
    'mr-late': 'DFN-MR (late)',
    'mr-relu': 'DFN-MR (ReLU)',
    'side': 'side',
    'fuse3': 'N_f3',
    'fuse6': 'N_f6',
    'ensemble8': 'Ensemble-8',
    'ensemble7': 'Ensemble-7',
    'separate8': 'Ensemble-8 without sharing',
    'dfn1': 'DFN1',
    'dfn2': 'DFN2',
}
KEYS = ('train_loss', 'train_error', 'train_top5', 'test_loss', 'test_error', 'test_top5')
GAP = (30, 55)  # epochs between which section 6.5 compares DFN-MR with ResNet-101


class Curves(NamedTuple):
    """The mean curves of the runs of one setting, with their range."""

    setting: dict  # see run_setting.setting_of
    runs: int  # number of runs
    epochs: numpy.ndarray  # numbers of the epochs, from 1
    curves: dict  # {key of the log: (mean, lowest, highest)}, each an array over the epochs

    @property
    def network(self):
        return self.setting['network']

    @property
    def depth(self):
        return self.setting['depth']

    @property
    def name(self):
        """The network as the paper calls it."""
        return NAMES.get(self.network, self.network)

    @property
    def deep_name(self):
        """The network with its depth, such as ``DFN-MR-56``."""
        name, bracket, remark = self.name.partition(' (')
        return f'{name}-{self.depth}{bracket}{remark}'

    @property
    def title(self):
        """Network, depth and data set."""
        return f'{self.deep_name} on {run_setting.title(self.setting)}'


def group(paths):
    """Return the ``Curves`` of each setting, and a sentence on each log that is left out.

    A log is left out if it has no epoch yet, if another run has the same setting and seed, or if it
    is not finished and another run of its setting is. If no run of a setting is finished, the mean
    at an epoch is that of the runs that have reached it.

    Raises
    ------
    UserError
        A file is no log or is named twice, or no log has an epoch yet.
    """
    found, notes = group_runs(repetition.read(paths))
    if not found:
        raise UserError('no log has a finished epoch yet: wait for one')
    return found, notes


def group_runs(runs):
    """Do as ``group`` with runs that have been read; without any epoch there are no ``Curves``."""
    notes = [
        f'{run.path} has no finished epoch yet and is left out' for run in runs if not run.records
    ]
    groups, twins = repetition.group([run for run in runs if run.records])
    found = []
    for setting, members in groups:
        finished = [run for run in members if run.finished]
        if finished:
            notes += [
                f'{run.path} is not finished and is left out: others of its setting are'
                for run in members
                if not run.finished
            ]
        found.append(_mean(setting, finished or members))
    return sorted(found, key=_order), notes + twins


def _order(curves):
    """Return a key that sorts curves by network, as in the paper's tables, and then by depth."""
    position = list(NAMES).index(curves.network) if curves.network in NAMES else len(NAMES)
    setting = curves.setting
    return position, curves.network, curves.depth, setting['dataset'], setting['widen']


def _mean(setting, runs):
    """Return the ``Curves`` of runs; a shorter run counts in the epochs that it has."""
    length = max(len(run.records) for run in runs)
    curves = {}
    for key in KEYS:
        if not all(key in record for run in runs for record in run.records):
            continue
        values = numpy.full((len(runs), length), numpy.nan)
        for row, run in zip(values, runs):
            row[: len(run.records)] = [record[key] for record in run.records]
        curves[key] = tuple(
            function(values, axis=0) for function in (numpy.nanmean, numpy.nanmin, numpy.nanmax)
        )
    return Curves(setting, len(runs), numpy.arange(1, length + 1), curves)


def panels(found):
    """Return {(data set, d1): curves}, the panels of Figure 12.

    Networks of one size share a panel although their own depths differ (Table 4). d1 is None for
    networks for photographs, whose depths the paper does not pair.
    """
    columns = {}
    for curves in found:
        d1 = curves.depth  # that of an ensemble and its components
        if run_setting.is_photographs(curves.setting):
            d1 = None
        elif curves.network in symbols.NETWORKS:
            d1 = symbols.paired_depth(curves.network, curves.depth)
        columns.setdefault((run_setting.title(curves.setting), d1), []).append(curves)
    return dict(sorted(columns.items(), key=lambda item: (item[0][0], item[0][1] or 0)))


def gaps(found):
    """Return sentences that say how much lower DFN-MR's top-1 validation error is (section 6.5).

    There is one for each pair of a DFN-MR and a ResNet-101 that were trained alike on the same
    photographs.
    """
    return [_gap(resnet, mr) for resnet in found for mr in found if _are_of_section_6_5(resnet, mr)]


def _are_of_section_6_5(resnet, mr):
    """Return whether two curves are of networks that the paper compares, trained alike."""
    differ = run_setting.differences([resnet.setting, mr.setting])
    return (
        (resnet.network, resnet.depth) == ('resnet', 101)
        and mr.network in ('mr', 'mr-relu')
        and run_setting.is_photographs(mr.setting)
        and differ.keys() <= {'network', 'depth', 'epochs'}
    )


def _gap(resnet, mr):
    first, last = GAP
    last = min(last, len(resnet.epochs), len(mr.epochs))
    if last < first:
        return (
            f'{resnet.title} and {mr.deep_name} share {last} epochs: the paper compares '
            f'epochs {first} to {GAP[1]}'
        )
    compared = slice(first - 1, last)
    errors = [each.curves['test_error'][0][compared] for each in (resnet, mr)]
    lower = (errors[0] - errors[1]).mean()
    word = 'lower' if lower >= 0 else 'higher'
    return (
        f'{mr.title}: top-1 validation error {abs(lower):.2f} points {word} than that of '
        f'{resnet.deep_name}, mean of epochs {first} to {last} '
        f'(the paper: about 5 lower in epochs {first} to {GAP[1]})'
    )
