"""How near packing and reading photographs come to what JPEG costs: python -m benchmarks.photographs packing|reading.

Both sides take turns; the ratio is the median over them. The images are parts of the photograph
that SciPy brings.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy

import engine
from common.options import number
from data import pack_photographs
from data.split import Entry, Photographs
from recordio import datasets, records
from recordio.images import cv2
from system.script import run_main

SOURCE, SHORT = (375, 500), 480  # ImageNet's usual size; what is packed


def parts(count, shape, quality):
    """Return JPEG files of parts of a photograph, of one shape (height, width)."""
    import scipy.misc

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        image = numpy.ascontiguousarray(scipy.misc.face()[..., ::-1])
    random, files = numpy.random.RandomState(0), []
    for _ in range(count):
        top, left = (random.randint(0, side - part + 1) for side, part in zip(image.shape, shape))
        part = image[top : top + shape[0], left : left + shape[1]]
        files.append(cv2.imencode('.jpg', part, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return files


def by_hand(files):
    """Decode, resize and encode, and nothing else: OpenCV's limit."""
    for data in files:
        image = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
        scale = SHORT / min(image.shape[:2])
        image = cv2.resize(
            image,
            tuple(round(side * scale) for side in image.shape[1::-1]),
            interpolation=cv2.INTER_CUBIC,
        )
        cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, pack_photographs.QUALITY])


def one_thread():
    cv2.setNumThreads(1)


def packing(args):
    """Return the images/s of a conversion, from files to .rec on the disk, and of OpenCV alone in as many processes."""
    files = parts(args.images, SOURCE, 90)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'images')
        with open(path, 'wb') as file:
            entries = []
            for index, data in enumerate(files):
                entries.append(Entry(path, file.tell(), len(data), 0, str(index)))
                file.write(data)
        chunks = [files[place :: 8 * args.processes] for place in range(8 * args.processes)]
        for _ in range(args.turns):
            start = time.time()
            with ProcessPoolExecutor(args.processes, initializer=one_thread) as pool:
                list(pool.map(by_hand, chunks))
            limit = len(files) / (time.time() - start)
            start = time.time()
            pack_photographs.pack_photographs(
                ['a'],
                [Photographs('train', entries)],
                tempfile.mkdtemp(dir=folder),
                SHORT,
                args.processes,
            )
            yield len(files) / (time.time() - start), limit


def reading(args):
    """Return the images/s of ImageRecordIter with all of section 6.5's augmentation, and of bare decoding by one thread."""
    from recordio.record_iterator import Reading, Records

    cv2.setNumThreads(1)
    files = parts(args.images, (480, 640), pack_photographs.QUALITY)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'train.rec')
        with open(path, 'wb') as file, open(path[:-3] + 'idx', 'w') as index:
            for place, data in enumerate(files):
                index.write(f'{place}\t{int(file.tell())}\n')
                records.write(file, place, 0, data)
        reading = Reading(args.processes, shuffle_seed=1)
        reader = Records(path, datasets.PHOTOGRAPHS._replace(classes=2), 32, reading)
        for turn in range(args.turns):
            start = time.time()
            for data in files:
                cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
            limit = len(files) / (time.time() - start)
            batches = reader.batches(turn + 1)
            next(batches)  # reading ahead has begun
            start = time.time()
            count = sum(32 - batch.pad for batch in batches)
            yield count / (time.time() - start), limit


def main():
    parse = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parse.add_argument('what', choices=('packing', 'reading'))
    parse.add_argument(
        '--images', type=number(int, 64), default=1000, metavar='N', help='default: %(default)s'
    )
    parse.add_argument(
        '--processes',
        type=number(int, 1),
        default=engine.cores(),
        metavar='N',
        help='or threads of ImageRecordIter (default: %(default)s)',
    )
    parse.add_argument(
        '--turns', type=number(int, 1), default=5, metavar='N', help='default: %(default)s'
    )
    args = parse.parse_args()
    turns = []
    for ours, limit in {'packing': packing, 'reading': reading}[args.what](args):
        turns.append((ours, limit, ours / limit))
        print(
            f'{args.what} {ours:.0f} images/s, '
            f'{"OpenCV" if args.what == "packing" else "decoding"} alone {limit:.0f}: '
            f'ratio {ours / limit:.3f}',
            flush=True,
        )
    ours, limit, ratio = map(statistics.median, zip(*turns))
    print(f'median of {len(turns)} turns: {ours:.0f} and {limit:.0f} images/s, ratio {ratio:.3f}')


if __name__ == '__main__':
    run_main(main)
