"""Batches from real .rec files: every image once, normalised, cropped and mirrored as section 6.1
says.
"""

import os
import shutil
import struct
import zlib

import numpy
import official_archives as written
import pytest
from scripts import run_script

from engine import mx
from recordio import augmentation, datasets, images, record_format, record_iterator, records
from system.errors import UserError


@pytest.fixture(scope='module')
def cifar(tmp_path_factory, fashion):
    """A converted small CIFAR-10 of 100 + 30 images: its folder and its images."""
    out = tmp_path_factory.mktemp('cifar')
    truth = written.cifar_binary(str(out / 'cifar-10-binary.tar.gz'), fashion)
    run_script('data/prepare.py', 'cifar10', '--source', out, '--out', out, '--no-checksum')
    return str(out / 'cifar10'), truth


def normalised(images, dataset):
    return ((images - numpy.array(dataset.mean)) / numpy.array(dataset.std)).transpose(0, 3, 1, 2)


def collect(iterator, batch):
    """Return the images and labels that count, and the number of batches."""
    images, labels, batches = [], [], 0
    for item in iterator:
        keep = batch - item.pad
        images.append(item.data[0].asnumpy()[:keep])
        labels.append(item.label[0].asnumpy()[:keep])
        batches += 1
    return numpy.concatenate(images), numpy.concatenate(labels), batches


@pytest.mark.parametrize('batch', (1, 7, 8, 10, 30))
def test_every_test_image_once_and_in_order(cifar, batch):
    folder, truth = cifar
    dataset = datasets.get('cifar10')
    images, labels, batches = collect(record_iterator.Batches(folder, dataset, batch).test(), batch)
    assert batches == -(-30 // batch)
    numpy.testing.assert_array_equal(labels, truth['test'][1])
    # Channels in RGB: the archive's are made to differ, and so do their means.
    numpy.testing.assert_allclose(images, normalised(truth['test'][0], dataset), atol=1e-4)


@pytest.mark.parametrize('batch', (10, 16))
def test_an_epoch_is_a_permutation(cifar, batch):
    folder, truth = cifar
    plain = datasets.get('cifar10')._replace(augment=False)
    batches = record_iterator.Batches(folder, plain, batch, seed=5)
    orders = []
    for epoch in (1, 2):
        images, labels, count = collect(batches.train(epoch), batch)
        assert count == batches.per_epoch == -(-100 // batch)
        expected = {
            image.astype('float32').round(3).tobytes(): (number, label)
            for number, (image, label) in enumerate(
                zip(normalised(truth['train'][0], plain), truth['train'][1])
            )
        }
        seen = [expected[image.round(3).tobytes()] for image in images]
        assert [label for _, label in seen] == labels.tolist()
        orders.append([number for number, _ in seen])
        assert sorted(orders[-1]) == list(range(100))
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])


def test_an_epoch_depends_on_seed_and_epoch_alone(cifar):
    folder, _ = cifar
    dataset = datasets.get('cifar10')

    def epoch(number, seed=1, threads=1, before=()):
        batches = record_iterator.Batches(folder, dataset, 16, seed=seed, threads=threads)
        for earlier in before:
            collect(batches.train(earlier), 16)
        return collect(batches.train(number), 16)[0]

    reference = epoch(3)
    assert (epoch(3, before=(1, 2)) == reference).all() and (epoch(3, threads=2) == reference).all()
    assert (epoch(4) != reference).any() and (epoch(3, seed=2) != reference).any()


def test_passes_after_one_another_or_broken_off(cifar):
    """One iterator serves all passes, also after one that was not read to its end."""
    folder, truth = cifar
    plain = datasets.get('cifar10')._replace(augment=False)
    batches = record_iterator.Batches(folder, plain, 16)
    whole = [collect(batches.train(epoch), 16) for epoch in (1, 2, 3)]
    again = record_iterator.Batches(folder, plain, 16)
    for epoch, (expected, _, _) in zip((1, 2, 3), whole):
        next(again.train(epoch))
        next(again.test())
        for _ in range(2):
            numpy.testing.assert_array_equal(collect(again.train(epoch), 16)[0], expected)
            numpy.testing.assert_array_equal(collect(again.test(), 16)[1], truth['test'][1])


@pytest.mark.parametrize('dataset', (datasets.get('cifar10'), datasets.get('svhn')))
def test_the_last_batch_is_filled_with_the_epochs_first_images(cifar, dataset):
    plain = dataset._replace(augment=False)
    for epoch in (1, 2):
        items = [
            (batch.data[0].asnumpy(), batch.label[0].asnumpy(), batch.pad)
            for batch in record_iterator.Batches(cifar[0], plain, 16).train(epoch)
        ]
        assert [pad for _, _, pad in items] == [0] * 6 + [12]
        numpy.testing.assert_array_equal(items[-1][0][4:], items[0][0][:12])
        numpy.testing.assert_array_equal(items[-1][1][4:], items[0][1][:12])


def test_memory_stays_flat(cifar):
    """MXNet keeps megabytes of every record iterator that is made anew; one that is reset has no
    growth.
    """
    said = run_script(
        '-c',
        f"""
from recordio import record_iterator, datasets
def resident():
    return int(next(line for line in open('/proc/self/status') if 'VmRSS' in line).split()[1])
batches = record_iterator.Batches({cifar[0]!r}, datasets.get('cifar10'), 25)
for epoch in range(1, 101):
    for _ in batches.train(epoch): pass
    for _ in batches.test(): pass
    if epoch == 20: early = resident()
print(resident() - early)""",
    )
    assert int(said) < 10000  # kilobytes; 80 new pairs of iterators would be over 100,000


def test_crop_and_mirror_is_what_it_says():
    """Each result is a window of the zero-padded image, as it is or mirrored, at all
    places alike.
    """
    random = numpy.random.RandomState(0)
    image = random.rand(3, 32, 32) + 1
    padded = numpy.zeros((3, 40, 40))
    padded[:, 4:36, 4:36] = image
    windows = {
        padded[:, y : y + 32, x : x + 32][..., ::flip].tobytes(): (y, x, flip)
        for y in range(9)
        for x in range(9)
        for flip in (1, -1)
    }
    crops = augmentation.crop_and_mirror(numpy.repeat(image[None], 8100, axis=0), random)
    seen = numpy.array([windows[crop.tobytes()] for crop in crops])
    for axis in (0, 1):
        assert (abs(numpy.bincount(seen[:, axis]) - 900) < 5 * 30).all()
    assert abs((seen[:, 2] == 1).sum() - 4050) < 5 * 45
    assert abs(numpy.corrcoef(seen.T)[~numpy.eye(3, dtype=bool)]).max() < 0.06


def test_training_batches_are_augmented_only_where_the_data_set_asks(cifar):
    folder, truth = cifar
    dataset = datasets.get('cifar10')
    images = collect(record_iterator.Batches(folder, dataset, 20).train(1), 20)[0]
    originals = normalised(truth['train'][0], dataset).astype('float32')
    whole = sum(
        any(numpy.allclose(image, original, atol=1e-3) for original in originals)
        for image in images
    )
    assert whole < 20  # one crop in 81 is the whole image, and half of those are not mirrored
    assert (images[:, :, 0] == 0).all(axis=(1, 2)).sum() > 10  # rows of padding: exactly zero


def test_statistics_are_those_of_the_training_images(sample):
    """The others', which are not here, are in the next test."""
    images = collect(
        record_iterator.Batches(str(sample / 'sample'), datasets.get('sample'), 100).train(1), 100
    )[0]
    assert abs(images.mean()) < 1e-3 and abs(images.std() - 1) < 1e-3


def test_statistics_of_data_sets_that_are_not_here():
    """Red, green and blue in 0..255, as the authors' code has them."""
    tables = [datasets.get(name) for name in ('cifar10', 'cifar100', 'svhn')]
    assert [(table.mean, table.std) for table in [*tables, datasets.PHOTOGRAPHS]] == [
        ((125.307, 122.950, 113.865), (62.993, 62.089, 66.705)),
        ((129.304, 124.070, 112.434), (68.170, 65.392, 70.418)),
        ((111.609, 113.161, 120.565), (50.498, 51.259, 50.244)),
        ((123.370, 112.757, 99.406), (68.998, 66.093, 68.292)),
    ]


# ---- damaged files ----


@pytest.fixture
def damaged(cifar, tmp_path):
    folder = tmp_path / 'cifar10'
    shutil.copytree(cifar[0], str(folder))
    return folder


def refuse(folder, word, batch=10, dataset='cifar10'):
    with pytest.raises(UserError, match=word):
        record_iterator.Batches(str(folder), datasets.get(dataset), batch)


@pytest.mark.parametrize('cut', (1, 4, 100, 5000))
def test_truncated_rec(damaged, cut):
    path = damaged / 'train.rec'
    path.write_bytes(path.read_bytes()[:-cut])
    refuse(damaged, 'truncated')


def test_damaged_rec(damaged):
    path = damaged / 'test.rec'
    content = bytearray(path.read_bytes())
    offsets = [int(line.split('\t')[1]) for line in (damaged / 'test.idx').read_text().splitlines()]
    for place, word in (
        (offsets[3], 'damaged'),
        (offsets[3] + 4, 'damaged'),
        (offsets[3] + 15, 'label'),
    ):
        broken = bytearray(content)
        broken[place] ^= 0x7F
        path.write_bytes(bytes(broken))
        refuse(damaged, word)
    path.write_bytes(bytes(content) + b'more')
    refuse(damaged, 'damaged')
    path.write_bytes(bytes(content))
    assert records.check(str(path), 10) == 30


def test_missing_and_empty_files(damaged, tmp_path):
    refuse(tmp_path / 'nowhere', 'not there')
    index = (damaged / 'train.idx').read_bytes()
    for content in (b'', b'nonsense', b'1\t2\t3\n'):
        (damaged / 'train.idx').write_bytes(content)
        refuse(damaged, 'empty or damaged')
    (damaged / 'train.idx').write_bytes((damaged / 'test.idx').read_bytes())
    refuse(damaged, 'belongs to another')
    (damaged / 'train.idx').write_bytes(b''.join(line + b'\n' for line in index.splitlines()[:50]))
    refuse(damaged, 'belongs to another')
    (damaged / 'train.rec').write_bytes(b'')
    refuse(damaged, 'empty or damaged')
    os.remove(str(damaged / 'train.idx'))
    refuse(damaged, 'train.idx is not there')


def test_labels_of_another_data_set(cifar):
    with pytest.raises(UserError, match='the label 5, and this data set has the classes 0 to 4'):
        records.check(os.path.join(cifar[0], 'test.rec'), classes=5)


def test_batch_larger_than_the_data(cifar):
    with pytest.raises(UserError, match='smaller batch'):
        record_iterator.Batches(cifar[0], datasets.get('cifar10'), 31)


def test_a_record_in_several_parts(tmp_path):
    """A payload that contains the magic number at a multiple of 4 is stored in parts, and is no
    damage.
    """
    prefix = str(tmp_path / 'parts')
    writer = mx.recordio.MXIndexedRecordIO(prefix + '.idx', prefix + '.rec', 'w')
    png = images.cv2.imencode('.png', numpy.zeros((32, 32, 3), numpy.uint8))[1].tobytes()
    written = [png] + [
        with_chunk(png, b'\0' * shift + record_format.MAGIC.to_bytes(4, 'little') * count)
        for shift in range(4)
        for count in (1, 3)
    ]
    for number, content in enumerate(written):
        writer.write_idx(number, mx.recordio.pack(mx.recordio.IRHeader(0, 1.0, number, 0), content))
    writer.close()
    assert records.check(prefix + '.rec', 10) == len(written)
    assert [
        (label, bytes(content)) for label, content in records.labelled_images(prefix + '.rec')
    ] == [(1.0, png) for png in written]
    content = open(prefix + '.rec', 'rb').read()
    assert content.count(record_format.MAGIC.to_bytes(4, 'little')) > len(written)


def with_chunk(png, content):
    """Return a PNG with a chunk more, which decoders pass over, behind its header."""
    chunk = b'dfNx' + content
    return (
        png[:33]
        + struct.pack('>I', len(content))
        + chunk
        + struct.pack('>I', zlib.crc32(chunk))
        + png[33:]
    )


def test_an_epoch_does_not_depend_on_global_generators(cifar):
    """Not on NumPy's global generator, nor on MXNet's, nor on what was read before."""
    folder, _ = cifar
    epochs = []
    for state, before in ((1, ()), (2, ()), (3, (1, 2))):
        batches = record_iterator.Batches(folder, datasets.get('cifar10'), 16, seed=5)
        numpy.random.seed(state)
        mx.random.seed(state)
        for epoch in before:
            list(batches.train(epoch))
        epochs.append(
            [
                (batch.data[0].asnumpy().tobytes(), batch.label[0].asnumpy().tobytes())
                for batch in batches.train(3)
            ]
        )
    assert epochs[0] == epochs[1] == epochs[2]
