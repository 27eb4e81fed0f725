"""Compare packing and reading photographs with bare JPEG decoding and encoding.

python -m benchmarks.photographs packing|reading

Both sides take turns, and the ratio is the median over the turns. The images are random crops of a
photograph that Matplotlib brings.
"""

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import numpy

import engine
from common import options
from data import pack_photographs
from data.split import Entry, Photographs
from recordio import datasets, images, record_format
from recordio.images import cv2
from recordio.record_iterator import Reading, Records
from system.script import run_main

SOURCE = (375, 500)  # the usual height and width of ImageNet's files
PHOTOGRAPH = (1024, 1212)  # width and height, twice those of the file
SHORT = 480  # shorter side of the packed images


def random_crops(count, shape, quality):
    """Return ``count`` JPEG files, random crops of a photograph of one shape (height, width)."""
    from matplotlib.cbook import get_sample_data  # it is slow, and --help does not need it

    image = cv2.imread(get_sample_data('grace_hopper.jpg', asfileobj=False))
    image = cv2.resize(image, PHOTOGRAPH, interpolation=cv2.INTER_CUBIC)
    random, files = numpy.random.RandomState(0), []
    for _ in range(count):
        top, left = (random.randint(0, side - own + 1) for side, own in zip(image.shape, shape))
        crop = image[top : top + shape[0], left : left + shape[1]]
        files.append(cv2.imencode('.jpg', crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return files


def convert_with_opencv(files):
    """Decode, resize and encode, and nothing else: the limit that OpenCV sets."""
    for data in files:
        image = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
        scale = SHORT / min(image.shape[:2])
        image = cv2.resize(
            image,
            tuple(round(side * scale) for side in image.shape[1::-1]),
            interpolation=cv2.INTER_CUBIC,
        )
        cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, pack_photographs.QUALITY])


def use_one_thread():
    cv2.setNumThreads(1)


def packing(args):
    """Yield the images/s of a conversion to a .rec file, and of OpenCV in as many processes."""
    files = random_crops(args.images, SOURCE, 90)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'images')
        with open(path, 'wb') as file:
            entries = []
            for index, data in enumerate(files):
                entries.append(Entry(path, file.tell(), len(data), 0, str(index)))
                file.write(data)
        chunks = [files[first :: 8 * args.processes] for first in range(8 * args.processes)]
        for _ in range(args.turns):
            start = time.time()
            pool = ProcessPoolExecutor(args.processes, initializer=use_one_thread)
            with images.one_thread(), pool:
                list(pool.map(convert_with_opencv, chunks))
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
    """Yield the images/s of ImageRecordIter with section 6.5's augmentation, and of bare decoding.

    Decoding uses one thread.
    """
    cv2.setNumThreads(1)
    files = random_crops(args.images, (480, 640), pack_photographs.QUALITY)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'train.rec')
        with open(path, 'wb') as file, open(path[:-3] + 'idx', 'w') as index:
            for number, data in enumerate(files):
                index.write(f'{number}\t{file.tell()}\n')
                record_format.write(file, number, 0, data)
        reading = Reading(args.processes, shuffle_seed=1)
        reader = Records(path, datasets.PHOTOGRAPHS._replace(classes=2), 32, reading)
        for turn in range(args.turns):
            start = time.time()
            for data in files:
                cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
            limit = len(files) / (time.time() - start)
            batches = reader.batches(turn + 1)
            next(batches)  # wait until the iterator has started to read ahead
            start = time.time()
            count = sum(32 - batch.pad for batch in batches)
            yield count / (time.time() - start), limit


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', choices=('packing', 'reading'), help='what to measure')
    parser.add_argument(
        '--images',
        type=options.number(int, 64),
        default=1000,
        metavar='N',
        help='number of images (default: %(default)s)',
    )
    parser.add_argument(
        '--processes',
        type=options.number(int, 1),
        default=engine.cores(),
        metavar='N',
        help='number of processes, or of threads of ImageRecordIter (default: %(default)s)',
    )
    parser.add_argument(
        '--turns',
        type=options.number(int, 1),
        default=5,
        metavar='N',
        help='number of turns (default: %(default)s)',
    )
    args = parser.parse_args()
    measure, rival = {'packing': (packing, 'OpenCV'), 'reading': (reading, 'decoding')}[args.what]
    turns = []
    for ours, limit in measure(args):
        turns.append((ours, limit, ours / limit))
        print(
            f'{args.what} {ours:.0f} images/s, {rival} alone {limit:.0f}: ratio {ours / limit:.3f}',
            flush=True,
        )
    ours, limit, ratio = map(statistics.median, zip(*turns))
    print(f'median of {len(turns)} turns: {ours:.0f} and {limit:.0f} images/s, ratio {ratio:.3f}')


if __name__ == '__main__':
    run_main(main)
