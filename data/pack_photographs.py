"""Photographs scaled and packed: several processes decode and encode, one writes, and an interrupted one goes on."""

import hashlib
import json
import os
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy

from data import dataset_folder
from data.dataset_folder import PROGRESS
from recordio import images, records
from recordio.images import cv2
from system import files, schema
from system.errors import UserError, printable
from system.processes import die_with_parent, signals_blocked, unblock_signals
from system.progress import Bar

QUALITY = 95
BYTES_PER_PIXEL = 0.45  # of a JPEG of this quality; SciPy's photograph at this size has 0.38
SHUFFLE_SEED = 0
CHUNK, AHEAD = (
    8,
    4,
    # Images that a process takes at a time; how many times that may wait to be written, for each
    # process.
)
EVERY = 2000  # images between two notes of how far the work is
LONGEST = 65000  # pixels; a JPEG has at most 65,535
ENDINGS = (*dataset_folder.ENDINGS, dataset_folder.REPORTED)

_COUNT = {'type': 'integer', 'minimum': 0}
_progress = schema.checker(
    {
        'type': 'object',
        'required': ['identity', 'taken', 'written', 'missing', 'lengths'],
        'properties': {
            'identity': {'type': 'string'},
            'taken': _COUNT,
            'written': _COUNT,
            'missing': {
                'type': 'object',
                'patternProperties': {'^[0-9]{1,6}$': _COUNT},
                'additionalProperties': False,
            },
            'lengths': {
                'type': 'array',
                'items': _COUNT,
                'minItems': len(ENDINGS),
                'maxItems': len(ENDINGS),
            },
        },
    }
)


def pack_photographs(classes, splits, folder, short_side, processes, source=''):
    """Write NAME.rec, .idx, .lst and .reported for each split into ``folder``.

    Training images come in a random order, always the same, the others in that of their names.
    ``.reported`` names each image that was not a whole JPEG in RGB or grey, and says what became of
    it. An interrupted conversion into the same folder, of the same source, is gone on with.

    Parameters
    ----------
    classes : list of str
        In the order of the labels.
    splits : list of data.split.Photographs
    short_side : int
        Pixels of the shorter side.
    processes : int
        That decode and encode.
    source : str
        Tells sources apart whose images have equal names and sizes.

    Returns
    -------
    dict
        Of the manifest, see ``recordio.manifest.read``: ``splits``, ``files``, ``classes``,
        ``short_side``, and ``quality``; ``left_out`` is the number of images that cannot be read.

    Raises
    ------
    UserError
        None of the images of a split could be read.
    """
    facts = {
        'splits': {},
        'files': {},
        'classes': classes,
        'short_side': short_side,
        'quality': QUALITY,
        'left_out': {},
    }
    with ProcessPoolExecutor(processes, initializer=_begin_process) as pool:
        for split in splits:
            entries = split.entries
            if split.name == 'train':
                order = numpy.random.RandomState(SHUFFLE_SEED).permutation(len(entries))
                entries = [entries[place] for place in order]
            identity = _identity(entries, short_side, source)
            output = Output(os.path.join(folder, split.name), identity)
            counts = _pack_split(split.name, entries, output, short_side, pool, processes)
            if not sum(counts.values()):
                raise UserError(
                    f'none of the {len(entries)} files to {split.name} on can be read '
                    f'as an image, {entries[0].name} for example: give --source other '
                    'photographs'
                )
            numbers = {str(label): counts[label] for label in range(len(classes))}
            facts['splits'][split.name] = numbers
            facts['left_out'][split.name] = len(entries) - sum(counts.values())
    for split in splits:
        for ending in ENDINGS:
            name = split.name + ending
            facts['files'][name] = dataset_folder.fingerprint(os.path.join(folder, name))
    return facts


def _begin_process():
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that writes stops, and these with it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    unblock_signals()
    die_with_parent()
    cv2.setNumThreads(1)


def _pack_split(name, entries, output, short_side, pool, processes):
    """Return how many images of each label were written."""
    try:
        with Bar(
            total=len(entries), initial=output.taken, unit=' images', desc=name, disable=None
        ) as bar:
            for entry, (jpeg, note) in _converted(
                entries[output.taken :], short_side, pool, processes
            ):
                output.add(entry, jpeg, note)
                bar.update()
        output.note()
    finally:
        output.close()
    return Counter(entry.label for entry in entries) - output.missing


def _identity(entries, short_side, source):
    digest = hashlib.sha256(f'{short_side} {source}\n'.encode())
    for entry in entries:
        digest.update(
            f'{entry.offset} {entry.bytes} {entry.label} {entry.name}\n'.encode(
                'utf-8', 'surrogateescape'
            )
        )
    return digest.hexdigest()


def _converted(entries, short_side, pool, processes):
    """Yield entries in order, each with what ``convert`` made of it; little more than needed is in memory."""
    waiting = deque()
    try:
        for start in range(0, len(entries), CHUNK):
            chunk = entries[start : start + CHUNK]
            with signals_blocked():  # it may start a process
                waiting.append((chunk, pool.submit(convert, chunk, short_side)))
            if len(waiting) >= AHEAD * processes:
                chunk, future = waiting.popleft()
                yield from zip(chunk, future.result())
        while waiting:
            chunk, future = waiting.popleft()
            yield from zip(chunk, future.result())
    except BrokenProcessPool:
        raise UserError(
            'a process that converts was killed, perhaps for want of memory: run this '
            'again with a smaller --processes'
        )
    finally:
        for _, future in waiting:
            future.cancel()


def convert(entries, short_side):
    """Return ``scaled`` of each entry."""
    results = []
    for entry in entries:
        with open(entry.path, 'rb') as file:
            file.seek(entry.offset)
            results.append(scaled(file.read(entry.bytes), short_side))
    return results


def scaled(data, short_side):
    """Return an image file as a JPEG whose shorter side is ``short_side``, and a note on it, if any.

    None instead of the JPEG where it cannot be read.
    """
    note = ''
    try:
        *_, channels = images.shape_of(data)
        if data[:2] != b'\xff\xd8':
            note = 'a PNG'
        elif channels == 4:
            note = 'a JPEG in CMYK'
    except (ValueError, LookupError) as error:
        note = str(error)
    try:
        image = images.decode(data, whole=False)
    except ValueError as error:
        return None, f'left out: {error}'
    if round(max(image.shape[:2]) * (short_side / min(image.shape[:2]))) > LONGEST:
        height, width = image.shape[:2]
        return None, f'left out: its sides are {width} and {height}'
    image = images.with_short_side(image, short_side)
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[
        1
    ].tobytes(), note and 'converted: ' + note


class Output:
    """The four files of a split, and a note of how far they have come, from which the next process goes on."""

    def __init__(self, prefix, identity):
        self.path = prefix + PROGRESS
        self.taken, self.written, self.missing, lengths = 0, 0, Counter(), [0] * len(ENDINGS)
        try:
            with open(self.path, encoding='utf-8') as file:
                progress = _progress(file.read())
            whole = all(
                os.path.getsize(prefix + ending) >= length
                for ending, length in zip(ENDINGS, progress['lengths'])
            )
            if whole and progress['identity'] == identity:
                self.taken, self.written, lengths = (
                    progress[key] for key in ('taken', 'written', 'lengths')
                )
                self.missing.update(
                    {int(label): count for label, count in progress['missing'].items()}
                )
        except (OSError, ValueError):
            pass
        self.identity = identity
        self.files = [open(prefix + ending, 'ab') for ending in ENDINGS]
        for file, length in zip(self.files, lengths):
            file.truncate(length)
            file.seek(length)  # for tell; writing is at the end in any case

    def add(self, entry, jpeg, note):
        rec, idx, lst, reported = self.files
        if note:
            reported.write(f'{printable(entry.name)}\t{note}\n'.encode())
        if jpeg is None:
            self.missing[entry.label] += 1
        else:
            idx.write(b'%d\t%d\n' % (self.written, rec.tell()))
            # A name may have an end of line in it.
            lst.write(f'{self.written}\t{entry.label:f}\t{printable(entry.name)}\n'.encode())
            records.write(rec, self.written, entry.label, jpeg)
            self.written += 1
        self.taken += 1
        if self.taken % EVERY == 0:
            self.note()

    def note(self):
        """Write down how far the files have come, once that is on the disk."""
        for file in self.files:
            file.flush()
            os.fsync(file.fileno())
        files.write_text(
            self.path,
            json.dumps(
                {
                    'identity': self.identity,
                    'taken': self.taken,
                    'written': self.written,
                    'missing': self.missing,
                    'lengths': [file.tell() for file in self.files],
                }
            ),
        )

    def close(self):
        for file in self.files:
            file.close()
