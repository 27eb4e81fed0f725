"""Repetitions are runs that differ in their seed alone; tables and curves from logs that the
scripts wrote.
"""

import glob
import os

import log_files
import numpy
import official_archives as archives
import pytest
from scripts import ROOT, run_script, user_error
from training_runs import small_cifar

import train_cifar
from recordio.images import cv2
from report import curves, finished_runs, repetition, run_setting, tables
from system.errors import UserError


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """Two small data sets, and the folders of runs on them."""
    folder = tmp_path_factory.mktemp('repetition')
    small_cifar(folder, fashion, 40, 20)
    for split in ('train', 'val'):
        for label in ('left', 'right'):
            os.makedirs(str(folder / 'tree' / split / label))
            for number in range(4):
                crop = archives.photograph()[:128, 100 * number : 100 * number + 128]
                cv2.imwrite(str(folder / 'tree' / split / label / f'{number}.jpg'), crop)
    run_script(
        'data/prepare.py',
        'folder',
        '--source',
        folder / 'tree',
        '--out',
        folder / 'data',
        '--name',
        'tiny',
        '--short-side',
        '64',
    )
    return folder


def trained(place, script, *options):
    """Train for one epoch by a script; return the log that it writes."""
    before = set(glob.glob(str(place / 'logs' / '*')))
    run_script(
        script,
        *options,
        '--epochs',
        '1',
        '--cpus',
        '1',
        '--data-dir',
        place / 'data',
        '--log-dir',
        place / 'logs',
        '--checkpoint-dir',
        place / 'checkpoints',
        timeout=600,
    )
    (path,) = set(glob.glob(str(place / 'logs' / '*'))) - before
    return path


@pytest.fixture(scope='module')
def real(place):
    """The log of a run of train_cifar.py."""
    return trained(
        place, 'train_cifar.py', '--network', 'mr', '--depth', '14', '--batch-size', '20'
    )


def official(path, out, **options):
    """Copy a log as if its images were the official ones, which tests cannot have."""
    return log_files.changed(path, out, data=log_files.OFFICIAL, **options)


def cells(number, *logs, stand_in=None):
    """Return {(last label, column): text} of the cells of a table that logs fill."""
    table = tables.build(number, finished_runs.read(logs)[0], stand_in)
    return {
        (labels[-1], column): tables.text(cell)
        for labels, found in table.rows
        for column, cell in zip(table.columns, found)
        if cell.values
    }


# ---- logs that the scripts wrote fill the tables ----


def test_table_4_from_train_cifar(real, tmp_path):
    assert cells(4, real) == {}
    error = f'{curves.group([real])[0][0].curves["test_error"][0][-1]:.2f}'
    shown = f'{"fail" if float(error) > 50 else error}'
    assert cells(4, official(real, tmp_path / 'a.jsonl')) == {('26/14', 'CIFAR-10 DFN-MR'): shown}
    assert cells(4, real, stand_in='cifar10') == {('26/14', 'CIFAR-10 DFN-MR'): shown}
    assert 'cifar10-mr-14-' in real


def test_table_2_from_train_ensemble(place, tmp_path):
    path = trained(
        place,
        'study/train_ensemble.py',
        '--depth',
        '26',
        '--component',
        'LLR',
        '--batch-size',
        '20',
    )
    assert list(cells(2, official(path, tmp_path / 'a.jsonl'))) == [('without', 'LLR')]


def test_tables_6_and_7_from_train_imagenet(place, tmp_path):
    """Its header has no width; DFN2 of Table 7 here, and the committed run of ResNet-101 in Table
    6.
    """
    path = trained(
        place,
        'train_imagenet.py',
        '--network',
        'dfn2',
        '--depth',
        '50',
        '--schedule',
        'a1',
        '--dataset',
        'tiny',
        '--image-size',
        '32',
        '--batch-size',
        '4',
        '--lr',
        '0.001',
    )
    assert 'tiny-dfn2-50-' in path
    rows = [f'Top-{top} {part} error' for part in ('validation', 'training') for top in (1, 5)]
    for found in (
        cells(7, official(path, tmp_path / 'a.jsonl', dataset='imagenet')),
        cells(7, path, stand_in='tiny'),
    ):
        assert list(found) == [(row, 'DFN2') for row in rows]
    committed = os.path.join(ROOT, 'logs', 'photographs-resnet101-20261123-225150.jsonl')
    assert list(cells(6, committed, stand_in='photographs').values()) == [
        '42.5M',
        '30.70',
        '4.20',
        '29.62',
        '2.24',
    ]


@pytest.mark.slow
def test_table_6_whole(place, tmp_path):
    logs = [
        trained(
            place,
            'train_imagenet.py',
            '--network',
            network,
            '--depth',
            depth,
            '--dataset',
            'tiny',
            '--image-size',
            '32',
            '--batch-size',
            '4',
            '--lr',
            '0.001',
        )
        for network, depth in (('resnet', 101), ('mr', 44))
    ]
    assert (
        len(
            cells(
                6,
                *[
                    official(path, tmp_path / os.path.basename(path), dataset='imagenet')
                    for path in logs
                ],
            )
        )
        == 10
    )


# ---- what a repetition is ----

DIFFERENT = [
    ('lr', 0.01, 'the learning rate (0.1 and 0.01)'),
    ('batch_size', 10, 'the batch size (20 and 10)'),
    ('dtype', 'float16', 'the precision (float32 and float16)'),
    ('bn_momentum', 0.9, "BatchNorm's momentum (0.99 and 0.9)"),
    ('gradient_compression', '2bit', 'the compression of gradients (none and 2bit)'),
    ('kv_store', 'dist_async', "the workers' updates (synchronous and asynchronous)"),
    ('image_size', 48, 'the size of the images'),
    ('augment', 'paper', 'the augmentation'),
    ('schedule', 'a1', 'the schedule'),
    ('drop_every', 4, 'the epochs between drops'),
    ('something_new', 7, '--something-new (None and 7)'),
    ('devices', ['gpu(0)', 'gpu(1)'], 'the number of devices (1 and 2)'),
    ('workers', 2, 'the number of workers (1 and 2)'),
    (
        'data',
        dict(log_files.OFFICIAL, official=False),
        '50,000 + 10,000 images of manifest aaaaaaaa)',
    ),
]


@pytest.mark.parametrize('name,value,words', DIFFERENT)
def test_runs_that_differ_in_what_shapes_a_result(real, tmp_path, name, value, words):
    """They are curves of their own, and no cell takes both; the difference has a name."""
    other = log_files.changed(real, tmp_path / 'other.jsonl', seed=2, **{name: value})
    found, notes = curves.group([real, other])
    assert [each.runs for each in found] == [1, 1] and not notes
    first, second = repetition.read([real, other])
    with pytest.raises(UserError) as error:
        repetition.only(repetition.group([first, second])[0], 'a cell')
    assert words in str(error.value) and real in str(error.value) and other in str(error.value)


@pytest.mark.parametrize(
    'name,value',
    [
        ('data_dir', '/elsewhere'),
        ('log_dir', 'x'),
        ('checkpoint_dir', 'y'),
        ('threads', 7),
        ('gpus', [3]),
        ('cpus', None),
        ('resume', 'x'),
        ('kv_store', 'dist_sync'),
        ('on_nan', 'rollback'),
        ('compression_threshold', 0.1),
        ('devices', ['gpu(3)']),
    ],
)
def test_runs_that_differ_in_what_cannot_change_a_result(real, tmp_path, name, value):
    other = log_files.changed(real, tmp_path / 'other.jsonl', seed=2, **{name: value})
    (setting,), notes = curves.group([real, other])
    assert setting.runs == 2 and not notes


def test_a_table_refuses_runs_that_are_no_repetitions(real, tmp_path):
    logs = [official(real, tmp_path / f'{lr}.jsonl', lr=lr) for lr in (0.1, 0.01)]
    said = user_error('study/make_tables.py', *logs)
    assert (
        all(path in said for path in logs)
        and 'the learning rate (0.1 and 0.01)' in said
        and '26/14, CIFAR-10 DFN-MR of Table 4' in said
    )
    logs = [
        official(real, tmp_path / f'plain{lr}.jsonl', network='plain', lr=lr) for lr in (0.1, 0.01)
    ]
    said = user_error('study/plot_study.py', *logs, '--figure', '2', '--out', tmp_path / 'x.png')
    assert 'the bar Plain of depth 14' in said and not (tmp_path / 'x.png').exists()


def test_equal_seeds_count_once(real, tmp_path):
    """A copy of a log, or a second run with the same seed, is no repetition, and a line says so."""
    logs = [
        official(real, tmp_path / f'{number}.jsonl', seed=seed)
        for number, seed in enumerate((1, 1, 2, 1))
    ]
    groups, notes = finished_runs.read(logs)
    assert [run.path for run in groups[0].runs] == [logs[0], logs[2]]
    assert notes == [
        f'{path} has the setting and the seed of {logs[0]} and is not counted again: '
        'repeat a run with another --seed'
        for path in (logs[1], logs[3])
    ]
    (setting,), said = curves.group(logs)
    assert setting.runs == 2 and said == notes
    with pytest.raises(UserError, match='named twice'):
        repetition.read([logs[0], os.path.join(str(tmp_path), '.', '0.jsonl')])
    (tmp_path / 'link.jsonl').symlink_to(logs[0])
    with pytest.raises(UserError, match='named twice'):
        repetition.read([logs[0], str(tmp_path / 'link.jsonl')])


def test_the_longest_of_equal_seeds_counts(tmp_path):
    records = [log_files.record(50.0)] * 3
    logs = [
        log_files.write(tmp_path / name, 'mr', 14, some, seed=1, epochs=3)
        for name, some in (('a', records[:2]), ('b', records))
    ]
    (group,), notes = repetition.group(repetition.read(logs))
    assert [run.path for run in group.runs] == logs[1:] and len(notes) == 1


def test_rollbacks_are_part_of_a_setting(tmp_path):
    whole = [log_files.record(50.0)] * 3
    lowered = whole[:1] + [dict(record, rollbacks=1) for record in whole[1:]]
    logs = [log_files.write(tmp_path, 'mr', 14, records) for records in (whole, lowered)]
    runs = repetition.read(logs)
    with pytest.raises(UserError, match=r'rollback lowered the learning rate \(none and 2\)'):
        repetition.only(repetition.group(runs)[0], 'a cell')


def test_logs_from_before_an_option_was_there(real, tmp_path):
    """Whoever wrote no width had a width of 1, and no precision was float32."""
    before = log_files.changed(real, tmp_path / 'before.jsonl', seed=2, widen=1, dtype='float32')
    with open(before) as file:
        text = file.read()
    for part in ('"widen": 1, ', '"dtype": "float32", ', '"gradient_compression": "none", '):
        assert part in text
        text = text.replace(part, '')
    with open(before, 'w') as file:
        file.write(text)
    assert [each.runs for each in curves.group([real, before])[0]] == [2]


def test_official_images_are_the_same_from_either_archive(real, tmp_path):
    """CIFAR-10 has a binary and a Python version, whose manifests differ; packed photographs differ
    themselves.
    """
    for dataset, runs in (('cifar10', [2]), ('imagenet', [1, 1])):
        logs = [
            log_files.changed(
                real,
                tmp_path / f'{digit}.jsonl',
                seed=number,
                dataset=dataset,
                data=dict(log_files.OFFICIAL, manifest_sha256=digit * 64),
            )
            for number, digit in enumerate('ab')
        ]
        assert [each.runs for each in curves.group(logs)[0]] == runs


def test_whether_a_command_line_has_a_finished_run(real):
    """A grid of runs can ask by the options that train_cifar.py would take."""
    command = ['--network', 'mr', '--depth', '14', '--batch-size', '20', '--epochs', '1']
    runs = repetition.read([real])
    header = {'train_images': 40, 'test_images': 20, 'data': runs[0].header.get('data')}

    def setting(*more):
        return run_setting.setting_of(vars(train_cifar.parse_args([*command, *more])), header)

    assert (
        repetition.find(runs, setting(), 1) is runs[0]
        and repetition.find(runs, setting('--threads', '3'), 1) is runs[0]
    )
    assert (
        repetition.find(runs, setting(), 2) is None
        and repetition.find(runs, setting('--lr', '0.2'), 1) is None
    )
    assert repetition.find([runs[0]._replace(records=[])], setting(), 1) is None


def test_mean_and_range_of_five_seeds(tmp_path):
    logs = [
        log_files.write(tmp_path, 'mr', 14, [log_files.record(error)])
        for error in (6.0, 6.1, 6.2, 6.3, 6.9)
    ]
    (setting,), _ = curves.group(logs)
    assert [float(values[0]) for values in setting.curves['test_error']] == pytest.approx(
        [6.3, 6.0, 6.9]
    )
    assert cells(4, *logs) == {
        ('26/14', 'CIFAR-10 DFN-MR'): f'6.30 ± {numpy.std([6.0, 6.1, 6.2, 6.3, 6.9], ddof=1):.2f}'
    }
