"""Listing runs from their logs."""

import glob
import os
import re
import shutil

import log_files
from scripts import ROOT, run_script, user_error

COMMITTED = os.path.join(ROOT, 'logs')


def rows_of(said):
    """Return {run: cells} of a table; cells are at least two spaces apart."""
    header, *lines = [line for line in said.splitlines() if line]
    assert header.split()[0] == 'run' and header.split()[-1] == 'state'
    return {line.split()[0]: line for line in lines}


def test_committed_logs():
    rows = rows_of(run_script('study/list_runs.py', COMMITTED))
    paths = glob.glob(os.path.join(COMMITTED, '*.jsonl'))
    assert sorted(rows) == sorted(os.path.basename(path)[: -len('.jsonl')] for path in paths)
    row = rows['fashion-mnist-mr14-20261123-134057']
    assert (
        re.search(r' mr-late +14 +1 +fashion-mnist +8/8 ', row)
        and ' 7.35% ' in row
        and row.endswith('finished')
    )


def test_folders_files_and_broken_logs(tmp_path):
    """Runs in every state, from two folders and a file; broken logs do not stop it."""
    records = [log_files.record(error, images_per_second=700.4) for error in (9, 4.25, 5.5)]
    log_files.write(tmp_path / 'a', 'mr', 56, records, epochs=5)
    log_files.write(tmp_path / 'b', 'resnet', 26, [], epochs=4)
    held_out = [dict(each, validation_error=number) for number, each in enumerate(records, 1)]
    path = log_files.write(tmp_path / 'c', 'plain', 8, held_out)
    (tmp_path / 'a' / 'torn.jsonl').write_text('{"type": "header", "for')
    (tmp_path / 'b' / 'other.jsonl').write_text('not a log\n')
    (tmp_path / 'b' / 'round.jsonl').symlink_to('round.jsonl')
    named = (tmp_path / 'a', tmp_path / 'b', path, tmp_path / 'a')
    rows = rows_of(run_script('study/list_runs.py', *named))
    mr, resnet, plain = (
        next(row for row in rows.values() if f' {name} ' in row)
        for name in ('mr', 'resnet', 'plain')
    )
    assert len(rows) == 3
    assert '3/5' in mr and ' 5.50% ' in mr and '4.25% (2)' in mr and ' 700 ' in mr
    assert mr.endswith('not finished')
    assert '0/4' in resnet and '%' not in resnet and resnet.endswith('not finished')
    assert '9.00% (1)' in plain and plain.endswith('  finished')  # the lowest validation error
    said = run_script('study/list_runs.py', *named, stderr=True).splitlines()
    assert len(said) == 3
    assert all(name in line for name, line in zip(('torn', 'other', 'round'), said)), said


def test_nothing_to_list(tmp_path):
    assert 'no log in' in user_error('study/list_runs.py', tmp_path)
    shutil.copy(__file__, tmp_path / 'a.jsonl')
    said = run_script('study/list_runs.py', tmp_path, status=2)
    assert 'left out: ' in said and 'can be read: name logs, or their folder' in said
