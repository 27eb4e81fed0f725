"""data/prepare.py as careless and hostile users run it: files stay, and data are what they say."""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy
import official_archives as archives
import pytest
from scripts import ROOT, run_script, user_error

from data import (
    cifar,
    conversion,
    dataset_files,
    dataset_folder,
    fashion_mnist,
    imagenet,
    source,
    target_checks,
)
from recordio import datasets, manifest
from system.errors import UserError, printable

HERE, ARCHIVE = 'data/prepare.py', 'cifar-10-binary.tar.gz'


def plant(root, train=2, val=1, classes=('cat', 'dog')):
    """Write a tree of photographs, one folder a class."""
    crops = archives.crops(len(classes) * (train + val))
    for split, count in (('train', train), ('val', val)):
        for name in classes:
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (root / split / name / f'{number}.jpg').write_bytes(archives.jpeg(next(crops)))
    return root


def folder(tree, out, *more, name='mine'):
    """Return the command that converts a tree; it takes a third of a second."""
    return (
        HERE,
        'folder',
        '--source',
        tree,
        '--out',
        out,
        '--name',
        name,
        '--short-side',
        '32',
        '--processes',
        '1',
        *more,
    )


def content(root):
    """Return {path: bytes} of every file below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(pathlib.Path(root).rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return plant(tmp_path_factory.mktemp('photographs') / 'tree')


@pytest.fixture(scope='module')
def converted(tree, tmp_path_factory):
    """A folder with the data set ``mine``, made of the tree."""
    out = tmp_path_factory.mktemp('converted')
    run_script(*folder(tree, out))
    return out


@pytest.fixture
def mine(converted, tmp_path):
    """A copy of it that a test may spoil."""
    shutil.copytree(converted, tmp_path / 'data')
    return tmp_path / 'data'


@pytest.fixture(scope='module')
def subset(tmp_path_factory, fashion):
    """A folder with a CIFAR-10 of 100 images, made with --no-checksum of an archive inside it."""
    data = tmp_path_factory.mktemp('subset')
    (data / 'cifar10').mkdir()
    archives.cifar_binary(str(data / 'cifar10' / ARCHIVE), fashion)
    compiler = data / 'c++'
    compiler.write_text(f'#!/bin/sh\ntouch {data}/compiled\nexit 1\n')
    compiler.chmod(0o755)
    run_script(
        HERE,
        'cifar10',
        '--source',
        data / 'cifar10',
        '--out',
        data,
        '--no-checksum',
        CXX=str(compiler),
    )
    return data


# ---- files that are not ours ----


def test_photographs_in_the_folder_of_the_data_set_stay(tmp_path):
    """Once all of them were deleted, with status 0."""
    mine = plant(tmp_path / 'data' / 'mine')
    (mine / 'notes.txt').write_text('do not lose')
    before = content(mine)
    for more in ((), ('--force',), ('--force', '--short-side', '40')):
        run_script(*folder(mine, tmp_path / 'data', *more))
        after = content(mine)
        assert {path: after[path] for path in before} == before
        assert set(after) - set(before) == {'manifest.json'} | {
            split + ending
            for split in ('train', 'test')
            for ending in ('.rec', '.idx', '.lst', '.reported')
        }
    assert 'verified' in run_script(*folder(mine, tmp_path / 'data', '--short-side', '40'))


def test_archives_in_the_folder_of_the_data_set_stay(tmp_path, subset):
    """ImageNet's tars in data/imagenet, and CIFAR's archive in data/cifar10."""
    place = official_tars(tmp_path / 'data' / 'imagenet')
    before = content(place)
    run_script(
        HERE,
        'imagenet',
        '--source',
        place,
        '--out',
        place.parent,
        '--short-side',
        '32',
        '--no-checksum',
    )
    after = content(place)
    assert {path: after[path] for path in before} == before and 'manifest.json' in after
    assert (subset / 'cifar10' / ARCHIVE).is_file() and (subset / 'cifar10' / 'train.rec').is_file()


def official_tars(place, devkit=True):
    place.mkdir(parents=True, exist_ok=True)
    contents = [archives.jpeg(image) for image in archives.crops(1)] * 3
    return archives.imagenet(
        place,
        dict.fromkeys(archives.SYNSETS, contents[:1]),
        list(zip(archives.SYNSETS, contents)),
        devkit,
    )


@pytest.mark.parametrize('more', ((), ('--force',)))
def test_a_file_of_a_name_of_ours_is_not_overwritten(tree, tmp_path, more):
    """A .rec that was packed by hand has no manifest beside it."""
    place = tmp_path / 'mine'
    (place / 'test.rec').mkdir(parents=True)
    (place / 'test.rec' / 'x').write_text('x')
    assert 'test.rec is not listed' in user_error(*folder(tree, tmp_path, *more))
    shutil.move(str(place / 'test.rec'), str(place / 'other'))
    (place / 'train.rec').write_bytes(b'packed by hand')
    before = content(tmp_path)
    assert 'train.rec is not listed' in user_error(*folder(tree, tmp_path, *more))
    (place / 'manifest.json').write_text('{"name": "of a web page"}')
    assert 'not written by data/prepare.py' in user_error(*folder(tree, tmp_path, *more))
    os.remove(place / 'manifest.json')
    assert content(tmp_path) == before


def test_what_is_no_folder_is_told(tree, tmp_path):
    (tmp_path / 'file').write_text('x')
    (tmp_path / 'loose').symlink_to(tmp_path / 'nowhere')
    assert 'file is not a folder' in user_error(*folder(tree, tmp_path / 'file'))
    assert 'file is not a folder' in user_error(*folder(tree, tmp_path, name='file'))
    assert 'loose is not a folder' in user_error(*folder(tree, tmp_path, name='loose'))
    assert content(tmp_path) == {'file': b'x'} and not (tmp_path / 'nowhere').exists()


def test_a_link_to_another_disk_is_followed(tree, tmp_path):
    """The folder stays a link, and so does a data set that was converted into it before."""
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'mine').symlink_to(tmp_path / 'disk')
    run_script(*folder(tree, tmp_path / 'data'))
    run_script(*folder(tree, tmp_path / 'data', '--force'))
    assert (tmp_path / 'data' / 'mine').is_symlink() and (tmp_path / 'disk' / 'train.rec').is_file()


def test_a_link_to_another_data_set_is_not(mine, tree):
    before = content(mine)
    (mine / 'x').symlink_to(mine / 'mine')
    (mine / 'y').symlink_to(os.path.join(ROOT, 'data', 'paper'))
    assert 'is a link to' in user_error(*folder(tree, mine, '--force', name='x'))
    assert 'is a link to' in user_error(*folder(tree, mine, name='y'))
    (mine / 'x').unlink()
    (mine / 'y').unlink()
    assert content(mine) == before


@pytest.mark.parametrize(
    'name',
    (
        'paper',
        'archives',
        'fashion_mnist_sample',
        'README.md',
        'readme.MD',
        'prepare.py',
        '__pycache__',
        'imagenet',
        'cifar10',
        'folder',
        '',
        ' ',
        '.',
        '..',
        '.part',
        '-x',
        'a/b',
        'a\\b',
        '/tmp',
        'a\nb',
        'a\x1b[31mb',
        '\udcff',
        'x' * 300,
        '\u202egnp',
    ),
)
def test_names_that_cannot_be_had(name):
    with pytest.raises(UserError, match='choose another'):
        target_checks.check_name(name)


def test_names_of_any_script(tree, tmp_path):
    for name in ('Straßen und Plätze', '猫 2', 'كتاب', 'v1.0_b-c'):
        target_checks.check_name(name)
    run_script(*folder(tree, tmp_path, name='Straßen 猫'))
    assert datasets.get('Straßen 猫', str(tmp_path)).names == ['cat', 'dog']
    before = os.listdir(os.path.join(ROOT, 'data', 'paper'))
    said = user_error(HERE, 'folder', '--source', tree, '--name', 'paper', '--force')
    assert 'paper' in said and os.listdir(os.path.join(ROOT, 'data', 'paper')) == before
    assert 'folder of the project' in user_error(*folder(tree, ROOT, name='symbols'))
    assert '--name is for folder' in user_error(
        HERE, 'imagenet', '--source', tree, '--name', 'mine'
    )
    assert 'add --name' in user_error(HERE, 'folder', '--source', tree)


def test_a_target_among_the_photographs(tree):
    before = content(tree)
    for out, name in ((tree, 'train'), (tree / 'train', 'cat'), (tree / 'val' / 'dog', 'x')):
        assert 'among the photographs' in user_error(*folder(tree, out, name=name))
    assert content(tree) == before


# ---- what is temporary ----


def test_names_that_begin_alike(tree, tmp_path):
    """A conversion of x-a goes on while x is prepared."""
    with dataset_folder.working_folder(str(tmp_path / 'x-a')) as work:
        pathlib.Path(work, 'train.lst').write_text('1')
        run_script(*folder(tree, tmp_path, name='x'))
        assert 'another run' in user_error(*folder(tree, tmp_path, name='x-a'))
        assert sorted(os.listdir(work)) == ['lock', 'train.lst']
    assert sorted(os.listdir(tmp_path)) == ['x']  # and neither lock nor empty folder
    assert '.part' not in os.listdir(tmp_path / 'x')


def test_what_a_killed_run_left_is_removed_by_its_name(tmp_path, subset):
    place = tmp_path / 'cifar10'
    shutil.copytree(subset / 'cifar10', place)
    pictures = place / '.part' / 'images' / 'train' / '003'
    pictures.mkdir(parents=True)
    for path in (pictures / '000017.png', place / '.part' / 'train.rec', place / '.part' / 'lock'):
        path.write_text('x')
    run_script(HERE, 'cifar10', '--out', tmp_path, '--no-checksum')
    assert not (place / '.part').exists()
    pictures.mkdir(parents=True)
    (pictures / '000017.png').write_text('ours')
    (pictures / 'kitten.png').write_text('not ours')
    run_script(HERE, 'cifar10', '--out', tmp_path, '--no-checksum')
    assert os.listdir(pictures) == ['kitten.png']
    (place / '.part' / 'letter.txt').write_text('not ours')
    assert 'letter.txt was not written by' in user_error(
        HERE, 'cifar10', '--source', place, '--out', tmp_path, '--no-checksum', '--force'
    )
    assert (place / '.part' / 'letter.txt').exists() and (pictures / 'kitten.png').exists()


@pytest.mark.parametrize(
    'name', ('train.rec', 'lock', 'images', 'images/train', 'images/train/003')
)
def test_a_conversion_is_not_led_out_of_its_folder(mine, tree, tmp_path, name):
    """By a link of one of its names: what it leads to would be overwritten, or emptied."""
    (tmp_path / 'letters' / 'train' / '003').mkdir(parents=True)
    letter = tmp_path / 'letters' / 'train' / '003' / '000001.png'
    letter.write_text('not ours')
    path = mine / 'mine' / '.part' / name
    path.parent.mkdir(parents=True)
    inside = {'images': 'letters', 'images/train': 'letters/train'}.get(name, 'letters/train/003')
    path.symlink_to(letter if name in ('train.rec', 'lock') else tmp_path / inside)
    assert f'{path} was not written by' in user_error(*folder(tree, mine, '--force'))
    assert letter.read_text() == 'not ours' and path.is_symlink()
    path.unlink()
    path.mkdir()
    if not name.startswith('images'):
        assert f'{path} was not written by' in user_error(*folder(tree, mine, '--force'))


def test_a_folder_that_cannot_be_made(tree):
    """Nor ever will be: it is not waited for."""
    assert '/proc/x' in user_error(*folder(tree, '/proc/x'), timeout=60)


def test_nothing_stays_behind_where_nothing_is_done(tmp_path):
    out = tmp_path / 'new' / 'data'
    for word, command in (
        ('train and val', ('folder', '--source', tmp_path, '--name', 'x')),
        ('no such file', ('cifar10', '--source', tmp_path / 'none')),
        ('not there', ('svhn', '--source', tmp_path)),
        ('one file', ('svhn', '--source', os.path.join(ROOT, 'README.md'))),
    ):
        assert word in user_error(HERE, *command, '--out', out)
        assert os.listdir(tmp_path) == []


KILLS = """
import os, shutil, signal, sys, time
sys.path.insert(0, {root!r})
# Once, for all children.
import data.dataset_files, data.dataset_folder, data.image_folders
import data.pack_photographs, data.prepare, data.source
from recordio import datasets, manifest
from system import errors, script
os.fsync = lambda handle: None  # the kernel outlives the processes that are killed here

def child(arguments, last):
    '''Run data/prepare.py and return its status; it is killed at its call number ``last``.'''
    pid = os.fork()
    if pid == 0:
        parent, calls = os.getpid(), []
        def count(event, values):
            changes = event in ('os.rename', 'os.remove', 'os.rmdir', 'os.mkdir')
            writes = event == 'open' and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if (changes or writes) and os.getpid() == parent:
                calls.append(event)
                if len(calls) == last:
                    os.kill(parent, signal.SIGKILL)
        sys.addaudithook(count)
        sys.argv = ['prepare.py', *arguments]
        with open(os.devnull, 'w') as nobody:
            os.dup2(nobody.fileno(), 1)
            os.dup2(nobody.fileno(), 2)
        try:
            script.run_main(data.prepare.main)
        except SystemExit as error:
            os._exit(error.code)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    while True:  # its workers die with it, and hold its lock until then
        try:
            with data.dataset_folder.working_folder({target!r}, keep=True):
                return status
        except errors.UserError:
            time.sleep(0.01)

def state():
    '''Return the short side of a whole data set, None where training is told not to take it.'''
    try:
        datasets.identity({target!r})
    except errors.UserError as error:
        assert 'prepare.py' in str(error), error
        return None
    return data.dataset_files.prepared({target!r})['short_side']

def restore():
    '''Put back what was there before.'''
    shutil.rmtree({target!r})
    shutil.copytree({target!r} + '.before', {target!r})

shutil.copytree({target!r}, {target!r} + '.before')
seen = set()
for last in range(1, 500, {step}):
    status = child({second!r}, last)
    assert status in (0, -signal.SIGKILL), status
    seen.add(state() if {before} else None)
    if status == 0:
        break
    assert child({second!r}, 0) == 0
    assert state() == 40 and not os.path.exists(os.path.join({target!r}, '.part'))
    assert open(os.path.join({target!r}, 'letter.txt')).read() == 'not ours'
    restore()
assert status == 0 and last > 20, (status, last)
print(last, sorted(seen, key=str))
"""


@pytest.mark.parametrize(
    'before,step',
    (
        (True, 3),
        (False, 9),
        *(pytest.param(before, 1, marks=pytest.mark.slow) for before in (True, False)),
    ),
)
def test_killed_at_calls_that_change_a_file(mine, tree, before, step):
    """The older data set is whole until files move; from then on a run brings it to its end."""
    place = mine / 'mine'
    (place / 'letter.txt').write_text('not ours')
    if not before:
        for path in place.iterdir():
            if path.name != 'letter.txt':
                path.unlink()
    second = [str(part) for part in folder(tree, mine, '--force', '--short-side', '40')[1:]]
    code = KILLS.format(root=ROOT, target=str(place), second=second, before=before, step=step)
    last, seen = run_script('-c', code).split(' ', 1)
    assert seen.strip() == ('[32, 40, None]' if before else '[None]'), (last, seen)


def test_sigterm_during_a_small_conversion(tmp_path, fashion):
    archives.cifar_binary(str(tmp_path / ARCHIVE), fashion, train=1000)
    process = subprocess.Popen(
        [
            sys.executable,
            HERE,
            'cifar10',
            '--source',
            str(tmp_path),
            '--no-checksum',
            '--out',
            str(tmp_path / 'data'),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while not list(tmp_path.glob('data/cifar10/.part/images')):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert (
        process.returncode == 143 and b'Traceback' not in said and not (tmp_path / 'data').exists()
    )


def test_no_operators_are_compiled(subset):
    """A compiler that was never seen would have to compile them anew."""
    assert (subset / 'cifar10' / 'train.rec').exists() and not (subset / 'compiled').exists()


# ---- what the data were made from ----


def test_another_source_is_not_taken_for_the_one_that_was_converted(subset, tmp_path, fashion):
    data, archive = subset, subset / 'cifar10' / ARCHIVE
    other = tmp_path / ARCHIVE
    archives.cifar_binary(str(other), fashion, train=50)
    hundred = archives.cifar_binary(str(tmp_path / 'hundred.tar.gz'), fashion, 'cifar100')
    before = content(data)

    def said(*more):
        return user_error(HERE, 'cifar10', '--out', data, *more)

    for wrong in (other, tmp_path / 'hundred.tar.gz', os.path.join(ROOT, 'README.md')):
        assert 'made from other files than' in said('--source', wrong, '--no-checksum')
    assert 'no such file' in said('--source', tmp_path / 'missing', '--no-checksum')
    assert 'with --no-checksum' in said('--source', archive) and 'with --no-checksum' in said()
    assert 'without --keep-images' in said('--source', archive, '--no-checksum', '--keep-images')
    assert content(data) == before and hundred
    shutil.copy(archive, tmp_path / 'another name.tgz')
    for same in (
        (),
        ('--source', archive),
        ('--source', subset / 'cifar10'),
        ('--source', tmp_path / 'another name.tgz'),
    ):
        assert 'verified' in run_script(HERE, 'cifar10', '--out', data, '--no-checksum', *same)


def test_another_tree_is_not_taken_for_the_one_that_was_converted(mine, tree, tmp_path):
    moved = tmp_path / 'moved'
    shutil.copytree(tree, moved)  # with its times
    assert 'verified' in run_script(*folder(moved, mine))
    assert '32: leave --short-side out' in user_error(*folder(moved, mine, '--short-side', '40'))
    picture = moved / 'train' / 'cat' / '0.jpg'
    about = picture.stat()
    os.utime(picture, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert 'made from other files' in user_error(*folder(moved, mine))
    os.utime(picture, ns=(about.st_atime_ns, about.st_mtime_ns))
    picture.rename(picture.with_name('1000.jpg'))
    assert 'made from other files' in user_error(*folder(moved, mine))
    assert 'holds folder and not imagenet' in user_error(
        HERE, 'imagenet', '--out', link(mine, 'imagenet'), '--source', tree
    )


def link(data, name):
    """Give the data set ``mine`` another name in a folder of its own; return that."""
    shutil.copytree(data / 'mine', data / 'copy' / name)
    return data / 'copy'


def test_an_interrupted_conversion_of_other_photographs_is_not_gone_on_with(tree, tmp_path):
    """Equal names and sizes, other times: what was packed of the first tree is dropped."""
    from data import image_folders, pack_photographs, resumable_output

    classes, splits = image_folders.splits(image_folders.find(str(tree)))
    for known, expected in (('a', 0), ('a', 4), ('b', 0)):
        output = resumable_output.Output(
            str(tmp_path / 'train'), pack_photographs._identity(splits[0].entries, 32, known)
        )
        assert output.taken == expected
        for entry in splits[0].entries[output.taken :]:
            output.add(entry, b'x', '')
        output.save_progress()
        output.close()


def earlier(place):
    """Turn a manifest into one of format 1, which had no source."""
    value = json.loads((place / 'manifest.json').read_text())
    for key in ('dataset', 'official', 'source', 'options') + (
        () if 'short_side' in value else ('classes',)
    ):
        del value[key]
    (place / 'manifest.json').write_text(json.dumps(dict(value, format=1)))


def test_manifests_of_earlier_versions(mine, tree, subset, tmp_path):
    earlier(mine / 'mine')
    assert 'its source is not known' in run_script(HERE, 'folder', '--name', 'mine', '--out', mine)
    assert 'add --force' in user_error(*folder(tree, mine))
    assert datasets.get('mine', str(mine)).short == 32
    assert datasets.identity(str(mine / 'mine'))['official'] is False
    shutil.copytree(subset / 'cifar10', tmp_path / 'small' / 'cifar10')
    earlier(tmp_path / 'small' / 'cifar10')
    assert 'verified' in run_script(HERE, 'cifar10', '--out', tmp_path / 'small')
    assert 'add --force' in user_error(
        HERE, 'cifar10', '--out', tmp_path / 'small', '--source', subset
    )
    run_script(*folder(tree, mine, '--force'))
    assert 'verified' in run_script(*folder(tree, mine))


def test_which_data_are_official(subset, converted, tmp_path, monkeypatch):
    """The sample is, by its archives' content; a subset and a folder never are."""
    assert source.is_official(fashion_mnist.find_sample(checksum=False))
    assert datasets.identity(str(subset / 'cifar10'))['official'] is False
    assert datasets.identity(str(converted / 'mine'))['official'] is False
    archive = subset / 'cifar10' / ARCHIVE
    found = cifar.find('cifar10', str(archive), None, checksum=False)
    assert not source.is_official(found)
    published = (hashlib.md5(archive.read_bytes()).hexdigest(),)
    assert source.is_official(found._replace(checksums=(published,)))
    assert not source.is_official(found._replace(checksums=()))
    shutil.copytree(fashion_mnist.SAMPLE, tmp_path / 'sample')
    shutil.copy(
        tmp_path / 'sample' / 't10k-labels-idx1-ubyte.gz',
        tmp_path / 'sample' / 'train-labels-idx1-ubyte.gz',
    )
    monkeypatch.setattr(fashion_mnist, 'SAMPLE', str(tmp_path / 'sample'))
    assert not source.is_official(fashion_mnist.find_sample(checksum=False))
    with pytest.raises(UserError, match='restore it'):
        fashion_mnist.find_sample()


def test_imagenet_is_official_when_it_is_whole(tmp_path):
    """With the devkit's labels, which have a checksum, every image, and the paper's size."""
    args = argparse.Namespace(dataset='imagenet')
    verified = source.Source([], verified=True, root=str(tmp_path))
    whole = {'short_side': 480, 'left_out': {'train': 0, 'test': 0}}
    assert conversion.is_official(args, verified, whole)
    assert not conversion.is_official(args, verified, dict(whole, short_side=256))
    assert not conversion.is_official(args, verified, dict(whole, left_out={'train': 1, 'test': 0}))
    assert not conversion.is_official(args, verified._replace(verified=False), whole)
    official_tars(tmp_path, devkit=False)
    published = [
        archive._replace(md5=(hashlib.md5((tmp_path / archive.name).read_bytes()).hexdigest(),))
        for archive in (imagenet.TRAIN, imagenet.TEST)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imagenet, 'TRAIN', published[0])
        patch.setattr(imagenet, 'TEST', published[1])
        assert not imagenet.find(str(tmp_path)).verified  # the list of labels has none


def test_an_archive_is_known_by_its_content(tmp_path, fashion):
    """Its name may say the other version, or nothing."""
    for write, name in (
        (archives.cifar_python, 'binary.tar.gz'),
        (archives.cifar_binary, 'python.tgz'),
        (archives.cifar_python, 'archive'),
    ):
        for dataset in ('cifar10', 'cifar100'):
            truth = write(str(tmp_path / name), fashion, dataset)
            found = cifar.find(dataset, str(tmp_path / name), None, checksum=False)
            for split in cifar.splits(dataset, found, checksum=False):
                numpy.testing.assert_array_equal(split.labels, truth[split.name][1])
                numpy.testing.assert_array_equal(split.images, truth[split.name][0])
    assert 'holds no data_batch_1' in user_error(
        HERE,
        'cifar10',
        '--source',
        tmp_path / 'archive',
        '--out',
        tmp_path / 'data',
        '--no-checksum',
    )
    archives.idx(str(tmp_path / 'x.gz'), numpy.arange(12).reshape(3, 4))
    packed = fashion_mnist.read_idx(str(tmp_path / 'x.gz'), 2)
    with fashion_mnist.gzip.open(tmp_path / 'x.gz') as file:
        plain = file.read()
    (tmp_path / 'x.gz').write_bytes(plain)  # a browser has unpacked it
    numpy.testing.assert_array_equal(fashion_mnist.read_idx(str(tmp_path / 'x.gz'), 2), packed)


def test_imagenet_in_a_compressed_tar_is_refused(tmp_path):
    """Its images are read where they lie, which they do not in a compressed file."""
    official_tars(tmp_path)
    with fashion_mnist.gzip.open(tmp_path / 'x', 'wb') as file:
        file.write((tmp_path / 'ILSVRC2012_img_train.tar').read_bytes())
    shutil.move(str(tmp_path / 'x'), str(tmp_path / 'ILSVRC2012_img_train.tar'))
    command = (HERE, 'imagenet', '--source', tmp_path, '--out', tmp_path / 'data', '--no-checksum')
    assert 'not compressed' in user_error(*command)
    (tmp_path / 'ILSVRC2012_img_train.tar').unlink()
    said = user_error(*command)  # nobody can download it
    assert 'leave --source out' not in said and 'after registration' in said


def test_options_that_have_no_meaning_there(tree, tmp_path):
    assert '--short-side is for' in user_error(
        HERE, 'cifar10', '--short-side', '64', '--out', tmp_path
    )
    assert '--keep-images is for' in user_error(*folder(tree, tmp_path, '--keep-images'))


def test_photographs_of_which_none_can_be_read(tmp_path):
    for split in ('train', 'val'):
        for name in ('a', 'b'):
            (tmp_path / 'tree' / split / name).mkdir(parents=True)
            (tmp_path / 'tree' / split / name / 'x.jpg').write_text('no image')
    assert 'none of the 2 files' in user_error(*folder(tmp_path / 'tree', tmp_path / 'data'))


# ---- manifests from anywhere ----


def spoil(place, change):
    value = json.loads((place / 'manifest.json').read_text())
    change(value)
    (place / 'manifest.json').write_text(json.dumps(value))


HOSTILE = {
    'no classes': lambda value: value.update(classes=[]),
    'no class counts': lambda value: value.update(splits={'train': {}, 'test': {}}),
    'numbers as classes': lambda value: value.update(classes=[1, 2]),
    'a text as classes': lambda value: value.update(classes='ab'),
    'a name twice': lambda value: value.update(classes=['a', 'a']),
    'more classes than counts': lambda value: value.update(classes=['a', 'b', 'c']),
    'a long name': lambda value: value.update(classes=['a' * 1000000, 'b']),
    'negative counts': lambda value: value['splits']['train'].update({'0': -1}),
    'counts of text': lambda value: value['splits']['train'].update({'0': '5'}),
    'labels of text': lambda value: value['splits']['train'].update({'zero': 5}),
    'no splits': lambda value: value.pop('splits'),
    'splits of a list': lambda value: value.update(splits=[1]),
    'another split': lambda value: value['splits'].update({'../x': {'0': 1}}),
    'a file elsewhere': lambda value: value['files'].update(
        {'../../letter.txt': {'bytes': 1, 'sha256': '0' * 64}}
    ),
    'a file elsewhere ': lambda value: value['files'].update(
        {'train.rec\n': {'bytes': 1, 'sha256': '0' * 64}}
    ),
    'no digest': lambda value: value['files']['train.rec'].update(sha256=None),
    'another digest': lambda value: value['files']['train.rec'].update(sha256='0' * 63 + '\n'),
    'no files': lambda value: value.update(files={}),
    'files of null': lambda value: value.update(files=None),
    'a short side of text': lambda value: value.update(short_side='480'),
    'a short side of nothing': lambda value: value.update(short_side=0),
    'official as text': lambda value: value.update(official='yes'),
    'no source': lambda value: value.pop('source'),
    'a source of text': lambda value: value.update(source='x'),
    'format of text': lambda value: value.update(format='2'),
    'format of truth': lambda value: value.update(format=True),
    'no format': lambda value: value.pop('format'),
    'options of null': lambda value: value.update(options=None),
}


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile_manifests(mine, case):
    spoil(mine / 'mine', HOSTILE[case])
    for read in (
        lambda: manifest.read(str(mine / 'mine')),
        lambda: datasets.identity(str(mine / 'mine')),
        lambda: datasets.get('mine', str(mine)),
        lambda: dataset_files.prepared(str(mine / 'mine')),
    ):
        with pytest.raises(UserError, match='damaged, or not written by'):
            read()


@pytest.mark.parametrize(
    'text',
    (
        b'',
        b'{',
        b'[]',
        b'null',
        b'"x"',
        b'7',
        b'\xff\xfe{}',
        b'[' * 200000,
        b'{"a":' * 200000,
        b'{"format": ' + b'9' * 5000 + b'}',
        b'{"format": NaN}',
        b'{"format": 1e999}',
    ),
)
def test_manifests_that_are_no_json_of_ours(mine, text):
    (mine / 'mine' / 'manifest.json').write_bytes(text)
    with pytest.raises(UserError, match='manifest.json'):
        manifest.read(str(mine / 'mine'))


def test_scripts_say_what_a_manifest_lacks(mine, tree):
    """Three million classes, or a format to come: one sentence, after seconds."""
    place = mine / 'mine'
    before = (place / 'manifest.json').read_text()
    spoil(place, lambda value: value.update(classes=[str(number) for number in range(3000000)]))
    start = time.time()
    for command in (
        folder(tree, mine),
        ('data/verify.py', place / 'train.rec'),
        ('train_imagenet.py', '--dataset', 'mine', '--data-dir', mine, '--cpus', '1'),
    ):
        assert 'damaged, or not written by' in user_error(*command)
    assert time.time() - start < 60
    (place / 'manifest.json').write_text(before)
    spoil(place, lambda value: value.update(format=3, files='other'))
    assert 'use the version' in user_error(*folder(tree, mine, '--force'))
    (place / 'manifest.json').unlink()
    (place / 'manifest.json').mkdir()
    assert 'it is not a file' in user_error(*folder(tree, mine))
    os.rmdir(place / 'manifest.json')
    os.mkfifo(place / 'manifest.json')
    assert 'it is not a file' in user_error(*folder(tree, mine))


def test_names_of_classes_do_not_steer_a_terminal(tmp_path):
    names = ['\x1b]0;owned\x07', 'b\nc', '\udcff', '\u202egnp', 'Käse 猫']
    tree = plant(tmp_path / 'tree', 1, 1, names)
    (tree / 'train' / names[0] / '\x1b[2J.jpg').write_bytes(b'no image')
    said = run_script(*folder(tree, tmp_path), stderr=True)
    assert '1 images of train' in said
    reported = (tmp_path / 'mine' / 'train.reported').read_text()
    assert r'\x1b]0;owned\x07/\x1b[2J.jpg' in reported and len(reported.splitlines()) == 1
    shown = datasets.get('mine', str(tmp_path)).names
    assert sorted(shown) == sorted(printable(name) for name in names) and 'Käse 猫' in shown
    for text in (*shown, *(tmp_path / 'mine' / 'train.lst').read_text().splitlines()):
        assert printable(text.replace('\t', ' ')) == text.replace('\t', ' ')
    shutil.move(str(tree / 'train' / names[0]), str(tree / 'elsewhere'))
    assert '\x1b' not in user_error(*folder(tree, tmp_path, '--force'))


# ---- what a run notes of its data ----


def test_identity(converted, subset, tmp_path):
    place = converted / 'mine'
    known = datasets.identity(str(place))
    assert known == {
        'manifest_sha256': hashlib.sha256((place / 'manifest.json').read_bytes()).hexdigest(),
        'train_images': 4,
        'test_images': 2,
        'classes': 2,
        'official': False,
    }
    small = datasets.identity(str(subset / 'cifar10'))
    assert (small['train_images'], small['test_images'], small['classes']) == (100, 30, 10)
    for path in (subset / 'cifar10').iterdir():
        if path.suffix in ('.rec', '.idx'):
            shutil.copy(path, tmp_path)
    bare = datasets.identity(str(tmp_path))  # packed by hand: no manifest
    assert dict(bare, manifest_sha256=0) == dict(small, manifest_sha256=0)
    assert bare == datasets.identity(str(tmp_path)) and len(bare['manifest_sha256']) == 64
    with open(tmp_path / 'train.rec', 'r+b') as file:
        file.seek(200)
        file.write(b'?')
    assert datasets.identity(str(tmp_path))['manifest_sha256'] != bare['manifest_sha256']
    (tmp_path / 'test.idx').unlink()
    with pytest.raises(UserError, match='test.idx is not there'):
        datasets.identity(str(tmp_path))


def test_identity_of_a_large_file_reads_a_part(tmp_path, subset, monkeypatch):
    """Of a .rec file of more than 2 GB; here of more than 2 KB."""
    from recordio import records
    from system import files

    for ending in ('rec', 'idx'):
        shutil.copy(subset / 'cifar10' / f'train.{ending}', tmp_path)
    path = str(tmp_path / 'train.rec')
    whole = records.digest(path)
    monkeypatch.setattr(records, 'MOST_BYTES', 2000)
    monkeypatch.setattr(files, 'BLOCK', 10)
    first = records.digest(path)
    assert first != whole and first == records.digest(path)
    with open(path, 'r+b') as file:
        file.seek(-3, os.SEEK_END)
        file.write(b'?')
    assert records.digest(path) != first


def test_identity_of_files_that_do_not_belong_together(mine, subset, tmp_path):
    with open(mine / 'mine' / 'train.rec', 'ab') as file:
        file.write(b'more')
    with pytest.raises(UserError, match='train.rec is not the file .* --name mine'):
        datasets.identity(str(mine / 'mine'))
    shutil.copytree(subset / 'cifar10', tmp_path / 'svhn')
    with pytest.raises(UserError, match='holds cifar10'):
        datasets.identity(str(tmp_path / 'svhn'))


def test_advice_names_the_data_set(subset, tmp_path):
    """It can be pasted: NAME is filled in, and folders are quoted."""
    place = tmp_path / 'my data' / 'cifar10'
    shutil.copytree(subset / 'cifar10', place)
    with open(place / 'train.rec', 'r+b') as file:
        file.write(b'????')
    said = user_error('data/verify.py', place / 'train.rec')
    assert f"data/prepare.py cifar10 --out '{tmp_path}/my data' --force" in said
    assert set(conversion.SPACE) == set(datasets.DATASETS)


# ---- data/crops.py ----


def test_crops_of_photographs_of_one_name(tmp_path):
    """The second would overwrite the first one's. Nothing is written before all are right."""
    image = archives.photograph()
    paths = [
        tmp_path / 'a' / 'cat.png',
        tmp_path / 'b' / 'cat.jpg',
        tmp_path / 'dog.png',
        tmp_path / 'small.png',
    ]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image[:200, :400] if path.name != 'small.png' else image[:20, :20])
    crops = ('data/crops.py', '--size', '32', '--out', tmp_path / 'tree')
    assert 'would both be the class cat' in user_error(*crops, *paths[:2])
    assert 'too small' in user_error(*crops, paths[0], paths[3])
    assert 'none.png' in user_error(*crops, paths[0], tmp_path / 'none.png')
    paths[2].write_bytes(paths[2].read_bytes()[:-20])
    assert 'dog.png' in user_error(*crops, paths[0], paths[2])
    cv2.imwrite(str(paths[2]), image[:200, :400])
    assert not (tmp_path / 'tree').exists()
    run_script(*crops, paths[0], paths[2])
    before = content(tmp_path / 'tree')
    assert len(before) == 600
    victim = tmp_path / 'tree' / 'train' / 'dog' / '0007.jpg'
    victim.write_bytes(before['train/dog/0007.jpg'][:100])  # a run was killed
    run_script(*crops, paths[0], paths[2])
    assert content(tmp_path / 'tree') == before
    victim.write_bytes(b'a photograph of mine')
    assert '0007.jpg is there already' in user_error(*crops, paths[0], paths[2])
    assert victim.read_bytes() == b'a photograph of mine'
    (tmp_path / 'file').write_text('x')
    assert 'file' in user_error(
        'data/crops.py', '--size', '32', '--out', tmp_path / 'file', paths[0]
    )


@pytest.mark.parametrize('target', ['demo', 'study', 'clean'])
def test_make_leaves_a_folder_alone_that_it_did_not_make(target, tmp_path):
    shutil.copy(os.path.join(ROOT, 'Makefile'), tmp_path)
    for name in ('requirements.txt', 'requirements-common.txt', 'requirements-compiler.txt'):
        (tmp_path / name).touch()
    (tmp_path / '.venv/bin').mkdir(parents=True)
    (tmp_path / '.venv/bin/python').touch()
    (tmp_path / '.venv/installed').touch()
    mine = [tmp_path / name / 'mine.txt' for name in ('demo', 'study-sample')]
    for file in mine:
        file.parent.mkdir()
        file.write_text('mine')
    (tmp_path / 'link').symlink_to('disk that is not mounted')
    made = subprocess.run(['make', target], cwd=tmp_path, capture_output=True, text=True)
    link = ('DEMO=link', 'STUDY=link')
    subprocess.run(['make', target, *link], cwd=tmp_path, capture_output=True)
    assert all(file.read_text() == 'mine' for file in mine) and (tmp_path / 'link').is_symlink()
    if target == 'clean':
        assert made.returncode == 0 and not (tmp_path / '.venv').exists()
    else:
        assert made.returncode == 2 and 'rename it' in made.stderr


def test_make_installs_again_for_another_python(tmp_path):
    """An upgrade of the system leaves the environment's link to its Python dangling."""
    for name in ('Makefile', *(path.name for path in pathlib.Path(ROOT).glob('requirements*.txt'))):
        shutil.copy(os.path.join(ROOT, name), tmp_path)
    python = tmp_path / '.venv/bin/python'
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    stamps = [tmp_path / '.venv' / name for name in ('installed', 'installed-test')]
    for stamp in stamps:
        stamp.touch()

    def make(*words):
        command = ['make', '-n', 'test', *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert 'pip install' not in make().stdout and all(stamp.exists() for stamp in stamps)
    other = make('PYTHON=/nowhere/python')
    assert other.returncode == 2 and 'has another Python than /nowhere/python' in other.stderr
    assert 'pip install' not in make(f'PYTHON={sys.executable}').stdout
    python.unlink()
    python.symlink_to('/nowhere/python3.9')
    other = tmp_path / 'mine'  # a folder of the user's, named by mistake
    other.mkdir()
    (other / 'installed').write_text('mine')
    make('VENV=mine')
    assert (other / 'installed').read_text() == 'mine'
    said = make().stdout
    assert '-m venv' in said and 'install' in said and said.count('requirements.txt') == 1


@pytest.mark.parametrize('name', ['my results', ''])
def test_make_takes_no_name_for_two(name, tmp_path):
    shutil.copy(os.path.join(ROOT, 'Makefile'), tmp_path)
    for folder in ('my', 'results'):
        (tmp_path / folder).mkdir()
    for target in ('demo', 'study', 'clean'):
        command = ['make', target, f'DEMO={name}']
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert made.returncode == 2 and 'without a space' in made.stderr
    assert sorted(os.listdir(tmp_path)) == ['Makefile', 'my', 'results']


def test_make_clean_removes_what_make_demo_made(tmp_path):
    shutil.copy(os.path.join(ROOT, 'Makefile'), tmp_path)
    (tmp_path / 'demo/logs').mkdir(parents=True)
    (tmp_path / 'demo/.made-by-make').touch()
    subprocess.run(['make', 'clean'], cwd=tmp_path, capture_output=True, check=True)
    assert not (tmp_path / 'demo').exists()
