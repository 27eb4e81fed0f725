"""Which classes a network takes for which: the confusion matrix as a table, as CSV, and drawn."""

import csv
import io

import numpy
from tabulate import tabulate

from system.errors import printable

MOST_ROWS = 100  # classes that are printed; of more, those with the largest error
WORST = 20
CORNER = 'true class, and how many of its images are taken for'


def names_of(dataset):
    """Return what each class of a ``recordio.datasets.Dataset`` is called; a number if nothing."""
    return [printable(name) for name in dataset.names] or [str(n) for n in range(dataset.classes)]


def errors(matrix):
    """Return the error of each class in %, nan for a class without images.

    Parameters
    ----------
    matrix : numpy.ndarray
        (classes, classes): numbers of images by true class (rows) and predicted class.
    """
    images = matrix.sum(axis=1)
    right = matrix.diagonal()
    return numpy.where(images > 0, 100 * (1 - right / numpy.maximum(images, 1)), numpy.nan)


def table(matrix, names):
    """Return a text with a row for each class: images, error, the class it is most taken for.

    Of more than 100 classes it has the 20 with the largest error.
    """
    error, order = errors(matrix), numpy.arange(len(matrix))
    note = ''
    if len(matrix) > MOST_ROWS:
        order = numpy.argsort(-numpy.nan_to_num(error, nan=-1), kind='stable')[:WORST]
        note = f'\nthe {WORST} classes of {len(matrix)} with the largest error'
    wrong = matrix - numpy.diag(matrix.diagonal())
    rows = [
        [
            names[label],
            int(matrix[label].sum()),
            '' if numpy.isnan(error[label]) else f'{error[label]:.2f}%',
            _most_taken_for(wrong[label], names),
        ]
        for label in order
    ]
    header = ['class', 'images', 'error', 'most often taken for']
    align = ('left', 'right', 'right', 'left')
    return tabulate(rows, header, 'plain', colalign=align, disable_numparse=True) + note


def _most_taken_for(wrong, names):
    label = wrong.argmax()
    return f'{names[label]} ({wrong[label]})' if wrong[label] else ''


def as_csv(matrix, names):
    """Return the matrix as the bytes of a CSV file, with the images and the error of each class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([CORNER, *names, 'images', 'error in %'])
    for name, row, error in zip(names, matrix, errors(matrix)):
        shown = '' if numpy.isnan(error) else f'{error:.4f}'
        writer.writerow([name, *row.tolist(), row.sum(), shown])
    return text.getvalue().encode()
