"""The study in short, as parts of a Markdown document: errors of its runs, and the verdicts."""

import textwrap

from report import claim_formats, claims, curves, run_rows, table_formats, tables, verdicts
from report.table_formats import render

OF_THE_STUDY = (1, 2, 3, 4)  # numbers of the paper's tables on these networks
COLUMNS = 99  # of a line of the documents


def blocks(groups, stand_in):
    """Return {name: Markdown}, for ``marked_blocks.fill``.

    ``networks`` has the networks of one size, those of claim 1, beside the paper's numbers;
    ``runs`` has every setting; ``tables`` are the paper's, filled for each data set and number of
    epochs; ``verdicts`` has every claim, and ``decided`` is a sentence with
    those that are supported or contradicted.

    Arguments and errors are those of ``claim_formats.markdown``.
    """
    findings = {claim: verdicts.find(claim, groups, stand_in) for claim in claims.CLAIMS}
    return {
        'networks': _networks(claims.CLAIMS[0], findings[claims.CLAIMS[0]]),
        'runs': _runs(groups),
        'tables': _tables(groups),
        'verdicts': claim_formats.verdict_table(findings),
        'decided': _decided(findings),
    }


def _networks(claim, findings):
    """Return the results that a claim compares, with the names that the paper gives networks."""
    ours = dict(pair for finding in findings for pair in finding.ours)
    rows = [
        [
            f'{curves.NAMES[result.network]}-{result.depth}',
            claim_formats.mean(claim, numbers),
            str(len(numbers)),
            claim_formats.paper_number(claim, result),
        ]
        for result, numbers in ours.items()
    ]
    return render(rows, ['network', 'test error (%)', 'runs', 'the paper, CIFAR-10'], 'github')


def _runs(groups):
    """Return a row for each setting, with mean and sample standard deviation over its seeds."""
    rows = [
        [
            row.dataset,
            str(row.epochs),
            f'{row.network}-{row.depth}',
            f'{row.parameters:,}',
            _error(row),
            ', '.join(map(str, row.seeds)),
        ]
        for row in sorted(run_rows.rows(groups), key=lambda row: (row.dataset, -row.epochs))
    ]
    header = ['data set', 'epochs', 'network', 'parameters', 'test error (%)', 'seeds']
    return render(rows, header, 'github')


def _error(row):
    return f'{row.error:.2f}' + ('' if row.deviation is None else f' ± {row.deviation:.2f}')


def _tables(groups):
    """Return those of the paper's tables in which runs fill a cell, after their captions."""
    trainings = {(group.setting['dataset'], group.setting['epochs']) for group in groups}
    filled = []
    for dataset, epochs in sorted(trainings):
        same = [group for group in groups if group.setting['epochs'] == epochs]
        found = [tables.build(number, same, dataset) for number in OF_THE_STUDY]
        filled += [table_formats.markdown(table) for table in found if table.filled]
    return '\n'.join(filled)


def _decided(findings):
    """Return a sentence that names the claims that are decided, and counts those that are not."""
    titles = {verdict: [] for verdict in verdicts.VERDICTS}
    for number, (claim, found) in enumerate(findings.items(), 1):
        titles[verdicts.verdict_of_claim(found)].append(f'{number} ({claim.title})')
    supported, contradicted, undecided = titles.values()
    sentence = (
        f'Of {len(findings)} claims of the paper, all runs together support '
        f'{", ".join(supported) or "none"}, contradict {", ".join(contradicted) or "none"}, and '
        f'leave {len(undecided)} undecided.'
    )
    return textwrap.fill(sentence, COLUMNS, break_long_words=False, break_on_hyphens=False)
