"""Weights that come along: study/add_pretrained.py makes them, score.py --pretrained uses them."""

import argparse
import json
import shutil
import sys
from types import SimpleNamespace

import cv2
import numpy
import pytest
import training_runs
from scripts import run_script, user_error

import engine
import score
from common import checkpoint, pretrained, run_state, scorer, symbol_file
from common.model import of_run
from engine import mx
from recordio import datasets, network_input
from study import add_pretrained
from system.errors import UserError


@pytest.fixture(scope='module')
def entry(tmp_path_factory, fashion):
    """A folder with a run of mr-8, its weights in weights/tiny*, and images in shirts/."""
    place = training_runs.small_cifar(tmp_path_factory.mktemp('pretrained'), fashion, 160, 40)
    run_script(*training_runs.arguments(place, '--cpus', '1', '--epochs', '2'))
    said = run_script(
        'study/add_pretrained.py', '--run', run_of(place), '--name', 'tiny', *at(place)
    )
    assert f'--pretrained {place / "weights" / "tiny"} --image FILE' in said
    (place / 'shirts' / 'more').mkdir(parents=True)
    for number, name in enumerate(('b.png', 'a.PNG', 'c.png')):
        cv2.imwrite(str(place / 'shirts' / name), fashion[1].images[number])
    cv2.imwrite(str(place / 'large.png'), cv2.resize(fashion[1].images[3], (96, 64)))
    (place / 'shirts' / 'README').write_text('no image')
    (place / 'shirts' / '.hidden.png').write_text('no image')
    return place


def run_of(place):
    return place / 'checkpoints' / training_runs.name_of(place / 'checkpoints')


def at(place):
    return '--out', place / 'weights'


def probabilities(place, path):
    """Return what the run's last checkpoint says of an image, by MXNet's own operators."""
    run = run_of(place)
    symbol = symbol_file.load(str(run / run_state.SYMBOL))
    arrays = checkpoint.load_arrays(run_state.params_path(str(run), 2))
    dataset = datasets.get('cifar10')
    image = network_input.normalised(scorer.read_image(str(path), dataset)[0], dataset)
    executor = symbol.simple_bind(mx.cpu(), data=(1, 3, 32, 32), grad_req='null')
    executor.copy_params_from(arrays['arg'], arrays['aux'])
    return executor.forward(is_train=False, data=image[None])[0].asnumpy()[0]


def copied(place, tmp_path):
    """Copy the weights, to be damaged; return the path without an ending."""
    shutil.copytree(str(place / 'weights'), str(tmp_path / 'weights'))
    return tmp_path / 'weights' / 'tiny'


def test_what_an_entry_has(entry):
    names = sorted(path.name for path in (entry / 'weights').iterdir())
    assert names == ['tiny-symbol.json', 'tiny.json', 'tiny.params']
    metadata = json.loads((entry / 'weights' / 'tiny.json').read_text())
    assert metadata['run'] == run_of(entry).name and metadata['epoch'] == 2
    assert (metadata['network'], metadata['depth'], metadata['dataset']) == ('mr', 8, 'cifar10')
    assert metadata['classes'] == datasets.get('cifar10').names and metadata['num_classes'] == 10
    assert metadata['mean'] == list(datasets.get('cifar10').mean)
    records = training_runs.records_of(entry / 'logs' / f'{run_of(entry).name}.jsonl')
    assert metadata['test_error'] == records[1]['test_error']
    arrays = checkpoint.load_arrays(str(entry / 'weights' / 'tiny.params'))
    assert arrays['arg'] and arrays['aux'] and not arrays['momentum']
    assert {array.dtype for array in arrays['arg'].values()} == {numpy.float32}


def test_an_image_without_the_data_set(entry, tmp_path):
    """There is no folder data here: classes and normalisation are the entry's."""
    weights, image = entry / 'weights' / 'tiny', entry / 'shirts' / 'b.png'
    words = ['--data-dir', tmp_path / 'nothing', '--image', image]
    said = run_script('score.py', '--pretrained', weights, *words).splitlines()
    expected = probabilities(entry, image)
    names = datasets.get('cifar10').names
    assert [line.split()[1] for line in said] == [names[at] for at in expected.argsort()[::-1]]
    for line, share in zip(said, sorted(expected, reverse=True)):
        assert abs(float(line.split('%')[0]) - 100 * share) < 0.01
    assert run_script('score.py', '--run', run_of(entry), '--image', image).splitlines() == said
    fast = run_script('score.py', '--pretrained', weights, *words, '--fast').splitlines()
    assert [line.split()[1] for line in fast[:3]] == [line.split()[1] for line in said[:3]]


@pytest.mark.slow
def test_several_images_and_folders(entry):
    words = ['--image', entry / 'large.png', entry / 'shirts', '--data-dir', 'nowhere']
    weights = ['--pretrained', entry / 'weights' / 'tiny']
    paths = [
        entry / 'large.png',
        *(entry / 'shirts' / name for name in ('a.PNG', 'b.png', 'c.png')),
    ]
    expected = [probabilities(entry, path) for path in paths]
    names = datasets.get('cifar10').names
    header, *rows, note = run_script('score.py', *weights, *words).splitlines()
    assert header.split() == ['image', 'size', 'most', 'likely', 'then', 'then']
    assert [row.split()[0] for row in rows] == list(map(str, paths))
    assert [row.split()[1] for row in rows] == ['96x64'] + ['32x32'] * 3
    for row, each in zip(rows, expected):
        best = each.argsort()[::-1][:3]
        assert row.split()[3::2] == [names[label] for label in best]
        assert row.split()[2] == f'{100 * each[best[0]]:.2f}%'
    assert note == 'images of another size were scaled to 32x32'
    lines = run_script('score.py', *weights, *words, '--json').splitlines()
    assert len(lines) == 4
    for line, path, each in zip(lines, paths, expected):
        found = json.loads(line)
        assert found['file'] == str(path) and len(found['classes']) == 10
        assert found['classes'][0]['class'] == names[each.argmax()]
        shares = [known['probability'] for known in found['classes']]
        numpy.testing.assert_allclose(shares, sorted(each, reverse=True), atol=1e-5)
    (single,) = run_script('score.py', *weights, '--image', paths[0], '--json').splitlines()
    assert json.loads(single) == json.loads(lines[0])


def test_the_error_of_weights_that_come_along(entry):
    folders = '--data-dir', entry / 'data'
    said = run_script('score.py', '--pretrained', entry / 'weights' / 'tiny', *folders)
    own = run_script('score.py', '--run', run_of(entry), *folders)
    assert said.split(': ')[1] == own.split(': ')[1]


def test_an_unknown_name(entry):
    said = user_error('score.py', '--pretrained', entry / 'weights' / 'huge', '--image', 'x.png')
    assert "called 'huge'" in said and said.endswith('there are: tiny')
    known = ', '.join(pretrained.names()) or 'none yet'
    said = user_error('score.py', '--pretrained', 'tiny-resnet-of-nobody', '--image', 'x.png')
    assert said.endswith(f'there are: {known}')
    assert 'tiny' not in pretrained.names()


@pytest.mark.parametrize('damage', ['params', 'symbol', 'gone', 'json', 'classes', 'other'])
def test_an_entry_that_is_damaged(entry, tmp_path, damage):
    path = copied(entry, tmp_path)
    file = path.with_name(
        'tiny' + {'symbol': '-symbol.json', 'json': '.json'}.get(damage, '.params')
    )
    content = bytearray(file.read_bytes())
    if damage == 'gone':
        file.unlink()
    elif damage in ('classes', 'other'):
        file = path.with_name('tiny.json')
        metadata = json.loads(file.read_text())
        metadata.update({'classes': ['one']} if damage == 'classes' else {'format': 2})
        file.write_text(json.dumps(metadata))
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content[: -1 if damage == 'json' else None])
    said = user_error('score.py', '--pretrained', path, '--image', entry / 'large.png')
    assert str(file) in said and 'study/add_pretrained.py' in said


def test_what_a_user_can_do_wrong(entry, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, 'set_threads', lambda threads: None)  # MXNet is here already
    weights = ['--pretrained', entry / 'weights' / 'tiny']
    for words, said in (
        ([*weights, '--run', 'x'], 'say which network'),
        ([*weights, '--symbol', 'x'], 'say which network'),
        ([*weights, '--dataset', 'svhn', '--image', 'x.png'], 'leave --dataset out'),
        ([*weights, '--json'], '--json is for images'),
        ([*weights, '--image', tmp_path], 'has no image'),
        ([*weights, '--image', entry / 'shirts' / 'README'], 'not an image'),
        ([*weights, '--image', 'nothing.png'], 'is not there'),
    ):
        monkeypatch.setattr(sys, 'argv', ['score.py', *map(str, words)])
        with pytest.raises(UserError, match=said):
            score.main()


@pytest.mark.slow
def test_entries_are_replaced_only_when_asked(entry, tmp_path):
    path = copied(entry, tmp_path)
    path.with_name('tiny.json').write_text('of somebody else')
    words = ['study/add_pretrained.py', '--run', run_of(entry), '--name', 'tiny']
    said = user_error(*words, '--out', path.parent)
    assert 'is there already' in said and '--overwrite' in said
    assert path.with_name('tiny.json').read_text() == 'of somebody else'
    run_script(*words, '--out', path.parent, '--overwrite')
    pretrained.read(str(path))
    run_script(*words, '--out', path.parent)  # nothing would change
    assert 'not a name of letters' in user_error(*words[:-1], '../x', '--out', path.parent)
    for name in ('../x', '-x', '.x', 'a/b', '', 'tiny-symbol'):
        with pytest.raises(argparse.ArgumentTypeError):
            add_pretrained.entry_name(name)


def test_networks_that_are_too_large(entry, monkeypatch):
    args = dict(run=str(run_of(entry)), checkpoint='last', checkpoint_dir='', data_dir='')
    model = of_run(SimpleNamespace(**args, dataset=None, image_size=None))
    monkeypatch.setattr(pretrained, 'MOST_BYTES', 300_000)
    with pytest.raises(UserError, match=r'take 0\.[0-9]+ MB, and .* at most 0\.3'):
        pretrained.contents('tiny', model.symbol, model.arrays, {})


def test_every_entry_that_comes_along_is_whole():
    for name in pretrained.names():
        metadata, _, _ = pretrained.read(name)
        assert metadata['num_classes'] > 1
