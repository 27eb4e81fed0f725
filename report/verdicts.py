"""Verdicts on the claims of report/claims.py: differences of runs, their intervals, the rule."""

import math
from typing import NamedTuple

import numpy
from scipy import stats

from report import claims, compared_results, repetition, run_setting

VERDICTS = SUPPORTED, CONTRADICTED, UNDECIDED = 'supported', 'contradicted', 'undecided'
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with its two-sided confidence interval."""

    mean: float
    low: float
    high: float
    count: int


class Finding(NamedTuple):
    """What the runs say about one comparison."""

    difference: str  # as in claims.CLAIMS
    ours: list  # for each of its terms (compared_results.Result, {seed: number})
    setting: dict | None  # of the runs of its first term, None if there are no runs to compare
    interval: Interval | None  # of d, None with fewer than two seeds in common
    verdict: str
    reason: str  # why there is no interval, '' if there is one


def interval_of(values):
    """Return the ``Interval`` of the mean of two numbers or more, by Student's t."""
    mean, count = float(numpy.mean(values)), len(values)
    deviation = float(numpy.std(values, ddof=1)) / math.sqrt(count)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation
    return Interval(mean, mean - reach, mean + reach, count)


def verdict_of(kind, interval, margin):
    """Return the verdict on a comparison by the rule of docs/claims.md.

    Parameters
    ----------
    kind : str
        ``claims.GREATER``, ``claims.ALIKE`` or ``claims.NOT_MORE``.
    interval : Interval or None
    margin : float
        In the unit of the interval; ``GREATER`` has none.
    """
    if interval is None:
        return UNDECIDED
    least, most = {
        claims.GREATER: (0, math.inf),
        claims.ALIKE: (-margin, margin),
        claims.NOT_MORE: (-math.inf, margin),
    }[kind]
    if least < interval.low and interval.high < most:
        return SUPPORTED
    if interval.high < least or interval.low > most:
        return CONTRADICTED
    return UNDECIDED


def verdict_of_claim(findings):
    """Return the verdict on a claim from the ``Finding`` on each of its comparisons."""
    verdicts = {finding.verdict for finding in findings}
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if verdicts == {SUPPORTED} else UNDECIDED


def find(claim, groups, stand_in):
    """Return the ``Finding`` on each comparison of a claim.

    Parameters
    ----------
    claim : claims.Claim
    groups : list of repetition.Repetitions
        Of finished runs.
    stand_in : str
        The data set of the study.

    Raises
    ------
    UserError
        Runs of several trainings could be compared.
    """
    return [_compare(claim, difference, groups, stand_in) for difference in claim.differences]


def _compare(claim, difference, groups, stand_in):
    """Return the ``Finding`` on one comparison of a claim."""
    terms = compared_results.parse(difference)
    results = [result for _, result in terms]
    candidates = [_candidates(result, groups, claim.dataset(stand_in)) for result in results]
    nothing = Finding(difference, [(each, {}) for each in results], None, None, UNDECIDED, '')
    lacking = [result.run for result, found in zip(results, candidates) if not found]
    if lacking:
        return nothing._replace(reason=f'no finished run of {", ".join(dict.fromkeys(lacking))}')
    common = _with_one_training(candidates)
    if not common:
        return nothing._replace(reason=f'the runs differ in {_differences(candidates)}')
    runs = repetition.only(common, f'the comparison {difference}')
    training = _training(common[0])
    numbers = [_by_seed(result, found, training) for result, found in zip(results, candidates)]
    seeds = sorted(set.intersection(*map(set, numbers)))
    differences = [
        sum(sign * of_seed[seed] for (sign, _), of_seed in zip(terms, numbers)) for seed in seeds
    ]
    interval = interval_of(differences) if len(seeds) > 1 else None
    reason = '' if interval else f'too few seeds: {len(seeds)} in common'
    verdict = verdict_of(claim.kind, interval, claim.margin)
    ours = list(zip(results, numbers))
    return Finding(difference, ours, runs[0].setting, interval, verdict, reason)


def _by_seed(result, groups, training):
    """Return {seed: number} of the runs that had this training and whose logs have the number."""
    (runs,) = (group.runs for group in groups if _training(group) == training)
    numbers = {run.seed: result.of(run) for run in runs if run.seed is not None}
    return {seed: number for seed, number in numbers.items() if number is not None}


def _candidates(result, groups, dataset):
    """Return the ``Repetitions`` of a network of which some run has the number."""
    wanted = {'network': result.network, 'depth': result.depth, 'dataset': dataset, 'widen': 1}
    return [
        group
        for group in groups
        if wanted.items() <= group.setting.items()
        and not run_setting.is_photographs(group.setting)
        and any(result.of(run) is not None for run in group.runs)
    ]


def _training(group):
    """Return the parts of a setting that the runs of a comparison must have in common."""
    return {
        name: value for name, value in group.setting.items() if name not in ('network', 'depth')
    }


def _with_one_training(candidates):
    """Return those of the first candidates whose training each of the others has as well."""
    return [
        group
        for group in candidates[0]
        if all(
            _training(group) in [_training(other) for other in others] for others in candidates[1:]
        )
    ]


def _differences(candidates):
    """Return in what the trainings of runs that cannot be compared differ."""
    settings = [_training(group) for found in candidates for group in found]
    return ', '.join(run_setting.word(name) for name in run_setting.differences(settings))
