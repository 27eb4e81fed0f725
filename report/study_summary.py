"""The study in short, as parts of a Markdown document: errors of its runs, and the verdicts."""

import textwrap

from report import claim_formats, claims, curves, run_rows, table_formats, tables, verdicts
from report.table_formats import render

TABLES = (1, 2, 3, 4)  # numbers of those of the paper on the networks of the study
COLUMNS = 99  # of a line of the documents


def blocks(groups, stand_in):
    """Return {name: Markdown}, for ``marked_blocks.fill``.

    ``networks`` has the networks of one size, those of claim 1, beside the paper's numbers;
    ``runs`` has every setting; ``tables`` are the paper's as far as runs fill them; ``verdicts``
    has every claim, and ``decided`` counts the final verdicts and names the decided claims.

    Arguments and errors are those of ``verdicts.find_all``.
    """
    findings = verdicts.find_all(groups, stand_in)
    return {
        'networks': _networks(claims.CLAIMS[0], findings[claims.CLAIMS[0]]),
        'runs': _runs(groups),
        'tables': _tables(groups, stand_in),
        'verdicts': claim_formats.verdict_table(findings),
        'decided': _decided(findings),
    }


def _networks(claim, findings):
    """Return the results that a claim compares, with the names that the paper gives networks."""
    rows = [
        [
            f'{curves.NAMES[result.network]}-{result.depth}',
            claim_formats.mean_text(claim, numbers),
            str(len(numbers)),
            claim_formats.paper_number(claim, result),
        ]
        for result, numbers in verdicts.ours(findings).items()
    ]
    return render(rows, ['network', 'test error (%)', 'runs', 'the paper, CIFAR-10'], 'github')


def _runs(groups):
    """Return a row for each setting, with mean and sample standard deviation over its seeds."""
    rows = [
        [
            row.dataset,
            str(row.epochs),
            row.network + (f' ({row.differences})' if row.differences else ''),
            str(row.depth),
            f'{row.parameters:,}' if row.parameters else '',
            _error(row),
            ', '.join(map(str, row.seeds)),
        ]
        for row in sorted(run_rows.rows(groups), key=lambda row: (row.dataset, -row.epochs))
    ]
    header = ['data set', 'epochs', 'network', 'depth', 'parameters', 'test error (%)', 'seeds']
    return render(rows, header, 'github')


def _error(row):
    return f'{row.error:.2f}' + ('' if row.deviation is None else f' ± {row.deviation:.2f}')


def _tables(groups, stand_in):
    """Return the paper's tables for each data set of the study and each number of epochs.

    They have only rows and columns in which a run fills a cell.
    """
    datasets = {claim.dataset(stand_in) for claim in claims.CLAIMS}
    trainings = {(group.setting['dataset'], group.setting['epochs']) for group in groups}
    filled = []
    for dataset, epochs in sorted(pair for pair in trainings if pair[0] in datasets):
        same = [group for group in groups if group.setting['epochs'] == epochs]
        found = [tables.without_empty(tables.build(number, same, dataset)) for number in TABLES]
        for table in found:
            if table.filled:
                caption, _, rows = table_formats.markdown(table).partition('\n\n')
                filled.append(f'{_wrapped(caption)}\n\n{rows}')
    return '\n'.join(filled)


def _decided(findings):
    """Return how many verdicts there are of each kind, and the decided claims by name."""
    titles = {verdict: [] for verdict in verdicts.VERDICTS}
    for number, (claim, found) in enumerate(findings.items(), 1):
        if verdicts.is_final(claim, found):
            titles[verdicts.verdict_of_claim(found)].append(f'{claim.title} ({number})')
    final = sum(map(len, titles.values()))
    so_far = '' if final == len(findings) else f'the verdict on {final} is final: '
    undecided = _counted(titles.pop(verdicts.UNDECIDED))
    decided = [
        _wrapped(f'* {_counted(named)} {verdict}: {"; ".join(named)}.', '  ')
        for verdict, named in titles.items()
        if named
    ]
    return '\n'.join([f'Of {len(findings)} claims {so_far}{undecided} undecided.', *decided])


def _wrapped(sentence, indent=''):
    return textwrap.fill(
        sentence, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _counted(titles):
    return f'{len(titles)} {"is" if len(titles) == 1 else "are"}'
