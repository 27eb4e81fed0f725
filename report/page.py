"""A report of runs as one HTML page that needs no other file and no network."""

import base64
import hashlib
import os
from datetime import datetime
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from report import (
    curves,
    finished_runs,
    inline_figures,
    repetition,
    run_rows,
    table_captions,
    table_formats,
    tables,
)
from system.errors import UserError, printable

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'templates')


class TableView(NamedTuple):
    """A table of the paper as the page shows it."""

    number: int
    caption: str
    labels: int  # number of columns that name a row
    header: list
    rows: list  # of lists of texts
    filled: bool


def build(paths, stand_in=None, reload=None, epochs=None):
    """Return the page, and a sentence on each log that is left out.

    Parameters
    ----------
    paths : list of str
        Logs of runs. One that cannot be read is left out.
    stand_in : str, optional
        A data set whose runs fill the tables' cells of CIFAR-10 and ImageNet, for a trial.
    reload : int, optional
        Seconds after which the page in a reader's browser loads itself again.
    epochs : int, optional
        Only runs of so many epochs fill the tables.

    Raises
    ------
    UserError
        No log can be read, or none is of a finished run on ``stand_in`` or of ``epochs`` epochs.
    """
    runs, notes = _readable(paths)
    finished, _ = finished_runs.finished_of(runs)
    finished_runs.check_stand_in(finished, stand_in)
    groups, twins = repetition.group(runs)
    drawn, left_out = curves.group_runs(runs)
    finished = repetition.with_epochs(finished, epochs)
    views = [_table(number, finished, stand_in) for number in range(1, 8)]
    notes += twins + [note for note in left_out if note not in twins]
    text = _render(
        now=datetime.now().astimezone(),
        reload=reload,
        rows=run_rows.rows(groups),
        runs=runs,
        panels=inline_figures.panels(drawn),
        gaps=curves.gaps(drawn),
        tables=views,
        hint=''
        if stand_in or any(view.filled for view in views)
        else finished_runs.stand_in_hint(finished),
        notes=notes,
    )
    return text, notes


def _readable(paths):
    runs, notes = [], []
    for path in paths:
        try:
            runs += repetition.read([path])
        except UserError as error:
            notes.append(f'left out: {error}')
    if not runs:
        raise UserError(
            notes[0].partition(': ')[2] if notes else 'there is no log: name logs/NAME.jsonl'
        )
    return runs, notes


def _table(number, groups, stand_in):
    """Return a ``TableView``; if a cell cannot be filled, the caption says why."""
    why = ''
    try:
        table = tables.build(number, groups, stand_in)
    except UserError as error:
        table, why = tables.build(number, []), f' Not filled, because {error}.'
    header, rows = table_formats.paired(table, Markup('<strong>{}</strong>').format, _printed)
    return TableView(
        number, table_captions.caption(table) + why, len(table.labels), header, rows, table.filled
    )


def _printed(text):
    """Return a cell of the paper as HTML, bold and blue as the paper prints it."""
    bare = Markup.escape(text.replace(table_formats.BLUE, '').replace('**', ''))
    if '**' in text:
        bare = Markup('<strong>{}</strong>').format(bare)
    if table_formats.BLUE in text:
        bare = Markup('<span class="blue">{}</span>').format(bare)
    return Markup('<span class="paper">{}</span>').format(bare)


def _render(**values):
    """Return the page that the template makes of values, each of which is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    style, script = (_source(name) for name in ('report.css', 'report.js'))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template('report.html')
    return template.render(style=Markup(style), script=Markup(script), script_hash=digest, **values)


def _source(name):
    with open(os.path.join(TEMPLATES, name), encoding='utf-8') as file:
        return file.read()


def _harmless(value):
    """Return a value without characters that could reverse the direction of the text."""
    return value if isinstance(value, Markup) or value is None else printable(value)
