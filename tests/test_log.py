"""A log is checked wherever it is read: what a damaged or hostile one says is one sentence."""

import json

import log_files
import pytest
from scripts import user_error

from common import log
from system.errors import UserError


@pytest.fixture
def good(tmp_path):
    return log_files.write(tmp_path, 'mr', 14, [log_files.record(50.0), log_files.record(40.0)])


def lines_of(path):
    with open(path) as file:
        return file.read().splitlines()


@pytest.mark.parametrize(
    'options',
    [
        None,
        [],
        {},
        'options',
        {'network': 'mr'},
        *(
            {name: value}
            for name, values in {
                'network': (None, 3, '', 'm\x1b[31mr'),
                'depth': (None, '14', 14.5, True, -2, 0, 10**30),
                'dataset': (None, [], 'a\nb', 'x' * 300, '\ud800'),
                'epochs': (None, 0, '8', 1e999),
                'widen': ('4', 0),
                'lr': ('0.1', 1e999, float('nan'), -1),
                'seed': (1.5, 'one'),
                'batch_size': ([64], None),
                'image_size': ('224', 0),
                'bn_momentum': ('0.9', 2),
            }.items()
            for value in values
        ),
    ],
)
def test_options_of_a_header(good, options):
    """Null, empty or mistyped options, of which each broke a figure or was drawn as if it were
    right.
    """
    header, *rest = lines_of(good)
    header = json.loads(header)
    whole = isinstance(options, dict) and 1 == len(options) and options != {'network': 'mr'}
    header['options'] = dict(header['options'], **options) if whole else options
    with open(good, 'w') as file:
        file.write('\n'.join([json.dumps(header).replace('Infinity', '1e999'), *rest, '']))
    with pytest.raises(UserError, match='damaged header|NaN is not a number'):
        log.read(good)


@pytest.mark.parametrize(
    'change',
    [
        {'run': ''},
        {'run': None},
        {'data': 'official'},
        {'data': {'official': 'yes'}},
        {'devices': []},
        {'devices': 'cpu(0)'},
        {'workers': 0},
    ],
)
def test_the_rest_of_a_header(good, change):
    header, *rest = lines_of(good)
    with open(good, 'w') as file:
        file.write('\n'.join([json.dumps(dict(json.loads(header), **change)), *rest, '']))
    with pytest.raises(UserError, match='damaged header'):
        log.read(good)


@pytest.mark.parametrize(
    'text,words',
    [
        ('', 'does not begin'),
        ('[1]', 'does not begin'),
        ('{"type": "header"}', 'does not begin'),
        ('[' * 100000, 'nested too deeply'),
        ('{"type": "header", "format": 9, "other": 1}', 'log format 9'),
        ('{"type": "header", "format": 2}', 'damaged header'),
    ],
)
def test_the_first_line(tmp_path, text, words):
    path = tmp_path / 'x.jsonl'
    path.write_text(text + '\n')
    with pytest.raises(UserError, match=words):
        log.read(str(path))


@pytest.mark.parametrize(
    'change',
    [
        {'test_error': None},
        {'test_error': 101},
        {'train_loss': float('nan')},
        {'train_loss': 1e999},
        {'train_loss': 1e39},
        {'train_loss': '1'},
        {'epoch': 3},
        {'test_components': [1]},
        {'test_without': {'RRR': '7'}},
        {'rollbacks': -1},
        {'type': 'header'},
    ],
)
def test_the_line_of_a_damaged_record(good, change):
    """Its number is that of the file, blank lines included."""
    header, first, second = lines_of(good)
    damaged = json.dumps(dict(json.loads(second), **change)).replace('Infinity', '1e999')
    with open(good, 'w') as file:
        file.write('\n'.join([header, first, '', damaged, '']))
    with pytest.raises(UserError, match='line 4, is not the record of epoch 2'):
        log.read(good)


def test_a_blank_last_line(good):
    before = log.read(good)
    with open(good, 'a') as file:
        file.write('\n  \n\n')
    assert log.read(good) == before


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / 'x.jsonl').write_bytes(b'\xff\xfe\x00\n')
    assert 'not a training log' in user_error(
        'plot_curves.py', tmp_path / 'x.jsonl', '--out', tmp_path / 'x.png'
    )
    with pytest.raises(UserError, match='is a folder: name the logs in it'):
        log.read(str(tmp_path))


def test_a_link_that_leads_to_itself(tmp_path):
    (tmp_path / 'x.jsonl').symlink_to('x.jsonl')
    with pytest.raises(UserError, match='x.jsonl cannot be read: Too many levels'):
        log.read(str(tmp_path / 'x.jsonl'))


def test_images_that_have_no_manifest(good):
    """Packed by hand, they have an identity and no number of classes (datasets.identity)."""
    log_files.changed(
        good,
        good,
        data={'manifest_sha256': 'b' * 64, 'train_images': 40, 'test_images': 20, 'classes': None},
    )
    assert log.read(good)[0]['data']['classes'] is None
