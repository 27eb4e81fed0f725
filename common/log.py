"""Training logs: one JSON-lines file a run, its header first and then a record an epoch.

The header has every option, the versions, the number of parameters and the sizes of the data set. A
record has ``epoch`` (from 1), ``train_loss``, ``test_loss`` (mean cross entropy, nats),
``train_error``, ``test_error`` (top-1, %), with photographs, and else with 100 classes and more, ``train_top5`` and ``test_top5``
(top-5 error, %), with an ensemble ``test_components`` and ``test_without`` ({name: top-1 error} of each component
alone and of the ensemble without it), ``lr`` of the epoch's first update, ``seconds`` of the whole epoch and
``images_per_second`` of its training.
"""
import json
import os

from common import files
from common.errors import UserError

FORMAT = 2
CURVES = ('train_loss', 'train_error', 'test_loss', 'test_error')


def create(folder, name, header):
    """Start a log in a file that did not exist before; return its path and the name of the run.

    A number is added to ``name`` where it is taken, so that two runs never share a file.
    """
    os.makedirs(folder, exist_ok=True)
    for number in range(1, 1000):
        run = name if number == 1 else '%s-%d' % (name, number)
        path = os.path.join(folder, run + '.jsonl')
        try:
            with open(path, 'x') as file:
                file.write(_line(dict({'type': 'header', 'format': FORMAT, 'run': run}, **header)))
            return path, run
        except FileExistsError:
            continue
    raise UserError('%s holds a thousand logs named %s already: choose another --log-dir' % (folder, name))


def append(path, record):
    """Add the record of an epoch. It is one write, so a reader never sees half a line of a live run."""
    with open(path, 'a') as file:
        file.write(_line(dict({'type': 'epoch'}, **record)))
        file.flush()
        os.fsync(file.fileno())


def restore(path, header, records):
    """Write a log anew from what its checkpoint knows; drops what came after, or was torn."""
    lines = [_line(header)] + [_line(dict({'type': 'epoch'}, **record)) for record in records]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    files.write_text(path, ''.join(lines))


def _line(record):
    return json.dumps(record) + '\n'


def read(path):
    """Return the header and the list of epoch records of a log.

    A last line without an end, of a run that is being written or was killed, is left out.

    Raises
    ------
    UserError
        There is no such file, or it is not a log of this version.
    """
    try:
        with open(path) as file:
            lines = file.read().split('\n')[:-1]
        entries = [json.loads(line) for line in lines]
    except FileNotFoundError:
        raise UserError('%s is not there: name the log of a run, logs/NAME.jsonl' % path)
    except (ValueError, IsADirectoryError) as error:
        raise UserError('%s is not a training log (%s): name a logs/NAME.jsonl' % (path, error))
    if entries and isinstance(entries[0], dict):
        entries[0] = upgraded(entries[0])
    _check(path, entries)
    return entries[0], entries[1:]


def upgraded(header):
    """Return a header of format 1 as one of format 2 that means the same run; others as they are.

    What format 1 calls ``mr`` ends otherwise than today's (symbols/mr.py, symbols/imagenet.py), and it has no words for
    what could not be chosen then: BatchNorm's momentum was 0.9, and photographs were augmented as in the authors' script
    of 2018.
    """
    if header.get('format') != 1 or not isinstance(header.get('options'), dict):
        return header
    options = dict(header['options'], bn_momentum=0.9)
    if header.get('script') == 'train_imagenet.py':
        options['augment'] = 'authors-2018'
    if options.get('network') == 'mr':
        options['network'] = 'mr-relu' if 'augment' in options else 'mr-late'
    return dict(header, format=FORMAT, options=options)


def setting(header):
    """Return (network, depth, dataset, widen): runs that share it are repetitions of one another."""
    return tuple(header['options'].get(name) for name in ('network', 'depth', 'dataset', 'widen'))


def _check(path, entries):
    header = entries[0] if entries and isinstance(entries[0], dict) else {}
    if header.get('type') != 'header':
        raise UserError('%s does not begin with the header of a training log: name a logs/NAME.jsonl' % path)
    if header.get('format') != FORMAT:
        raise UserError('%s has the log format %s and this version reads format %d: use the version that '
                        'wrote it' % (path, header.get('format'), FORMAT))
    for number, entry in enumerate(entries[1:], 1):
        numbers = isinstance(entry, dict) and all(
            isinstance(entry.get(key), (int, float)) for key in CURVES + ('epoch',))
        if not numbers or entry['epoch'] != number:
            raise UserError('%s, line %d, is not the record of epoch %d: the file was changed after it '
                            'was written' % (path, number + 1, number))
