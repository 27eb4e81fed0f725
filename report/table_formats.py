"""Tables as Markdown, CSV and LaTeX.

In the cells of the paper's tables, bold numbers stand between ``**``, and `` (blue)`` follows a
number that the paper prints in blue.
"""

import csv
import io
import re
from functools import partial

from tabulate import DataRow, Line, TableFormat, tabulate

from report import table_captions, tables

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
# The rules of booktabs, and cells as they are: tabulate's own latex_booktabs escapes commands in
# them.
BOOKTABS = TableFormat(
    lineabove=Line(r'\toprule', '', '', ''),
    linebelowheader=Line(r'\midrule', '', '', ''),
    linebetweenrows=None,
    linebelow=Line(r'\bottomrule', '', '', ''),
    headerrow=DataRow('', ' & ', r' \\'),
    datarow=DataRow('', ' & ', r' \\'),
    padding=0,
    with_header_hide=None,
)
# Cells are texts that are not aligned, so a change of one does not change the lines of others.
render = partial(tabulate, disable_numparse=True, stralign=None)


def markdown(table):
    """Return a table in GitHub's Markdown, with a column of the paper after each of ours."""
    header, rows = paired(table, '**{}**'.format, str)
    return f'{table_captions.caption(table)}\n\n{render(rows, header, "github")}\n'


def latex(table):
    """Return a LaTeX table; its document must load the packages booktabs and xcolor."""
    header, rows = paired(
        table, lambda ours: rf'\textbf{{{_escaped(ours)}}}', _latex_printed, _escaped
    )
    return '\n'.join(
        [
            r'\begin{table}',
            rf'\caption{{{_escaped(table_captions.caption(table))}}}',
            rf'\begin{{tabular}}{{{"l" * len(header)}}}',
            render(rows, list(map(_escaped, header)), BOOKTABS),
            r'\end{tabular}',
            r'\end{table}',
            '',
        ]
    )


def comma_separated(table):
    """Return a CSV table: for each cell mean, deviation, number of runs and the paper's text.

    A column without results of runs has the paper's text alone.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    kinds = ('', ' std', ' runs', ' paper')
    header = list(table.labels)
    for number, column in enumerate(table.columns):
        header += [column + kind for kind in kinds] if _is_result(table, number) else [column]
    writer.writerow(header)
    for labels, cells in table.rows:
        row = list(labels)
        for number, cell in enumerate(cells):
            mean, _, deviation = tables.text(cell).partition(' ± ')
            ours = [mean, deviation, len(cell.values or ())]
            row += [*ours, cell.paper] if _is_result(table, number) else [cell.paper]
        writer.writerow(row)
    return file.getvalue()


FORMATS = {'.md': markdown, '.csv': comma_separated, '.tex': latex}


def _is_result(table, column):
    """Return whether a column, counted from 0, can have results of runs beside the paper's."""
    return any(cells[column].values is not None for _, cells in table.rows)


def paired(table, strong, printed, plain=str):
    """Return header and rows as texts, with the paper's numbers in a column after each of ours.

    ``strong`` formats our bold numbers, ``plain`` our other numbers and the labels, and ``printed``
    a cell of the paper.
    """
    header = list(table.labels)
    for number, column in enumerate(table.columns):
        header += [column, 'paper'] if _is_result(table, number) else [column]
    rows = []
    for labels, cells in table.rows:
        bold, row = tables.bold(table, cells), list(map(plain, labels))
        for number, cell in enumerate(cells):
            ours = (strong if number in bold else plain)(tables.text(cell))
            ours += f' ({len(cell.values)})' if cell.values else ''
            row += [ours] if _is_result(table, number) else []
            row.append(printed(cell.paper))
        rows.append(row)
    return header, rows


def _latex_printed(text):
    """Return a cell of the paper in LaTeX, bold and blue as the paper prints it."""
    bare = re.sub(r'\*\*(.*)\*\*', lambda found: found.group(1), text.replace(BLUE, ''))
    written = _escaped(bare)
    if '**' in text:
        written = rf'\textbf{{{written}}}'
    return rf'\textcolor{{blue}}{{{written}}}' if BLUE in text else written


def _escaped(text):
    """Return a text in which every character that LaTeX would take for a command is printed."""
    return ''.join(ESCAPES.get(character, character) for character in text)
