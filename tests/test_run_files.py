"""What a run and a script write and remove: their own files, and nothing of a user's."""

import ast
import errno
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time

import numpy
import pytest
from scripts import ROOT, run_script, user_error
from test_faults import poison, trained_here, usage
from training_runs import arguments, name_of, records_of, small_cifar

import symbols
from common import checkpoint, log, run_commands, run_lock, run_state, symbol_file
from common.recipe import Recipe, cifar_decay
from common.run import Run
from common.trainer import Trainer
from engine import build, mx
from recordio import datasets
from report import curves, figures
from system import files, output_marks
from system.errors import UserError
from train_cifar import parse_args

EPOCHS = 2


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder with a small CIFAR-10, another one of other images, and a finished run."""
    folder = tmp_path_factory.mktemp('run-files')
    small_cifar(folder, fashion, 96, 32)
    other = folder / 'other'
    other.mkdir()
    small_cifar(other, fashion, 64, 32)
    run_script(*options(folder))
    return folder


def options(folder, *more):
    return arguments(folder, '--threads', '1', '--epochs', EPOCHS, *more)


@pytest.fixture
def copy(place, tmp_path):
    """A copy of the run: the folder, the run's name, the folder of its checkpoints."""
    for part in ('logs', 'checkpoints'):
        shutil.copytree(place / part, tmp_path / part)
    name = name_of(tmp_path / 'checkpoints')
    return tmp_path, name, tmp_path / 'checkpoints' / name


def resume(place, folder, run, *more):
    """Return the command that goes on with a run whose files are in ``folder``."""
    return options(
        place,
        '--log-dir',
        folder / 'logs',
        '--checkpoint-dir',
        folder / 'checkpoints',
        '--resume',
        run,
        *more,
    )


def said_by(command):
    """Run a script that succeeds; return what it says on stderr."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


# ---- one function writes, one removes ----

WRITING = {
    'os.remove',
    'os.unlink',
    'os.rename',
    'os.replace',
    'os.rmdir',
    'os.truncate',
    'os.open',
    'os.removedirs',
    'os.renames',
    'os.link',
    'os.symlink',
    'numpy.save',
    'numpy.savez',
    'mx.nd.save',
    'cv2.imwrite',
}
METHODS = {
    'unlink',
    'rename',
    'rmdir',
    'write_text',
    'write_bytes',
    'savefig',
    'render',
    'save_checkpoint',
    'save_params',
    'tofile',
    'NamedTemporaryFile',
    'TemporaryDirectory',
    'mkdtemp',
    'mkstemp',
}
OTHER = 'files of its own in a temporary folder of the system'
ALLOWED = {
    ('engine/params.py', 'open'): 'it is given a temporary name by files.write_atomically',
    ('report/figures.py', 'figure.savefig'): 'into memory',
    ('report/inline_figures.py', 'figure.savefig'): 'into memory',
    ('report/page.py', 'template.render'): 'into memory',
    ('distributed/cluster.py', 'numpy.savez'): 'into memory',
    ('system/errors.py', 'os.open'): 'the null device',
    ('system/processes.py', 'open'): 'the priority of the session, which the kernel keeps',
    ('system/script.py', 'os.open'): 'the null device',
    ('system/script.py', 'open'): 'the null device',
    ('data/crops.py', 'open'): 'crops, over nothing but the same crop',
    ('study/grid.py', 'open'): 'a lock on the file of the grid, which is not written',
    ('study/grid_jobs.py', 'open'): 'what the runs of a grid print, added to',
    ('study/repeat_epoch.py', 'tempfile.TemporaryDirectory'): 'a run of one epoch, thrown away',
    ('graphs/quantize.py', 'os.open'): 'the null device',
    ('packaging/mxnet/repack.py', 'tempfile.TemporaryDirectory'): 'what pip has downloaded',
    ('packaging/mxnet-cu112/repack.py', 'tempfile.TemporaryDirectory'): 'a link to the one above',
    ('benchmark.py', 'tempfile.TemporaryDirectory'): OTHER,
    ('benchmarks/int8_errors.py', 'tempfile.TemporaryDirectory'): OTHER,
    ('benchmarks/photographs.py', 'open'): OTHER,
    ('benchmarks/photographs.py', 'tempfile.TemporaryDirectory'): OTHER,
    ('benchmarks/photographs.py', 'tempfile.mkdtemp'): OTHER,
    ('benchmarks/worker.py', 'tempfile.TemporaryDirectory'): OTHER,
    ('recordio/held_out.py', 'tempfile.NamedTemporaryFile'): 'labels, which MXNet reads once',
    # The conversion of data sets, each file in the folder that data/pack_images.py makes for it.
    ('data/archives.py', 'open'): 'a download',
    ('data/imagenet.py', 'tempfile.NamedTemporaryFile'): 'the list of classes, which SciPy reads',
    ('data/pack_images.py', 'open'): 'images, lists and the manifest',
    ('data/resumable_output.py', 'open'): 'records',
}


def sources():
    """Yield (path, text) of the project's modules and scripts, without the tests."""
    for folder, _, names in os.walk(ROOT):
        below = os.path.relpath(folder, ROOT)
        parts = below.split(os.sep)
        if parts[0] in ('tests', 'checkpoints') or any(part[0] == '.' != part for part in parts):
            continue  # an environment, say
        for name in filter(lambda name: name.endswith('.py'), names):
            path = os.path.normpath(os.path.join(below, name))
            with open(os.path.join(ROOT, path), encoding='utf-8') as file:
                yield path, file.read()


def writing_calls(text):
    """Return the names of the calls in a module that write, rename or remove files."""
    found = []
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name.startswith('files.'):
            continue
        modes = call.args[1:2] + [each.value for each in call.keywords if each.arg == 'mode']
        reads = all(
            isinstance(mode, ast.Constant) and not set(str(mode.value)) & set('wax+')
            for mode in modes
        )
        library, last = name.startswith('shutil.'), name.rsplit('.', 1)[-1]
        if (
            name == 'open'
            and not reads
            or name in WRITING
            or '.' in name
            and last in METHODS
            or library
            and last in ('rmtree', 'move', 'copy', 'copyfile', 'copy2', 'copytree')
        ):
            found.append(name)
    return found


def test_the_walk_sees_what_writes():
    text = (
        'open(a)\nopen(a, "rb")\nopen(a, "w")\nopen(a, mode="ab")\nos.remove(a)\n'
        'shutil.rmtree(a)\npath.unlink()\nos.path.join(a)\nopen(a, mode)\n'
    )
    assert writing_calls(text) == [
        'open',
        'open',
        'os.remove',
        'shutil.rmtree',
        'path.unlink',
        'open',
    ]


def test_one_module_writes_renames_and_removes():
    found = dict(sources())
    assert {'system/files.py', 'report/draw.py', 'engine/build.py', 'score.py'} <= set(found)
    odd = [
        (path, name)
        for path, text in found.items()
        if path != 'system/files.py'
        for name in writing_calls(text)
        if (path, name) not in ALLOWED
    ]
    assert odd == []


# ---- files that a user names ----


def finished_log(folder):
    """Write the log of a finished run of four epochs, by the functions that runs write
    theirs with.
    """
    path = log.create(
        str(folder),
        'mr14',
        {
            'options': {
                'network': 'mr',
                'depth': 14,
                'dataset': 'cifar10',
                'widen': 1,
                'epochs': 4,
                'seed': 1,
            },
            'data': {'official': True, 'train_images': 50000, 'test_images': 10000, 'classes': 10},
        },
    )
    for epoch in range(1, 5):
        log.append(
            path,
            {
                'epoch': epoch,
                'train_loss': 1 / epoch,
                'train_error': 50 / epoch,
                'test_loss': 2 / epoch,
                'test_error': 60 / epoch,
                'lr': 0.1,
            },
        )
    return path


def test_a_figure_replaces_no_other_file(tmp_path):
    out = tmp_path / 'figures' / 'mine.png'
    command = ('plot_curves.py', finished_log(tmp_path), '--out', out)
    run_script(*command)
    run_script(*command)  # its own
    out.write_bytes(b'mine')
    assert '--overwrite' in user_error(*command)
    assert out.read_bytes() == b'mine' and os.listdir(out.parent) == [out.name]
    run_script(*command, '--overwrite')
    assert out.read_bytes() != b'mine'


@pytest.mark.parametrize('ending', ('png', 'pdf', 'svg'))
def test_a_figure_that_somebody_changed_is_not_replaced(tmp_path, ending):
    out = tmp_path / f'mine.{ending}'

    def draw():
        figures.save(figures.figure12(curves.group([logged])[0]), str(out))

    logged = finished_log(tmp_path)
    draw()
    draw()
    whole = out.read_bytes()
    for content in (
        whole[:-1] + bytes([whole[-1] ^ 1]),
        whole[:99] + b'x' + whole[100:],
        b'',
        b'mine',
        whole + b'a note',
        whole[:-20],
    ):
        out.write_bytes(content)
        with pytest.raises(UserError, match='choose another name, or add --overwrite'):
            draw()
        assert out.read_bytes() == content


def test_a_table_that_somebody_changed_is_not_replaced(tmp_path):
    """A CSV cannot have a mark; its digest is in a hidden file beside it."""
    for out in (tmp_path / 'table4.csv', tmp_path / '.csv'):
        files.write_output(str(out), b'depth,error\n26,7.0\n')
        files.write_output(str(out), b'depth,error\n26,6.9\n')  # its own
        out.write_bytes(b'depth,error\n26,6.9\n50,5.8\n')
        with pytest.raises(UserError, match='choose another name, or add --overwrite'):
            files.write_output(str(out), b'depth,error\n26,6.9\n')
        files.write_output(str(out), b'depth,error\n26,6.9\n', overwrite=True)
        files.write_output(str(out), b'depth,error\n26,6.8\n')
        assert out.read_bytes() == b'depth,error\n26,6.8\n'


def test_a_table_of_others_is_not_replaced_through_a_link(tmp_path):
    mine, link = tmp_path / 'mine.csv', tmp_path / 'table.csv'
    mine.write_bytes(b'depth,error\n')
    link.symlink_to(mine)
    with pytest.raises(UserError, match='--overwrite'):
        files.write_output(str(link), b'depth,error\n1,2\n')
    assert mine.read_bytes() == b'depth,error\n' and link.is_symlink()


@pytest.mark.parametrize('name', ('.md', '.png', '.html', '.tex', '.svg'))
def test_a_name_that_is_an_ending_alone(tmp_path, name):
    content = output_marks.PNG_END if name == '.png' else b'text\n'
    for _ in range(2):
        files.write_output(str(tmp_path / name), content)
    assert (tmp_path / name).read_bytes() == output_marks.marked(name, content)


def test_marks_keep_files_readable(tmp_path):
    """A PNG with a mark decodes to the same image, and its chunks have the right checksums."""
    import cv2

    image = numpy.arange(48, dtype=numpy.uint8).reshape(4, 4, 3)
    files.write_output(str(tmp_path / 'a.png'), cv2.imencode('.png', image)[1].tobytes())
    assert (cv2.imread(str(tmp_path / 'a.png')) == image).all()
    from recordio import images

    assert images.shape_of((tmp_path / 'a.png').read_bytes()) == (4, 4, 3)
    files.write_output(str(tmp_path / 'a.svg'), b'<svg xmlns="http://www.w3.org/2000/svg"/>\n')
    from xml.etree import ElementTree

    assert ElementTree.parse(tmp_path / 'a.svg').getroot().tag.endswith('svg')


def test_tables_replace_no_other_file(tmp_path):
    """Where one of the files is a user's, none is written."""
    command = (
        'study/make_tables.py',
        finished_log(tmp_path),
        '--table',
        '4',
        '--out',
        tmp_path / 'out',
    )
    (tmp_path / 'out').mkdir()
    for ending in ('md', 'csv', 'tex'):
        mine = tmp_path / 'out' / f'table4.{ending}'
        mine.write_text('my own notes\n')
        assert '--overwrite' in user_error(*command)
        assert os.listdir(tmp_path / 'out') == [mine.name]
        assert mine.read_text() == 'my own notes\n'
        mine.unlink()
    run_script(*command)
    run_script(*command)
    assert len(list((tmp_path / 'out').glob('table4.*'))) == 3


def test_an_output_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe.svg')
    (tmp_path / 'folder.svg').mkdir()
    for name in ('pipe.svg', 'folder.svg'):
        with pytest.raises(UserError, match='no ordinary file'):
            files.write_output(str(tmp_path / name), b'<svg/>', overwrite=True)
    (tmp_path / 'link.svg').symlink_to('real.svg')
    files.write_output(str(tmp_path / 'link.svg'), b'<svg/>')
    assert (tmp_path / 'link.svg').is_symlink()
    assert (tmp_path / 'real.svg').read_bytes().startswith(b'<svg/>')


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / 'notes.md'
    path.write_text('first')
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        files.write_text(str(path), f'{mode:o}')
        assert path.read_text() == f'{mode:o}'
        assert path.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(not shutil.which('dot'), reason='graphviz is not installed')
@pytest.mark.slow
def test_a_drawing_writes_one_file(tmp_path):
    """graphviz's render would write its source as Makefile, and remove it."""
    (tmp_path / 'Makefile').write_text('all:\n')
    command = ('-m', 'symbols', '--depth', '8', '--plot', 'Makefile.pdf')
    run_script(*command, cwd=tmp_path)
    run_script(*command, cwd=tmp_path)
    assert (tmp_path / 'Makefile').read_text() == 'all:\n'
    assert sorted(os.listdir(tmp_path)) == ['Makefile', 'Makefile.pdf']
    assert (tmp_path / 'Makefile.pdf').read_bytes().startswith(b'%PDF')
    (tmp_path / 'Makefile.pdf').write_text('mine')
    assert '--overwrite' in user_error(*command, cwd=tmp_path)


def test_two_processes_write_one_file(tmp_path):
    """Each result is whole, and nothing else is left."""
    code = (
        'import sys, time\nfrom system import files\nfor _ in range(40):\n'
        '    files.write_text(sys.argv[1], sys.argv[2] * 50000)\n'
    )
    path = tmp_path / 'file'
    writers = [
        subprocess.Popen([sys.executable, '-c', code, path, letter], cwd=ROOT) for letter in 'ab'
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        text = path.read_text() if path.exists() else 'a' * 50000
        assert len(text) == 50000 and len(set(text)) == 1
        seen.add(text[0])
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert os.listdir(tmp_path) == ['file']


# ---- checkpoints ----

ARRAYS = {'arg': {'fc_weight': mx.nd.ones((2, 3))}, 'aux': {}, 'momentum': {}}
SYMBOL = mx.sym.FullyConnected(mx.sym.Variable('data'), num_hidden=2, no_bias=True, name='fc')


def state_of(epoch, **header):
    """Return the state that a run saves after an epoch."""
    records = [
        {
            'epoch': number,
            'train_loss': 1.0,
            'train_error': 1.0,
            'test_loss': 1.0,
            'test_error': 1 / number,
        }
        for number in range(1, epoch + 1)
    ]
    options = {'network': 'mr', 'depth': 8, 'dataset': 'cifar10', 'epochs': 4}
    header = {'run': 'r', 'options': options, 'versions': {}, 'threads': 1, **header}
    return {
        'header': header,
        'epoch': epoch,
        'best': epoch,
        'records': records,
        'kept': sorted({epoch, epoch - 1} - {0}),
    }


def save(folder, epoch, value=None):
    arrays = dict(ARRAYS, arg={'fc_weight': mx.nd.full((2, 3), epoch if value is None else value)})
    checkpoint.save(str(folder), SYMBOL, arrays, state_of(epoch))


def test_only_the_runs_own_checkpoints_are_removed(tmp_path):
    foreign = ('mine.params', 'model-0099.params', 'model-0002.params.tmp', 'notes.tmp', 'lock')
    for name in foreign:
        (tmp_path / name).write_text(name)
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / 'model-0001.params').write_text('changed by a user')
    save(tmp_path, 3)
    save(tmp_path, 4)
    run_lock.Lock(str(tmp_path)).release()
    assert all((tmp_path / name).read_text() == name for name in foreign)
    assert (tmp_path / 'model-0001.params').read_text() == 'changed by a user'
    own = {
        'model-0003.params',
        'model-0004.params',
        'model-symbol.json',
        'state.json',
        'state-before.json',
    }
    assert set(os.listdir(tmp_path)) == own | set(foreign) | {'model-0001.params'}


def test_checkpoints_take_no_more_memory(tmp_path):
    """MXNet loses some 0.15 MB whenever it makes this symbol into text."""
    symbol, known = symbols.get_symbol('mr', 14), {}
    for number in range(101):
        known[run_state.SYMBOL] = symbol_file.write(str(tmp_path), symbol, known)
        if number == 0:
            before, *_ = usage(os.getpid())
    after, *_ = usage(os.getpid())
    assert after - before < 3.8


def test_a_file_in_the_way_of_a_checkpoint_is_kept(tmp_path, capsys):
    save(tmp_path, 1)
    for number in (1, 2):
        (tmp_path / 'model-0002.params').write_text('mine')
        (tmp_path / 'model-symbol.json').write_text('mine too')
        save(tmp_path, 2)
        said = capsys.readouterr().err
        assert f'kept as {tmp_path}/model-0002.params.kept-{number}' in said
        assert (tmp_path / f'model-0002.params.kept-{number}').read_text() == 'mine'
        assert (tmp_path / f'model-symbol.json.kept-{number}').read_text() == 'mine too'
    assert run_state.load(str(tmp_path))['epoch'] == 2
    (tmp_path / 'state.json').write_text('{"my": "state"}')
    save(tmp_path, 3)
    assert (tmp_path / 'state.json.kept-1').read_text() == '{"my": "state"}'
    assert run_state.load(str(tmp_path))['epoch'] == 3


def test_pipes_and_folders_in_the_way(tmp_path):
    """A pipe is never read, which would not end."""
    save(tmp_path, 1)
    os.mkfifo(tmp_path / 'model-0002.params')
    (tmp_path / 'model-0003.params').mkdir()
    save(tmp_path, 2)
    save(tmp_path, 3)
    assert (tmp_path / 'model-0002.params.kept-1').is_fifo()
    assert (tmp_path / 'model-0003.params.kept-1').is_dir()
    assert run_state.load(str(tmp_path))['epoch'] == 3
    (tmp_path / 'state.json').unlink()
    os.mkfifo(tmp_path / 'state.json')
    with pytest.raises(UserError, match='no ordinary file'):
        run_state.load(str(tmp_path))


def test_what_a_killed_run_wrote_is_its_own(tmp_path, capsys):
    """It was killed after the parameters of epoch 2 and before their state."""
    save(tmp_path, 1)
    before = (tmp_path / 'state.json').read_bytes()
    save(tmp_path, 2)
    (tmp_path / 'state.json').write_bytes(before)
    (tmp_path / 'state-before.json').unlink()
    save(tmp_path, 2)
    assert capsys.readouterr().err == ''
    assert not [name for name in os.listdir(tmp_path) if 'kept' in name]


def test_older_checkpoints_stay_known_when_the_state_is_damaged(tmp_path, capsys):
    for epoch in (1, 2, 3):
        save(tmp_path, epoch)
    (tmp_path / 'state.json').write_text('torn')
    save(tmp_path, 4)
    (tmp_path / 'model-0004.params').rename(tmp_path / 'elsewhere')
    capsys.readouterr()
    assert run_state.load(str(tmp_path))['epoch'] == 2
    assert 'model-0004.params is gone: the checkpoint of epoch 2' in capsys.readouterr().err
    (tmp_path / 'elsewhere').rename(tmp_path / 'model-0004.params')
    save(tmp_path, 5)
    assert not (tmp_path / 'model-0002.params').exists()
    assert run_state.load(str(tmp_path))['kept'] == [4, 5]


def rewritten(path, change):
    """Write a state anew as ``change`` makes it, with the right checksum."""
    state = json.loads(path.read_text())['state']
    text = change(state)
    text = text if isinstance(text, str) else json.dumps(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(f'{{"sha256": "{digest}", "state": {text}}}\n')


def with_field(*keys, value):
    """Return a change of a state: the value at a path of keys."""

    def change(state):
        inner = state
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return state

    return change


def whole(value):
    """Return a change of a state: another value, or another text, in its place."""
    return lambda state: value


@pytest.mark.parametrize(
    'change',
    [
        lambda state: '[' * 100000,
        lambda state: '{"header": ' + '[' * 100000 + ']' * 100000 + '}',
        lambda state: None,
        lambda state: {},
        with_field('header', 'options', value=None),
        with_field('header', 'options', 'lr', value='much'),
        with_field('header', 'run', value='../elsewhere'),
        with_field('records', value=[]),
        with_field('records', 0, 'test_error', value='low'),
        with_field('records', 0, 'epoch', value=7),
        with_field('kept', value=[10**400]),
        with_field('kept', value=[3]),
        with_field('epoch', value=True),
        with_field('files', value={'../../notes.params': '0' * 64}),
        with_field('files', value=[1]),
    ],
    ids=[str(number) for number in range(15)],
)
def test_a_state_that_does_not_fit_is_damaged(tmp_path, capsys, change):
    save(tmp_path, 1)
    save(tmp_path, 2)
    rewritten(tmp_path / 'state.json', change)
    assert run_state.load(str(tmp_path))['epoch'] == 1
    assert 'state.json is damaged: the checkpoint of epoch 1' in capsys.readouterr().err


def test_a_nested_checksum_is_damage(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / 'state.json').write_text('{"sha256": ' + '[' * 100000 + ', "state": {}}\n')
    assert run_state.load(str(tmp_path), warn=False)['epoch'] == 1


def test_a_newer_format_is_refused(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    rewritten(tmp_path / 'state.json', with_field('format', value=run_state.FORMAT + 1))
    with pytest.raises(UserError, match='format 3 .* no newer than 2: use the version that wrote'):
        run_state.load(str(tmp_path))
    rewritten(tmp_path / 'state.json', with_field('format', value=1))
    assert run_state.load(str(tmp_path))['epoch'] == 2


def test_a_state_that_may_not_be_read_is_not_damaged(copy):
    """Root may read everything, so where the tests are root's the script runs without that
    power.
    """
    folder, name, run = copy
    (run / 'state.json').chmod(0)
    command = [sys.executable, 'score.py', '--run', str(run)]
    if os.geteuid() == 0:
        if not shutil.which('setpriv'):
            pytest.skip('setpriv is not installed')
        command = [
            'setpriv',
            '--bounding-set=-dac_override,-dac_read_search',
            '--inh-caps=-dac_override,-dac_read_search',
            *command,
        ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and 'state.json cannot be read (Permission denied)' in done.stderr
    assert 'damaged' not in done.stderr


# ---- runs that go on ----


def test_other_data_are_refused(place, copy):
    folder, name, run = copy
    command = resume(place, folder, name)
    other = command[: command.index('--data-dir')] + command[command.index('--data-dir') + 2 :]
    said = user_error(*other, '--data-dir', place / 'other' / 'data')
    assert name in said and 'train_images is 60 instead of 95' in said and '--data-dir' in said
    # The same number of other images.
    manifest = json.loads((place / 'data/cifar10/manifest.json').read_text())
    shutil.copytree(place / 'data', folder / 'data')
    (folder / 'data/cifar10/manifest.json').write_text(json.dumps(manifest, indent=2))
    assert 'manifest_sha256' in user_error(*other, '--data-dir', folder / 'data')
    header = log.read(str(folder / 'logs' / (name + '.jsonl')))[0]
    found = datasets.identity(str(place / 'data' / 'cifar10'))
    assert header['data'] == found
    assert run_state.load(str(run))['header']['data']['manifest_sha256'] == found['manifest_sha256']


def test_a_run_from_before_goes_on_with_as_many_images(place, copy):
    folder, name, run = copy

    def older(state):
        del state['header']['data']
        return state

    for path in run.glob('state*.json'):
        rewritten(path, older)
    said_by(resume(place, folder, name))
    command = resume(place, folder, name, '--data-dir', place / 'other' / 'data')
    assert 'train_images is 60 instead of 95' in user_error(*command)


def test_a_symbol_that_is_gone_is_written_again(place, copy):
    folder, name, run = copy
    before = (run / 'model-symbol.json').read_bytes()
    (run / 'model-symbol.json').unlink()
    said = user_error('score.py', '--run', run, '--data-dir', place / 'data')
    assert 'model-symbol.json is gone' in said and 'another epoch' not in said
    assert f'train_cifar.py --resume {run} --log-dir' in said
    assert 'is written again' in said_by(resume(place, folder, name))
    assert (run / 'model-symbol.json').read_bytes() == before
    run_script('score.py', '--run', run, '--data-dir', place / 'data')


@pytest.mark.slow
def test_a_run_is_named_by_its_folder_too(place, copy):
    """By the path of its folder, under the name it had or another; hints can be pasted."""
    folder, name, run = copy
    (run / 'model-0002.params').unlink()  # so that there is an epoch to train
    (folder / 'logs' / f'{name}.jsonl').unlink()  # has that epoch, and would be kept beside the new
    renamed = run.parent / 'my best run'
    run.rename(renamed)
    command = [sys.executable, *map(str, resume(place, folder, renamed))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"score.py --run '{renamed}' --data-dir" in done.stdout
    assert sorted(os.listdir(folder / 'checkpoints')) == ['my best run']
    assert run_state.load(str(renamed))['epoch'] == EPOCHS
    assert os.listdir(folder / 'logs') == [name + '.jsonl']
    assert 'epoch 2' in run_script('score.py', '--run', renamed, '--data-dir', place / 'data')
    # A copy beside the original would write the original's log.
    shutil.copytree(renamed, run)
    said = user_error(*resume(place, folder, renamed))
    assert 'is a copy of' in said and '--log-dir' in said


def test_another_file_under_the_name_of_the_log_is_kept(place, copy):
    folder, name, run = copy
    path = folder / 'logs' / (name + '.jsonl')
    records = records_of(path)
    path.write_text('[' * 100000)
    assert 'is not the log of this run' in said_by(resume(place, folder, name))
    (kept,) = path.parent.glob('*.kept-1')
    assert kept.read_text() == '[' * 100000 and records_of(path) == records
    path.write_text(json.dumps(log.read(str(path))[0])[:40])  # torn: its own
    assert said_by(resume(place, folder, name)) == ''
    assert records_of(path) == records


def test_a_log_with_a_note_of_somebodys_is_kept(place, copy):
    folder, name, run = copy
    path = folder / 'logs' / (name + '.jsonl')
    whole = path.read_text()
    for line in (0, 1):
        lines = whole.splitlines()
        lines[line] = lines[line].replace('{', '{"note": "odd", ', 1)
        path.write_text('\n'.join(lines) + '\n')
        assert 'was changed after it was written' in said_by(resume(place, folder, name))
        (kept,) = path.parent.glob('*.kept-1')
        assert '"note": "odd"' in kept.read_text() and path.read_text() == whole
        kept.unlink()
    elsewhere = folder / 'elsewhere.jsonl'
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    elsewhere.write_text(whole[:-20])  # torn
    assert said_by(resume(place, folder, name)) == ''
    assert path.is_symlink() and elsewhere.read_text() == whole


def test_a_log_that_is_ahead_of_its_checkpoint_is_kept(place, copy):
    """Such as one that came from the machine where the run had gone on."""
    folder, name, run = copy
    path = folder / 'logs' / (name + '.jsonl')
    ahead = path.read_text()
    state = run_state.load(str(run))
    before = dict(state, epoch=EPOCHS - 1, records=state['records'][:-1])
    run_state.write(str(run), run_state.STATE, before)
    said = said_by(resume(place, folder, name))
    assert f'has epochs after the last checkpoint, that of epoch {EPOCHS - 1}' in said
    (kept,) = path.parent.glob('*.kept-1')
    assert kept.read_text() == ahead and len(records_of(path)) == EPOCHS


def test_a_log_that_cannot_be_written(place, tmp_path, monkeypatch):
    """The checkpoint is there: it is said, and going on writes the log again."""
    train = Trainer.train

    def full(self, number, stop):
        if number == 2:
            (path,) = tmp_path.glob('*.jsonl')
            path.unlink()
            path.symlink_to('/dev/full')
        return train(self, number, stop)

    monkeypatch.setattr(Trainer, 'train', full)
    with pytest.raises(UserError) as error:
        trained_here(monkeypatch, place, tmp_path)
    said = str(error.value)
    assert said.startswith(
        'the checkpoint of epoch 2 is saved, but not its line in the log: No space'
    )
    assert '--resume cifar10-mr-8-' in said and 'goes on from epoch 3' in said
    name = name_of(tmp_path)
    assert run_state.load(str(tmp_path / name))['epoch'] == 2
    monkeypatch.undo()
    said_by(arguments(place, '--log-dir', tmp_path, '--checkpoint-dir', tmp_path, '--resume', name))
    assert len(records_of(tmp_path / (name + '.jsonl'))) == 4


def test_rollbacks_without_a_checkpoint(place, tmp_path, monkeypatch):
    poison(monkeypatch, 1, 4)
    with pytest.raises(UserError, match='after 3 rollbacks: .*; there is no checkpoint$'):
        trained_here(monkeypatch, place, tmp_path, '--on-nan', 'rollback')


def test_a_file_where_a_folder_is_to_be(place, tmp_path):
    """A link into a disk that is not mounted is the same."""
    (tmp_path / 'logs').symlink_to(tmp_path / 'not' / 'mounted')
    said = user_error(*arguments(place, '--log-dir', tmp_path / 'logs'))
    assert f'{tmp_path}/logs is no folder, but a file or a broken link: name another' in said


def test_hints_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = parse_args(['--log-dir', 'my logs; rm *', '--checkpoint-dir', "it's"])
    run = Run(args, {'run': 'r', 'options': vars(args)}, Recipe(4, 0.1, cifar_decay(4)))
    run.release()
    run.records = state_of(1)['records']
    words = shlex.split(run_commands.resume(run))
    assert words[1:] == [
        os.path.join(ROOT, 'train_cifar.py'),
        '--resume',
        'r',
        '--log-dir',
        'my logs; rm *',
        '--checkpoint-dir',
        "it's",
    ]


# ---- the operator library ----


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that copies the library of this machine, and counts how often it is called."""
    built = build.prepare()
    if not built:
        pytest.skip('there is no compiler')
    script = tmp_path / 'compiler'
    script.write_text(
        f'#!/bin/sh\necho once >> {tmp_path / "calls"}\nwhile [ "$1" != -o ]; do shift; '
        f'done\ncp {built} "$2"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv('CXX', str(script))
    return lambda: len((tmp_path / 'calls').read_text().splitlines())


def test_a_damaged_library_is_built_again(tmp_path, compiler):
    folder, mxnet = str(tmp_path / 'build'), os.path.dirname(mx.base.__file__)
    path = build.library(mxnet, folder)
    assert build.library(mxnet, folder) == path and compiler() == 1
    whole = open(path, 'rb').read()
    for calls, content in enumerate((b'', whole[:5000], whole[:-1], b'other' + whole[5:]), 2):
        with open(path, 'wb') as file:
            file.write(content)
        assert build.library(mxnet, folder) == path and compiler() == calls
        assert open(path, 'rb').read() == whole
    os.remove(path + '.sha256')
    assert build.library(mxnet, folder) == path and compiler() == 6
    names = {os.path.basename(path), os.path.basename(path) + '.sha256', 'lock'}
    assert set(os.listdir(folder)) == names


def test_a_library_in_the_checkout_of_somebody_else(tmp_path, compiler, monkeypatch):
    """Its folder cannot be written to: the library is built in the cache of the user."""
    theirs, mxnet = str(tmp_path / 'theirs'), os.path.dirname(mx.base.__file__)
    monkeypatch.setattr(build, 'BUILD', theirs)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    access = os.access  # which lets root write everywhere
    monkeypatch.setattr(os, 'access', lambda path, mode: mode != os.W_OK and access(path, mode))
    path = build.library(mxnet)
    assert path.startswith(str(tmp_path / 'cache' / 'deep-fusion'))
    assert build.library(mxnet) == path and compiler() == 1
    shutil.copytree(os.path.dirname(path), theirs)
    assert build.library(mxnet).startswith(theirs)


def test_a_new_version_of_the_compiler_builds_again(tmp_path, compiler):
    folder, mxnet = str(tmp_path / 'build'), os.path.dirname(mx.base.__file__)
    before = build.library(mxnet, folder)
    os.utime(os.environ['CXX'], (1, 1))
    assert build.library(mxnet, folder) != before and compiler() == 2


def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys):
    """Such as NFS without its service of locks. None is here, so the system's call stands in."""

    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, 'flock', flock)
    for name in ('a', 'b'):
        files.write_text(str(tmp_path / name), 'text')
        assert (tmp_path / name).read_text() == 'text'
    said = capsys.readouterr().err
    assert said.count('let only one process at a time write there') == 1 and str(tmp_path) in said


def test_a_library_is_built_by_one_process(tmp_path, compiler):
    code = 'import sys\nfrom engine import build\nprint(build.library(*sys.argv[1:]))'
    command = [
        sys.executable,
        '-c',
        code,
        os.path.dirname(mx.base.__file__),
        str(tmp_path / 'build'),
    ]
    each = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in each] == [0, 0, 0] and compiler() == 1


def test_without_mxnets_header_its_operators_do_the_work(tmp_path):
    with pytest.raises(build.BuildError, match='lib_api.h'):
        build.library(str(tmp_path), str(tmp_path / 'build'))
    code = (
        'from engine import build\nfiles = build._mxnet_files\n'
        'build._mxnet_files = lambda folder: files("/nowhere")\n'
        'from engine import operators\nprint(operators.versions()["operators"])'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'mxnet\n'), done.stderr
    assert "MXNet's own operators" in done.stderr and len(done.stderr.splitlines()) == 1
