"""What the scoring scripts are given: images, symbols and data sets of any kind.

Each test has real files. Where a script is not run as a user runs it, its own functions are called
in this process, which saves MXNet's import.
"""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import types
import zlib

import numpy
import official_archives as archives
import pytest
from PIL import Image
from scripts import ROOT, run_script, user_error

import score
import symbols
from common import checkpoint, classes, predictions, scorer
from common.model import load_run
from engine import mx
from graphs import untrusted_symbol
from recordio import datasets, images
from symbols import ensemble, imagenet
from system.errors import UserError

CIFAR = datasets.get('cifar10')
RECORD = {
    'epoch': 1,
    'train_loss': 1.0,
    'train_error': 50.0,
    'test_loss': 1.0,
    'test_error': 50.0,
    'lr': 0.1,
    'seconds': 1.0,
    'images_per_second': 100.0,
}


def write_run(folder, name, symbol, script='train_cifar.py', **options):
    """Write the checkpoint of a run whose parameters are random; return its folder."""
    size = options.get('image_size', 32)
    arguments, _, auxiliary = symbol.infer_shape(data=(1, 3, size, size))
    random = numpy.random.RandomState(0)
    arrays = {
        'arg': {
            name: mx.nd.array(random.randn(*shape) * 0.1)
            for name, shape in zip(symbol.list_arguments(), arguments)
            if name not in scorer.INPUTS
        },
        'aux': {
            name: mx.nd.ones(shape)
            for name, shape in zip(symbol.list_auxiliary_states(), auxiliary)
        },
        'momentum': {},
    }
    header = {
        'type': 'header',
        'format': 2,
        'run': name,
        'script': script,
        'threads': 1,
        'versions': {},
        'parameters': 1,
        'devices': ['cpu(0)'],
        'workers': 1,
        'train_images': 1,
        'test_images': 1,
        'started': '2026-01-01T00:00:00+00:00',
        'options': dict({'network': 'mr', 'depth': 8, 'widen': 1, 'epochs': 1}, **options),
    }
    checkpoint.save(
        str(folder / name),
        symbol,
        arrays,
        {'header': header, 'epoch': 1, 'best': 1, 'records': [RECORD], 'kept': [1]},
    )
    return folder / name


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """The folder of checkpoints of networks for several data sets."""
    place = tmp_path_factory.mktemp('runs')
    write_run(place, 'ten', symbols.get_symbol('plain', 5), dataset='sample')
    write_run(place, 'hundred', symbols.get_symbol('plain', 5, 100), dataset='cifar100')
    write_run(place, 'eight', ensemble.get_symbol(1, 10), 'train_ensemble.py', dataset='sample')
    write_run(place, 'many', ensemble.get_symbol(1, 100), 'train_ensemble.py', dataset='cifar100')
    return place


def arguments_of(monkeypatch, *words):
    """Return the options of score.py as it parses them."""
    monkeypatch.setattr(sys, 'argv', ['score.py', *map(str, words)])
    return score.parse_args()


def png_of(chunks):
    parts = [
        struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return images.SIGNATURE + b''.join(parts)


def header_of(width, height):
    return b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)


def encoded(image, kind='JPEG', **options):
    file = io.BytesIO()
    Image.fromarray(image[..., ::-1]).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope='module')
def photo():
    """A real photograph, (120, 160, 3), blue first."""
    return numpy.ascontiguousarray(archives.photograph()[300:420, 400:560])


# ---- classes ----


@pytest.mark.parametrize('more', [['--rec', 'x.rec'], ['--image', 'x.png'], ['--fast', 'int8'], []])
def test_classes_are_compared_before_anything_runs(runs, monkeypatch, more):
    """Neither the .rec file nor the image is there: they are not even looked for."""
    for run, dataset, word in (
        ('ten', 'cifar100', '10 classes'),
        ('hundred', 'sample', '100 classes'),
        ('ten', 'svhn', 'has other ones'),
    ):
        args = arguments_of(monkeypatch, '--run', runs / run, '--dataset', dataset, *more)
        with pytest.raises(UserError, match=word):
            score.load(args)
    files = [runs / 'hundred' / name for name in ('model-symbol.json', 'model-0001.params')]
    args = arguments_of(
        monkeypatch, '--symbol', files[0], '--params', files[1], '--dataset', 'cifar10', *more
    )
    with pytest.raises(UserError, match='tells 100 classes apart, and cifar10 has 10'):
        score.load(args)


def test_data_sets_with_the_same_classes_may_be_exchanged(runs, monkeypatch):
    args = arguments_of(monkeypatch, '--run', runs / 'ten', '--dataset', 'fashion-mnist')
    assert score.load(args).name == 'fashion-mnist'


def test_a_record_file_of_another_data_set(runs, sample, tmp_path, capsys):
    """By the manifest beside it; without one the labels tell what they can."""
    rec = sample / 'sample' / 'test.rec'
    for script, run in (('score.py', 'hundred'), ('study/score_ensemble.py', 'many')):
        said = user_error(script, '--run', runs / run, '--rec', rec)
        assert 'other classes than cifar100' in said and '(10 and 100)' in said
    model = types.SimpleNamespace(name='svhn', dataset=datasets.get('svhn'))
    with pytest.raises(UserError, match='other classes than svhn'):
        classes.check_record_file(str(rec), model)
    for ending in ('.rec', '.idx'):
        shutil.copy(str(rec.with_suffix(ending)), str(tmp_path / 'test') + ending)
    model = types.SimpleNamespace(name='cifar100', dataset=datasets.get('cifar100'))
    classes.check_record_file(str(tmp_path / 'test.rec'), model)
    assert 'labels 0 to 9 alone, and cifar100 has 100' in capsys.readouterr().err
    (tmp_path / 'manifest.json').write_text('[' * 5000)
    with pytest.raises(UserError, match='manifest.json is damaged'):
        classes.check_record_file(str(tmp_path / 'test.rec'), model)


# ---- images ----

BOMBS = {
    'png': png_of([header_of(32000, 32000), (b'IDAT', zlib.compress(bytes(1000))), (b'IEND', b'')]),
    'jpg': b'\xff\xd8\xff\xc0'
    + struct.pack('>HBHHB', 17, 8, 60000, 60000, 3)
    + bytes(9)
    + b'\xff\xd9',
    'bmp': b'BM'
    + struct.pack('<IIIIiiHHIIiiII', 1054, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
    + bytes(1000),
    'ppm': b'P6 60000 60000 255\n' + bytes(1000),
    'gif': b'GIF89a'
    + struct.pack('<HHBBB', 65535, 65535, 0, 0, 0)
    + b','
    + struct.pack('<HHHHB', 0, 0, 65535, 65535, 0)
    + b'\x02\x02\x4c\x01\x00;',
    'small-screen.gif': b'GIF89a'
    + struct.pack('<HHBBB', 1, 1, 0, 0, 0)
    + b','
    + struct.pack('<HHHHB', 0, 0, 30000, 30000, 0)
    + b'\x02\x02\x4c\x01\x00;',
}


def webp_bomb():
    """An animation of 16384x16384 whose one frame is small."""
    frame = encoded(numpy.zeros((8, 8, 3), 'uint8'), 'WEBP', lossless=True)[12:]
    wide = [struct.pack('<I', number)[:3] for number in (16383, 0, 7)]
    frame = wide[1] * 2 + wide[2] * 2 + b'\x01\0\0\0' + frame
    body = (
        b'WEBPVP8X'
        + struct.pack('<I', 10)
        + b'\x02\0\0\0'
        + wide[0] * 2
        + b'ANIM'
        + struct.pack('<I', 6)
        + bytes(6)
        + b'ANMF'
        + struct.pack('<I', len(frame))
        + frame
    )
    return b'RIFF' + struct.pack('<I', len(body)) + body


def test_image_bombs_of_every_format(tmp_path):
    """In a process that may have 3 GB and has imported OpenCV with MXNet before anything else."""
    paths = []
    for name, content in dict(BOMBS, webp=webp_bomb()).items():
        assert len(content) < 1200
        paths.append(tmp_path / f'bomb.{name}')
        paths[-1].write_bytes(content)
    code = """
import resource, sys
import cv2
from engine import mx
from common import scorer
from recordio import datasets
from system.errors import UserError
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for path in sys.argv[1:]:
    try:
        scorer.read_image(path, datasets.get('cifar10'))
    except UserError as error:
        print(error)
with open('/proc/self/status') as status:
    peak = next(line for line in status if line.startswith('VmHWM'))
print(int(peak.split()[1]) >> 10)
"""
    *said, megabytes = run_script('-c', code, *paths, OMP_NUM_THREADS='1').splitlines()
    assert len(said) == len(paths) and all(
        'too large' in line and '64 megapixels' in line for line in said
    )
    assert int(megabytes) < 700


def test_formats_that_are_not_known_are_refused(tmp_path, photo):
    """TIFF's tiles can be larger than the image, and so can JPEG 2000's."""
    for kind in ('TIFF', 'JPEG2000'):
        with pytest.raises(ValueError, match='no PNG, JPEG, WebP, BMP, GIF or PPM'):
            images.decode(encoded(photo, kind))


@pytest.mark.parametrize(
    'kind,options,tolerance',
    [
        ('PNG', {}, 0),
        ('BMP', {}, 0),
        ('PPM', {}, 0),
        ('WEBP', {'lossless': True}, 0),
        ('JPEG', {'quality': 95}, 3),
        ('JPEG', {'quality': 95, 'progressive': True}, 3),
        ('GIF', {}, 12),
    ],
)
def test_every_format_is_decoded_or_known_to_be_cut(photo, kind, options, tolerance):
    whole = encoded(photo, kind, **options)
    difference = numpy.abs(images.decode(whole).astype(int) - photo)
    assert difference.mean() <= tolerance
    for part in (3, 2, 1.1):
        with pytest.raises(ValueError, match='early|damaged|no PNG'):
            images.decode(whole[: int(len(whole) / part)])


def test_a_jpeg_with_a_thumbnail(photo):
    """The thumbnail's own end is not the end of the photograph around it, wherever it stands."""
    whole, thumbnail = encoded(photo), encoded(photo[:20, :20])
    segment = b'\xff\xe1' + struct.pack('>H', len(thumbnail) + 2) + thumbnail
    for at in (
        2,
        whole.index(b'\xff\xda'),
    ):  # before everything, and right before the compressed data
        both = whole[:at] + segment + whole[at:]
        assert images.shape_of(both) == (120, 160, 3)
        numpy.testing.assert_array_equal(images.decode(both), images.decode(whole))
        for cut in (
            len(both) - 1,
            len(both) - 2,
            len(both) // 2 + len(segment) // 2,
            at + len(segment),
        ):
            with pytest.raises(ValueError, match='ends too early'):
                images.decode(both[:cut])
    assert images.shape_of(whole + b'what phones append') == (120, 160, 3)


def test_a_jpeg_of_very_many_scans(photo):
    progressive = encoded(photo, progressive=True)
    last = progressive.rindex(b'\xff\xda')
    with pytest.raises(ValueError, match='100 scans'):
        images.shape_of(progressive[:-2] + progressive[last:-2] * 100 + progressive[-2:])
    began = time.process_time()
    for flood in (b'\xff' * 5_000_000 + b'\0', b'\xff\xe1\0\2' * 1_000_000):
        with pytest.raises(ValueError):
            images.shape_of(b'\xff\xd8' + flood)
    assert time.process_time() - began < 1


def test_a_png_of_very_many_chunks():
    """The time is proportional to the number of chunks, and that is bounded."""
    pixels = (b'IDAT', zlib.compress(bytes(97 * 32)))
    many = png_of([header_of(32, 32), *[(b'IDAT', b'')] * 90_000, pixels, (b'IEND', b'')])
    began = time.process_time()
    assert images.shape_of(many) == (32, 32, 3)
    assert time.process_time() - began < 1
    more = png_of([header_of(32, 32), *[(b'tEXt', b'a\0b')] * 200_000, pixels, (b'IEND', b'')])
    with pytest.raises(ValueError, match='more than 100000 chunks'):
        images.shape_of(more)
    with pytest.raises(
        ValueError, match='begin with its size'
    ):  # a second size, behind the one that was read
        images.shape_of(
            png_of([header_of(32, 32), header_of(60000, 60000), pixels, (b'IEND', b'')])
        )


def test_what_is_no_image_file(tmp_path, photo):
    """A folder, a FIFO, a device, a file of others, an empty one, one that is too large: each is
    told from the others.
    """
    os.mkfifo(str(tmp_path / 'fifo'))
    (tmp_path / 'empty.png').write_bytes(b'')
    with open(str(tmp_path / 'large.png'), 'wb') as file:
        file.truncate(images.MOST_BYTES + 1)
    for name, word in (
        ('', 'is a folder'),
        ('fifo', 'is a pipe or a device'),
        ('none.png', 'not there'),
        ('empty.png', 'no PNG'),
        ('large.png', 'more than 256 MB'),
        ('empty.png/a.png', 'not there'),
    ):
        with pytest.raises(UserError, match=word):
            scorer.read_image(str(tmp_path / name), CIFAR)
    with pytest.raises(UserError, match='is a pipe or a device'):
        scorer.read_image('/dev/zero', CIFAR)


def test_an_image_that_may_not_be_read(tmp_path, photo):
    path = tmp_path / 'private.png'
    path.write_bytes(encoded(photo, 'PNG'))
    path.chmod(0)
    superuser = os.geteuid() == 0
    if superuser:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match='private.png cannot be read'):
            images.read(str(path))
    finally:
        if superuser:
            os.seteuid(0)


def test_a_photograph_as_long_as_a_street(tmp_path):
    """Scaling its shorter side to 256 pixels would make gigabytes of it."""
    path = tmp_path / 'street.png'
    path.write_bytes(encoded(numpy.zeros((2, 40000, 3), 'uint8'), 'PNG'))
    with pytest.raises(UserError, match='too long for its width'):
        scorer.read_image(str(path), datasets.PHOTOGRAPHS)
    image, size = scorer.read_image(str(path), CIFAR)
    assert image.shape == (32, 32, 3) and size == (40000, 2)


def test_several_images(runs, tmp_path, photo):
    names = ['hemd.png', 'größe.webp', 'a\x1b[2Jb.jpg']
    for name, kind in zip(names, ('PNG', 'WEBP', 'JPEG')):
        (tmp_path / name).write_bytes(encoded(photo, kind))
    paths = [tmp_path / name for name in names]
    said = run_script(
        'score.py', '--run', runs / 'ten', '--image', *paths, PYTHONIOENCODING='utf-8'
    )
    assert '\x1b' not in said and 'a\\x1b[2Jb.jpg' in said
    _, *rows, note = said.splitlines()
    for name, row in zip(names[:2], rows):
        assert row.split()[:2] == [str(tmp_path / name), '160x120']
    assert [row.count('%  ') for row in rows] == [3] * 3
    assert note == 'images of another size were scaled to 32x32'
    (tmp_path / 'cut.jpg').write_bytes(paths[2].read_bytes()[:-300])
    error = user_error('score.py', '--run', runs / 'ten', '--image', *paths, tmp_path / 'cut.jpg')
    assert 'cut.jpg' in error and 'ends too early' in error


def test_names_of_classes_cannot_steer_the_terminal(tmp_path, photo):
    """Those of photographs are names of folders, which come with an archive."""
    symbol = symbols.get_symbol('plain', 5, 2)
    write_run(tmp_path, 'odd-run', symbol, dataset='odd', image_size=32)
    file = {'bytes': 1, 'sha256': '0' * 64}
    manifest = {
        'format': 1,
        'short_side': 48,
        'classes': ['\x1b]0;title\x07\x1b[2J', 'Frühling'],
        'splits': {split: {'0': 1, '1': 1} for split in ('train', 'test')},
        'files': {
            f'{split}.{ending}': file
            for split in ('train', 'test')
            for ending in ('rec', 'idx', 'lst')
        },
    }
    (tmp_path / 'data' / 'odd').mkdir(parents=True)
    (tmp_path / 'data' / 'odd' / 'manifest.json').write_text(json.dumps(manifest))
    (tmp_path / 'a.png').write_bytes(encoded(photo, 'PNG'))
    said = run_script(
        'score.py',
        '--run',
        tmp_path / 'odd-run',
        '--data-dir',
        tmp_path / 'data',
        '--image',
        tmp_path / 'a.png',
        PYTHONIOENCODING='utf-8',
    )
    assert '\x1b' not in said and '\x07' not in said and '\\x1b[2J' in said and 'Frühling' in said


@pytest.mark.parametrize(
    'locale',
    [
        {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'},
        pytest.param({'PYTHONIOENCODING': 'ascii'}, marks=pytest.mark.slow),
    ],
)
def test_umlauts_where_the_terminal_has_none(runs, sample, tmp_path, photo, locale):
    """Names of runs, folders, images and record files go through MXNet and OpenCV, and are
    printed.
    """
    place = tmp_path / 'Größe'
    shutil.copytree(str(runs / 'ten'), str(place / 'läuf'))
    shutil.copytree(str(sample / 'sample'), str(place / 'daten' / 'sample'))
    (place / 'bïld.webp').write_bytes(encoded(photo, 'WEBP'))
    words = ['--run', place / 'läuf', '--data-dir', place / 'daten']
    for more, printed in (
        (['--fast', 'int8'], 'Größe/daten'),
        (['--image', place / 'bïld.webp'], 'Größe/bïld.webp'),
    ):
        done = subprocess.run(
            [sys.executable, 'score.py', *map(str, words + more)],
            cwd=ROOT,
            capture_output=True,
            env=dict(os.environ, PYTHONPATH=ROOT, **locale),
        )
        assert done.returncode == 0 and not done.stderr, done.stderr
        encoding = locale.get('PYTHONIOENCODING', 'utf-8')
        assert printed.encode(encoding, 'backslashreplace') in done.stdout


# ---- symbols ----


def changed(symbol, change):
    graph = json.loads(symbol.tojson())
    change({node['name']: node for node in graph['nodes']})
    return json.dumps(graph)


@pytest.mark.parametrize(
    'node,attribute,values',
    [
        ('stem_conv', 'num_filter', ('60000', '4097', '0', '-16', '1e3', '016777216')),
        ('stem_conv', 'kernel', ('(99, 99)', '(9, 9)', '(0, 0)', '(3,)', '(3, 3, 3)')),
        ('stem_conv', 'pad', ('(99, 99)', '(4, 4)', '(-1, -1)')),
        ('stem_conv', 'stride', ('(0, 0)', '(9, 9)')),
        ('stem_bn', 'eps', ('-9e99', '9e99', '-2e-05', '0', '1e-99', '1.2.3', 'nan', '2')),
        ('stem_bn', 'momentum', ('-0.1', '1.1', 'inf', '9e99')),
        ('fc', 'num_hidden', ('100001', '0', '-1')),
    ],
)
def test_attributes_out_of_reason(node, attribute, values):
    symbol = symbols.get_symbol('mr', 8)
    for value in values:
        with pytest.raises(ValueError, match=f'has {attribute}'):
            untrusted_symbol.load(
                changed(
                    symbol,
                    lambda nodes, value=value: nodes[node]['attrs'].update({attribute: value}),
                )
            )


def chain(count):
    """The JSON of a network with ``count`` ReLUs in a row."""
    graph = json.loads(symbols.get_symbol('plain', 5).tojson())
    place = next(number for number, node in enumerate(graph['nodes']) if node['op'] == 'mean')
    before, after = graph['nodes'][:place], graph['nodes'][place:]
    relu = [
        {
            'op': 'Activation',
            'name': f'more{number}',
            'attrs': {'act_type': 'relu'},
            'inputs': [[place - 1 + number, 0, 0]],
        }
        for number in range(count)
    ]
    for node in after:
        node['inputs'] = [
            [source + count * (source >= place - 1), 0, 0] for source, _, _ in node['inputs']
        ]
    graph['heads'] = [[source + count, 0, 0] for source, _, _ in graph['heads']]
    return json.dumps(dict(graph, nodes=before + relu + after))


def test_a_symbol_of_90000_layers_is_refused_at_once():
    text = chain(90_000)
    began = time.process_time()
    with pytest.raises(ValueError, match='operators, and at most 25000'):
        untrusted_symbol.load(text)
    assert time.process_time() - began < 4
    assert len(untrusted_symbol.load(chain(100)).list_arguments()) > 5  # the chain itself is right
    with pytest.raises(ValueError, match='more than 64 MB'):
        untrusted_symbol.load(' ' * (untrusted_symbol.MOST_BYTES + 1))


def test_a_long_row_without_a_relu_is_refused():
    """Functions that rewrite graphs call themselves along such a row."""
    graph = json.loads(chain(3000))
    for node in graph['nodes']:
        if node['name'].startswith('more'):
            node.update(op='_mul_scalar', attrs={'scalar': '1.0'})
    with pytest.raises(ValueError, match='in a row without a ReLU'):
        untrusted_symbol.load(json.dumps(graph))


def test_the_projects_deepest_and_widest_networks_pass():
    """Those of the paper's tables, ten times deeper ones, and ImageNet's at 224, in
    batches of 100.
    """
    small = [
        symbols.get_symbol(*args)
        for args in (
            ('resnet', 1202),
            ('mr', 602),
            ('il', 602),
            ('mr', 50, 100, 4),
            ('resnet', 110, 10, 10),
        )
    ]
    large = [
        imagenet.get_symbol(network, depth)
        for network, depths in imagenet.NETWORKS.items()
        for depth in depths
    ]
    for symbol, image in [(symbol, (3, 32, 32)) for symbol in small] + [
        (symbol, (3, 224, 224)) for symbol in large
    ]:
        began = time.process_time()
        loaded = untrusted_symbol.load(symbol.tojson())
        needs = untrusted_symbol.needs(loaded, image)
        assert time.process_time() - began < 4
        assert loaded.list_arguments() == symbol.list_arguments()
        assert (
            needs.memory(100) < scorer.MOST_MEMORY / 2
            and needs.operations < scorer.MOST_OPERATIONS / 10
        )


def test_what_a_forward_pass_needs():
    """plain-5: most is held between the stem's convolution and BatchNorm, 16 x 32 x 32 each."""
    needs = untrusted_symbol.needs(symbols.get_symbol('plain', 5), (3, 32, 32))
    assert needs.maps == (3 + 2 * 16) * 32 * 32
    weights = 16 * 27 * 1024 + 16 * 144 * 1024 + 32 * 144 * 256 + 64 * 288 * 64 + 640
    assert weights < needs.operations < 1.1 * weights
    four, one = (
        untrusted_symbol.needs(symbols.get_symbol('mr', 50, 10, widen), (3, 32, 32))
        for widen in (4, 1)
    )
    assert 3.5 < four.maps / one.maps < 4 and 15 < four.operations / one.operations < 16.5


def test_a_forward_pass_that_needs_too_much(monkeypatch):
    """4096 filters pass the check of attributes; what a batch takes is summed up before anything is
    bound.
    """
    wide = untrusted_symbol.load(
        changed(
            symbols.get_symbol('plain', 5),
            lambda nodes: nodes['stem_conv']['attrs'].update(num_filter='4096'),
        )
    )
    monkeypatch.setattr(scorer, 'free_memory', lambda: 64 << 30)
    scorer.check_needs(wide, 30, (3, 32, 32))
    with pytest.raises(
        UserError, match=r'134\.[0-9] GB of memory for 1000 images .* add --batch-size 127'
    ):
        scorer.check_needs(wide, 1000, (3, 32, 32))
    with pytest.raises(UserError, match='operations for one image'):
        scorer.check_needs(wide, 1, (3, 8192, 8192))
    monkeypatch.setattr(scorer, 'free_memory', lambda: 1 << 20)
    with pytest.raises(UserError, match='for one image of 32x32, and 0.0 GB of memory'):
        scorer.check_needs(wide, 1, (3, 32, 32))
    monkeypatch.undo()
    assert 1 << 26 < scorer.free_memory() < 1 << 50


# ---- runs ----


def test_a_symbol_that_is_gone(runs, tmp_path):
    """Every epoch needs it, so another epoch would not help."""
    shutil.copytree(str(runs / 'ten'), str(tmp_path / 'ten'))
    (tmp_path / 'ten' / 'model-symbol.json').unlink()
    with pytest.raises(
        UserError,
        match=r'model-symbol.json is gone: ".*train_cifar.py --resume .*ten" writes it again',
    ):
        load_run(str(tmp_path / 'ten'), 'last')


@pytest.mark.slow
def test_ensembles_have_their_own_script(runs, sample):
    said = run_script('score.py', '--run', runs / 'eight', '--data-dir', sample)
    command = said.splitlines()[-1].split('study/score_ensemble.py')[1]
    assert command == f' --run {runs / "eight"} --data-dir {sample}'
    error = said.split('error ')[1].split('%')[0]
    assert f'overall {float(error):6.2f}' in run_script('study/score_ensemble.py', *command.split())
    assert f'score.py --run {runs / "ten"}" scores it' in user_error(
        'study/score_ensemble.py', '--run', runs / 'ten'
    )


def test_which_network_is_said_once(runs, monkeypatch):
    for words in (
        [],
        ['--symbol', 'a'],
        ['--run', runs / 'ten', '--symbol', 'a'],
        ['--symbol', 'a', '--params', 'b'],
    ):
        with pytest.raises(UserError, match='say which network'):
            score.load(arguments_of(monkeypatch, *words))


def test_classes_without_names_are_called_by_their_numbers(capsys):
    cifar100 = datasets.get('cifar100')
    one = predictions.Prediction('a.png', (32, 32), numpy.arange(100) / 4950)
    predictions.print_one(one, cifar100)
    predictions.print_json([one], cifar100)
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and lines[0].split() == ['2.00%', '99'] and '"class": "99"' in last
