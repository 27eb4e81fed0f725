"""Logs for tests: headers are those of the committed runs, which the scripts wrote, with changes
named.
"""

import glob
import itertools
import json
import os

from scripts import ROOT

SEEDS = itertools.count(1)
OFFICIAL = {
    'official': True,
    'manifest_sha256': 'a' * 64,
    'train_images': 50000,
    'test_images': 10000,
    'classes': 10,
}


def header_of(pattern):
    """Return the header of a committed run, made one of today's format with today's options."""
    with open(glob.glob(os.path.join(ROOT, 'logs', pattern))[0]) as file:
        header = json.loads(file.readline())
    return dict(header, format=2, options=dict(header['options'], bn_momentum=0.99))


SMALL, PHOTOGRAPHS = header_of('fashion-mnist-*.jsonl'), header_of('photographs-resnet*.jsonl')


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
