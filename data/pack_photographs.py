"""Packs photographs into record files: several processes scale them, this one writes.

An interrupted conversion is continued, see data/resumable_output.py.
"""

import contextlib
import hashlib
import os
import signal
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy

from data import dataset_files
from data.resumable_output import Output, check_same
from recordio import images
from recordio.images import cv2
from system.errors import UserError
from system.processes import die_with_parent, signals_blocked, unblock_signals
from system.progress import Bar

QUALITY = 95  # of the JPEGs that are written
# Of such a JPEG, for the check of the disk space: a high estimate, SciPy's photograph has 0.38.
BYTES_PER_PIXEL = 0.45
SHUFFLE_SEED = 0  # of the order of the training images
CHUNK = 8  # images that a process converts at a time
AHEAD = 4  # chunks for each process that may wait to be written
LONGEST = 65000  # pixels on the longer side; a JPEG has at most 65,535


def pack_photographs(classes, splits, folder, short_side, processes, source=''):
    """Write NAME.rec, .idx, .lst and .reported for each split into ``folder``.

    Training images are written in a random order, which is always the same, the others in the order
    of their names. ``.reported`` lists each image that was not a complete JPEG in RGB or grey, with
    what was done with it. An interrupted conversion of the same source into the same folder is
    continued.

    Parameters
    ----------
    classes : list of str
        Names in the order of the labels.
    splits : list of data.split.Photographs
    folder : str
    short_side : int
        Length of the shorter side, in pixels.
    processes : int
        Number of processes that decode and encode.
    source : str
        Digest of the source. Only a conversion of a source with the same digest is continued.

    Returns
    -------
    dict
        Entries of the manifest, see ``recordio.manifest.read``: ``splits``, ``files``, ``classes``,
        ``short_side``, ``quality`` (of the JPEGs), and ``left_out`` (for each split, the number of
        images that cannot be read).

    Raises
    ------
    UserError
        None of the images of a split could be read.
    """
    description = {
        'splits': {},
        'files': {},
        'classes': classes,
        'short_side': short_side,
        'quality': QUALITY,
        'left_out': {},
    }
    pool = ProcessPoolExecutor(processes, initializer=_prepare_process)
    with images.one_thread(), pool:
        for split in splits:
            entries = _in_order(split)
            identity = _identity(entries, short_side, source)
            output = Output(os.path.join(folder, split.name), identity)
            remaining = _results(entries[output.taken :], short_side, pool, processes)
            counts = _pack_split(split.name, entries, output, remaining)
            numbers = {str(label): counts[label] for label in range(len(classes))}
            description['splits'][split.name] = numbers
            description['left_out'][split.name] = len(entries) - sum(counts.values())
    for split in splits:
        for ending in dataset_files.PHOTOGRAPH_ENDINGS:
            name = split.name + ending
            description['files'][name] = dataset_files.fingerprint(os.path.join(folder, name))
    return description


def check_unfinished(splits, folder, short_side, source):
    """Raise ``UserError`` if a folder has unfinished work on something else.

    The arguments are those of ``pack_photographs``, which would begin it anew.
    """
    for split in splits:
        identity = _identity(_in_order(split), short_side, source)
        check_same(os.path.join(folder, split.name), identity)


def _in_order(split):
    """Return the entries of a split in the order in which they are written."""
    if split.name != 'train':
        return split.entries
    order = numpy.random.RandomState(SHUFFLE_SEED).permutation(len(split.entries))
    return [split.entries[index] for index in order]


def _prepare_process():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops, and this process with it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    unblock_signals()
    die_with_parent()
    cv2.setNumThreads(1)


def _pack_split(name, entries, output, remaining):
    """Write the images of a split that are not written yet; return how many each label has.

    ``remaining`` is the generator of ``_results`` for them. It is a ``UserError`` if there is no
    image in the whole split.
    """
    bar = Bar(total=len(entries), initial=output.taken, unit=' images', desc=name, disable=None)
    try:
        # On an error the generator is closed at once, which cancels what waits in the pool.
        with contextlib.closing(remaining), bar:
            for entry, (jpeg, note) in remaining:
                output.add(entry, jpeg, note)
                bar.update()
        output.save_progress()
    finally:
        output.close()
    counts = Counter(entry.label for entry in entries) - output.missing
    if not counts:
        raise UserError(
            f'none of the {len(entries)} files to {name} on can be read as an image, '
            f'{entries[0].name} for example: give --source other photographs'
        )
    return counts


def _identity(entries, short_side, source):
    """Return a digest of what is converted, to recognise an interrupted conversion of the same."""
    digest = hashlib.sha256(f'{short_side} {source}\n'.encode())
    for entry in entries:
        digest.update(
            f'{entry.offset} {entry.bytes} {entry.label} {entry.name}\n'.encode(
                'utf-8', 'surrogateescape'
            )
        )
    return digest.hexdigest()


def _results(entries, short_side, pool, processes):
    """Yield each entry with the result of ``scaled``, in order; few of them are held in memory."""
    waiting = deque()
    try:
        for start in range(0, len(entries), CHUNK):
            chunk = entries[start : start + CHUNK]
            with signals_blocked():  # ``submit`` may start a process
                waiting.append((chunk, pool.submit(read_and_scale, chunk, short_side)))
            if len(waiting) >= AHEAD * processes:
                chunk, future = waiting.popleft()
                yield from zip(chunk, future.result())
        while waiting:
            chunk, future = waiting.popleft()
            yield from zip(chunk, future.result())
    except BrokenProcessPool:
        raise UserError(
            'a process that converts images was killed, perhaps because the memory was full: run '
            'this again with a smaller --processes'
        )
    finally:
        for _, future in waiting:
            future.cancel()


def read_and_scale(entries, short_side):
    """Read the image of each entry; return the results of ``scaled``."""
    results = []
    for entry in entries:
        with open(entry.path, 'rb') as file:
            file.seek(entry.offset)
            results.append(scaled(file.read(entry.bytes), short_side))
    return results


def scaled(data, short_side):
    """Convert an image file to a JPEG whose shorter side has ``short_side`` pixels.

    Returns
    -------
    jpeg : bytes or None
        None if the image cannot be read.
    note : str
        What was unusual about the image; empty for a complete JPEG in RGB or grey.
    """
    note, is_jpeg = '', data[:2] == b'\xff\xd8'
    try:
        image = images.decode(data)
        if is_jpeg and images.shape_of(data)[2] == 4:
            note = 'a JPEG in CMYK'
    except (ValueError, LookupError) as error:
        return None, f'left out: {error}'
    if not is_jpeg:
        note = 'a PNG' if data.startswith(images.SIGNATURE) else 'neither JPEG nor PNG'
    if round(max(image.shape[:2]) * (short_side / min(image.shape[:2]))) > LONGEST:
        height, width = image.shape[:2]
        return None, f'left out: its sides are {width} and {height}'
    image = images.with_short_side(image, short_side)
    jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return jpeg, f'converted: {note}' if note else ''
