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
    setting: dict | None  # of the runs of a term, None if it is not known which runs to compare
    differences: dict  # {seed: d}, in increasing order of the seeds
    interval: Interval | None  # of d, None with fewer than two seeds
    verdict: str
    reason: str  # why there is no interval, '' if there is one

    @property
    def seeds(self):
        """The seeds that its interval is over, in increasing order."""
        return tuple(self.differences)


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


def planned_seeds_in_common(claim, findings):
    """Return the number of planned seeds of the comparison of a claim that has fewest."""
    return min(len(claim.planned_seeds & set(finding.seeds)) for finding in findings)


def is_final(claim, findings):
    """Return whether the verdict on a claim is final by the rule of docs/claims.md.

    It is with the seeds that the study has planned for all comparisons of the claim, or for one
    that contradicts it. As many seeds of other numbers do not count as these: which ones count was
    fixed before the runs.
    """
    whole = [finding for finding in findings if claim.planned_seeds <= set(finding.seeds)]
    return len(whole) == len(findings) or verdict_of_claim(whole) == CONTRADICTED


def ours(findings):
    """Return {``compared_results.Result``: {seed: number}} of all the terms of ``Finding``."""
    found = {}
    for finding in findings:
        for result, numbers in finding.ours:
            # One comparison may know which runs of a network count where another does not.
            found[result] = numbers or found.get(result, {})
    return found


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


def find_all(groups, stand_in):
    """Return {claim: list of its ``Finding``} of every claim; the rest is as in ``find``."""
    return {claim: find(claim, groups, stand_in) for claim in claims.CLAIMS}


def not_compared(findings, groups):
    """Return a sentence on each run that is left out because of how it was trained.

    Its network is compared with others, but in runs of another training than its own.

    Parameters
    ----------
    findings : dict
        What ``find_all`` returned.
    groups : list of repetition.Repetitions
        Those that it was given.
    """
    compared = [
        (result.network, result.depth, _training(finding.setting))
        for found in findings.values()
        for finding in found
        if finding.setting and not finding.reason
        for result, _ in finding.ours
    ]
    notes = []
    for group in groups:
        network, depth, own = (
            group.setting['network'],
            group.setting['depth'],
            _training(group.setting),
        )
        trainings = [
            training
            for *same, training in compared
            if same == [network, depth] and training['dataset'] == own['dataset']
        ]
        if trainings and own not in trainings:
            differ = min((run_setting.differences([own, each]) for each in trainings), key=len)
            what = ', '.join(map(run_setting.word, differ))
            notes += [
                f'{run.path} is left out: from the runs of {network}-{depth} that are compared it '
                f'differs in {what}'
                for run in group.runs
            ]
    return notes


def _compare(claim, difference, groups, stand_in):
    """Return the ``Finding`` on one comparison of a claim."""
    terms = compared_results.parse(difference)
    results = [result for _, result in terms]
    candidates = [_candidates(result, groups, claim.dataset(stand_in)) for result in results]
    lacking = [result.run for result, found in zip(results, candidates) if not found]
    common = _with_one_training([found for found in candidates if found])
    if len(common) > 1:  # of part A's and part B's runs of the same networks, for example
        planned = [each for each in common if each.setting['epochs'] == claims.EPOCHS[claim.part]]
        common = planned or common
    if not lacking:
        repetition.only(common, f'the comparison {difference}')
    setting = common[0].setting if len(common) == 1 else None
    numbers = [_by_seed(result, found, setting) for result, found in zip(results, candidates)]
    seeds = _seeds(claim, numbers)
    differences = {
        seed: sum(sign * of_seed[seed] for (sign, _), of_seed in zip(terms, numbers))
        for seed in seeds
    }
    interval = interval_of(list(differences.values())) if len(seeds) > 1 else None
    if lacking:
        reason = f'no finished run of {", ".join(dict.fromkeys(lacking))}'
    elif not common:
        reason = f'the runs differ in {_differences(candidates)}'
    else:
        reason = '' if interval else f'too few seeds: {len(seeds)} in common'
    verdict = verdict_of(claim.kind, interval, claim.margin)
    shown = list(zip(results, numbers))
    return Finding(difference, shown, setting, differences, interval, verdict, reason)


def _seeds(claim, numbers):
    """Return the seeds of a comparison: the planned ones alone as soon as each term has them.

    So a verdict that is final does not change with runs that are added because of it.
    """
    common = set.intersection(*map(set, numbers))
    return sorted(claim.planned_seeds if claim.planned_seeds <= common else common)


def _by_seed(result, groups, setting):
    """Return {seed: number} of the runs whose training is that of ``setting``, {} without one."""
    same = [group for group in groups if setting and _training(group.setting) == _training(setting)]
    runs = [run for group in same for run in group.runs if run.seed is not None]
    numbers = {run.seed: result.of(run) for run in runs}
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


def _training(setting):
    """Return the parts of a setting that the runs of a comparison must have in common."""
    return {name: value for name, value in setting.items() if name not in ('network', 'depth')}


def _with_one_training(candidates):
    """Return those of the first candidates whose training each of the others has as well."""
    first, *rest = candidates or [[]]
    trainings = [[_training(group.setting) for group in others] for others in rest]
    return [group for group in first if all(_training(group.setting) in each for each in trainings)]


def _differences(candidates):
    """Return in what the trainings of runs that cannot be compared differ."""
    settings = [_training(group.setting) for found in candidates for group in found]
    return ', '.join(run_setting.word(name) for name in run_setting.differences(settings))
