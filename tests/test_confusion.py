"""Which classes are taken for which: counted, printed, written as CSV and drawn."""

import csv

import numpy
import pytest
from scripts import run_script, user_error

from common import evaluate
from engine import mx
from recordio.images import cv2
from report import confusion, confusion_figure, figures


def test_counts_of_a_meter_against_numpy():
    random, meter = numpy.random.RandomState(0), evaluate.Meter(classes=4)
    scores, labels = random.rand(40, 4).astype('float32'), random.randint(0, 4, 40)
    for start in (0, 16, 32):
        part = scores[start : start + 16]
        pad = 16 - len(part)
        filled = numpy.concatenate([part, numpy.ones((pad, 4), 'float32')])
        own = numpy.concatenate([labels[start : start + 16], numpy.zeros(pad, int)])
        meter.add([mx.nd.array(filled)], mx.nd.array(own), pad)
    result = meter.result()
    expected = numpy.zeros((4, 4), int)
    for row, label in zip(scores, labels):
        expected[label, row.argmax()] += 1
    assert (result.confusion == expected).all()
    assert result.error == pytest.approx(100 * (1 - expected.trace() / 40))


def test_equally_likely_classes_are_wrong_as_in_the_error():
    meter = evaluate.Meter(classes=3)
    scores = [[0.4, 0.4, 0.2], [1 / 3] * 3, [0.5, 0.25, 0.25]]
    meter.add([mx.nd.array(scores)], mx.nd.array([0, 2, 0]))
    result = meter.result()
    assert result.confusion.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert result.error == pytest.approx(100 * 2 / 3)


def test_a_meter_counts_no_classes_unless_it_is_asked():
    meter = evaluate.Meter()
    meter.add([mx.nd.array([[0.9, 0.1]])], mx.nd.array([0]))
    assert meter.result().confusion is None


MATRIX = numpy.array([[8, 1, 1], [0, 5, 0], [0, 0, 0]])


def test_table_and_csv():
    assert confusion.table(MATRIX, ['cat', 'a, b', 'dog']).splitlines() == [
        'class      images    error  most often taken for',
        'cat            10   20.00%  a, b (1)',
        'a, b            5    0.00%',
        'dog             0',
    ]
    rows = list(csv.reader(confusion.as_csv(MATRIX, ['cat', 'a, b', 'dog']).decode().splitlines()))
    assert rows[0][1:] == ['cat', 'a, b', 'dog', 'images', 'error in %']
    assert rows[1:] == [
        ['cat', '8', '1', '1', '10', '20.0000'],
        ['a, b', '0', '5', '0', '5', '0.0000'],
        ['dog', '0', '0', '0', '0', ''],
    ]


def test_of_many_classes_the_worst_are_printed():
    matrix = numpy.diag(numpy.full(200, 10))
    matrix[150, 150], matrix[150, 3] = 4, 6
    lines = confusion.table(matrix, list(map(str, range(200)))).splitlines()
    assert len(lines) == 22 and lines[1].split() == ['150', '10', '60.00%', '3', '(6)']
    assert lines[-1] == 'the 20 classes of 200 with the largest error'


@pytest.mark.parametrize('classes', (2, 10, 100, 300))
def test_no_name_or_number_lies_over_another(classes):
    """What the figure writes is measured in pixels, as it is drawn."""
    random = numpy.random.RandomState(0)
    matrix = numpy.diag(numpy.full(classes, 1000)) + random.randint(0, 50, (classes, classes))
    names = [f'a class called {number}' for number in range(classes)]
    figure = confusion_figure.draw(matrix, names, 'cifar10-mr-56-20261123-134057, epoch 400')
    figure.canvas.draw()
    axis = figure.axes[0]
    for labels, side in ((axis.get_yticklabels(), 'y'), (axis.get_xticklabels(), 'x')):
        shown = [label.get_window_extent() for label in labels if label.get_text()]
        ends = sorted((getattr(box, side + '0'), getattr(box, side + '1')) for box in shown)
        assert all(one[1] <= other[0] + 0.5 for one, other in zip(ends, ends[1:]))
    assert len(axis.texts) == ((matrix > 0).sum() if classes <= 20 else 0)
    cell = axis.transData.transform([[0, 0], [1, 0]])
    widest = max((text.get_window_extent().width for text in axis.texts), default=0)
    assert widest < cell[1, 0] - cell[0, 0]
    inside = figure.bbox
    title = axis.title.get_window_extent()
    assert inside.x0 <= title.x0 and title.x1 <= inside.x1
    assert figures.content_of(figure, '.png')[:4] == b'\x89PNG'


# ---- score.py, with the weights that come along ----


@pytest.fixture(scope='module')
def scored(tmp_path_factory, sample):
    """What score.py prints, and the folder of what it writes."""
    folder = tmp_path_factory.mktemp('confusion')
    said = run_script(*command(sample, folder / 'out' / 'a.csv', folder / 'out' / 'a.png'))
    return folder / 'out', said


def command(sample, *out):
    rec = sample / 'sample' / 'test.rec'
    return (
        *('score.py', '--pretrained', 'fashion-mnist-mr14', '--rec', rec),
        *('--cpus', '1', '--confusion', *out),
    )


def test_score_prints_and_writes_what_it_counted(scored):
    folder, said = scored
    error = float(said.split('top-1 error ')[1].split('%')[0])
    rows = list(csv.reader((folder / 'a.csv').read_text().splitlines()))
    matrix = numpy.array([row[1:11] for row in rows[1:]], int)
    assert matrix.sum() == 1000 and error == pytest.approx(100 - matrix.trace() / 10)
    shirt = next(line for line in said.splitlines() if line.startswith('Shirt'))
    label = [row[0] for row in rows].index('Shirt') - 1
    assert f'{confusion.errors(matrix)[label]:.2f}%' in shirt and '(' in shirt
    picture = cv2.imread(str(folder / 'a.png'))
    assert min(picture.shape[:2]) > 1000 and picture.std() > 20


@pytest.mark.slow
def test_files_of_others_are_not_replaced(scored, sample, tmp_path):
    path = tmp_path / 'mine.csv'
    path.write_text('mine\n')
    said = user_error(*command(sample, path, tmp_path / 'new.png'))
    assert 'is there already' in said and path.read_text() == 'mine\n'
    assert not (tmp_path / 'new.png').exists()  # all or none
    run_script(*command(sample, path), '--overwrite')
    assert path.read_bytes() == (scored[0] / 'a.csv').read_bytes()


def test_what_does_not_go_together(tmp_path):
    own = ('score.py', '--pretrained', 'fashion-mnist-mr14', '--confusion')
    assert 'the name ends in .csv or .png' in user_error(*own, tmp_path / 'a.txt')
    assert 'leave it or --image out' in user_error(*own, 'a.csv', '--image', 'x.png')
