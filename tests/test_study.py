"""The paper's tables and the study's figures: its numbers as data, ours from logs."""

import csv
import os
import re
import shutil

import log_files
import numpy
import pytest
from matplotlib.container import BarContainer
from scripts import run_script, user_error

import symbols
from graphs import paths, summary
from report import (
    component_depths,
    diagrams,
    draw,
    figures,
    finished_runs,
    paper_tables,
    study_figures,
    table_captions,
    table_formats,
    tables,
)
from study import make_tables, plot_study
from symbols import ensemble
from system.errors import UserError

SHAPES = {
    1: (10, 12),
    2: (14, 11),
    3: (7, 10),
    4: (8, 12),
    5: (3, 6),
    6: (5, 4),
    7: (4, 5),
}  # rows, columns


NUMBER = r'\d+(\.\d+)?( ± 0\.\d\d)?'
PRINTED = rf'{NUMBER}( [↑↓—])?|\*\*{NUMBER}\*\*( \(blue\))?|fail|-|[—↑~↓]|4\d\.\dM'


def write(folder, network, depth, error, of=1, **more):
    """Write the log of a run of one epoch, ``of`` so many; ``more`` are options and parts of its
    record.
    """
    own = {
        key: more.pop(key)
        for key in ('test_components', 'test_without', 'test_top5', 'train_top5')
        if key in more
    }
    return log_files.write(
        folder, network, depth, [log_files.record(error, **own)], epochs=of, **more
    )


def finished(logs):
    groups, notes = finished_runs.read(logs)
    assert not notes
    return groups


def parts(first):
    return {name: first + number for number, name in enumerate(ensemble.NAMES)}


# ---- the paper's numbers ----


@pytest.mark.parametrize('number', sorted(SHAPES))
def test_the_papers_numbers(number):
    header, rows = paper_tables.read(number)
    assert (len(rows), len(header)) == SHAPES[number] and all(
        len(row) == len(header) for row in rows
    )
    for row in rows:
        for text in row[paper_tables.LABELS[number] :]:
            assert re.fullmatch(PRINTED, text), text


def cell(number, row, column):
    header, rows = paper_tables.read(number)
    return next(each for each in rows if each[: len(row)] == row)[header.index(column)]


@pytest.mark.parametrize(
    'number,row,column,text',
    [
        (1, ['14'], 'DFN', '7.99 —'),
        (1, ['110'], 'Ensemble', '10.1 ↓'),
        (1, ['38'], 'predicted relative capability', '~'),
        (1, ['98'], 'RRL', '67'),
        (2, ['26', 'without'], 'LLL', '18.83'),
        (2, ['110', 'with'], 'Overall', '9.61 ↓'),
        (2, ['38', 'with'], 'RLR', '8.52'),
        (2, ['98', 'without'], 'RRR', 'fail'),
        (3, ['62'], 'W/O LRR', '**8.10**'),
        (3, ['98'], 'Overall', '8.80'),
        (4, ['0.4M'], 'CIFAR-10 DFN-MR', '**6.48 ± 0.04**'),
        (4, ['0.4M'], 'SVHN ResNet', '**1.90 ± 0.08**'),
        (4, ['1.7M', '110/56'], 'CIFAR-10 Plain', 'fail'),
        (4, ['3.1M'], 'SVHN DFN-MR', '**1.70 ± 0.03**'),
        (5, ['DFN-MR3', '50', '24.8M'], 'CIFAR-10', '**3.57** (blue)'),
        (5, ['DFN-MR3', '50', '24.8M'], 'SVHN', '**1.55**'),
        (6, ['parameters'], 'DFN-MR', '43.3M'),
        (6, ['Top-5 validation error'], 'DFN-MR', '**6.81**'),
        (7, ['Top-1 training error'], 'DFN1', '17.54'),
    ],
)
def test_known_cells(number, row, column, text):
    assert cell(number, row, column) == text


def test_the_papers_tables_agree_with_each_other():
    """Table 2's shared ensemble is Table 3's, and Table 1's but for depth 110; depths are those of
    the networks.
    """
    for row in paper_tables.read(3)[1]:
        overall = paper_tables.printed_error(row[-1])
        assert paper_tables.printed_error(cell(2, [row[0], 'with'], 'Overall')) == overall
        assert (paper_tables.printed_error(cell(1, [row[0]], 'Ensemble')) == overall) == (
            row[0] != '110'
        )
    for row in paper_tables.read(1)[1]:
        own = [
            paths.depth(ensemble.component(name, (int(row[0]) - 2) // 3, 10))
            for name in ensemble.NAMES
        ]
        assert list(map(int, row[1:9])) == own
    for row in paper_tables.read(4)[1]:
        d1, d2 = map(int, row[1].split('/'))
        assert symbols.paired_depth('mr', d2) == d1


def numbers(texts):
    return [paper_tables.printed_error(text) for text in texts]


def test_what_is_printed_beside_the_numbers():
    """Arrows, bold and blue are where the captions say, so a slip of the pen shows."""
    one = [row[10:] for row in paper_tables.read(1)[1]]
    for before, after in zip(one, one[1:]):
        assert after[0][-1] in '↑↓' and (numbers(after)[0] < numbers(before)[0]) == (
            after[0][-1] == '↑'
        )
        assert (numbers(after)[1] < numbers(before)[1]) == (after[1][-1] == '↑')
    rows = paper_tables.read(2)[1]
    for without, shared in zip(rows[::2], rows[1::2]):
        for name, own, both in zip(paper_tables.read(2)[0][2:], without[2:], shared[2:]):
            better = own == 'fail' or numbers([both]) < numbers([own])
            assert both[-1] == '↑↓'[not better] or (without[0], name) == ('38', 'RLR')
    for row in paper_tables.read(3)[1]:
        assert [text for text in row if '**' in text] == [f'**{max(numbers(row[1:-1])):.2f}**']
    for row in paper_tables.read(4)[1]:
        for columns in (row[2:6], row[6:9], row[9:]):
            (marked,) = [text for text in columns if '**' in text]
            assert paper_tables.printed_error(marked) == min(filter(None, numbers(columns)))
    for columns in list(zip(*paper_tables.read(5)[1]))[3:]:
        (blue,) = [text for text in columns if 'blue' in text]
        assert paper_tables.printed_error(blue) == min(numbers(columns))


def test_the_parameters_that_no_one_network_has():
    """Table 5's 24.8M are those of 3x3 projections, with which 14.9M would be 15.5M."""
    for depth, counted, with_3x3 in ((50, 24151882, 24807242), (32, 14851402, 15506762)):
        symbol = symbols.get_symbol('mr', depth, widen=4)
        projections = [
            layer.parameters for layer in summary.layers(symbol) if layer.kind.startswith('1x1')
        ]
        assert len(projections) == 4 and summary.parameters(symbol) == counted
        assert counted + 8 * sum(projections) == with_3x3
    assert summary.parameters(symbols.get_symbol('mr', 38)) == 1127130


# ---- tables ----


def test_every_cell_asks_for_a_setting_of_its_own():
    for number in paper_tables.TITLES:
        header, rows = paper_tables.read(number)
        first = paper_tables.LABELS[number]
        queries = [
            tables.queries(number, row[:first], column) for row in rows for column in header[first:]
        ]
        asked = [query for several in queries for query in several]
        assert len(set(asked)) == len(asked) and asked
        assert queries.count([]) == {1: 90, 6: 5, 7: 4}.get(number, 0)


def filled(groups, stand_in=None):
    """Return {(table, first label, last label, column): our text} of every cell that has one."""
    found = {}
    for number in paper_tables.TITLES:
        table = tables.build(number, groups, stand_in)
        for labels, cells in table.rows:
            found.update(
                {
                    (number, labels[0], labels[-1], column): tables.text(each)
                    for column, each in zip(table.columns, cells)
                    if each.values
                }
            )
    return found


def test_cells_from_logs(tmp_path):
    logs = [write(tmp_path, 'mr', 14, error) for error in (6.0, 6.2, 6.7)] + [
        write(tmp_path, 'resnet', 26, 6.1),
        write(tmp_path, 'il', 14, 72.0),
        write(tmp_path, 'plain', 26, 8.0),
    ]
    logs += [
        write(tmp_path, 'ensemble8', 26, 7.0, test_components=parts(8.0), test_without=parts(7.5)),
        write(tmp_path, 'fuse3', 26, 7.25),
        write(tmp_path, 'mr', 32, 4.0, widen=4, dataset='svhn'),
        write(tmp_path, 'mr', 20, 5.0, of=2),
    ]
    groups, notes = finished_runs.read(logs)
    assert notes == [f'{logs[-1]} is not finished and is left out']
    expected = {
        (4, '0.4M', '26/14', 'CIFAR-10 DFN-MR'): '6.30 ± 0.36',
        (4, '0.4M', '26/14', 'CIFAR-10 ResNet'): '6.10',
        (4, '0.4M', '26/14', 'CIFAR-10 DFN-IL'): 'fail',
        (4, '0.4M', '26/14', 'CIFAR-10 Plain'): '8.00',
        (1, '26', '26', 'DFN'): '7.25',
        (1, '26', '26', 'Ensemble'): '7.00',
        (5, 'DFN-MR2', '14.9M', 'SVHN'): '4.00',
        (2, '26', 'with', 'Overall'): '7.00',
        (3, '26', '26', 'Overall'): '7.00',
    }
    expected.update({(2, '26', 'with', name): f'{error:.2f}' for name, error in parts(8.0).items()})
    expected.update(
        {(3, '26', '26', 'W/O ' + name): f'{error:.2f}' for name, error in parts(7.5).items()}
    )
    assert filled(groups) == expected
    four = table_formats.markdown(tables.build(4, groups))
    row = next(line for line in four.splitlines() if line.startswith('| 0.4M'))
    assert (
        '**6.10** (1) | 6.62 ± 0.24' in row
        and '| 6.30 ± 0.36 (3) | **6.48 ± 0.04** |' in row
        and '|  | 29.69 ± 0.15 |' in row
    )
    some = [group for group in groups if group.setting['network'] != 'plain']
    some = table_formats.markdown(tables.build(4, some))
    assert '6.10 (1)' in some and '**6.10**' not in some  # one network has no run yet
    assert '**14.50** (1)' in table_formats.markdown(tables.build(3, groups))  # the largest


def test_a_log_without_a_result_leaves_those_of_the_others(tmp_path):
    """Whichever log comes first, a cell has the mean of the runs that have the result."""
    whole = write(tmp_path, 'ensemble8', 26, 7.0, test_components=parts(8.0))
    bare = write(tmp_path, 'ensemble8', 26, 7.5)
    for logs in ([whole, bare], [bare, whole]):
        cells = filled(finished_runs.read(logs)[0])
        assert cells[2, '26', 'with', 'LLL'] == f'{parts(8.0)["LLL"]:.2f}'
        assert cells[2, '26', 'with', 'Overall'].startswith('7.25')


def test_components_that_were_trained_alone(tmp_path):
    """They fill the cells of Table 2 that no ensemble without sharing fills."""
    logs = [write(tmp_path, 'LLR', 26, 9.0), write(tmp_path, 'RRR', 38, 8.5)]
    assert filled(finished(logs)) == {
        (2, '26', 'without', 'LLR'): '9.00',
        (2, '38', 'without', 'RRR'): '8.50',
    }
    logs.append(write(tmp_path, 'separate8', 26, 6.0, test_components=parts(20.0)))
    assert filled(finished(logs))[2, '26', 'without', 'LLR'] == '23.00'


def test_only_official_data_fill_the_papers_cells(tmp_path):
    """A log of 1,000 images is not called CIFAR-10, and neither is one of before, which does not
    say.
    """
    part = dict(log_files.OFFICIAL, official=False, train_images=1000)
    for data in (part, None):
        path = write(tmp_path, 'mr', 14, 6.0, data=data)
        assert filled(finished([path])) == {} and filled(finished([path]), 'cifar10') == {
            (4, '0.4M', '26/14', 'CIFAR-10 DFN-MR'): '6.00'
        }
        assert '--stand-in cifar10' in user_error('study/make_tables.py', path)
    said = run_script('study/make_tables.py', path, '--stand-in', 'cifar10')
    assert 'on cifar10 (unverified) in place of CIFAR-10' in said


def test_captions_say_what_is_not_the_papers(tmp_path):
    groups = finished(
        [write(tmp_path, 'mr', 14, 6.0, lr=0.05), write(tmp_path, 'mr', 14, 2.0, dataset='svhn')]
    )
    assert table_captions.caption(tables.build(4, groups)).endswith(
        'Ours after 1 epoch on CIFAR-10 (the paper: 400) and 1 epoch on SVHN (the paper: '
        '40), in brackets the number of runs. '
        'Not as in the paper: the learning rate 0.05 instead of 0.1, '
        'the number of devices 1 instead of 2.'
    )
    one = log_files.write(tmp_path, 'mr', 14, [log_files.record(6.0)] * 400)
    for devices, workers in ((['gpu(0)', 'gpu(1)'], 1), (['cpu(0)'], 2)):
        as_in_paper = log_files.changed(
            one, tmp_path / f'{workers}.jsonl', devices=devices, workers=workers
        )
        assert table_captions.caption(tables.build(4, finished([as_in_paper]))).endswith(
            'Ours after 400 epochs on CIFAR-10, in brackets the number of runs.'
        )
    went_on = log_files.changed(as_in_paper, tmp_path / 'on.jsonl', epochs_before=[200])
    tuned = log_files.changed(as_in_paper, tmp_path / 'tuned.jsonl', init_from='pretrained/x')
    for path, differs in (
        (went_on, 'the epochs after which they were finished before 200 instead of none.'),
        (tuned, 'what they began from x instead of nothing.'),
    ):
        said = table_captions.caption(tables.build(4, finished([path])))
        assert said.endswith(f'Not as in the paper: {differs}')


def test_imagenets_tables(tmp_path):
    """Tables 6 and 7, from headers that train_imagenet.py wrote, which have no width."""
    assert 'widen' not in log_files.PHOTOGRAPHS['options']
    logs = [
        log_files.write(
            tmp_path,
            network,
            depth,
            [log_files.record(depth / 2 + 3, test_top5=7.0, train_top5=6.0)],
            data=log_files.OFFICIAL,
            base=log_files.PHOTOGRAPHS,
            dataset='imagenet',
        )
        for network, depth in (('resnet', 101), ('mr', 44), ('dfn1', 50))
    ]
    shown = filled(finished(logs))
    assert (
        shown[6, 'Top-1 validation error', 'Top-1 validation error', 'ResNet-101'] == 'fail'
        and len(shown) == 14
    )
    assert shown[7, 'Top-5 training error', 'Top-5 training error', 'DFN1'] == '6.00'
    assert shown[6, 'parameters', 'parameters', 'ResNet-101'] == '42.5M'
    table = tables.build(6, finished(logs))
    assert r'\textbf{6.81}' in table_formats.latex(
        table
    ) and '| parameters | 44.5M | 42.5M (1) | 44.5M |' in table_formats.markdown(table)
    # A network for CIFAR of the same name and depth is another one.
    assert filled(finished([write(tmp_path, 'mr', 44, 6.0, dataset='imagenet')])) == {}


def test_formats_of_the_script(tmp_path):
    logs = [write(tmp_path / 'logs', 'mr', 14, error) for error in (6.0, 6.2)] + [
        write(tmp_path / 'logs', 'mr', 20, 5.0, of=2)
    ]
    said = run_script('study/make_tables.py', *logs, '--out', tmp_path / 'tables')
    assert len(said.splitlines()) == 3 and sorted(os.listdir(str(tmp_path / 'tables'))) == [
        '.table4.csv.dfn-sha256',
        'table4.csv',
        'table4.md',
        'table4.tex',
    ]
    header, *rows = csv.reader(open(str(tmp_path / 'tables' / 'table4.csv'), encoding='utf-8'))
    row = dict(zip(header, rows[0]))
    assert (
        row['CIFAR-10 DFN-MR'] == '6.10'
        and row['CIFAR-10 DFN-MR std'] == '0.14'
        and row['CIFAR-10 DFN-MR runs'] == '2'
    )
    assert (
        row['CIFAR-10 DFN-MR paper'] == '**6.48 ± 0.04**'
        and row['SVHN DFN-MR'] == ''
        and row['SVHN DFN-MR runs'] == '0'
    )
    tex = open(str(tmp_path / 'tables' / 'table4.tex'), encoding='utf-8').read()
    assert (
        tex.count(r'\\') == 9
        and r'6.10 $\pm$ 0.14 (2) & \textbf{6.48 $\pm$ 0.04}' in tex
        and '±' not in tex
    )
    assert all(line.count('&') == 21 for line in tex.splitlines() if line.endswith(r'\\'))
    assert (
        'after 1 epoch on CIFAR-10'
        in open(str(tmp_path / 'tables' / 'table4.md'), encoding='utf-8').read()
    )
    stand_in = write(tmp_path / 'logs', 'fuse3', 26, 9.0, dataset='sample')
    assert 'on sample in place of CIFAR-10' in run_script(
        'study/make_tables.py', stand_in, '--stand-in', 'sample'
    )


def test_blue_and_arrows_in_latex():
    """Every character that LaTeX would take for a command is written so that it is printed."""
    five, one = (table_formats.latex(tables.build(number, [])) for number in (5, 1))
    assert r'\textcolor{blue}{\textbf{3.57}}' in five and '(blue)' not in five
    assert r'8.09 $\downarrow$' in one and r'& $\sim$ &' in one and not set('↑↓—~') & set(one)
    assert table_formats._escaped('a_b & 5% #1 {x}') == r'a\_b \& 5\% \#1 \{x\}'


def test_runs_of_two_lengths_are_told_apart(tmp_path):
    """The study trains ResNet of depth 26 for parts A and B, and a cell takes one of them."""
    records = [log_files.record(error) for error in (9.0, 7.0)]
    both = [write(tmp_path, 'resnet', 26, 8.0), log_files.write(tmp_path, 'resnet', 26, records)]
    assert 'the number of epochs (1 and 2)' in user_error('study/make_tables.py', *both)
    curves = run_script('plot_curves.py', *both, '--epochs', 2, '--out', tmp_path / 'a.pdf')
    assert '2 epochs' in curves and '1 epoch)' not in curves
    assert '| 7.00 (1) | 6.62 ± 0.24' in run_script('study/make_tables.py', *both, '--epochs', 2)
    figure = ('--figure', 4, '--out', tmp_path / 'figure4.pdf')
    assert 'the number of epochs' in user_error('study/plot_study.py', *both, *figure)
    run_script('study/plot_study.py', *both, *figure, '--epochs', 1)
    assert 'has so many epochs; they have 1, 2' in user_error(
        'study/plot_study.py', *both, *figure, '--epochs', 3
    )


def test_mistakes(tmp_path, monkeypatch):
    """What gets nothing ends with status 2, and nothing is written."""

    def said(script, *options):
        monkeypatch.setattr('sys.argv', [script.__name__, *map(str, options)])
        with pytest.raises(UserError) as error:
            script.main()
        return str(error.value)

    path, other = write(tmp_path, 'fuse3', 26, 9.0), write(tmp_path, 'mr', 20, 5.0, of=2)
    figure = ('--out', tmp_path / 'a.png', '--figure')
    assert 'the tables get nothing' in user_error('study/make_tables.py', other)
    assert 'train ensemble7, ensemble8' in user_error('study/plot_study.py', path, *figure, '5')
    assert 'named twice' in said(make_tables, path, str(tmp_path / '.' / os.path.basename(path)))
    assert 'Table 6 gets nothing' in said(
        make_tables, path, '--table', '1', '6', '--out', tmp_path / 'tables'
    )
    assert '--stand-in nobody: no log' in said(make_tables, path, '--stand-in', 'nobody')
    assert '--stand-in nobody: no log' in said(
        plot_study, path, *figure, '2', '--stand-in', 'nobody'
    )
    assert '.png, .pdf or .svg' in said(
        plot_study, path, '--figure', '2', '--out', tmp_path / 'a.gif'
    )
    assert 'nearest' in said(plot_study, *figure, '11', '--depth', '27')
    assert sorted(os.listdir(str(tmp_path))) == sorted(
        os.path.basename(each) for each in (path, other)
    )


# ---- figures ----


def heights(axis):
    return {
        bars.get_label(): [round(float(bar.get_height()), 4) for bar in bars]
        for bars in axis.containers
        if isinstance(bars, BarContainer)
    }


def error_bars(axis):
    return {
        bars.get_label(): [
            tuple(round(float(y), 4) for _, y in segment)
            for segment in bars.errorbar.lines[2][0].get_segments()
            if numpy.isfinite(segment).all() and len(segment)
        ]
        for bars in axis.containers
        if isinstance(bars, BarContainer) and bars.errorbar
    }


def test_bars_are_the_means(tmp_path):
    logs = [
        write(
            tmp_path,
            'ensemble8',
            depth,
            error,
            test_without=parts(error + 0.5),
            test_components=parts(9.0),
        )
        for depth, error in ((26, 7.0), (26, 7.4), (38, 8.0))
    ] + [write(tmp_path, 'ensemble7', 38, 6.5), write(tmp_path, 'plain', 26, 9.5)]
    runs = finished(logs)
    (axis,) = study_figures.bars(5, runs).axes
    assert heights(axis) == {
        'Ensemble-8': [7.2, 8.0],
        'Ensemble-7': [6.5],
        'Ensemble-7 w/o retraining': [14.7, 15.5],
    }
    # The error bars: two runs have a standard deviation, and a single one has none.
    assert error_bars(axis) == {
        'Ensemble-8': [(6.9172, 7.4828)],
        'Ensemble-7 w/o retraining': [(14.4172, 14.9828)],
    }
    assert axis.get_title() == 'With and without the deepest network\n1 epoch'
    assert [text.get_text() for text in axis.get_xticklabels()] == ['26', '38']
    marks = sorted(
        round(float(y), 2)
        for points in axis.collections
        if hasattr(points, 'get_offsets')
        for _, y in points.get_offsets()
    )
    assert {6.92, 6.96, 7.34, 7.18} <= set(marks)  # Table 3: overall and W/O RRR
    (axis,) = study_figures.bars(2, runs).axes
    assert heights(axis) == {'Plain': [9.5], 'Ensemble': [7.2, 8.0]}


def marks(axis):
    return sorted(
        round(float(y), 2)
        for points in axis.collections
        if hasattr(points, 'get_offsets')
        for _, y in points.get_offsets()
    )


def test_marks_of_plain_networks_and_resnets(tmp_path):
    """They are Table 4's, whose column of depths is d1/d2; a network that failed has none."""
    for number, network, depths, errors in (
        (2, 'plain', (26, 110), {7.88}),
        (4, 'resnet', (26, 110), {6.62, 5.24}),
    ):
        (axis,) = study_figures.bars(
            number, finished([write(tmp_path, network, depth, 9.0) for depth in depths])
        ).axes
        assert errors <= set(marks(axis)) and 6.48 not in marks(axis)
    assert study_figures.printed(study_figures.FIGURES[2][1][0]) == {
        26: 7.88,
        38: 8.78,
        50: 11.04,
        62: 11.92,
        74: 13.83,
    }


def test_bars_of_another_data_set(tmp_path):
    groups = finished([write(tmp_path, 'plain', 14, 9.0, dataset='a$b$', data=None)])
    (axis,) = study_figures.bars(2, groups, 'a$b$').axes
    assert (
        axis.get_title()
        == 'Plain network, fused net and ensemble\non a\\$b\\$ in place of CIFAR-10, 1 epoch'
    )
    figures.save(axis.figure, str(tmp_path / 'x.png'))


def test_depths_of_components():
    assert [
        axis.get_title().split(' (')[0]
        for axis in component_depths.figure11(component_depths.imagenet_networks()).axes
    ] == ['ResNet-50', 'DFN1', 'DFN2']
    figure = component_depths.figure11(component_depths.cifar_networks(26))
    for axis, (network, depth) in zip(figure.axes, (('resnet', 26), ('il', 14), ('mr', 14))):
        counts = paths.histogram(symbols.get_symbol(network, depth))
        found = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in axis.patches}
        for own, count in counts.items():
            assert found[own] == pytest.approx(100 * count / sum(counts.values()), abs=1e-3)
        mean, deviation = paths.mean_and_deviation(counts)
        assert f'{mean:.2f} ± {deviation:.2f}' in axis.get_title()


def test_mean_and_deviation_of_astronomical_ensembles():
    """2**600 paths, beyond what a float's division holds; a binomial distribution has known
    moments.
    """
    counts = paths.histogram(symbols.get_symbol('resnet', 1202))
    mean, deviation = paths.mean_and_deviation(counts)
    small = paths.mean_and_deviation(paths.histogram(symbols.get_symbol('resnet', 26)))
    assert (
        sum(counts.values()) == 2**600
        and mean == pytest.approx(600 + 3, abs=1)
        and deviation == pytest.approx(600**0.5, rel=0.01)
    )
    assert small == pytest.approx(
        (
            15.0,
            numpy.std(
                [
                    depth
                    for depth, count in paths.histogram(symbols.get_symbol('resnet', 26)).items()
                    for _ in range(count)
                ]
            ),
        )
    )


@pytest.mark.slow
def test_the_study_in_small(tmp_path):
    """Every experiment of sections 3 and 4 on the sample, one depth and one epoch, up to tables and
    figures.
    """
    run_script('data/prepare.py', 'sample', '--out', tmp_path)
    files = (
        '--depth',
        '14',
        '--dataset',
        'sample',
        '--epochs',
        '1',
        '--data-dir',
        tmp_path,
        '--log-dir',
        tmp_path / 'logs',
        '--checkpoint-dir',
        tmp_path / 'checkpoints',
    )
    for network in ('plain', 'fuse3', 'fuse6', 'resnet'):
        run_script('train_cifar.py', '--network', network, *files)
    for which in ((), ('--without', 'RRR'), ('--no-sharing',), ('--component', 'RRR')):
        run_script('study/train_ensemble.py', *which, *files, timeout=900)
    logs = sorted((tmp_path / 'logs').iterdir())
    assert len(logs) == 8
    said = run_script('study/make_tables.py', *logs, '--stand-in', 'sample')
    assert 'Table 1.' in said and 'Table 4.' not in said  # Table 4 has no depth of 14
    for number in (2, 4, 5):
        run_script(
            'study/plot_study.py',
            *logs,
            '--figure',
            number,
            '--stand-in',
            'sample',
            '--out',
            tmp_path / (f'{number}.pdf'),
        )


# ---- diagrams ----


@pytest.mark.parametrize(
    'number,panels,convolutions,sums',
    [
        (1, 3, 10 + 2 * (8 + 3 * 4 * 2 + 3 * 4 * 1), 3 + 3 * 8),
        (3, 3, 13 + 16 + 16, 9),
        (6, 3, 12, 6),
        (7, 3, 75, 12 + 6 + 6 + 12 + 1),
        (9, 2, 100 + 1 + 14 * 6, 33 + 14 * 3 + 1),
        (10, 3, 3 * 49, 16 + 16 + 9),
    ],
)
def test_diagrams(number, panels, convolutions, sums):
    """They come from the symbols: every convolution that is no projection is a box, every sum a
    circle.
    """
    drawn = diagrams.panels(number)
    source = draw.side_by_side(drawn).source
    assert len(drawn) == panels == source.count('subgraph')
    assert source.count(' conv, ') == convolutions and source.count('shape=circle') == sums
    assert ('dashed' in source) == (number in (7, 9, 10)) and ('invtrapezium' in source) == (
        number != 6
    )


@pytest.mark.skipif(not shutil.which('dot'), reason="graphviz's dot is not installed")
def test_a_diagram_by_the_command(tmp_path):
    run_script('-m', 'symbols', '--figure', '6', '--plot', tmp_path / 'units.png')
    assert (tmp_path / 'units.png').read_bytes()[:4] == b'\x89PNG'
    assert '--plot' in user_error('-m', 'symbols', '--figure', '6')
