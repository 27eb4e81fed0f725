"""data/prepare.py converts archives in every official format, pixel for pixel, and refuses
others.
"""

import argparse
import gzip
import hashlib
import http.server
import os
import pickle
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy
import official_archives as written
import pytest
import scipy.io
from scripts import ROOT, run_script, user_error

from data import archives, cifar, fashion_mnist, svhn
from engine import mx
from recordio import datasets, manifest
from system.errors import UserError

HERE = 'data/prepare.py'


def unpack(folder, split):
    """Return images (n, 32, 32, 3), RGB, and labels of a .rec, in the order of its index."""
    prefix = os.path.join(str(folder), split)
    records = mx.recordio.MXIndexedRecordIO(prefix + '.idx', prefix + '.rec', 'r')
    pairs = [mx.recordio.unpack(records.read_idx(key)) for key in records.keys]
    records.close()
    images = [
        cv2.imdecode(numpy.frombuffer(content, 'uint8'), cv2.IMREAD_COLOR)[..., ::-1]
        for _, content in pairs
    ]
    return numpy.array(images), numpy.array([header.label for header, _ in pairs])


def assert_converted(folder, truth):
    for split, (images, labels) in truth.items():
        found, found_labels = unpack(folder, split)
        numpy.testing.assert_array_equal(found, images)
        numpy.testing.assert_array_equal(found_labels, labels)


def nothing_written(out, dataset):
    return not os.path.exists(os.path.join(str(out), dataset))


@pytest.mark.parametrize('dataset', ('cifar10', 'cifar100'))
@pytest.mark.parametrize(
    'write,name', [(written.cifar_binary, 'binary'), (written.cifar_python, 'python')]
)
def test_cifar(tmp_path, fashion, dataset, write, name):
    archive = tmp_path / (f'{dataset.replace("r1", "r-1")}-{name}.tar.gz')
    train = 200 if dataset == 'cifar100' else 100
    truth = write(str(archive), fashion, dataset, train=train)
    said = run_script(HERE, dataset, '--source', archive, '--out', tmp_path, '--no-checksum')
    assert_converted(tmp_path / dataset, truth)
    assert f'{train} images; of each class: 0:{int(train / cifar.CLASSES[dataset])} 1:' in said


def test_cifar_from_its_folder_and_unpacked(tmp_path, fashion):
    archive = tmp_path / 'cifar-10-python.tar.gz'
    truth = written.cifar_python(str(archive), fashion)
    run_script(HERE, 'cifar10', '--source', tmp_path, '--out', tmp_path / 'a', '--no-checksum')
    assert_converted(tmp_path / 'a' / 'cifar10', truth)
    with tarfile.open(str(archive)) as file:
        file.extractall(str(tmp_path))
    run_script(
        HERE,
        'cifar10',
        '--source',
        tmp_path / 'cifar-10-batches-py',
        '--out',
        tmp_path / 'b',
        '--no-checksum',
    )
    assert_converted(tmp_path / 'b' / 'cifar10', truth)
    assert '50000' in user_error(
        HERE, 'cifar10', '--source', tmp_path / 'cifar-10-batches-py', '--out', tmp_path / 'c'
    )


def test_svhn_split(tmp_path, fashion, monkeypatch):
    truth = written.svhn(tmp_path, fashion)
    source = svhn.find(str(tmp_path), None, checksum=False)
    splits = {
        s.name: (s.labels, numpy.array(list(s.images)))
        for s in svhn.splits(source, held_out={'train': 2, 'extra': 1})
    }
    assert numpy.bincount(splits['val'][0]).tolist() == [3] * 10
    assert len(splits['train'][0]) == 60 + 40 - 30
    numpy.testing.assert_array_equal(splits['test'][1], truth['test'][0])
    numpy.testing.assert_array_equal(splits['test'][0], truth['test'][1])

    # Every image of train and extra is in exactly one of the two splits, with its own label.
    def keyed(pairs):
        return sorted(
            (image.tobytes(), int(label))
            for labels, images in pairs
            for label, image in zip(labels, images)
        )

    assert keyed([splits['train'], splits['val']]) == keyed(
        [(label, image) for image, label in (truth['train'], truth['extra'])]
    )
    again = svhn.splits(source, held_out={'train': 2, 'extra': 1})
    numpy.testing.assert_array_equal(again[1].labels, splits['val'][0])
    numpy.testing.assert_array_equal(numpy.array(list(again[1].images)), splits['val'][1])


def test_svhn_of_the_paper():
    """Section 6.1: 598,388 images train."""
    held = svhn.CLASSES * sum(svhn.HELD_OUT.values())
    assert held == 6000 and svhn.IMAGES['train'] + svhn.IMAGES['extra'] - held == 598388


def test_svhn_script(tmp_path, fashion):
    """4,000 + 2,000 images held out need that many, so the script's own split is made of
    real size.
    """
    images = numpy.tile(fashion[0].images[:500], (13, 1, 1, 1))
    truth = written.svhn(
        tmp_path, [fashion[0]._replace(images=images), fashion[1]], train=4200, extra=2100, test=30
    )
    said = run_script(HERE, 'svhn', '--source', tmp_path, '--out', tmp_path, '--no-checksum')
    assert '300 images' in said and '6000 images; of each class: 0:600 1:600' in said
    found, labels = unpack(tmp_path / 'svhn', 'test')
    numpy.testing.assert_array_equal(found, truth['test'][0])
    numpy.testing.assert_array_equal(labels, truth['test'][1])


@pytest.mark.slow
def test_svhn_of_official_size(tmp_path, fashion):
    """Files with SVHN's numbers of images, other images in them: 598,388 train."""
    for name, count in svhn.IMAGES.items():
        images = numpy.empty((32, 32, 3, count), 'uint8', order='F')
        images[...] = fashion[0].images[0][..., None]
        labels = (numpy.arange(count) % 10 + 1).reshape(-1, 1)
        scipy.io.savemat(str(tmp_path / (name + '_32x32.mat')), {'X': images, 'y': labels})
    said = run_script(
        HERE, 'svhn', '--source', tmp_path, '--out', tmp_path, '--no-checksum', timeout=1500
    )
    assert (
        'train  598388 images' in said
        and 'val      6000 images' in said
        and 'test    26032 images' in said
    )
    assert '0:600 1:600 2:600 3:600 4:600 5:600 6:600 7:600 8:600 9:600' in said


@pytest.mark.slow
@pytest.mark.skipif(
    not os.path.isdir(fashion_mnist.DEBIAN), reason='dataset-fashion-mnist is not installed'
)
def test_the_whole_of_fashion_mnist(tmp_path):
    """Debian's package is found without --source and has a known checksum."""
    said = run_script(HERE, 'fashion-mnist', '--out', tmp_path)
    assert 'train   60000 images; of each class: 0:6000' in said and 'test    10000 images' in said
    splits = fashion_mnist.splits(fashion_mnist.find(None, None))
    assert_converted(tmp_path / 'fashion-mnist', {s.name: (s.images, s.labels) for s in splits})
    assert datasets.identity(str(tmp_path / 'fashion-mnist'))['official']


def test_a_subset_of_fashion_mnist_is_the_first_of_each_class(tmp_path, fashion, sample):
    """5,000 images stand for 60,000: of each class the first ones, in the order of the files."""
    train, test = fashion_mnist.subset(fashion, 200)
    labels = fashion[0].labels
    places = sorted(number for c in range(10) for number in numpy.flatnonzero(labels == c)[:20])
    numpy.testing.assert_array_equal(train.images, fashion[0].images[places])
    numpy.testing.assert_array_equal(train.labels, labels[places])
    assert test is fashion[1]
    with pytest.raises(UserError, match='fewer than 1200'):
        fashion_mnist.subset(fashion, 12000)


@pytest.mark.slow
def test_the_prepared_subset(tmp_path, fashion):
    """12,000 images from an archive of 20,000, and a run on them; it never passes for the whole."""
    images = numpy.tile(fashion[0].images[:, 2:-2, 2:-2, 0], (4, 1, 1))
    labels = numpy.tile(fashion[0].labels, 4)
    for name, count in (('train', len(labels)), ('t10k', 100)):
        written.idx(str(tmp_path / f'{name}-images-idx3-ubyte.gz'), images[:count])
        written.idx(str(tmp_path / f'{name}-labels-idx1-ubyte.gz'), labels[:count])
    name = 'fashion-mnist-12000'
    out = tmp_path / 'out'
    command = (HERE, name, '--source', tmp_path, '--out', out, '--no-checksum')
    said = run_script(*command)
    assert 'train   12000 images; of each class: 0:1200 1:1200' in said
    assert 'test      100 images' in said
    known = manifest.read(str(out / name))
    assert known['options'] == {'checksum': False, 'subset': 12000}
    assert (known['dataset'], known['official']) == (name, False)
    assert 'verified' in run_script(*command)
    assert datasets.identity(str(out / name))['train_images'] == 12000
    os.rename(str(out / name), str(out / 'fashion-mnist'))
    with pytest.raises(UserError, match=f'holds {name}'):
        datasets.identity(str(out / 'fashion-mnist'))


def test_a_subset_of_official_files_is_not_official():
    from data import conversion
    from data.source import Source

    args = argparse.Namespace(dataset='fashion-mnist-12000')
    assert not conversion.is_official(args, Source([], verified=True), {})
    args.dataset = 'fashion-mnist'
    assert conversion.is_official(args, Source([], verified=True), {})


def test_sample_is_balanced_and_padded(sample):
    for split, each in (('train', 500), ('test', 100)):
        images, labels = unpack(sample / 'sample', split)
        assert numpy.bincount(labels.astype(int)).tolist() == [each] * 10
        assert (
            not images[:, :2].any() and not images[:, :, -2:].any() and images[:, 2:-2, 2:-2].any()
        )
        assert (images[..., 0] == images[..., 2]).all()
    assert datasets.identity(str(sample / 'sample'))['official']


@pytest.mark.skipif(
    not os.path.isdir(fashion_mnist.DEBIAN), reason='dataset-fashion-mnist is not installed'
)
def test_sample_is_the_first_of_each_class(fashion):
    wholes = fashion_mnist.splits(fashion_mnist.find(None, None))
    for split, whole, each in zip(fashion, wholes, (500, 100)):
        first = numpy.sort(
            numpy.concatenate([numpy.flatnonzero(whole.labels == c)[:each] for c in range(10)])
        )
        numpy.testing.assert_array_equal(split.images, whole.images[first])


def test_repository_stays_small():
    folder = fashion_mnist.SAMPLE
    assert sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)) < 4e6


def digests(folder):
    return {
        name: hashlib.sha256(open(os.path.join(str(folder), name), 'rb').read()).hexdigest()
        for name in sorted(os.listdir(str(folder)))
    }


@pytest.mark.slow
def test_same_input_same_bytes(tmp_path, sample):
    run_script(HERE, 'sample', '--out', tmp_path)
    assert digests(tmp_path / 'sample') == digests(sample / 'sample')


@pytest.mark.slow
def test_second_run_skips_what_is_verified(tmp_path, fashion):
    archive = tmp_path / 'cifar-10-binary.tar.gz'
    written.cifar_binary(str(archive), fashion)
    command = (HERE, 'cifar10', '--source', archive, '--out', tmp_path, '--no-checksum')
    run_script(*command)
    before, made = (
        digests(tmp_path / 'cifar10'),
        os.stat(str(tmp_path / 'cifar10' / 'train.rec')).st_mtime_ns,
    )
    assert 'verified' in run_script(*command)
    assert os.stat(str(tmp_path / 'cifar10' / 'train.rec')).st_mtime_ns == made
    with open(str(tmp_path / 'cifar10' / 'train.rec'), 'r+b') as file:
        file.seek(500)
        file.write(b'x')
    assert 'written' in run_script(*command)
    kept = tmp_path / 'cifar10' / 'train.rec.kept-1'
    assert kept.read_bytes()[500:501] == b'x'
    kept.unlink()
    assert digests(tmp_path / 'cifar10') == before
    assert 'written' in run_script(*command, '--force', '--keep-images')
    assert len(list((tmp_path / 'cifar10' / 'images' / 'train').glob('*/*.png'))) == 100


def test_user_can_pack_a_folder_by_hand(tmp_path, sample):
    """docs/data.md: python -m engine mxnet.tools.im2rec on a folder of images."""
    for label in ('cat', 'dog'):
        (tmp_path / 'images' / label).mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(
                str(tmp_path / 'images' / label / (f'{number}.png')),
                numpy.full((32, 32, 3), 40 * number, 'uint8'),
            )
    prefix = tmp_path / 'train'
    run_script(
        '-m', 'engine', 'mxnet.tools.im2rec', '--list', '--recursive', prefix, tmp_path / 'images'
    )
    run_script('-m', 'engine', 'mxnet.tools.im2rec', '--pass-through', prefix, tmp_path / 'images')
    images, labels = unpack(tmp_path, 'train')
    assert sorted(labels) == [0, 0, 0, 1, 1, 1] and sorted(images[:, 0, 0, 0]) == [
        0,
        0,
        40,
        40,
        80,
        80,
    ]


@pytest.mark.parametrize(
    'moment', (pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL)
)
def test_interrupted_run_leaves_no_half_file(tmp_path, moment):
    command = [sys.executable, HERE, 'sample', '--out', str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not list(tmp_path.glob('sample/.part/images/*/*/*.png')):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(moment)
    process.communicate(timeout=60)
    assert process.returncode and not list(tmp_path.glob('sample/*.rec'))
    run_script(*command[1:])
    assert not (tmp_path / 'sample' / '.part').exists()
    assert (tmp_path / 'sample' / 'manifest.json').exists()


def test_second_run_at_the_same_time_is_refused(tmp_path):
    from data import dataset_folder

    with dataset_folder.working_folder(str(tmp_path / 'sample')):
        with pytest.raises(UserError, match='another run'):
            with dataset_folder.working_folder(str(tmp_path / 'sample')):
                pass
    assert os.listdir(str(tmp_path)) == []


# ---- what is refused ----


def refused(tmp_path, dataset, source, word, *options):
    out = tmp_path / 'out'
    out.mkdir(exist_ok=True)
    said = user_error(HERE, dataset, '--source', source, '--out', out, *options)
    assert word in said and nothing_written(out, dataset), said


def test_wrong_checksum(tmp_path, fashion):
    written.cifar_binary(str(tmp_path / 'cifar-10-binary.tar.gz'), fashion)
    refused(tmp_path, 'cifar10', tmp_path / 'cifar-10-binary.tar.gz', 'MD5')
    written.svhn(tmp_path, fashion)
    refused(tmp_path, 'svhn', tmp_path, 'MD5')


def test_missing_source(tmp_path):
    refused(tmp_path, 'cifar10', tmp_path / 'nowhere', 'no such file')
    refused(tmp_path, 'cifar10', tmp_path, 'not there')
    refused(tmp_path, 'svhn', tmp_path, 'train_32x32.mat is not there')
    refused(tmp_path, 'fashion-mnist', tmp_path, 'not there')
    refused(tmp_path, 'sample', tmp_path, 'leave --source out')


@pytest.mark.parametrize(
    'dataset,source', [('cifar10', 'binary'), ('cifar100', 'python'), ('svhn', 'train_32x32.mat')]
)
@pytest.mark.parametrize('damage', ('truncated', 'foreign', 'empty'))
def test_damaged_archives(tmp_path, fashion, dataset, source, damage):
    if dataset == 'svhn':
        written.svhn(tmp_path, fashion)
        path, argument = tmp_path / source, tmp_path
    else:
        path = argument = tmp_path / (f'{dataset}-{source}.tar.gz')
        (written.cifar_binary if source == 'binary' else written.cifar_python)(
            str(path), fashion, dataset
        )
    content = path.read_bytes()
    path.write_bytes(
        {
            'truncated': content[: len(content) // 2],
            'foreign': b'\x89PNG' + bytes(2000),
            'empty': b'',
        }[damage]
    )
    refused(tmp_path, dataset, argument, str(path), '--no-checksum')


def test_cifar_files_of_the_wrong_length_or_label(tmp_path, fashion):
    truth = written.cifar_binary(str(tmp_path / 'good.tar.gz'), fashion)
    names = [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']
    short = written.tar(
        str(tmp_path / 'binary.tar.gz'),
        'cifar-10-batches-bin',
        {name: bytes(3073 * 2 - 1) for name in names},
    )
    refused(tmp_path, 'cifar10', short, 'multiple', '--no-checksum')
    wrong = written.tar(
        str(tmp_path / 'binary.tar.gz'),
        'cifar-10-batches-bin',
        {name: b'\x0a' + bytes(3072) for name in names},
    )
    refused(tmp_path, 'cifar10', wrong, 'label 10', '--no-checksum')
    lacking = written.tar(
        str(tmp_path / 'binary.tar.gz'),
        'cifar-10-batches-bin',
        {name: bytes(3073) for name in names[1:]},
    )
    refused(tmp_path, 'cifar10', lacking, 'data_batch_1.bin', '--no-checksum')
    assert len(truth['train'][0]) == 100


@pytest.mark.parametrize(
    'name', ('../data_batch_1.bin', '/tmp/data_batch_1.bin', 'a/../../data_batch_1.bin')
)
def test_names_that_lead_out_of_the_archive(tmp_path, name):
    names = [f'data_batch_{i}.bin' for i in range(2, 6)] + ['test_batch.bin', name]
    path = written.tar(str(tmp_path / 'binary.tar.gz'), '', {name: bytes(3073) for name in names})
    refused(tmp_path, 'cifar10', path, 'leads out', '--no-checksum')


def test_links_in_an_archive(tmp_path):
    path = str(tmp_path / 'binary.tar.gz')
    with tarfile.open(path, 'w:gz') as archive:
        link = tarfile.TarInfo('data_batch_1.bin')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(link)
    refused(tmp_path, 'cifar10', path, 'leads out', '--no-checksum')


class Evil:
    def __reduce__(self):
        return os.mkdir, (os.environ['EVIL_TARGET'],)


def test_pickles_that_ask_for_more_are_not_obeyed(tmp_path, monkeypatch):
    target = tmp_path / 'made-by-a-pickle'
    monkeypatch.setenv('EVIL_TARGET', str(target))
    pickles = {
        'posix.mkdir': pickle.dumps({b'data': Evil(), b'labels': [0]}, protocol=3),
        'codecs': pickle.dumps(
            {b'data': numpy.zeros((1, 3072), 'uint8'), b'labels': [0]}, protocol=2
        ),
        'one row': written.batch_pickle(numpy.zeros((2, 32, 32, 3), 'uint8'), [1, 2, 3], b'labels'),
        'one row ': pickle.dumps({b'data': numpy.zeros((1, 3072)), b'labels': [0]}, protocol=3),
        'not a batch': pickle.dumps([1, 2]),
        'not a batch ': b'\x80\x02garbage',
    }
    for word, content in pickles.items():
        names = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
        path = written.tar(
            str(tmp_path / 'cifar-10-python.tar.gz'),
            'cifar-10-batches-py',
            dict.fromkeys(names, content),
        )
        refused(tmp_path, 'cifar10', path, word.strip(), '--no-checksum')
        assert not target.exists()


@pytest.mark.slow
def test_damaged_idx_files(tmp_path, fashion):
    images, labels = fashion[0].images[:20, 2:-2, 2:-2, 0], fashion[0].labels[:20]

    def write(images=images, labels=labels):
        for name in ('train', 't10k'):
            written.idx(str(tmp_path / (name + '-images-idx3-ubyte.gz')), images)
            written.idx(str(tmp_path / (name + '-labels-idx1-ubyte.gz')), labels)

    train = tmp_path / 'train-images-idx3-ubyte.gz'
    command = ('fashion-mnist', tmp_path)
    write()
    refused(tmp_path, *command, 'MD5')
    run_script(
        HERE, 'fashion-mnist', '--source', tmp_path, '--out', tmp_path / 'good', '--no-checksum'
    )
    train.write_bytes(train.read_bytes()[:-100])
    refused(tmp_path, *command, 'damaged', '--no-checksum')
    with gzip.open(str(train), 'wb') as file:
        file.write(bytes([0, 0, 8, 3]) + (20).to_bytes(4, 'big') * 3 + bytes(7))
    refused(tmp_path, *command, 'announces', '--no-checksum')
    write(labels=labels[:19])
    refused(tmp_path, *command, '19 labels', '--no-checksum')
    write(labels=labels + 5)
    refused(tmp_path, *command, 'label', '--no-checksum')
    write(images=images.astype('uint8').reshape(20, 14, 56))
    refused(tmp_path, *command, 'not 28x28', '--no-checksum')


def test_svhn_with_wrong_content(tmp_path, fashion):
    written.svhn(tmp_path, fashion)
    refused(tmp_path, 'svhn', tmp_path, 'held out', '--no-checksum')
    path = str(tmp_path / 'train_32x32.mat')
    for content, word in (
        ({'X': numpy.zeros((32, 32, 3, 4), 'uint8')}, 'X and y'),
        ({'X': numpy.zeros((32, 32, 3, 4), 'uint8'), 'y': numpy.full((4, 1), 11)}, '1 to 10'),
        ({'X': numpy.zeros((32, 32, 3, 4)), 'y': numpy.ones((4, 1))}, '32x32x3'),
    ):
        scipy.io.savemat(path, content)
        refused(tmp_path, 'svhn', tmp_path, word, '--no-checksum')


def test_too_little_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(
        archives.shutil, 'disk_usage', lambda path: type('usage', (), {'free': 10e6})
    )
    with pytest.raises(UserError, match='10 MB free and 700 MB are needed'):
        archives.need_space(str(tmp_path), 700)


@pytest.mark.skipif(os.getuid() != 0, reason='mounting needs root')
def test_too_little_disk_for_real(tmp_path):
    small = tmp_path / 'small'
    small.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'none', str(small)]).returncode:
        pytest.skip('mounting is not allowed here')
    try:
        assert 'make room' in user_error(HERE, 'sample', '--out', small)
        assert nothing_written(small, 'sample')
    finally:
        subprocess.run(['umount', str(small)], check=True)


# ---- downloads, from a server on this machine ----


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / 'served'
    folder.mkdir()
    handler = type(
        'Handler',
        (http.server.SimpleHTTPRequestHandler,),
        {
            '__init__': lambda self, *a, **k: http.server.SimpleHTTPRequestHandler.__init__(
                self, *a, directory=str(folder), **k
            ),
            'log_message': lambda *a: None,
        },
    )
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{running.server_port}/'
        running.shutdown()


def test_download(tmp_path, server, fashion):
    folder, address = server
    written.cifar_binary(str(folder / 'cifar.tar.gz'), fashion)
    archive = archives.Archive(
        'cifar.tar.gz', address + 'cifar.tar.gz', (archives.md5(str(folder / 'cifar.tar.gz')),), 1
    )
    cache = tmp_path / 'cache'
    path = archives.download(archive, str(cache))
    assert open(path, 'rb').read() == (folder / 'cifar.tar.gz').read_bytes()
    (folder / 'cifar.tar.gz').unlink()
    assert archives.download(archive, str(cache)) == path  # and asks the server no more
    with pytest.raises(UserError, match='cannot be downloaded'):
        archives.download(archive, str(tmp_path / 'other'))
    (folder / 'cifar.tar.gz').write_bytes(b'something else')
    with pytest.raises(UserError, match='MD5'):
        archives.download(archive, str(tmp_path / 'other'))
    assert not (tmp_path / 'other').exists()


def test_two_downloads_at_once(tmp_path, server, monkeypatch):
    """The second waits for the first, and downloads nothing."""
    folder, address = server
    (folder / 'archive').write_bytes(b'archive')
    archive = archives.Archive(
        'archive', address + 'archive', (archives.md5(str(folder / 'archive')),), 1
    )
    fetch, fetched = archives._fetch, []

    def slow(*arguments):
        fetched.append(arguments)
        time.sleep(0.5)
        fetch(*arguments)

    monkeypatch.setattr(archives, '_fetch', slow)
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(archives.download, [archive] * 3, [str(tmp_path / 'cache')] * 3))
    assert len(set(paths)) == len(fetched) == 1 and os.listdir(tmp_path / 'cache') == ['archive']


def test_a_link_to_an_archive_that_is_not_there_is_kept(tmp_path):
    archive = archives.Archive('archive', 'http://localhost/archive', ('',), 1)
    (tmp_path / 'archive').symlink_to('/not/mounted/archive')
    with pytest.raises(UserError, match='mount its disk'):
        archives.download(archive, str(tmp_path))
    assert (tmp_path / 'archive').is_symlink() and os.listdir(tmp_path) == ['archive']


@pytest.mark.parametrize('reply', [b'hello', b'HTTP/1.0 200 OK\r\nContent-Length: many\r\n\r\n'])
def test_a_server_that_speaks_something_else(tmp_path, reply):
    with socket.create_server(('127.0.0.1', 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(reply)

        threading.Thread(target=answer, daemon=True).start()
        address = f'http://127.0.0.1:{listening.getsockname()[1]}/archive'
        with pytest.raises(UserError, match='cannot be downloaded'):
            archives.download(archives.Archive('archive', address, ('',), 1), str(tmp_path / 'new'))
    assert not (tmp_path / 'new').exists()


def test_official_addresses():
    for archive in (
        [v.archive for versions in cifar.VERSIONS.values() for v in versions]
        + list(svhn.ARCHIVES.values())
        + list(fashion_mnist.ARCHIVES.values())
    ):
        assert archive.url.endswith('/' + archive.name) and all(
            len(md5) == 32 for md5 in archive.md5
        )
