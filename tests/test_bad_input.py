"""Files that are damaged or meant to harm: one sentence and status 2, no traceback, no crash, no
hang.

Everything is fuzzed in this process: a crash of the native library would take the test run with it.
"""

import gzip
import io
import json
import os
import pickle
import random
import shutil
import struct
import tarfile
import zlib

import cv2
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripts import run_script, user_error
from training_runs import arguments, small_cifar

import symbols
from common import checkpoint, log, scorer, symbol_file
from data import archives, cifar, fashion_mnist, svhn, tar_archives, verify
from engine import mx, params
from graphs import untrusted_symbol
from recordio import datasets, images, record_iterator, records
from system.errors import UserError

CIFAR = datasets.get('cifar10')
FUZZ = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return small_cifar(tmp_path_factory.mktemp('bad'), fashion, 64, 32)


def packed(header, content):
    """Return a record. MXNet's own function cannot write several labels with NumPy 2.3 or newer."""
    if not isinstance(header.label, list):
        return mx.recordio.pack(header, content)
    start = struct.pack('<IfQQ', len(header.label), 0, header.id, header.id2)
    return start + numpy.float32(header.label).tobytes() + content


def record_file(
    folder,
    images_of,
    header=lambda number: mx.recordio.IRHeader(0, number % 10, number, 0),
    name='test',
):
    """Write a .rec file of 40 records; return its path."""
    prefix = str(folder / name)
    writer = mx.recordio.MXIndexedRecordIO(prefix + '.idx', prefix + '.rec', 'w')
    for number in range(40):
        writer.write_idx(number, packed(header(number), images_of(number)))
    writer.close()
    return prefix + '.rec'


def encoded(shape=(32, 32, 3), ending='.png', seed=0):
    return cv2.imencode(
        ending, numpy.random.RandomState(seed).randint(0, 256, shape).astype('uint8')
    )[1].tobytes()


def read_through(path):
    """What training does with a file: check it, then let MXNet read all of it."""
    return sum(
        len(batch.data[0].asnumpy()) - batch.pad
        for batch in record_iterator.Records(path, CIFAR, 8).batches()
    )


# ---- .rec files ----


def damages(content, count):
    """Yield damaged versions of some bytes: bits flipped, the end cut off, a piece lost, doubled or
    overwritten.
    """
    chance = random.Random(3)
    for number in range(count):
        harmed, at = bytearray(content), chance.randrange(len(content))
        size = chance.choice((1, 4, 100, 3000))
        kind = number % 5
        if kind == 0:
            harmed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del harmed[at:]
        elif kind == 2:
            del harmed[at : at + size]
        elif kind == 3:
            harmed[at:at] = harmed[at : at + size]
        else:
            piece = bytes(chance.randrange(256) for _ in range(size))
            harmed[at : at + size] = piece[: len(harmed) - at]
        yield bytes(harmed)


def test_damaged_record_files(place, tmp_path):
    """250 damaged files: each is refused, or is read to its end because nothing that matters was
    hit.
    """
    source = place / 'data' / 'cifar10' / 'test'
    content = (source.parent / 'test.rec').read_bytes()
    path, refused = str(tmp_path / 'test.rec'), 0
    shutil.copy(str(source) + '.idx', str(tmp_path / 'test.idx'))
    for harmed in damages(content, 250):
        with open(path, 'wb') as file:
            file.write(harmed)
        try:
            assert read_through(path) == 32
        except UserError as error:
            refused += 1
            assert path in str(error) and '\n' not in str(error)
    # What passes has other bits in padding or in fields that nobody reads, such as a record's
    # number.
    assert refused > 230


def test_damaged_index_files(place, tmp_path):
    content = (place / 'data' / 'cifar10' / 'test.idx').read_bytes()
    path = str(tmp_path / 'test.rec')
    shutil.copy(str(place / 'data' / 'cifar10' / 'test.rec'), path)
    for harmed in list(damages(content, 100)) + [
        b'',
        b'0\t0\n',
        b'a\tb\n',
        b'0\t-8\n1\t0\n',
        b'0\t99999999999999999999\n',
        b'\xff\xfe',
        b'0 1 2\n',
    ]:
        (tmp_path / 'test.idx').write_bytes(harmed)
        try:
            assert read_through(path) <= 32
        except UserError as error:
            assert 'test.' in str(error)
    os.remove(str(tmp_path / 'test.idx'))
    with pytest.raises(UserError, match='test.idx is not there'):
        records.check(path)


def at_20(other, usual=None):
    return lambda number: other if number == 20 else usual or encoded()


@pytest.mark.parametrize(
    'content,word',
    [
        (encoded()[:500], 'PNG is damaged'),
        (encoded()[:900] + b'?' + encoded()[901:], 'PNG is damaged'),
        (b'', 'no PNG'),
        (b'junk' * 99, 'no PNG'),
        (encoded((48, 40, 3)), r'\(48, 40, 3\) and must have \(32, 32, 3\)'),
        (encoded((16, 16, 3)), r'\(16, 16, 3\)'),
        (encoded((32, 32)), r'\(32, 32, 1\)'),
        (encoded((32, 32, 4)), r'\(32, 32, 4\)'),
        (encoded(ending='.bmp'), 'no PNG'),
        (encoded((40, 32, 3), '.jpg'), r'\(40, 32, 3\)'),
        (encoded(ending='.jpg')[:300], 'JPEG'),
        (images.SIGNATURE, 'PNG ends too early'),
    ],
)
def test_an_image_that_is_none(tmp_path, content, word):
    path = record_file(tmp_path, at_20(content))
    with pytest.raises(UserError, match='image 21 of 40.*' + word):
        records.check(path, 10)


def test_verify_checks_every_record_of_a_large_file(tmp_path, monkeypatch):
    path = record_file(tmp_path, at_20(encoded((64, 48, 3))))
    monkeypatch.setattr(records, 'MOST_BYTES', 2000)
    assert records.check(path, 10) == 40  # before training only some are looked at
    with pytest.raises(UserError, match='image 21 of 40'):
        verify.verify(path, 10, records.SHAPE)


def test_jpeg_files_are_taken(tmp_path):
    path = record_file(tmp_path, lambda number: encoded(ending='.jpg', seed=number))
    assert records.check(path, 10) == 40 and read_through(path) == 40
    assert '40 images of 32x32' in run_script('data/verify.py', path)


def test_a_jpeg_that_does_not_decode(tmp_path):
    """Its header is right, so training begins; MXNet's decoder then fails, or makes something of
    it.
    """
    jpeg = bytearray(encoded(ending='.jpg'))
    for at in range(160, len(jpeg) - 2):  # the tables behind the header
        jpeg[at] = 0xFE if at % 3 else 0
    path = record_file(tmp_path, at_20(bytes(jpeg)))
    try:
        assert read_through(path) == 40
    except UserError as error:
        assert 'data/verify.py' in str(error) or 'image 21' in str(error)


@pytest.mark.parametrize(
    'header,word',
    [
        (
            lambda number: mx.recordio.IRHeader(0, 10 if number == 7 else 0, number, 0),
            'the label 10',
        ),
        (lambda number: mx.recordio.IRHeader(0, -1, number, 0), 'the label -1'),
        (lambda number: mx.recordio.IRHeader(0, 0.5, number, 0), 'the label 0.5'),
        (lambda number: mx.recordio.IRHeader(0, float('nan'), number, 0), 'the label nan'),
        (lambda number: mx.recordio.IRHeader(2, [1, 2], number, 0), 'several labels'),
    ],
)
def test_labels(tmp_path, header, word):
    with pytest.raises(UserError, match=word):
        records.check(record_file(tmp_path, lambda number: encoded(), header), 10)


@pytest.mark.slow
def test_training_refuses_what_the_quick_check_refuses(place, tmp_path):
    """The script itself: empty, truncated, without index, and with labels of another data set."""
    folder = tmp_path / 'data' / 'cifar10'

    def broken(name, content):
        shutil.rmtree(str(tmp_path / 'data'), ignore_errors=True)
        shutil.copytree(str(place / 'data' / 'cifar10'), str(folder))
        if content is None:
            os.remove(str(folder / name))
        else:
            (folder / name).write_bytes(content)
        said = user_error(
            *arguments(place, '--data-dir', tmp_path / 'data', '--log-dir', tmp_path / 'logs')
        )
        assert not (tmp_path / 'logs').exists()  # nothing has begun
        return said

    whole = (place / 'data' / 'cifar10' / 'train.rec').read_bytes()
    for name, content, word in (
        ('train.rec', b'', 'is empty'),
        ('test.rec', whole[:5000], 'truncated'),
        ('test.idx', None, 'not there'),
        ('train.rec', whole[:3000] + b'\1' + whole[3001:], 'damaged'),
    ):
        assert word in broken(name, content)


def undecodable():
    """Return a PNG with right checksums around what cannot be unpacked."""
    chunk = b'IDAT' + b'no deflate stream'
    length, checksum = struct.pack('>I', len(chunk) - 4), struct.pack('>I', zlib.crc32(chunk))
    return encoded()[:33] + length + chunk + checksum + encoded()[-12:]


def test_verify(place, tmp_path):
    train = place / 'data' / 'cifar10' / 'train.rec'
    assert '60 images of 32x32, 10 classes' in run_script(
        'data/verify.py', train, '--classes', '10'
    )
    assert 'as its manifest says' in run_script('data/verify.py', train)
    assert 'classes 0 to 4' in user_error('data/verify.py', train, '--classes', '5')
    assert 'not there' in user_error('data/verify.py', tmp_path / 'none.rec')
    path = record_file(tmp_path, at_20(encoded((64, 48, 3))))
    assert 'must have (32, 32, 3)' in user_error('data/verify.py', path)
    assert 'several sizes' in run_script('data/verify.py', path, '--any-size')
    assert 'does not decode' in user_error(
        'data/verify.py', record_file(tmp_path, at_20(undecodable()), name='idat')
    )
    with pytest.raises(UserError, match='verify.py'):
        read_through(str(tmp_path / 'idat.rec'))
    # Another image than the manifest's, in a file that is whole.
    shutil.copytree(str(train.parent), str(tmp_path / 'other'))
    for ending in ('.rec', '.idx'):
        shutil.copy(str(tmp_path / 'test') + ending, str(tmp_path / 'other' / 'train') + ending)
    assert 'manifest.json describes' in user_error(
        'data/verify.py', tmp_path / 'other' / 'train.rec', '--any-size'
    )


def test_an_image_bomb(tmp_path):
    """A small file that announces 60,000 x 60,000 pixels is refused before memory is asked for."""
    header = b'IHDR' + struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
    body = b'IDAT' + zlib.compress(bytes(1000))
    chunks = [
        struct.pack('>I', len(part) - 4) + part + struct.pack('>I', zlib.crc32(part))
        for part in (header, body, b'IEND')
    ]
    (tmp_path / 'bomb.png').write_bytes(images.SIGNATURE + b''.join(chunks))
    with pytest.raises(UserError, match='too large'):
        scorer.read_image(str(tmp_path / 'bomb.png'), CIFAR)


# ---- checkpoints and symbols ----


@FUZZ
@given(st.data())
def test_params_files(tmp_path, draw):
    """Whatever the bytes, the reader gives arrays that lie within them, or an error."""
    arrays = {
        'arg:w': numpy.arange(6, dtype='float32').reshape(2, 3),
        'aux:m': numpy.ones(4, 'float32'),
        'momentum:w': numpy.zeros((1, 1, 5), 'float64'),
    }
    path = str(tmp_path / 'a.params')
    params.write(path, arrays)
    content = bytearray(open(path, 'rb').read())
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(content) - 1))
        content[at : at + 8] = draw.draw(st.binary(max_size=12))
    with open(path, 'wb') as file:
        file.write(content)
    try:
        found = checkpoint.load_arrays(path)
        assert sum(array.size for kind in found.values() for array in kind.values()) <= len(content)
    except UserError as error:
        assert 'damaged' in str(error)


def test_a_file_that_is_larger_than_the_memory(tmp_path):
    """Its beginning tells that it is something else, and the rest is not read."""
    path = tmp_path / 'large'
    with open(path, 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match='no file of arrays'):
        checkpoint.load_arrays(str(path))
    with pytest.raises(UserError, match='does not begin with the header'):
        log.read(str(path))


def test_params_files_are_mxnets(tmp_path):
    """MXNet reads what we write, and we read what it writes, byte for byte the same."""
    arrays = {
        'arg:w': numpy.random.RandomState(0).randn(3, 4).astype('float32'),
        'aux:m': numpy.arange(5, dtype='int32'),
        'arg:h': numpy.ones((2, 1, 2), 'float16'),
        'arg:d': numpy.ones(1, 'float64'),
    }
    params.write(str(tmp_path / 'ours'), arrays)
    mx.nd.save(
        str(tmp_path / 'theirs'),
        {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()},
    )
    assert (tmp_path / 'ours').read_bytes() == (tmp_path / 'theirs').read_bytes()
    for name, array in mx.nd.load(str(tmp_path / 'ours')).items():
        numpy.testing.assert_array_equal(array.asnumpy(), arrays[name])
        numpy.testing.assert_array_equal(params.read(str(tmp_path / 'theirs'))[name], arrays[name])


JSON = st.recursive(
    st.none() | st.integers(-5, 1 << 40) | st.text(max_size=4) | st.floats(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@FUZZ
@given(st.data())
def test_symbol_files(draw):
    """A network's JSON with parts of it replaced: no symbol, or one that is bound or refused
    without a crash.
    """
    graph = json.loads(symbols.get_symbol('mr', 8).tojson())
    for _ in range(draw.draw(st.integers(1, 3))):
        node = graph['nodes'][draw.draw(st.integers(0, len(graph['nodes']) - 1))]
        kind = draw.draw(st.integers(0, 4))
        if kind == 0:
            node[draw.draw(st.sampled_from(('op', 'name', 'inputs', 'attrs')))] = draw.draw(JSON)
        elif kind == 1 and node['inputs']:
            node['inputs'][0] = draw.draw(st.lists(st.integers(-2, 200), min_size=2, max_size=4))
        elif kind == 2 and node.get('attrs'):
            node['attrs'][draw.draw(st.sampled_from(sorted(node['attrs'])))] = draw.draw(
                st.text(max_size=5)
                | st.sampled_from(
                    ('0', '-1', '(0, 0)', '(99999999, 99999999)', '1000000000000', 'None', '()')
                )
            )
        elif kind == 3:
            graph['heads'] = draw.draw(JSON)
        else:
            node['op'] = draw.draw(st.sampled_from(sorted(untrusted_symbol.OPERATORS)))
    arrays = {'arg': {}, 'aux': {}}
    try:
        symbol = untrusted_symbol.load(json.dumps(graph))
        with pytest.raises(UserError):
            scorer.check_parameters(symbol, arrays, (3, 32, 32))
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize('op', ('Custom', 'RNN', '_foreach', '_dfn_convolution', 'load', 'Dropout'))
def test_foreign_operators_are_refused(tmp_path, op):
    graph = json.loads(symbols.get_symbol('mr', 8).tojson())
    graph['nodes'][-2]['op'] = op
    (tmp_path / 'symbol.json').write_text(json.dumps(graph))
    with pytest.raises(UserError, match='operator ' + op):
        symbol_file.load(str(tmp_path / 'symbol.json'))
    assert op in user_error(
        'score.py',
        '--symbol',
        tmp_path / 'symbol.json',
        '--params',
        tmp_path / 'symbol.json',
        '--dataset',
        'cifar10',
    )


@pytest.mark.parametrize(
    'text',
    ('', '[]', '{}', '{"nodes": 3, "heads": []}', '[' * 100000, '{"nodes": [], "heads": []}', '\0'),
)
def test_text_that_is_no_symbol(tmp_path, text):
    (tmp_path / 'symbol.json').write_text(text)
    with pytest.raises(UserError, match='not a network'):
        symbol_file.load(str(tmp_path / 'symbol.json'))


def test_every_network_is_accepted():
    for network, depth in (
        ('plain', 5),
        ('resnet', 8),
        ('il', 8),
        ('mr', 8),
        ('side', 8),
        ('fuse3', 14),
        ('fuse6', 14),
    ):
        symbol = symbols.get_symbol(network, depth)
        assert untrusted_symbol.load(symbol.tojson()).list_arguments() == symbol.list_arguments()


# ---- logs ----

RECORD = {'epoch': 1, 'train_loss': 1.0, 'train_error': 50.0, 'test_loss': 1.0, 'test_error': 50.0}


def log_text(*entries):
    return ''.join(
        json.dumps(entry) + '\n'
        for entry in (
            {
                'type': 'header',
                'format': 1,
                'run': 'r',
                'options': {'network': 'mr', 'depth': 8, 'dataset': 'cifar10', 'epochs': 2},
            },
        )
        + entries
    )


@FUZZ
@given(st.data())
def test_logs(tmp_path, draw):
    content = bytearray(
        log_text(dict(RECORD, type='epoch'), dict(RECORD, type='epoch', epoch=2)).encode()
    )
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(content) - 1))
        content[at : at + draw.draw(st.integers(0, 9))] = draw.draw(
            st.binary(max_size=6) | st.sampled_from((b'NaN', b'1e999', b'[' * 5000, b'"', b'{}\n'))
        )
    path = str(tmp_path / 'run.jsonl')
    with open(path, 'wb') as file:
        file.write(content)
    try:
        header, found = log.read(path)
        assert header['type'] == 'header' and [record['epoch'] for record in found] == list(
            range(1, len(found) + 1)
        )
    except UserError as error:
        assert path in str(error)


def test_a_torn_last_line_and_plots_of_different_lengths(tmp_path):
    entries = [dict(RECORD, type='epoch', epoch=number, lr=0.1) for number in (1, 2, 3)]
    head = {
        'options': {'network': 'mr', 'depth': 14, 'dataset': 'cifar10', 'widen': 1, 'epochs': 3}
    }
    text = json.dumps(dict({'type': 'header', 'format': 1, 'run': 'a'}, **head)) + '\n'
    lines = [json.dumps(entry) + '\n' for entry in entries]
    (tmp_path / 'a.jsonl').write_text(text + ''.join(lines) + lines[0][:30])
    assert len(log.read(str(tmp_path / 'a.jsonl'))[1]) == 3
    (tmp_path / 'b.jsonl').write_text(
        text.replace('"mr"', '"resnet"').replace('14', '26') + lines[0]
    )
    said = run_script(
        'plot_curves.py',
        tmp_path / 'a.jsonl',
        tmp_path / 'b.jsonl',
        '--out',
        tmp_path / 'figure.png',
    )
    assert (
        '3 epochs' in said
        and '1 epoch)' in said
        and (tmp_path / 'figure.png').stat().st_size > 10000
    )
    (tmp_path / 'a.jsonl').write_text(text.replace('"format": 1', '"format": 9'))
    assert 'log format 9' in user_error(
        'plot_curves.py', tmp_path / 'a.jsonl', '--out', tmp_path / 'figure.png'
    )


# ---- archives ----


@FUZZ
@given(st.data())
def test_cifar_pickles(draw):
    """CIFAR's Python version with bytes replaced: its images, or an error; nothing in it runs."""
    whole = {b'data': numpy.zeros((3, 3072), 'uint8'), b'labels': [1, 2, 3]}
    content = bytearray(pickle.dumps(whole, protocol=2))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, 200) | st.integers(0, len(content) - 1))
        content[at : at + draw.draw(st.integers(0, 4))] = draw.draw(st.binary(max_size=5))
    try:
        labels, pixels = cifar._parse_python('batch', bytes(content), b'labels')
        assert pixels.shape == (len(labels), 3072)
    except UserError as error:
        assert 'nothing in it was run' in str(error) or 'damaged' in str(error)


@FUZZ
@given(st.data())
def test_idx_files(tmp_path, draw):
    content = bytearray(struct.pack('>4I', 0x803, 2, 3, 4) + bytes(24))
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(content) - 1))
        content[at : at + draw.draw(st.integers(0, 4))] = draw.draw(st.binary(max_size=5))
    packed = bytearray(gzip.compress(bytes(content)))
    if draw.draw(st.booleans()):
        packed[draw.draw(st.integers(0, len(packed) - 1))] ^= draw.draw(st.integers(0, 255))
    with open(str(tmp_path / 'a.gz'), 'wb') as file:
        file.write(packed)
    try:
        assert fashion_mnist.read_idx(str(tmp_path / 'a.gz'), 3).ndim == 3
    except UserError as error:
        assert 'a.gz' in str(error)


@FUZZ
@given(st.data())
def test_tar_archives(tmp_path, draw):
    """Whatever the bytes, the wanted files and no others come out, within their sizes, and nothing
    is written.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w:gz' if draw.draw(st.booleans()) else 'w') as archive:
        for name, size in (('folder/a.bin', 700), ('folder/b.bin', 20)):
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
    content = bytearray(packed.getvalue())
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, min(600, len(content) - 1)))
        content[at : at + draw.draw(st.integers(0, 8))] = draw.draw(
            st.binary(max_size=8) | st.sampled_from((b'../../x', b'/etc/x', b'77777777777'))
        )
    path = tmp_path / 'archive.tar'
    path.write_bytes(bytes(content))
    try:
        wanted = {'a.bin': 700, 'b.bin': 20}
        found = tar_archives.members(str(path), wanted)
        tar_archives.check_members(str(path), found, wanted)
        assert sorted(found) == ['a.bin', 'b.bin'] and len(found['a.bin']) <= 700
    except UserError as error:
        assert 'archive.tar' in str(error)
    assert os.listdir(str(tmp_path)) == ['archive.tar']


def test_a_gzip_bomb(tmp_path):
    with gzip.open(str(tmp_path / 'bomb.gz'), 'wb') as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    with pytest.raises(UserError, match='is not an idx file'):
        fashion_mnist.read_idx(str(tmp_path / 'bomb.gz'), 3)


@settings(FUZZ, max_examples=25)
@given(st.data())
@pytest.mark.slow
def test_mat_files(tmp_path, draw):
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(
        file,
        {'X': numpy.zeros((32, 32, 3, 2), 'uint8'), 'y': numpy.ones((2, 1), 'uint8')},
        do_compression=draw.draw(st.booleans()),
    )
    content = bytearray(file.getvalue())
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(100, min(300, len(content) - 1)))
        content[at : at + draw.draw(st.integers(0, 4))] = draw.draw(st.binary(max_size=5))
    (tmp_path / 'train_32x32.mat').write_bytes(bytes(content))
    try:
        archives.check_matlab(str(tmp_path / 'train_32x32.mat'))
        labels, images = svhn._read(str(tmp_path / 'train_32x32.mat'))
        assert images.shape[-1] == len(labels)
    except UserError as error:
        assert 'train_32x32.mat' in str(error)


# ---- options ----


@pytest.mark.parametrize(
    'options,word',
    [
        (('--lr', 'inf'), 'finite'),
        (('--threads', '99999999'), 'more than 1024'),
        (('--depth', '1000000000002'), '10000 layers'),
        (('--widen', '1000000000'), 'from 1 to 64'),
        (('--on-nan', 'ignore'), 'invalid choice'),
    ],
)
def test_absurd_options(place, options, word):
    assert word in user_error(*arguments(place, *options))
