"""Figures from logs: what is drawn is what the logs say."""
import glob
import json
import os
import shutil
import subprocess

import numpy
import pytest
from conftest import ROOT, run_script, user_error

from common import curves, figures, log
from common.errors import UserError


def write(path, network, depth, epochs=6, shift=0.0, dataset='cifar10', top5=False, widen=1):
    """Write a log as a run does; its curves are known functions of the epoch."""
    options = {'network': network, 'depth': depth, 'dataset': dataset, 'widen': widen}
    made, _ = log.create(str(path), '%s-%d' % (network, depth), {'options': options})
    for epoch in range(1, epochs + 1):
        record = {'epoch': epoch, 'train_loss': 2 / epoch + shift, 'train_error': 60 / epoch + shift,
                  'test_loss': 3 / epoch + shift, 'test_error': 80 / epoch + shift, 'lr': 0.1}
        if top5:
            record.update(train_top5=20 / epoch, test_top5=30 / epoch)
        log.append(made, record)
    return made


@pytest.fixture
def two_pairs(tmp_path):
    return [write(tmp_path, network, depth, shift=shift) for network, depth in
            (('resnet', 26), ('mr', 14), ('resnet', 110), ('mr', 56)) for shift in (0.0, 0.6, 0.3)]


def test_figure_12_is_a_column_for_each_pair(two_pairs):
    figure = figures.figure12(curves.group(two_pairs))
    axes = numpy.array(figure.axes).reshape(2, 2)
    assert [axis.get_title() for axis in axes[0]] == ['d1/d2 = 26/14', 'd1/d2 = 110/56']
    assert axes[0, 0].get_ylabel() == 'training loss' and axes[1, 0].get_ylabel() == 'test error (%)'
    epochs = numpy.arange(1, 7)
    for axis, whole in zip(axes.T.ravel(), (2, 80, 2, 80)):
        assert len(axis.lines) == len(axis.collections) == 2  # two means, two bands
        for line, band in zip(axis.lines, axis.collections):
            numpy.testing.assert_array_equal(line.get_xdata(), epochs)
            numpy.testing.assert_allclose(line.get_ydata(), whole / epochs + 0.3)
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.min() == pytest.approx(whole / 6) and heights.max() == pytest.approx(whole + 0.6)
    assert [text.get_text() for text in axes[0, 0].get_legend().get_texts()] == ['ResNet', 'DFN-MR']


def test_one_pair_is_one_panel_of_column_width(tmp_path):
    figure = figures.figure12(curves.group([write(tmp_path, 'resnet', 26), write(tmp_path, 'mr', 14)]))
    assert len(figure.axes) == 2 and figure.get_size_inches()[0] == figures.COLUMN
    assert not figure.axes[0].collections  # a single run has no band


def test_figure_8(tmp_path):
    logs = [write(tmp_path, network, depth, dataset='cifar100', top5=True) for network, depth in (('resnet', 110), ('mr', 56))]
    axis, = figures.figure8(curves.group(logs)).axes
    assert [line.get_linestyle() for line in axis.lines] == ['--', '--', '-', '-'] * 2
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        'ResNet training (10.00, 3.33)', 'ResNet validation (13.33, 5.00)',
        'DFN-MR training (10.00, 3.33)', 'DFN-MR validation (13.33, 5.00)']


def test_runs_of_different_length_are_averaged_where_they_overlap(tmp_path):
    setting, = curves.group([write(tmp_path, 'mr', 14, epochs=6), write(tmp_path, 'mr', 14, epochs=4)])
    assert setting.runs == 2 and setting.epochs.tolist() == [1, 2, 3, 4]


def test_names_tell_settings_apart(tmp_path):
    logs = [write(tmp_path, 'mr', 14), write(tmp_path, 'mr', 14, widen=4), write(tmp_path, 'il', 14),
            write(tmp_path, 'mr', 14, dataset='svhn')]
    axis = figures.figure12(curves.group(logs)).axes[0]
    names = [text.get_text() for text in axis.get_legend().get_texts()]
    assert len(set(names)) == 4 and 'DFN-IL' in names and 'DFN-MR cifar10 w4' in names
    assert len({line.get_color() for line in axis.lines}) == 4


def luminance(colour):
    red, green, blue = (int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2


def test_the_papers_pair_differs_without_colour_vision():
    lighter, darker = sorted((luminance(figures.COLOURS[name]) for name in ('resnet', 'mr')), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) > 1.3


@pytest.mark.parametrize('ending', ('png', 'pdf', 'svg'))
def test_script(two_pairs, tmp_path, ending):
    out = tmp_path / 'figures' / ('figure12.' + ending)
    said = run_script('plot_curves.py', *two_pairs, '--figure', '12', '--out', out)
    assert str(out) in said and 'ResNet-26 on cifar10 (3 runs, 6 epochs)' in said
    content = out.read_bytes()
    assert content.startswith({'png': b'\x89PNG', 'pdf': b'%PDF', 'svg': b'<?xml'}[ending])
    if ending == 'svg':
        assert b'<path' in content and b'<text' not in content  # needs no font where it is read
    if ending == 'pdf' and shutil.which('pdffonts'):
        fonts = subprocess.run(['pdffonts', str(out)], stdout=subprocess.PIPE, universal_newlines=True).stdout.splitlines()[2:]
        assert fonts and all('TrueType' in font and font.split()[-5] == 'yes' for font in fonts)


def test_a_log_that_is_being_written(tmp_path):
    path = write(tmp_path, 'mr', 14, epochs=3)
    with open(path, 'a') as file:
        file.write('{"type": "epoch", "epoch": 4, "train_lo')
    assert len(log.read(path)[1]) == 3


def test_mistakes(tmp_path):
    good = write(tmp_path, 'mr', 14)
    lines = open(good).read().splitlines()
    header = json.loads(lines[0])
    bad = tmp_path / 'bad.jsonl'
    for content, word in (('', 'does not begin'), ('not json\n', 'not a training log'), (lines[1] + '\n', 'does not begin'),
                          (json.dumps(dict(header, format=0)) + '\n', 'log format 0'),
                          (lines[0] + '\n', 'no finished epoch'), ('\n'.join((lines[0], lines[2], '')), 'line 2'),
                          ('\n'.join((lines[0], '[1]', '')), 'line 2')):
        bad.write_text(content)
        assert word in user_error('plot_curves.py', bad, '--out', tmp_path / 'x.png')
    assert 'not there' in user_error('plot_curves.py', tmp_path / 'none.jsonl', '--out', tmp_path / 'x.png')
    assert 'named twice' in user_error('plot_curves.py', good, good, '--out', tmp_path / 'x.png')
    assert '.pdf or .svg' in user_error('plot_curves.py', good, '--out', tmp_path / 'x.jpg')
    assert 'no top-5' in user_error('plot_curves.py', good, '--figure', '8', '--out', tmp_path / 'x.png')
    assert not (tmp_path / 'x.png').exists()
    with pytest.raises(UserError):
        log.read(str(tmp_path))


def test_figure_8_from_the_committed_runs(tmp_path):
    """README's plot, from two real runs of train_imagenet.py."""
    logs = sorted(glob.glob(os.path.join(ROOT, 'logs', 'photographs-*.jsonl')))
    said = run_script('plot_curves.py', *logs, '--figure', '8', '--out', tmp_path / 'figure8.png')
    assert 'ResNet-101 on photographs (1 run, 12 epochs), DFN-MR-44 on photographs (1 run, 12 epochs)' in said
    figure = figures.figure8(curves.group(logs))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert 'ResNet validation (30.70, 4.20)' in labels and 'DFN-MR validation (35.70, 2.50)' in labels
    assert len(figure.axes[0].lines) == 8
