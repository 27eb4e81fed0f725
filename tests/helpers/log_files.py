"""Logs for tests: headers are those of the committed runs, which the scripts wrote, with changes
named.
"""

import itertools
import json
import os

from scripts import ROOT

from common import log

SEEDS = itertools.count(1)
OFFICIAL = {
    'official': True,
    'manifest_sha256': 'a' * 64,
    'train_images': 50000,
    'test_images': 10000,
    'classes': 10,
}


def header_of(path, **options):
    """Return the header of a committed log, in today's format and with some options changed.

    Its name is given in full: other logs in the folder are those of whoever runs the tests.
    """
    header, _ = log.read(os.path.join(ROOT, 'logs', path))
    return dict(header, options=dict(header['options'], **options))


SMALL = header_of(os.path.join('results', 'fashion-mnist-mr-14-20261129-215730.jsonl'))
# The committed runs on photographs are older than the paper's settings.
PHOTOGRAPHS = header_of(
    'photographs-resnet101-20261123-225150.jsonl', bn_momentum=0.99, augment='paper'
)


def write(folder, network, depth, records, base=SMALL, data=OFFICIAL, **options):
    """Write the log of a run whose records are given, with a seed of its own; return its path."""
    options = {'dataset': 'cifar10', 'epochs': len(records), 'seed': next(SEEDS), **options}
    options = dict(base['options'], network=network, depth=depth, **options)
    run = f'{options["dataset"]}-{network}-{depth}-{options["seed"]}'
    header = {**base, 'run': run, 'options': options, 'data': data}
    path = os.path.join(str(folder), run + '.jsonl')
    os.makedirs(str(folder), exist_ok=True)
    save(path, header, records)
    return path


def save(path, header, records):
    with open(path, 'w') as file:
        file.writelines(
            json.dumps(entry) + '\n'
            for entry in [header]
            + [
                {'type': 'epoch', 'epoch': number, **record}
                for number, record in enumerate(records, 1)
            ]
        )


def record(error, **more):
    """Return a record with a test error, a training error 1 above it, and losses of 1."""
    return {
        'train_loss': 1.0,
        'train_error': error + 1,
        'test_loss': 1.0,
        'test_error': error,
        'lr': 0.1,
        **more,
    }


def changed(path, out, **changes):
    """Copy a log that a script wrote, with options (or ``data``) changed; return the new path."""
    with open(path) as file:
        first, *rest = file.read().splitlines()
    header = json.loads(first)
    header.update(
        {key: changes.pop(key) for key in ('data', 'devices', 'workers') if key in changes}
    )
    header['options'].update(changes)
    with open(str(out), 'w') as file:
        file.write('\n'.join([json.dumps(header), *rest, '']))
    return str(out)
