"""Tables as Markdown, CSV and LaTeX.

A cell of the paper's has its bold numbers between ``**`` and `` (blue)`` behind a blue one.
"""

import csv
import io
import re

from report import tables

BLUE = ' (blue)'
ESCAPES = {
    '\\': r'\textbackslash{}',
    '±': r'$\pm$',
    '↑': r'$\uparrow$',
    '↓': r'$\downarrow$',
    '—': '---',
    '~': r'$\sim$',
    '^': r'\^{}',
    **{each: '\\' + each for each in '%_#&${}'},
}


def markdown(table):
    """Return a table with a column of the paper's numbers behind each of ours."""
    header, rows = _paired(table, '**{}**'.format, str)
    lines = [f'| {" | ".join(row)} |' for row in (header, ['---'] * len(header), *rows)]
    return '{}\n\n{}\n'.format(tables.caption(table), '\n'.join(lines))


def latex(table):
    """Return a table environment; it needs the packages booktabs and xcolor."""
    header, rows = _paired(
        table, lambda ours: rf'\textbf{{{_escaped(ours)}}}', _latex_printed, _escaped
    )
    header = [_escaped(name) for name in header]
    body = [' & '.join(row) + r' \\' for row in (header, *rows)]
    return '\n'.join(
        [
            r'\begin{table}',
            rf'\caption{{{_escaped(tables.caption(table))}}}',
            rf'\begin{{tabular}}{{{"l" * len(header)}}}',
            r'\toprule',
            body[0],
            r'\midrule',
            *body[1:],
            r'\bottomrule',
            r'\end{tabular}',
            r'\end{table}',
            '',
        ]
    )


def comma_separated(table):
    """Return a table with mean, deviation, number of runs and the paper's text for each column."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    kinds = ('', ' std', ' runs', ' paper')
    header = list(table.labels)
    for place, column in enumerate(table.columns):
        header += [column + kind for kind in kinds] if _is_result(table, place) else [column]
    writer.writerow(header)
    for labels, cells in table.rows:
        row = list(labels)
        for place, cell in enumerate(cells):
            mean, _, deviation = tables.text(cell).partition(' ± ')
            ours = [mean, deviation, len(cell.values or ())]
            row += [*ours, cell.paper] if _is_result(table, place) else [cell.paper]
        writer.writerow(row)
    return file.getvalue()


FORMATS = {'.md': markdown, '.csv': comma_separated, '.tex': latex}


def _is_result(table, place):
    """Return whether a column has results of runs, and not only something that the paper says."""
    return any(cells[place].values is not None for _, cells in table.rows)


def _paired(table, strong, printed, plain=str):
    """Return header and rows of texts, each column of ours followed by the paper's.

    ``strong`` formats our bold numbers, ``plain`` our others, ``printed`` a cell of the paper.
    """
    header = list(table.labels)
    for place, column in enumerate(table.columns):
        header += [column, 'paper'] if _is_result(table, place) else [column]
    rows = []
    for labels, cells in table.rows:
        marked, row = tables.bold(table, cells), list(map(plain, labels))
        for place, cell in enumerate(cells):
            ours = (strong if place in marked else plain)(tables.text(cell))
            ours += f' ({len(cell.values)})' if cell.values else ''
            row += [ours] if _is_result(table, place) else []
            row.append(printed(cell.paper))
        rows.append(row)
    return header, rows


def _latex_printed(text):
    bare = re.sub(r'\*\*(.*)\*\*', lambda found: found.group(1), text.replace(BLUE, ''))
    written = _escaped(bare)
    if '**' in text:
        written = rf'\textbf{{{written}}}'
    return rf'\textcolor{{blue}}{{{written}}}' if BLUE in text else written


def _escaped(text):
    return ''.join(ESCAPES.get(character, character) for character in text)
