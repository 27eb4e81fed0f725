"""The paper's tables and the study's figures: its numbers as data, ours from logs."""
import csv
import os
import re
import shutil

import numpy
import pytest
from matplotlib.container import BarContainer
from conftest import run_script, user_error

import symbols
from common import log, study, table_formats, tables
from symbols import diagrams, draw, ensemble, paths

SHAPES = {1: (10, 11), 2: (14, 11), 3: (7, 10), 4: (8, 12), 5: (3, 6), 6: (4, 4), 7: (4, 5)}  # rows, columns


def write(folder, network, depth, error, dataset='cifar10', widen=1, epochs=2, of=2, **more):
    """Write the log of a run as a run does."""
    options = {'network': network, 'depth': depth, 'dataset': dataset, 'widen': widen, 'epochs': of}
    path, _ = log.create(str(folder), '%s-%s-%d' % (dataset, network, depth), {'options': options})
    for epoch in range(1, epochs + 1):
        log.append(path, {'epoch': epoch, 'train_loss': 1.0, 'train_error': error + 1, 'test_loss': 1.0,
                          'test_error': error + 10 * (epochs - epoch), **more})
    return path


def parts(first):
    return {name: first + number for number, name in enumerate(ensemble.NAMES)}


# ---- the paper's numbers ----

@pytest.mark.parametrize('number', sorted(SHAPES))
def test_the_papers_numbers(number):
    header, rows = tables.paper(number)
    assert (len(rows), len(header)) == SHAPES[number] and all(len(row) == len(header) for row in rows)
    for row in rows:
        for text in row[tables.LABELS[number]:]:
            assert re.fullmatch(r'\d+(\.\d+)?( ± 0\.\d\d)?|fail|-', text), text


def cell(number, row, column):
    header, rows = tables.paper(number)
    return next(each for each in rows if each[:len(row)] == row)[header.index(column)]


@pytest.mark.parametrize('number,row,column,text', [
    (1, ['14'], 'DFN', '7.99'), (1, ['110'], 'Ensemble', '10.1'), (1, ['98'], 'RRL', '67'), (2, ['26', 'without'], 'LLL', '18.83'),
    (2, ['110', 'with'], 'Overall', '9.61'), (2, ['98', 'without'], 'RRR', 'fail'), (3, ['62'], 'W/O LRR', '8.10'), (3, ['98'], 'Overall', '8.80'),
    (4, ['0.4M'], 'CIFAR-10 DFN-MR', '6.48 ± 0.04'), (4, ['1.7M', '110/56'], 'CIFAR-10 Plain', 'fail'), (4, ['3.1M'], 'SVHN DFN-MR', '1.70 ± 0.03'),
    (5, ['DFN-MR3', '50', '24.8M'], 'CIFAR-10', '3.57'), (6, ['Top-5 validation error'], 'DFN-MR', '6.81'), (7, ['Top-1 training error'], 'DFN1', '17.54')])
def test_known_cells(number, row, column, text):
    assert cell(number, row, column) == text


def test_the_papers_tables_agree_with_each_other():
    """Table 2's shared ensemble is Table 3's, and Table 1's but for depth 110; depths are those of the networks."""
    for row in tables.paper(3)[1]:
        assert cell(2, [row[0], 'with'], 'Overall') == row[-1]
        assert (float(cell(1, [row[0]], 'Ensemble')) == float(row[-1])) == (row[0] != '110')
    for row in tables.paper(1)[1]:
        own = [paths.depth(ensemble.component(name, (int(row[0]) - 2) // 3, 10)) for name in ensemble.NAMES]
        assert list(map(int, row[1:9])) == own
    for row in tables.paper(4)[1]:
        d1, d2 = map(int, row[1].split('/'))
        assert symbols.paired_depth('mr', d2) == d1


# ---- tables ----

def test_every_cell_asks_for_a_setting_of_its_own():
    for number in tables.TITLES:
        header, rows = tables.paper(number)
        first = tables.LABELS[number]
        queries = [tables.query(number, row[:first], column) for row in rows for column in header[first:]]
        asked = [query for query in queries if query]
        assert len(set(asked)) == len(asked) and asked
        assert len(queries) - len(asked) == {1: 80, 6: 4, 7: 4}.get(number, 0)


def test_cells_from_logs(tmp_path):
    logs = [write(tmp_path, 'mr', 14, error) for error in (6.0, 6.2, 6.7)] + [write(tmp_path, 'resnet', 26, 6.1), write(tmp_path, 'il', 14, 72.0)]
    logs += [write(tmp_path, 'ensemble8', 26, 7.0, test_components=parts(8.0), test_without=parts(7.5)), write(tmp_path, 'fuse3', 26, 7.25),
             write(tmp_path, 'mr', 32, 4.0, widen=4, dataset='svhn'), write(tmp_path, 'mr', 20, 5.0, epochs=1)]
    runs, others = tables.finished(logs)
    assert others == logs[-1:]
    filled = {(number, labels[0], labels[-1], column): each for number in tables.TITLES for table in [tables.build(number, runs)]
              for labels, cells in table.rows for column, each in zip(table.columns, cells) if each.values}
    shown = {key: tables.text(each.values) for key, each in filled.items()}
    expected = {(4, '0.4M', '26/14', 'CIFAR-10 DFN-MR'): '6.30 ± 0.36', (4, '0.4M', '26/14', 'CIFAR-10 ResNet'): '6.10',
                (4, '0.4M', '26/14', 'CIFAR-10 DFN-IL'): 'fail', (1, '26', '26', 'DFN'): '7.25', (1, '26', '26', 'Ensemble'): '7.00',
                (5, 'DFN-MR2', '14.9M', 'SVHN'): '4.00', (2, '26', 'with', 'Overall'): '7.00', (3, '26', '26', 'Overall'): '7.00'}
    expected.update({(2, '26', 'with', name): '%.2f' % error for name, error in parts(8.0).items()})
    expected.update({(3, '26', '26', 'W/O ' + name): '%.2f' % error for name, error in parts(7.5).items()})
    assert shown == expected
    four = table_formats.markdown(tables.build(4, runs))
    row = next(line for line in four.splitlines() if line.startswith('| 0.4M'))
    assert '**6.10** (1) | 6.62 ± 0.24' in row and '| 6.30 ± 0.36 (3) | 6.48 ± 0.04 |' in row and '|  | 29.69 ± 0.15 |' in row
    assert '**14.50** (1)' in table_formats.markdown(tables.build(3, runs))  # the largest


def test_formats_of_the_script(tmp_path):
    logs = [write(tmp_path / 'logs', 'mr', 14, error) for error in (6.0, 6.2)] + [write(tmp_path / 'logs', 'mr', 20, 5.0, epochs=1)]
    said = run_script('make_tables.py', *logs, '--out', tmp_path / 'tables')
    assert len(said.splitlines()) == 3 and sorted(os.listdir(str(tmp_path / 'tables'))) == ['table4.csv', 'table4.md', 'table4.tex']
    header, *rows = csv.reader(open(str(tmp_path / 'tables' / 'table4.csv'), encoding='utf-8'))
    row = dict(zip(header, rows[0]))
    assert row['CIFAR-10 DFN-MR'] == '6.10' and row['CIFAR-10 DFN-MR std'] == '0.14' and row['CIFAR-10 DFN-MR runs'] == '2'
    assert row['CIFAR-10 DFN-MR paper'] == '6.48 ± 0.04' and row['SVHN DFN-MR'] == '' and row['SVHN DFN-MR runs'] == '0'
    tex = open(str(tmp_path / 'tables' / 'table4.tex'), encoding='utf-8').read()
    assert tex.count(r'\\') == 9 and r'6.10 $\pm$ 0.14 (2) & 6.48 $\pm$ 0.04' in tex and '±' not in tex
    assert all(line.count('&') == 21 for line in tex.splitlines() if line.endswith(r'\\'))
    assert 'after 2 epochs' in open(str(tmp_path / 'tables' / 'table4.md'), encoding='utf-8').read()
    assert 'no table has a cell' in run_script('make_tables.py', logs[-1])
    assert 'No run yet' in run_script('make_tables.py', logs[0], '--table', '6')
    stand_in = write(tmp_path / 'logs', 'fuse3', 26, 9.0, dataset='sample')
    assert 'on sample in place of CIFAR-10' in run_script('make_tables.py', stand_in, '--stand-in', 'sample')


def test_mistakes(tmp_path):
    path = write(tmp_path, 'fuse3', 26, 9.0)
    assert 'not there' in user_error('make_tables.py', tmp_path / 'none.jsonl')
    assert 'named twice' in user_error('make_tables.py', path, path)
    assert 'train ensemble7, ensemble8' in user_error('plot_study.py', path, '--figure', '5', '--out', tmp_path / 'a.png')
    assert '.png, .pdf or .svg' in user_error('plot_study.py', path, '--figure', '2', '--out', tmp_path / 'a.gif')
    assert 'nearest' in user_error('plot_study.py', '--figure', '11', '--depth', '27', '--out', tmp_path / 'a.png')


# ---- figures ----

def heights(axis):
    return {bars.get_label(): [round(float(bar.get_height()), 4) for bar in bars] for bars in axis.containers if isinstance(bars, BarContainer)}


def test_bars_are_the_means(tmp_path):
    logs = [write(tmp_path, 'ensemble8', depth, error, test_without=parts(error + 0.5), test_components=parts(9.0))
            for depth, error in ((26, 7.0), (26, 7.4), (38, 8.0))] + [write(tmp_path, 'ensemble7', 38, 6.5), write(tmp_path, 'plain', 26, 9.5)]
    runs, _ = tables.finished(logs)
    axis, = study.bars(5, runs).axes
    assert heights(axis) == {'Ensemble-8': [7.2, 8.0], 'Ensemble-7': [6.5], 'Ensemble-7 w/o retraining': [14.7, 15.5]}
    assert [text.get_text() for text in axis.get_xticklabels()] == ['26', '38']
    marks = sorted(round(float(y), 2) for points in axis.collections if hasattr(points, 'get_offsets') for _, y in points.get_offsets())
    assert {6.92, 6.96, 7.34, 7.18} <= set(marks)  # Table 3: overall and W/O RRR
    axis, = study.bars(2, runs).axes
    assert heights(axis) == {'Plain': [9.5], 'Ensemble': [7.2, 8.0]}


def test_depths_of_components():
    assert [axis.get_title().split(' (')[0] for axis in study.component_depths(study.imagenet_networks()).axes] == ['ResNet-50', 'DFN1', 'DFN2']
    figure = study.component_depths(study.cifar_networks(26))
    for axis, (network, depth) in zip(figure.axes, (('resnet', 26), ('il', 14), ('mr', 14))):
        counts = paths.histogram(symbols.get_symbol(network, depth))
        found = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in axis.patches}
        for own, count in counts.items():
            assert found[own] == pytest.approx(100 * count / sum(counts.values()), abs=1e-3)
        assert '%.2f ± %.2f' % paths.mean_and_deviation(counts) in axis.get_title()


def test_mean_and_deviation_of_astronomical_ensembles():
    """2**600 paths, beyond what a float's division holds; a binomial distribution has known moments."""
    counts = paths.histogram(symbols.get_symbol('resnet', 1202))
    mean, deviation = paths.mean_and_deviation(counts)
    small = paths.mean_and_deviation(paths.histogram(symbols.get_symbol('resnet', 26)))
    assert sum(counts.values()) == 2 ** 600 and mean == pytest.approx(600 + 3, abs=1) and deviation == pytest.approx(600 ** 0.5, rel=0.01)
    assert small == pytest.approx((15.0, numpy.std([depth for depth, count in paths.histogram(symbols.get_symbol('resnet', 26)).items() for _ in range(count)])))


@pytest.mark.slow
def test_the_study_in_small(tmp_path):
    """Every experiment of sections 3 and 4 on the sample, one depth and one epoch, up to tables and figures."""
    run_script('data/prepare.py', 'sample', '--out', tmp_path)
    files = ('--depth', '14', '--dataset', 'sample', '--epochs', '1', '--data-dir', tmp_path, '--log-dir', tmp_path / 'logs',
             '--checkpoint-dir', tmp_path / 'checkpoints')
    for network in ('plain', 'fuse3', 'fuse6', 'resnet'):
        run_script('train_cifar.py', '--network', network, *files)
    for which in ((), ('--without', 'RRR'), ('--no-sharing',), ('--component', 'RRR')):
        run_script('train_ensemble.py', *which, *files, timeout=900)
    logs = sorted((tmp_path / 'logs').iterdir())
    assert len(logs) == 8
    said = run_script('make_tables.py', *logs, '--stand-in', 'sample')
    assert 'Table 1.' in said and 'Table 4.' not in said  # Table 4 has no depth of 14
    for number in (2, 4, 5):
        run_script('plot_study.py', *logs, '--figure', number, '--stand-in', 'sample', '--out', tmp_path / ('%d.pdf' % number))


# ---- diagrams ----

@pytest.mark.parametrize('number,panels,convolutions,sums', [(1, 3, 10 + 2 * (8 + 3 * 4 * 2 + 3 * 4 * 1), 3 + 3 * 8), (3, 3, 13 + 16 + 16, 9), (6, 3, 12, 6), (7, 3, 75, 12 + 6 + 6 + 11),
    (9, 2, 100 + 1 + 14 * 6, 33 + 14 * 3 + 1), (10, 3, 3 * 49, 16 + 16 + 9)])
def test_diagrams(number, panels, convolutions, sums):
    """They come from the symbols: every convolution that is no projection is a box, every sum a circle."""
    drawn = diagrams.panels(number)
    source = draw.side_by_side(drawn).source
    assert len(drawn) == panels == source.count('subgraph')
    assert source.count(' conv, ') == convolutions and source.count('shape=circle') == sums
    assert ('dashed' in source) == (number in (7, 9, 10)) and ('invtrapezium' in source) == (number != 6)


@pytest.mark.skipif(not shutil.which('dot'), reason="graphviz's dot is not installed")
def test_a_diagram_by_the_command(tmp_path):
    run_script('-m', 'symbols', '--figure', '6', '--plot', tmp_path / 'units.png')
    assert (tmp_path / 'units.png').read_bytes()[:4] == b'\x89PNG'
    assert '--plot' in user_error('-m', 'symbols', '--figure', '6')
