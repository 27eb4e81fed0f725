"""Tables as Markdown, CSV and LaTeX."""
import csv
import io

from common import tables


def markdown(table, dataset=None):
    """Return a table with a column of the paper's numbers behind each of ours."""
    header, rows = _paired(table, '**%s**')
    lines = ['| %s |' % ' | '.join(row) for row in (header, ['---'] * len(header), *rows)]
    return '%s\n\n%s\n' % (tables.caption(table, dataset), '\n'.join(lines))


def latex(table, dataset=None):
    """Return a table environment; it needs the package booktabs."""
    header, rows = _paired(table, r'\textbf{%s}')
    body = [' & '.join(map(_escaped, row)) + r' \\' for row in (header, *rows)]
    return '\n'.join([r'\begin{table}', r'\caption{%s}' % _escaped(tables.caption(table, dataset)),
                      r'\begin{tabular}{%s}' % ('l' * len(header)), r'\toprule', body[0], r'\midrule', *body[1:], r'\bottomrule',
                      r'\end{tabular}', r'\end{table}', ''])


def comma_separated(table, dataset=None):
    """Return a table with mean, standard deviation, number of runs and the paper's text for each column."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    kinds = ('', ' std', ' runs', ' paper')
    header = list(table.labels)
    for column, cell in zip(table.columns, table.rows[0][1]):
        header += [column] if cell.values is None else [column + kind for kind in kinds]
    writer.writerow(header)
    for labels, cells in table.rows:
        row = list(labels)
        for cell in cells:
            mean, _, deviation = tables.text(cell.values).partition(' ± ')
            row += [cell.paper] if cell.values is None else [mean, deviation, len(cell.values), cell.paper]
        writer.writerow(row)
    return file.getvalue()


FORMATS = {'.md': markdown, '.csv': comma_separated, '.tex': latex}


def _paired(table, strong):
    """Return header and rows of texts, each column of ours followed by the paper's."""
    header = list(table.labels)
    for column, cell in zip(table.columns, table.rows[0][1]):
        header += [column] if cell.values is None else [column, 'paper']
    rows = []
    for labels, cells in table.rows:
        marked, row = tables.bold(table, cells), list(labels)
        for place, cell in enumerate(cells):
            ours = tables.text(cell.values)
            ours = (strong % ours if place in marked else ours) + (' (%d)' % len(cell.values) if cell.values else '')
            row += [cell.paper] if cell.values is None else [ours, cell.paper]
        rows.append(row)
    return header, rows


def _escaped(text):
    for character, command in (('±', r'$\pm$'), ('%', r'\%'), ('_', r'\_')):
        text = text.replace(character, command)
    return text
