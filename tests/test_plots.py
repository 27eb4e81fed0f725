"""Figures from logs: what is drawn is what the logs say."""

import os
import shutil
import subprocess

import log_files
import numpy
import pytest
from matplotlib import pyplot
from scripts import ROOT, run_script, user_error

from common import log
from report import curves, figures


def write(path, network, depth, epochs=6, shift=0.0, top5=False, **options):
    """Write a log whose curves are known functions of the epoch."""
    records = []
    for epoch in range(1, epochs + 1):
        records.append(
            {
                'train_loss': 2 / epoch + shift,
                'train_error': 60 / epoch + shift,
                'test_loss': 3 / epoch + shift,
                'test_error': 80 / epoch + shift,
                'lr': 0.1,
            }
        )
        if top5:
            records[-1].update(train_top5=20 / epoch, test_top5=30 / epoch)
    return log_files.write(path, network, depth, records, **options)


def drawn(paths):
    """Return the curves of logs of which none is left out."""
    found, notes = curves.group(paths)
    assert not notes
    return found


def legend(axis):
    """The names of curves, in the axis or, in Figure 8, below it."""
    (found,) = [each for each in (axis.get_legend(), *axis.figure.legends) if each]
    return [text.get_text() for text in found.get_texts()]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close('all')


@pytest.fixture
def two_pairs(tmp_path):
    return [
        write(tmp_path, network, depth, shift=shift)
        for network, depth in (('resnet', 26), ('mr', 14), ('resnet', 110), ('mr', 56))
        for shift in (0.0, 0.6, 0.3)
    ]


def test_figure_12_is_a_column_for_each_pair(two_pairs):
    figure = figures.figure12(drawn(two_pairs))
    axes = numpy.array(figure.axes).reshape(2, 2)
    assert [axis.get_title() for axis in axes[0]] == [
        'CIFAR-10\nd1/d2 = 26/14',
        'CIFAR-10\nd1/d2 = 110/56',
    ]
    assert (
        axes[0, 0].get_ylabel() == 'training loss' and axes[1, 0].get_ylabel() == 'test error (%)'
    )
    epochs = numpy.arange(1, 7)
    for axis, whole in zip(axes.T.ravel(), (2, 80, 2, 80)):
        assert len(axis.lines) == len(axis.collections) == 2  # two means, two bands
        for line, band in zip(axis.lines, axis.collections):
            numpy.testing.assert_array_equal(line.get_xdata(), epochs)
            numpy.testing.assert_allclose(line.get_ydata(), whole / epochs + 0.3)
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.min() == pytest.approx(whole / 6) and heights.max() == pytest.approx(
                whole + 0.6
            )
    assert [text.get_text() for text in axes[0, 0].get_legend().get_texts()] == ['ResNet', 'DFN-MR']


@pytest.mark.parametrize('figure', [figures.figure8, figures.figure12])
def test_the_axis_of_errors_ends_where_it_is_told_to(two_pairs, figure):
    found = drawn(two_pairs)
    whole, cut = (figure(found, most_error=most).axes[-1].get_ylim() for most in (None, 20))
    assert whole[0] == 0 and whole[1] > 80.6 and cut == (0, 20)  # the highest error is 80.6


def test_an_ensemble_and_a_component_share_the_panel_of_their_depth(tmp_path):
    networks = ('ensemble8', 'LLR', 'resnet')
    figure = figures.figure12(drawn([write(tmp_path, network, 26) for network in networks]))
    assert [axis.get_title() for axis in figure.axes] == ['CIFAR-10\ndepth 26', '']
    assert legend(figure.axes[0]) == ['ResNet', 'Ensemble-8', 'LLR']


def test_one_pair_is_one_panel_of_column_width(tmp_path):
    figure = figures.figure12(drawn([write(tmp_path, 'resnet', 26), write(tmp_path, 'mr', 14)]))
    assert len(figure.axes) == 2 and figure.get_size_inches()[0] == figures.COLUMN
    assert not figure.axes[0].collections  # a single run has no band


def test_figure_8(tmp_path):
    """Training is dotted, validation has markers; top-5 is there on request."""
    logs = [
        write(tmp_path, network, depth, dataset='cifar100', top5=True)
        for network, depth in (('resnet', 110), ('mr', 56))
    ]
    (axis,) = figures.figure8(drawn(logs)).axes
    assert [(line.get_linestyle(), line.get_marker()) for line in axis.lines] == [
        (':', 'None'),
        ('-', 'o'),
    ] * 2
    numpy.testing.assert_allclose(axis.lines[1].get_ydata(), 80 / numpy.arange(1, 7))
    assert axis.get_ylabel() == 'top-1 error (%)'
    assert legend(axis) == [
        'ResNet training (10.00, 3.33)',
        'ResNet validation (13.33, 5.00)',
        'DFN-MR training (10.00, 3.33)',
        'DFN-MR validation (13.33, 5.00)',
    ]
    (axis,) = figures.figure8(drawn(logs), top5=True).axes
    assert len(axis.lines) == 8 and 'top-5' in axis.get_ylabel()
    numpy.testing.assert_allclose(axis.lines[3].get_ydata(), 30 / numpy.arange(1, 7))


def test_figure_8_without_top_5(tmp_path):
    (axis,) = figures.figure8(drawn([write(tmp_path, 'mr', 14)])).axes
    assert legend(axis) == ['DFN-MR training (10.00)', 'DFN-MR validation (13.33)']
    (axis,) = figures.figure8(drawn([write(tmp_path, 'mr', 14, epochs=1)])).axes
    assert [line.get_marker() for line in axis.lines] == ['o', 'o']


def test_the_gap_of_section_6_5(tmp_path):
    """It is printed with Figure 8: the mean difference of the validation errors over epochs 30 to
    55.
    """

    def photographs(network, depth, length, lower):
        return log_files.write(
            tmp_path,
            network,
            depth,
            [
                log_files.record(60 - epoch / 4 - (lower if epoch >= 30 else 0))
                for epoch in range(1, length + 1)
            ],
            base=log_files.PHOTOGRAPHS,
            dataset='imagenet',
        )

    logs = [photographs('resnet', 101, 60, 0), photographs('mr', 44, 60, 4.5)]
    said = run_script('plot_curves.py', *logs, '--figure', '8', '--out', tmp_path / 'x.png')
    assert (
        'DFN-MR-44 on ImageNet: top-1 validation error 4.50 points lower than that of '
        'ResNet-101, mean of epochs 30 to 55' in said
    )
    found = drawn([logs[0], photographs('mr', 44, 40, -1)])
    assert [
        '1.00 points higher' in each and 'epochs 30 to 40' in each for each in curves.gaps(found)
    ] == [True]
    found = drawn([logs[0], photographs('mr', 44, 12, 0)])
    assert curves.gaps(found) == [
        'ResNet-101 on ImageNet and DFN-MR-44 share 12 epochs: the paper compares epochs 30 to 55'
    ]
    other = log_files.changed(logs[1], tmp_path / 'other.jsonl', lr=0.05)
    assert curves.gaps(drawn([logs[0], other])) == []  # not trained alike
    assert curves.gaps(drawn([photographs('resnet', 50, 60, 0), logs[1]])) == []
    assert curves.gaps(drawn([write(tmp_path, 'resnet', 26), write(tmp_path, 'mr', 14)])) == []


def test_a_running_log_does_not_shorten_the_others(tmp_path):
    """A finished run is drawn alone; while none is finished each epoch has the mean of those that
    have it.
    """
    whole, running = write(tmp_path, 'mr', 14), write(tmp_path, 'mr', 14, epochs=4, shift=0.6)
    log_files.changed(running, running, epochs=6)
    (setting,), notes = curves.group([whole, running])
    assert (
        setting.runs == 1
        and len(setting.epochs) == 6
        and notes == [f'{running} is not finished and is left out: others of its setting are']
    )
    (setting,), notes = curves.group(
        [log_files.changed(path, path, epochs=400) for path in (whole, running)]
    )
    assert setting.runs == 2 and not notes
    expected = 2 / numpy.arange(1, 7) + numpy.array([0.3] * 4 + [0] * 2)
    numpy.testing.assert_allclose(setting.curves['train_loss'][0], expected)


def test_logs_without_an_epoch_are_left_out(tmp_path):
    started, good = write(tmp_path, 'mr', 14, epochs=0), write(tmp_path, 'mr', 14)
    log_files.changed(started, started, epochs=6)
    (setting,), notes = curves.group([started, good])
    assert setting.runs == 1 and notes == [f'{started} has no finished epoch yet and is left out']
    assert str(tmp_path / 'x.png') in run_script(
        'plot_curves.py', started, good, '--out', tmp_path / 'x.png'
    )
    assert 'no log has a finished epoch' in user_error(
        'plot_curves.py', started, '--out', tmp_path / 'y.png'
    )
    assert not (tmp_path / 'y.png').exists()


def test_data_sets_have_panels_and_are_named(tmp_path):
    """One that is not known to be the official one is not called by its name."""
    logs = [
        write(tmp_path, 'mr', 14),
        write(tmp_path, 'il', 14),
        write(tmp_path, 'mr', 14, dataset='svhn'),
        write(tmp_path, 'mr', 14, data=None),
        write(tmp_path, 'mr', 14, data=None, dataset='sample'),
    ]
    found = drawn(logs)
    titles = [axis.get_title() for axis in figures.figure12(found).axes[:4]]
    assert titles == [
        f'{name}\nd1/d2 = 26/14' for name in ('CIFAR-10', 'SVHN', 'cifar10 (unverified)', 'sample')
    ]
    assert legend(figures.figure12(found).axes[0]) == ['DFN-IL', 'DFN-MR']


def test_photographs_have_no_d1_and_d2(tmp_path):
    records = [log_files.record(50)]
    logs = [
        log_files.write(
            tmp_path, network, depth, records, base=log_files.PHOTOGRAPHS, dataset='a$b$'
        )
        for network, depth in (('resnet', 101), ('mr', 44))
    ]
    axis = figures.figure12(drawn(logs)).axes[0]
    assert axis.get_title() == r'a\$b\$' and legend(axis) == ['ResNet-101', 'DFN-MR-44']
    figures.save(axis.figure, str(tmp_path / 'x.png'))


def test_curves_that_differ_in_an_option_are_named_by_it(tmp_path):
    logs = [
        write(tmp_path, 'mr', 14),
        write(tmp_path, 'mr', 14, widen=4),
        write(tmp_path, 'mr', 14, lr=0.01),
        write(tmp_path, 'mr', 14, batch_size=32),
        write(tmp_path, 'mr-late', 14),
    ]
    axis = figures.figure12(drawn(logs)).axes[0]
    assert legend(axis) == [
        'DFN-MR, 1x wide, batch 64, lr 0.1',
        'DFN-MR, 1x wide, batch 64, lr 0.01',
        'DFN-MR, 1x wide, batch 32, lr 0.1',
        'DFN-MR, 4x wide, batch 64, lr 0.1',
        'DFN-MR (late)',
    ]
    assert len({line.get_color() for line in axis.lines}) == 5


def luminance(colour):
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


def test_the_papers_pair_differs_without_colour_vision():
    lighter, darker = sorted(
        (luminance(figures.COLOURS[name]) for name in ('resnet', 'mr')), reverse=True
    )
    assert (lighter + 0.05) / (darker + 0.05) > 1.3


@pytest.mark.parametrize('ending', ('png', 'pdf', 'svg'))
def test_script(two_pairs, tmp_path, ending):
    out = tmp_path / 'figures' / ('figure12.' + ending)
    said = run_script('plot_curves.py', *two_pairs, '--figure', '12', '--out', out)
    assert str(out) in said and 'ResNet-26 on CIFAR-10 (3 runs, 6 epochs)' in said
    content = out.read_bytes()
    assert content.startswith({'png': b'\x89PNG', 'pdf': b'%PDF', 'svg': b'<?xml'}[ending])
    if ending == 'svg':
        assert b'<path' in content and b'<text' not in content  # needs no font where it is read
    if ending == 'pdf' and shutil.which('pdffonts'):
        fonts = subprocess.run(
            ['pdffonts', str(out)], stdout=subprocess.PIPE, text=True
        ).stdout.splitlines()[2:]
        assert fonts and all('TrueType' in font and font.split()[-5] == 'yes' for font in fonts)


def test_a_log_that_is_being_written(tmp_path):
    path = write(tmp_path, 'mr', 14, epochs=3)
    with open(path, 'a') as file:
        file.write('{"type": "epoch", "epoch": 4, "train_lo')
    assert len(log.read(path)[1]) == 3


def test_mistakes(tmp_path):
    good = write(tmp_path, 'mr', 14)
    again = tmp_path / '.' / '..' / tmp_path.name / os.path.basename(good)
    assert 'named twice' in user_error('plot_curves.py', good, again, '--out', tmp_path / 'x.png')
    assert 'no top-5' in user_error(
        'plot_curves.py', good, '--figure', '8', '--top5', '--out', tmp_path / 'x.png'
    )
    assert 'nan is less than 0.1' in user_error(
        'plot_curves.py', good, '--most-error', 'nan', '--out', tmp_path / 'x.png'
    )
    assert 'add --figure 8' in user_error(
        'plot_curves.py', good, '--top5', '--out', tmp_path / 'x.png'
    )
    assert '.pdf or .svg' in user_error('plot_curves.py', good, '--out', tmp_path / 'x.jpg')
    assert not (tmp_path / 'x.png').exists()


def test_figure_8_from_the_committed_runs(tmp_path):
    """README's plot, from two real runs of train_imagenet.py, of which DFN-MR's has an ending of
    before.
    """
    runs = ('photographs-mr44-20261123-232613', 'photographs-resnet101-20261123-225150')
    logs = [os.path.join(ROOT, 'logs', f'{run}.jsonl') for run in runs]
    said = run_script(
        'plot_curves.py', *logs, '--figure', '8', '--top5', '--out', tmp_path / 'figure8.png'
    )
    assert (
        'ResNet-101 on photographs (1 run, 12 epochs), DFN-MR-44 (ReLU) on photographs '
        '(1 run, 12 epochs)' in said
    )
    (axis,) = figures.figure8(drawn(logs), top5=True).axes
    assert 'ResNet-101 validation (30.70, 4.20)' in legend(
        axis
    ) and 'DFN-MR-44 (ReLU) validation (35.70, 2.50)' in legend(axis)
    assert len(axis.lines) == 8
