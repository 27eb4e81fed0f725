"""Curves from logs: the runs of one setting become a mean and a range over their epochs."""
from collections import namedtuple

import numpy

import symbols
from common import log
from common.errors import UserError

# network, depth, dataset, widen: the setting; runs: how many logs; epochs: from 1; curves: {key of the
# log: (mean, lowest, highest)}, arrays over the epochs.
Setting = namedtuple('Setting', 'network depth dataset widen runs epochs curves')
Setting.title = property(lambda self: '%s-%d on %s' % (NAMES.get(self.network, self.network), self.depth, self.dataset))

NAMES = {'plain': 'Plain', 'resnet': 'ResNet', 'il': 'DFN-IL', 'mr': 'DFN-MR', 'side': 'side',
         'fuse3': 'N_f3', 'fuse6': 'N_f6', 'ensemble8': 'Ensemble-8', 'ensemble7': 'Ensemble-7',
         'separate8': 'Ensemble-8 without sharing'}


def group(paths):
    """Return a ``Setting`` for each network, depth, width and data set among the logs.

    Runs of one setting that reached different epochs are averaged over those they share.

    Raises
    ------
    UserError
        A file is no log, has no epoch yet, or is named twice.
    """
    if len(set(paths)) < len(paths):
        raise UserError('a log is named twice: name each run once')
    found = {}
    for path in paths:
        header, records = log.read(path)
        if not records:
            raise UserError('%s has no finished epoch yet: wait for one, or leave the log out' % path)
        found.setdefault(log.setting(header), []).append(records)
    return [_setting(key, runs) for key, runs in sorted(found.items(), key=_order)]


def _order(item):
    """The paper's order: networks as in its tables, then by depth."""
    network, *rest = item[0]
    return (list(NAMES).index(network) if network in NAMES else len(NAMES), str(network), *rest)


def _setting(key, runs):
    length = min(len(records) for records in runs)
    shared = set.intersection(*(set(record) for records in runs for record in records[:length]))
    curves = {}
    for name in sorted(shared - {'type', 'epoch', 'test_components', 'test_without'}):
        values = numpy.array([[record[name] for record in records[:length]] for records in runs], float)
        curves[name] = (values.mean(0), values.min(0), values.max(0))
    return Setting(*key, len(runs), numpy.arange(1, length + 1), curves)


def pairs(settings):
    """Return {d1: settings}: networks of one size share a column, whatever their own depth (Table 4)."""
    columns = {}
    for setting in settings:
        columns.setdefault(symbols.paired_depth(setting.network, setting.depth), []).append(setting)
    return dict(sorted(columns.items()))
