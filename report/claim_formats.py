"""The verdicts on the paper's claims as a Markdown page."""

import re

import numpy

from report import claims, compared_results, paper_tables, run_setting, verdicts
from report.table_formats import render

DIGITS = {'points': 2, 'nats': 3}
HOW_TO_READ = (
    'Our numbers are means over seeds with their sample standard deviation, and [ ] encloses the\n'
    '95% interval of a difference d. "Above 0" has the number of seeds with a d above 0, of those\n'
    'that d has. docs/claims.md has the claims and the rule.'
)


def markdown(findings, stand_in):
    """Return a page with a section for each claim, and a table of all verdicts at its end.

    Parameters
    ----------
    findings : dict
        {claims.Claim: list of its ``verdicts.Finding``} of every claim, in their order.
    stand_in : str
        The data set of the study.
    """
    sections = [
        _section(number, claim, found, stand_in)
        for number, (claim, found) in enumerate(findings.items(), 1)
    ]
    title = f"# The paper's claims on {run_setting.TITLES.get(stand_in, stand_in)}"
    return (
        '\n\n'.join([title, HOW_TO_READ, *sections, '## Verdicts', verdict_table(findings)]) + '\n'
    )


def verdict_table(findings):
    """Return a table of the verdicts in {claim: list of ``verdicts.Finding``}."""
    rows = [
        [
            str(number),
            claim.title,
            claim.source,
            verdicts.verdict_of_claim(found),
            _counts(found),
            f'{verdicts.planned_seeds_in_common(claim, found)} of {claims.SEEDS[claim.part]}',
        ]
        for number, (claim, found) in enumerate(findings.items(), 1)
    ]
    return render(rows, ['', 'claim', 'in the paper', 'verdict', 'comparisons', 'seeds'], 'github')


def _counts(findings):
    """Return how many comparisons have which verdict, such as "2 supported, 1 undecided"."""
    found = [finding.verdict for finding in findings]
    return ', '.join(f'{found.count(kind)} {kind}' for kind in verdicts.VERDICTS if kind in found)


def _section(number, claim, findings, stand_in):
    """Return the section of a claim: a table of results, and one of differences."""
    results = [
        [result.text, mean_text(claim, numbers), str(len(numbers)), _paper(claim, result)]
        for result, numbers in verdicts.ours(findings).items()
    ]
    differences = [
        [
            finding.difference,
            _expected(claim),
            _interval(claim, finding.interval),
            _above_zero(finding),
            _paper_difference(claim, finding.difference),
            finding.verdict + (f' ({finding.reason})' if finding.reason else ''),
        ]
        for finding in findings
    ]
    quantity = 'test error (%)' if claim.unit == 'points' else claim.unit
    return '\n\n'.join(
        [
            f'## {number}. {claim.title}: {verdicts.verdict_of_claim(findings)}',
            f'The paper: {claim.source}, on CIFAR-10. Ours: {_runs(claim, findings, stand_in)}.',
            render(results, ['', f'ours, {quantity}', 'seeds', 'paper'], 'github'),
            render(
                differences,
                ['d', 'expected', f'ours, {claim.unit}', 'above 0', 'paper', 'verdict'],
                'github',
            ),
        ]
    )


def _above_zero(finding):
    """Return with how many seeds d is above 0, such as "2 of 3", '' without any."""
    above = sum(difference > 0 for difference in finding.differences.values())
    return f'{above} of {len(finding.differences)}' if finding.differences else ''


def _runs(claim, findings, stand_in):
    """Return which runs decide a claim, such as "part A, Fashion-MNIST, 12 epochs"."""
    settings = [finding.setting for finding in findings if finding.setting]
    if not settings:
        dataset = claim.dataset(stand_in)
        return f'part {claim.part}, {run_setting.TITLES.get(dataset, dataset)}, no runs yet'
    epochs = sorted({setting['epochs'] for setting in settings})
    title = run_setting.title(settings[0])
    plural = 's' * (epochs != [1])
    return f'part {claim.part}, {title}, {" or ".join(map(str, epochs))} epoch{plural}'


def mean_text(claim, numbers):
    """Return mean and sample standard deviation of {seed: number} as a text."""
    values, digits = list(numbers.values()), DIGITS[claim.unit]
    if len(values) < 2:
        return ''.join(f'{value:.{digits}f}' for value in values)
    return f'{numpy.mean(values):.{digits}f} ± {numpy.std(values, ddof=1):.{digits}f}'


def paper_number(claim, result):
    """Return what the paper prints for a result, '' if it prints none."""
    found = compared_results.printed(claim.table, result)
    return re.match(r'fail|[\d.]+( ± [\d.]+)?', found[2].replace('**', ''))[0] if found else ''


def _paper(claim, result):
    """Return what the paper prints for a result and where, '' if it does not."""
    found = compared_results.printed(claim.table, result)
    if found is None:
        return ''
    place = f'Table {claim.table}: {" ".join(found[0])}, {found[1]}'
    return f'{paper_number(claim, result)} ({place})'


def _paper_difference(claim, difference):
    """Return the difference of the paper's numbers, '' if it does not print each of them."""
    total = 0
    for sign, result in compared_results.parse(difference):
        found = compared_results.printed(claim.table, result)
        error = found and paper_tables.printed_error(found[2])
        if error is None:
            return ''
        total += sign * error
    return f'{total:+.2f}'


def _expected(claim):
    return {
        claims.GREATER: 'd > 0',
        claims.ALIKE: f'-{claim.margin} < d < {claim.margin}',
        claims.NOT_MORE: f'd < {claim.margin}',
    }[claim.kind]


def _interval(claim, interval):
    if interval is None:
        return ''
    digits = DIGITS[claim.unit]
    limits = {
        claims.GREATER: (),
        claims.ALIKE: (-claim.margin, claim.margin),
        claims.NOT_MORE: (claim.margin,),
    }[claim.kind]
    if any(round(bound, digits) in limits for bound in interval[1:3]):
        digits += 1  # so that it is seen on which side of the limit the bound is
    mean, low, high = (f'{value:+.{digits}f}' for value in interval[:3])
    return f'{mean} [{low}, {high}]'
