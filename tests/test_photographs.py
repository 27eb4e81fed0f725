"""ImageNet's archives and folders of photographs, converted by the script and read back by
MXNet.
"""

import io
import os
import re
import signal
import subprocess
import sys
import time

import numpy
import official_archives as archives
import PIL.Image
import pytest
from scripts import ROOT, run_script, user_error

from common import log
from data import image_folders, pack_photographs, resumable_output
from data import prepare as prepare_script
from data.split import Entry, Photographs
from engine import mx
from recordio import augmentation, datasets, network_input, record_format, record_iterator, records
from recordio.images import cv2
from system.errors import UserError

SHORT = 64


def prepare(source, out, *more, dataset='imagenet'):
    return (
        'data/prepare.py',
        dataset,
        '--source',
        source,
        '--out',
        out,
        '--short-side',
        SHORT,
        '--no-checksum',
        *more,
    )


def read(path):
    """Return [(label, image)] of a .rec file, by MXNet's reader."""
    reader = mx.recordio.MXIndexedRecordIO(path[:-3] + 'idx', path, 'r')
    unpacked = [mx.recordio.unpack(reader.read_idx(key)) for key in reader.keys]
    reader.close()
    return [
        (int(header.label), cv2.imdecode(numpy.frombuffer(content, numpy.uint8), cv2.IMREAD_COLOR))
        for header, content in unpacked
    ]


def shrunk(content):
    image = cv2.imdecode(numpy.frombuffer(content, numpy.uint8), cv2.IMREAD_COLOR)
    scale = SHORT / min(image.shape[:2])
    return cv2.resize(
        image,
        tuple(max(SHORT, round(side * scale)) for side in image.shape[1::-1]),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )


@pytest.mark.parametrize('devkit', [True, False])
def test_official_archives(tmp_path, devkit):
    """Every image of the tars, scaled, with the place of its WordNet id; training shuffled,
    validation in order.
    """
    contents = [archives.jpeg(image) for image in archives.crops(36)]
    train = {
        synset: contents[place * 10 : place * 10 + 10]
        for place, synset in enumerate(archives.SYNSETS)
    }
    val = [(archives.SYNSETS[number % 3], content) for number, content in enumerate(contents[30:])]
    said = run_script(*prepare(archives.imagenet(tmp_path, train, val, devkit), tmp_path / 'data'))
    assert 'written to' in said and 'left out' not in said
    labels = {synset: sorted(archives.SYNSETS).index(synset) for synset in archives.SYNSETS}
    folder = str(tmp_path / 'data' / 'imagenet')
    found = read(folder + '/test.rec')
    assert [label for label, _ in found] == [labels[synset] for synset, _ in val]
    for (_, image), (_, content) in zip(found, val):
        assert image.shape == shrunk(content).shape and min(image.shape[:2]) == SHORT
        assert numpy.abs(image.astype(int) - shrunk(content)).mean() < 3  # what JPEG changes
    found = read(folder + '/train.rec')
    with open(folder + '/train.lst') as listing:
        names = [line.rstrip('\n').split('\t') for line in listing]
    assert len({name for _, _, name in names}) == 30 and [
        int(float(label)) for _, label, _ in names
    ] == [label for label, _ in found]
    assert [label for label, _ in found] != sorted(label for label, _ in found)
    for (label, image), (_, _, name) in zip(found, names):
        synset, number = re.fullmatch(r'(n\d+)/n\d+_(\d+).JPEG', name).groups()
        assert label == labels[synset]
        assert numpy.abs(image.astype(int) - shrunk(train[synset][int(number)])).mean() < 3
    dataset = datasets.get('imagenet', str(tmp_path / 'data'))
    assert (
        dataset.names == sorted(archives.SYNSETS)
        and dataset.short == SHORT
        and dataset.shape == (3, 224, 224)
    )
    assert 'verified' in run_script(*prepare(tmp_path, tmp_path / 'data'))
    assert '--force' in user_error(
        'data/prepare.py', 'imagenet', '--source', tmp_path, '--out', tmp_path / 'data'
    )


def cmyk(image):
    out = io.BytesIO()
    PIL.Image.fromarray(image[..., ::-1]).convert('CMYK').save(out, 'JPEG')
    return out.getvalue()


def test_odd_images_are_converted_or_reported(tmp_path):
    """ILSVRC2012 has a PNG named .JPEG and images in CMYK; an interrupted download adds worse."""
    image = next(archives.crops(1))
    whole = archives.jpeg(image)
    odd = {
        'cmyk': cmyk(image),
        'png': cv2.imencode('.png', image)[1].tobytes(),
        'webp': cv2.imencode('.webp', image)[1].tobytes(),
        'grey': archives.jpeg(image[..., 0]),
        'cut': whole[:-200],
        'empty': b'',
        'text': b'no image',
        'half': whole[:80],
        'whole': whole,
        'wide': archives.jpeg(numpy.zeros((1, 1100, 3), numpy.uint8)),
    }
    for split in ('train', 'val'):
        for name in ('a', 'b'):
            os.makedirs(str(tmp_path / 'tree' / split / name))
            for file, content in odd.items() if name == 'a' else {'one': whole}.items():
                (tmp_path / 'tree' / split / name / (file + '.JPEG')).write_bytes(content)
    (tmp_path / 'tree' / 'train' / 'a' / '.DS_Store').write_bytes(b'x')
    command = prepare(
        tmp_path / 'tree', tmp_path / 'data', '--name', 'odd', '--quiet', dataset='folder'
    )
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True
    )
    # Not even --quiet hides what was left out.
    assert done.returncode == 0 and done.stdout == ''
    assert '5 images of train could not be read' in done.stderr.splitlines()[0]
    reported = dict(
        line.split('\t')
        for line in (tmp_path / 'data' / 'odd' / 'test.reported').read_text().splitlines()
    )
    assert {name: note.split(':')[0] for name, note in reported.items()} == {
        'a/cmyk.JPEG': 'converted',
        'a/png.JPEG': 'converted',
        'a/webp.JPEG': 'converted',
        'a/cut.JPEG': 'left out',
        'a/empty.JPEG': 'left out',
        'a/half.JPEG': 'left out',
        'a/text.JPEG': 'left out',
        'a/wide.JPEG': 'left out',
    }
    assert 'CMYK' in reported['a/cmyk.JPEG'] and 'too early' in reported['a/cut.JPEG']
    with open(str(tmp_path / 'data' / 'odd' / 'test.lst')) as listing:
        packed = [line.split()[2] for line in listing]
    names = ('a/cmyk', 'a/grey', 'a/png', 'a/webp', 'a/whole', 'b/one')
    assert packed == [f'{name}.JPEG' for name in names]
    found = dict(
        zip(packed, (image for _, image in read(str(tmp_path / 'data' / 'odd' / 'test.rec'))))
    )
    expected = shrunk(whole).astype(int)
    assert numpy.abs(found['a/png.JPEG'] - expected).mean() < 4
    assert numpy.abs(found['a/webp.JPEG'] - expected).mean() < 8
    assert (
        numpy.abs(found['a/cmyk.JPEG'] - expected).mean() < 12
    )  # another decoder of CMYK, but not its negative


# ---- interrupted ----


def entries_of(tmp_path, count):
    paths = []
    for number, image in enumerate(archives.crops(count)):
        paths.append(str(tmp_path / (f'{number:03}.jpg')))
        with open(paths[-1], 'wb') as file:
            file.write(archives.jpeg(image))
    return [
        Entry(path, 0, os.path.getsize(path), number % 2, os.path.basename(path))
        for number, path in enumerate(paths)
    ]


AFTER_OPENCV = """
import sys, cv2, numpy
from data import pack_photographs, split
cv2.setNumThreads(4)
cv2.GaussianBlur(numpy.zeros((2000, 2000, 3), numpy.uint8), (31, 31), 5)
path, size, folder = sys.argv[1:]
entries = [split.Entry(path, 0, int(size), label, 'x') for label in (0, 1)]
split = split.Photographs('test', entries)
pack_photographs.pack_photographs(['a', 'b'], [split], folder, 64, 2)
assert cv2.getNumThreads() == 4
"""


def test_a_conversion_where_opencv_has_threads_of_its_own(tmp_path):
    """Processes that are forked then would wait forever for threads that they do not have."""
    entry = entries_of(tmp_path, 1)[0]
    command = [sys.executable, '-c', AFTER_OPENCV, entry.path, str(entry.bytes), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(read(str(tmp_path / 'test.rec'))) == 2


def test_an_interrupted_conversion_goes_on(tmp_path, monkeypatch):
    """It is stopped three times, and the files are those of one that never was."""
    entries = entries_of(tmp_path, 90)
    splits = [Photographs('train', entries[:60]), Photographs('test', entries[60:])]
    monkeypatch.setattr(resumable_output, 'EVERY', 10)
    original, taken = resumable_output.Output.add, []

    def pack(name):
        os.makedirs(str(tmp_path / name), exist_ok=True)
        return pack_photographs.pack_photographs(['a', 'b'], splits, str(tmp_path / name), SHORT, 2)

    def add(self, *arguments):
        if len(taken) in (25, 48, 70):
            taken.append(None)
            self.files[0].write(b'torn')
            raise KeyboardInterrupt
        taken.append(arguments[0].name)
        original(self, *arguments)

    expected = pack('whole')
    monkeypatch.setattr(resumable_output.Output, 'add', add)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            pack('stopped')
    assert pack('stopped') == expected
    assert len(taken) < 90 + 3 + 3 * 10  # what was noted is not done again
    assert sorted(os.listdir(str(tmp_path / 'stopped'))) == sorted(
        os.listdir(str(tmp_path / 'whole'))
    )


def test_unfinished_work_on_another_source_is_kept(tmp_path, monkeypatch):
    """And with --force nothing of it is left among the images of the new source."""
    for name in ('one', 'other'):
        for place in ('train/a', 'train/b', 'val/a', 'val/b'):
            (tmp_path / name / place).mkdir(parents=True)
            entries_of(tmp_path / name / place, 8)
    for number, path in enumerate(sorted((tmp_path / 'other').glob('train/*/*'))):
        path.rename(path.with_name(f'with-a-much-longer-name-{number}.jpg'))
    work = tmp_path / 'data' / 'x' / '.part'
    monkeypatch.setattr(resumable_output, 'EVERY', 10)
    original = resumable_output.Output.add

    def convert(name, side, *more, stop=None):
        """Convert a tree; ``stop`` is the number of images after which the process is stopped."""

        def add(self, *arguments):
            if self.taken == stop:
                raise KeyboardInterrupt
            original(self, *arguments)

        monkeypatch.setattr(resumable_output.Output, 'add', add)
        words = ['--source', tmp_path / name, '--out', tmp_path / 'data', '--name', 'x']
        words += ['--short-side', side, *more]
        monkeypatch.setattr('sys.argv', ['prepare.py', 'folder', *map(str, words)])
        prepare_script.main()

    with pytest.raises(KeyboardInterrupt):
        convert('one', 32, stop=11)
    before = {path.name: path.read_bytes() for path in work.iterdir()}
    for name, side in (('other', 32), ('one', 64)):
        with pytest.raises(UserError, match='10 images of an unfinished .*--force'):
            convert(name, side)
        assert {path.name: path.read_bytes() for path in work.iterdir()} == before
    with pytest.raises(KeyboardInterrupt):
        # It is stopped before its progress is saved, and its files are longer than those of before.
        convert('other', 900, '--force', stop=9)
    convert('one', 32)
    names = (tmp_path / 'data' / 'x' / 'train.lst').read_text()
    assert len(names.splitlines()) == 16 and 'longer' not in names
    run_script('data/verify.py', tmp_path / 'data' / 'x' / 'train.rec')


def test_a_killed_conversion_leaves_no_process_and_goes_on(tmp_path):
    os.makedirs(str(tmp_path / 'tree' / 'train' / 'a'))
    for split in ('train', 'val'):
        for name in ('a', 'b'):
            os.makedirs(str(tmp_path / 'tree' / split / name), exist_ok=True)
            entries_of(tmp_path / 'tree' / split / name, 60 if split == 'train' else 2)
    command = [
        str(part)
        for part in prepare(
            tmp_path / 'tree',
            tmp_path / 'data',
            '--name',
            'x',
            '--short-side',
            '800',
            dataset='folder',
        )
    ]
    process = subprocess.Popen([sys.executable] + command, cwd=ROOT, stderr=subprocess.DEVNULL)
    part = tmp_path / 'data' / 'x' / '.part' / 'train.rec'
    while not part.exists() or not part.stat().st_size:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.time() + 10
    while (
        str(tmp_path)
        in subprocess.run(['ps', 'axww', '-o', 'args'], stdout=subprocess.PIPE, text=True).stdout
    ):
        assert time.time() < deadline, 'a process was left behind'
        time.sleep(0.1)
    run_script(*command)
    assert len(read(str(tmp_path / 'data' / 'x' / 'train.rec'))) == 120 and not part.parent.exists()


def test_sigterm_ends_it_in_one_line(tmp_path):
    for split in ('train', 'val'):
        for name in ('a', 'b'):
            os.makedirs(str(tmp_path / split / name))
            entries_of(tmp_path / split / name, 40)
    process = subprocess.Popen(
        [sys.executable]
        + [
            str(part)
            for part in prepare(
                tmp_path, tmp_path / 'data', '--name', 'x', '--short-side', '2000', dataset='folder'
            )
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / 'data' / 'x' / '.part' / 'train.rec').exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1].strip().split(b'\n')
    assert said[-1] == b'stopped by SIGTERM' and process.returncode == 143


# ---- wrong input ----


def test_what_a_user_can_get_wrong(tmp_path):
    contents = [archives.jpeg(image) for image in archives.crops(8)]
    train = {synset: contents[place : place + 2] for place, synset in enumerate(archives.SYNSETS)}
    val = [(synset, contents[6]) for synset in archives.SYNSETS]
    whole = archives.imagenet(tmp_path, train, val)
    out = tmp_path / 'data'
    assert 'image-net.org' in user_error('data/prepare.py', 'imagenet', '--out', out)
    (tmp_path / 'empty').mkdir()
    assert 'ILSVRC2012_img_train.tar is not there' in user_error(*prepare(tmp_path / 'empty', out))
    assert 'no such file' in user_error(*prepare(out, out))
    assert 'MD5' in user_error('data/prepare.py', 'imagenet', '--source', whole, '--out', out)
    assert '--name' in user_error(*prepare(whole, out, dataset='folder'))
    assert '--name' in user_error(*prepare(whole, out, '--name', 'cifar10', dataset='folder'))
    assert 'train and val' in user_error(*prepare(whole, out, '--name', 'x', dataset='folder'))
    (whole / 'imagenet_2012_validation_synset_labels.txt').write_text('n02084071\n')
    assert '3 images and there are 1 labels' in user_error(*prepare(whole, out))
    (whole / 'imagenet_2012_validation_synset_labels.txt').write_text(
        'n02084071\n' * 2 + 'n00000000\n'
    )
    assert 'n00000000' in user_error(*prepare(whole, out))
    (whole / 'imagenet_2012_validation_synset_labels.txt').unlink()
    train_tar = whole / 'ILSVRC2012_img_train.tar'
    content = train_tar.read_bytes()
    for damaged in (
        content[: len(content) // 2],
        b'x' * 2000,
        archives.plain_tar({'n1.tar': b'none', 'n2.tar': b'none'}),
    ):
        train_tar.write_bytes(damaged)
        assert 'ILSVRC2012_img_train.tar' in user_error(*prepare(whole, out))
    train_tar.write_bytes(content)
    archives.tar(
        str(whole / 'ILSVRC2012_devkit_t12.tar.gz'),
        'data',
        {'meta.mat': b'none', 'ILSVRC2012_validation_ground_truth.txt': b'1\n2\n3\n'},
    )
    assert 'devkit' in user_error(*prepare(whole, out))
    assert 'no data set is called' in user_error(
        'train_imagenet.py', '--data-dir', out, '--cpus', '1'
    )
    assert not out.exists()


def test_a_tree_that_is_none(tmp_path):
    from system.errors import UserError

    (tmp_path / 'train' / 'a').mkdir(parents=True)
    (tmp_path / 'val' / 'b').mkdir(parents=True)
    for step, said in (
        (None, 'no file'),
        (tmp_path / 'train' / 'a' / 'x', 'no file'),
        (tmp_path / 'val' / 'b' / 'x', 'the class b'),
    ):
        if step:
            step.write_bytes(b'x')
        with pytest.raises(UserError, match=said):
            image_folders.find(str(tmp_path))


# ---- the format ----


def test_records_are_those_of_mxnet(tmp_path):
    """Byte for byte, with the magic number inside at every alignment, at the ends and repeated."""
    magic = b'\x0a\x23\xd7\xce'
    payloads = (
        [b'a' * length for length in range(9)]
        + [b'b' * shift + magic + b'c' * 6 for shift in range(8)]
        + [
            magic,
            magic * 3,
            b'xy' + magic + b'zz' + magic,
            bytes(numpy.random.RandomState(0).bytes(999)) + magic,
        ]
    )
    ours, theirs = str(tmp_path / 'ours.rec'), str(tmp_path / 'theirs.rec')
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / 'theirs.idx'), theirs, 'w')
    with open(ours, 'wb') as file:
        for number, payload in enumerate(payloads):
            record_format.write(file, number, number % 3, payload)
            writer.write_idx(
                number, mx.recordio.pack(mx.recordio.IRHeader(0, number % 3, number, 0), payload)
            )
    writer.close()
    with open(ours, 'rb') as mine, open(theirs, 'rb') as other:
        assert mine.read() == other.read()


def test_of_a_huge_file_a_part_is_looked_at(tmp_path):
    """Frames, labels and headers of some records spread over it; its end always."""
    path = str(tmp_path / 'x.rec')
    content = archives.jpeg(next(archives.crops(1)))
    offsets = []
    with open(path, 'wb') as file, open(str(tmp_path / 'x.idx'), 'w') as index:
        for number in range(100):
            offsets.append(file.tell())
            index.write(f'{number}\t{int(file.tell())}\n')
            record_format.write(file, number, 0, content)
    size = os.path.getsize(path)
    assert records.check(path, 1, None, most=size // 10) == 100

    def fails(*options):
        from system.errors import UserError

        with pytest.raises(UserError):
            records.check(path, 1, None, *options)

    with open(path, 'r+b') as file:
        file.seek(offsets[50])
        file.write(b'xxxx')
    fails()
    assert records.check(path, 1, None, size // 50) == 100  # record 50 is not among the two
    with open(path, 'r+b') as file:
        file.truncate(size - 8)
    fails(size // 50)


# ---- what the networks see ----


def write(folder, name, images, labels=None):
    with (
        open(str(folder / (name + '.rec')), 'wb') as file,
        open(str(folder / (name + '.idx')), 'w') as index,
    ):
        for number, image in enumerate(images):
            index.write(f'{number}\t{int(file.tell())}\n')
            record_format.write(
                file, number, labels[number] if labels else 0, archives.jpeg(image, 100)
            )


def pixels(batch, dataset):
    """Undo the normalisation: (n, height, width, 3) in RGB, 0 to 255."""
    return batch.data[0].asnumpy().transpose(0, 2, 3, 1) * numpy.float32(
        dataset.std
    ) + numpy.float32(dataset.mean)


def test_training_crops_of_2018_change_scale_and_aspect(tmp_path):
    """A ramp from left to right, or from top to bottom, tells by its slope how an image was
    stretched.
    """
    ramp = numpy.repeat(numpy.linspace(40, 210, 480)[None], 480, 0)
    dataset = datasets.PHOTOGRAPHS._replace(classes=2, augment='authors-2018')
    slopes = {}
    for name, axis, image in (('across', 1, ramp), ('down', 0, ramp.T)):
        write(tmp_path, name, [numpy.repeat(image[..., None], 3, 2)] * 120)
        found = []
        for batch in record_iterator.Records(
            str(tmp_path / (name + '.rec')), dataset, 40, record_iterator.Reading(shuffle_seed=3)
        ).batches(1):
            seen = pixels(batch, dataset)
            lightness = (seen.max(3) + seen.min(3)) / 2
            middle = (
                numpy.take(lightness, range(80, 144), axis=2 - axis).mean(2 - axis)
                if axis
                else lightness[:, :, 80:144].mean(2)
            )
            found += list(
                170
                / 480
                / numpy.abs(numpy.median(numpy.diff(middle[:, 60:164:8], axis=1), axis=1) / 8)
            )
        slopes[name] = numpy.array(found)
    low, high = 256 / 480, 1
    for stretch in (
        slopes.values()
    ):  # 2 * scale / (1 + ratio), and times the ratio, for ratios of 0.75 to 1.25
        assert (
            low * 2 * 0.75 / 1.75 * 0.97 < stretch.min() and stretch.max() < high * 2 / 1.75 * 1.03
        )
        assert stretch.std() > 0.08 and stretch.min() < 0.62 and stretch.max() > 0.9


def test_order_and_crops_of_training(tmp_path):
    """Seed and epoch decide them; another epoch has others; every image once."""
    images = [numpy.full((70, 90, 3), 10 * number, numpy.uint8) for number in range(20)]
    write(tmp_path, 'train', images, list(range(20)))
    write(tmp_path, 'test', images, list(range(20)))
    dataset = datasets.PHOTOGRAPHS._replace(classes=20, size=32, short=70)

    def epoch(number, seed=1):
        batches = record_iterator.Batches(str(tmp_path), dataset, 8, seed)
        kept = [
            (batch.label[0].asnumpy()[: 8 - batch.pad], batch.data[0].asnumpy().copy())
            for batch in batches.train(number)
        ]
        return numpy.concatenate([label for label, _ in kept]).tolist(), numpy.concatenate(
            [crops for _, crops in kept]
        )

    labels, crops = epoch(1)
    assert (
        sorted(labels) == list(range(20)) and epoch(1)[0] == labels and (epoch(1)[1] == crops).all()
    )
    assert epoch(2)[0] != labels and epoch(1, seed=2)[0] != labels


def test_what_is_scored_is_the_centre(tmp_path):
    """ImageRecordIter's crop is that of score.py --image, which is OpenCV's."""
    images = [
        image[:48, :] if number else image for number, image in enumerate(archives.crops(9, seed=4))
    ]
    write(tmp_path, 'test', images)
    dataset = datasets.PHOTOGRAPHS._replace(classes=2, size=28)
    assert augmentation.short_side(28) == 32
    batch = next(record_iterator.Records(str(tmp_path / 'test.rec'), dataset, 9).batches())
    for image, seen in zip(images, pixels(batch, dataset)):
        decoded = cv2.imdecode(
            numpy.frombuffer(archives.jpeg(image, 100), numpy.uint8), cv2.IMREAD_COLOR
        )
        difference = numpy.abs(network_input.centre(decoded, 28)[..., ::-1] - seen)
        assert difference.mean() < 6  # the longer side may round to another pixel


# ---- the whole path ----


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A data set of two photographs, in crops."""
    place = tmp_path_factory.mktemp('photographs')
    paths = []
    for name, part in (
        ('left', archives.photograph()[:, :480]),
        ('right', archives.photograph()[:, 540:]),
    ):
        paths.append(place / (name + '.png'))
        cv2.imwrite(str(paths[-1]), part)
    run_script('data/crops.py', *paths, '--out', place / 'tree')
    for split, count in (('train', 250), ('val', 50)):
        assert {
            name: len(os.listdir(str(place / 'tree' / split / name))) for name in ('left', 'right')
        } == {'left': count, 'right': count}
        for name in ('left', 'right'):  # fewer, for speed
            for crop in range(12, count):
                (place / 'tree' / split / name / (f'{crop:04}.jpg')).unlink()
    run_script(*prepare(place / 'tree', place / 'data', '--name', 'small', dataset='folder'))
    return place


def test_train_score_and_resume(small):
    folders = [
        '--data-dir',
        small / 'data',
        '--log-dir',
        small / 'logs',
        '--checkpoint-dir',
        small / 'checkpoints',
        '--cpus',
        '1',
    ]
    options = [
        '--network',
        'resnet',
        '--depth',
        '50',
        '--dataset',
        'small',
        '--image-size',
        '32',
        '--batch-size',
        '8',
        '--schedule',
        'a1',
        '--drop-every',
        '1',
        '--epochs',
        '2',
        '--lr',
        '0.02',
    ]
    run_script('train_imagenet.py', *options, *folders)
    (name,) = os.listdir(str(small / 'checkpoints'))
    header, epochs = log.read(str(small / 'logs' / (name + '.jsonl')))
    assert (
        header['script'] == 'train_imagenet.py'
        and header['train_images'] == 24
        and header['options']['image_size'] == 32
    )
    assert [record['lr'] for record in epochs] == [0.02, 0.01] and all(
        {'train_top5', 'test_top5'} <= set(record) for record in epochs
    )
    said = run_script('score.py', '--run', name, *folders)
    assert (
        f'top-1 error {epochs[-1]["test_error"]:.2f}%, top-5 error '
        f'{epochs[-1]["test_top5"]:.2f}%, loss {epochs[-1]["test_loss"]:.4f} on the 24 '
        'images' in said
    )
    assert 'cannot go on with' in user_error(
        'train_imagenet.py', '--resume', name, '--schedule', '6.5', *folders
    )
    run_script(
        'plot_curves.py',
        small / 'logs' / (name + '.jsonl'),
        '--figure',
        '8',
        '--out',
        small / 'figure8.png',
    )
    assert (small / 'figure8.png').stat().st_size > 10000


@pytest.mark.slow
def test_resumed_training_of_photographs(small, tmp_path):
    """It stops after an epoch, goes on, and ends with a log of all."""
    folders = [
        '--data-dir',
        small / 'data',
        '--log-dir',
        tmp_path / 'logs',
        '--checkpoint-dir',
        tmp_path / 'checkpoints',
        '--cpus',
        '1',
    ]
    command = [
        sys.executable,
        'train_imagenet.py',
        '--network',
        'dfn2',
        '--depth',
        '50',
        '--dataset',
        'small',
        '--image-size',
        '32',
        '--batch-size',
        '8',
        '--epochs',
        '3',
        '--lr',
        '0.01',
    ] + [str(part) for part in folders]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
    )
    for line in process.stdout:
        if line.startswith('epoch 1/3'):
            break
    process.terminate()
    assert '--resume' in process.communicate()[1] and process.returncode == 143
    (name,) = os.listdir(str(tmp_path / 'checkpoints'))
    run_script('train_imagenet.py', '--resume', name, *folders)
    assert len(log.read(str(tmp_path / 'logs' / (name + '.jsonl')))[1]) == 3
    said = run_script('score.py', '--run', name, '--fast', '--image', small / 'left.png', *folders)
    assert 'was cropped to 32x32' in said and re.search(r'%  (left|right)\n', said)


def test_depths_and_networks_of_imagenet(small):
    said = user_error(
        'train_imagenet.py',
        '--network',
        'mr',
        '--depth',
        '101',
        '--dataset',
        'small',
        '--data-dir',
        small / 'data',
        '--cpus',
        '1',
    )
    assert 'mr for ImageNet has the depths 44' in said


def test_verify_takes_photographs_of_any_size(small):
    path = small / 'data' / 'small' / 'train.rec'
    assert '24 images' in run_script(
        'data/verify.py', path
    ) and 'as its manifest says' in run_script('data/verify.py', path)
