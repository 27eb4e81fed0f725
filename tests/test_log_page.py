"""docs/logs.md has the fields of the schema and those that scripts write, and no others."""

import glob
import json
import os
import re
from pathlib import Path

import pytest
from scripts import ROOT, run_script
from training_runs import small_cifar

from common.log_format import HEADER, RECORD
from common.resumed_options import FREE

PAGE = Path(ROOT, 'docs', 'logs.md').read_text(encoding='utf-8')
# Fields that every line or header has, and that readers do not check.
UNCHECKED = {'header': {'type', 'format', 'started'}, 'options': set(), 'data': set()}
SCHEMAS = {
    'header': HEADER,
    'options': HEADER['properties']['options'],
    'data': HEADER['properties']['data']['anyOf'][0],
    'record': RECORD,
}


def documented(section):
    """Return the fields in the first column of a section's table."""
    text = PAGE.split(f'\n## {section.capitalize()}\n')[1].split('\n## ')[0]
    rows = re.findall(r'^\| (`.*?) \|', text, re.M)
    fields = [field for row in rows for field in re.findall(r'`(\w+)`', row)]
    assert len(set(fields)) == len(fields)
    return set(fields)


@pytest.mark.parametrize('section', SCHEMAS)
def test_the_page_has_the_fields_of_the_schema(section):
    expected = set(SCHEMAS[section]['properties']) | UNCHECKED.get(section, set())
    assert documented(section) == expected


def fields_of(path):
    """Return {section: fields} of a log."""
    with open(path, encoding='utf-8') as file:
        header, *records = [json.loads(line) for line in file]
    return {
        'header': set(header),
        'options': set(header['options']) - set(FREE) - {'component', 'without', 'sharing'},
        'data': set(header.get('data') or {}),
        'record': set().union(*records),
    }


def test_committed_logs_have_no_other_fields():
    paths = glob.glob(os.path.join(ROOT, 'logs', '**', '*.jsonl'), recursive=True)
    assert paths
    for path in paths:
        for section, fields in fields_of(path).items():
            assert fields <= documented(section), path


@pytest.mark.slow
def test_a_log_of_today_has_every_field_of_the_header(tmp_path, fashion):
    """That of an ensemble, whose records have fields of their own."""
    small_cifar(tmp_path, fashion, 100, 40)
    run_script(
        *('study/train_ensemble.py', '--depth', '5', '--epochs', '1', '--batch-size', '20'),
        *('--data-dir', tmp_path / 'data', '--log-dir', tmp_path / 'logs'),
        *('--checkpoint-dir', tmp_path / 'checkpoints'),
    )
    (path,) = glob.glob(str(tmp_path / 'logs' / '*.jsonl'))
    found = fields_of(path)
    for section in ('header', 'data'):
        assert found[section] == documented(section)
    assert found['options'] <= documented('options')
    others = {'validation_loss', 'validation_error', 'train_top5', 'test_top5', 'rollbacks'}
    assert documented('record') - found['record'] == others
    assert found['record'] <= documented('record')
