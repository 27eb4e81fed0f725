"""Images that a user names for scoring, and the classes predicted for them: lines, table, JSON."""

import json
import os
from typing import Any, NamedTuple

from tabulate import tabulate

from system.errors import UserError, printable

# Of a folder only files with these endings are taken, not a README, for example.
ENDINGS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.gif', '.ppm')
MOST_PRINTED = 10  # classes of a single image
IN_TABLE = 3  # classes of each of several images


class Prediction(NamedTuple):
    """The class probabilities of an image file."""

    path: str
    size: tuple  # width and height of the image as it is in its file
    probabilities: Any  # numpy.ndarray, (classes,)

    def likely(self, count=None):
        """Return the labels of the most likely classes, all of them without ``count``."""
        return self.probabilities.argsort(kind='stable')[::-1][:count]


def image_paths(named):
    """Return the paths of the image files that are named, those in a folder sorted by name.

    Folders in a folder, and hidden files, are left out.

    Raises
    ------
    UserError
        There is no image in a folder.
    """
    paths = []
    for path in named:
        if not os.path.isdir(path):
            paths.append(path)
            continue
        found = [
            os.path.join(path, name)
            for name in sorted(os.listdir(path))
            if name.lower().endswith(ENDINGS) and not name.startswith('.')
        ]
        found = [each for each in found if not os.path.isdir(each)]
        if not found:
            raise UserError(
                f'{path} has no image: name files, or a folder of {", ".join(ENDINGS)} files'
            )
        paths += found
    return paths


def print_one(prediction, dataset):
    """Print the most likely classes of one image, a line each."""
    if prediction.size != (dataset.size,) * 2:
        width, height = prediction.size
        print(f'{printable(prediction.path)} is {width}x{height} and was {_how(dataset)}')
    for label in prediction.likely(MOST_PRINTED):
        print(f'{100 * prediction.probabilities[label]:6.2f}%  {name_of(label, dataset)}')


def print_table(predictions, dataset):
    """Print a row for each image, with its most likely classes."""
    rows = [
        [
            printable(each.path),
            '{}x{}'.format(*each.size),
            *(
                f'{100 * each.probabilities[label]:6.2f}%  {name_of(label, dataset)}'
                for label in each.likely(IN_TABLE)
            ),
        ]
        for each in predictions
    ]
    header = ['image', 'size', 'most likely', 'then', 'then'][: len(rows[0])]
    print(tabulate(rows, header, 'plain', disable_numparse=True))
    if any(each.size != (dataset.size,) * 2 for each in predictions):
        print(f'images of another size were {_how(dataset)}')


def print_json(predictions, dataset):
    """Print a JSON object a line: the file and every class, the most likely first."""
    for each in predictions:
        classes = [
            {
                'class': dataset.names[label] if dataset.names else str(label),
                'probability': round(float(each.probabilities[label]), 6),
            }
            for label in each.likely()
        ]
        print(json.dumps({'file': each.path, 'size': list(each.size), 'classes': classes}))


def name_of(label, dataset):
    return printable(dataset.names[label]) if dataset.names else str(label)


def _how(dataset):
    return f'{"cropped" if dataset.short else "scaled"} to {dataset.size}x{dataset.size}'
