"""A user's own images: from PNG files in folders, as docs/data.md says, to a scored network."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys

import numpy
import official_archives as archives
import pytest
from scripts import ROOT, run_script, user_error
from test_bad_input import undecodable
from training_runs import name_of

from recordio import datasets, manifest, own_records, record_format
from recordio.images import cv2
from study import grid
from system.errors import UserError

CLASSES = ['a boot', 'bag', 'shirt']
BLACK = numpy.zeros((32, 32, 3), 'uint8')


def blocks():
    """Return the commands of the recipe in docs/data.md, a list for each block."""
    with open(os.path.join(ROOT, 'docs', 'data.md'), encoding='utf-8') as file:
        section = file.read().split('## A folder of your own images')[1].split('\n## ')[0]
    found = re.findall(r'(?:^    .+\n)+', section, re.M)
    return [[line.strip() for line in block.splitlines()] for block in found]


def follow(commands, place, more=(), **names):
    """Run commands of the recipe with the user's words in place of the page's; return stdout.

    ``more`` are options of the training, which the page leaves at the paper's values.
    """
    said = ''
    for command in commands:
        words = [names.get(word, word) for word in shlex.split(command)]
        words = [re.sub('^(data|FOLDER)/', rf'{place}/\1/', word) for word in words]
        if words[0] == 'mkdir':
            os.makedirs(words[-1])
            continue
        if words[0] == 'mv':
            os.rename(*words[1:])
            continue
        words[0] = sys.executable
        if words[1].endswith('.py'):
            words += ['--data-dir', f'{place}/data', '--log-dir', f'{place}/logs', '--cpus', '1']
            words += ['--checkpoint-dir', f'{place}/checkpoints']
        if words[1].startswith('train'):
            words += more
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        said += done.stdout
    return said


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder with FOLDER/{train,test}/CLASS/*.png: real images of 32x32, with colours."""
    place = tmp_path_factory.mktemp('own')
    for split, source, count in (('train', fashion[0], 90), ('test', fashion[1], 30)):
        images, labels = archives.coloured(source, count, len(CLASSES))
        for number, (image, label) in enumerate(zip(images, labels)):
            folder = place / 'FOLDER' / split / CLASSES[label]
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f'{number}.png'), image[..., ::-1])
    return place


@pytest.fixture(scope='module')
def scored(place):
    """What the commands of the first block print, and the name of the run."""
    *most, last = blocks()[0]
    more = ['--network', 'plain', '--depth', '5', '--epochs', '2', '--batch-size', '10']
    said = follow(most, place, more)
    run = name_of(place / 'checkpoints')
    return said + follow([last], place, RUN=run), run


def test_the_recipe_from_png_files_to_a_scored_network(place, scored):
    said, run = scored
    assert run.startswith('mine-plain-5-')
    assert re.search(r'top-1 error \d+\.\d\d%, loss .* on the 30 images of', said)
    shirt = next((place / 'FOLDER' / 'test' / 'shirt').iterdir())
    probabilities = run_script(
        *('score.py', '--run', place / 'checkpoints' / run, '--image', shirt, '--cpus', '1'),
        *('--data-dir', place / 'data'),
    )
    assert sorted(line.split('%')[1].strip() for line in probabilities.splitlines()) == CLASSES
    with open(place / 'logs' / (run + '.jsonl')) as file:
        header = json.loads(file.readline())
    assert header['data']['official'] is False and header['options']['dataset'] == 'mine'
    assert (header['train_images'], header['test_images']) == (90, 30)


def test_a_test_set_is_drawn_from_folders_without_one(place):
    more = ['--network', 'plain', '--depth', '5', '--epochs', '1', '--batch-size', '9']
    (recipe,) = (block for block in blocks() if 'mkdir data/shirts' in block)
    files = ('--log-dir', f'{place}/shirts/logs', '--checkpoint-dir', f'{place}/shirts/checkpoints')
    follow(recipe, place, [*more, *files], FOLDER=f'{place}/FOLDER/train')
    found = manifest.read(str(place / 'data' / 'shirts'))
    counts = [sum(found['splits'][split].values()) for split in ('train', 'test')]
    assert counts == [81, 9] and found['classes'] == CLASSES


def test_what_was_found_is_that_of_the_images(place, scored):
    """Against the PNG files themselves."""
    paths = list((place / 'FOLDER' / 'train').glob('*/*.png'))
    pixels = numpy.array([cv2.imread(str(path))[..., ::-1] for path in paths]).reshape(-1, 3)
    found = manifest.read(str(place / 'data' / 'mine'))
    assert found['classes'] == CLASSES
    counts = {split: list(each.values()) for split, each in found['splits'].items()}
    assert counts == {'train': [30] * 3, 'test': [10] * 3}
    numpy.testing.assert_allclose(found['mean'], pixels.mean(axis=0), atol=1e-3)
    numpy.testing.assert_allclose(found['std'], pixels.std(axis=0), atol=1e-3)
    dataset = datasets.small('mine', str(place / 'data'))
    assert (dataset.mean, dataset.std) == (tuple(found['mean']), tuple(found['std']))
    assert (dataset.augment, dataset.short, dataset.classes) == (True, None, 3)
    assert dataset == datasets.get('mine', str(place / 'data'))


def test_the_files_are_read_once(place, scored, capfd):
    datasets.small('mine', str(place / 'data'))
    assert capfd.readouterr().err == ''
    assert '90' in run_script('data/verify.py', place / 'data' / 'mine' / 'train.rec')


def packed(folder, images, first=0):
    """Write train and test records of images, every second one labelled ``first`` (0 or 1).

    An image that is an array is written as PNG, and bytes as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split in ('train', 'test'):
        with open(folder / f'{split}.rec', 'wb') as rec, open(folder / f'{split}.idx', 'w') as idx:
            for number, image in enumerate(images):
                idx.write(f'{number}\t{rec.tell()}\n')
                data = image
                if not isinstance(image, bytes):
                    data = cv2.imencode('.png', image)[1].tobytes()
                record_format.write(rec, number, (number + first) % 2, data)


def test_other_files_are_described_anew(tmp_path, capfd):
    grey = [BLACK + numpy.uint8(value) for value in (10, 20, 30, 40)]
    packed(tmp_path / 'own', grey)
    assert datasets.small('own', str(tmp_path)).mean == (25, 25, 25)
    assert 'reading the images once' in capfd.readouterr().err
    packed(tmp_path / 'own', grey[2:] * 3)
    assert datasets.small('own', str(tmp_path)).mean == (35, 35, 35)
    assert datasets.small('own', str(tmp_path)).names == ['0', '1']  # there is no list


def test_other_labels_are_described_anew(tmp_path, capfd):
    """They do not change the size of a file. A copy of the same files is read once."""
    folder = tmp_path / 'own'
    packed(folder, [BLACK] * 5)
    before = datasets.small('own', str(tmp_path)), datasets.identity(str(folder))
    assert manifest.read(str(folder))['splits']['train'] == {'0': 3, '1': 2}
    packed(folder, [BLACK] * 5)
    capfd.readouterr()
    after = datasets.small('own', str(tmp_path)), datasets.identity(str(folder))
    assert after == before and capfd.readouterr().err == ''
    packed(folder, [BLACK] * 5, first=1)
    datasets.small('own', str(tmp_path))
    assert manifest.read(str(folder))['splits']['train'] == {'0': 2, '1': 3}
    assert datasets.identity(str(folder)) != before[1]


def test_a_manifest_of_the_users_is_not_touched(tmp_path):
    packed(tmp_path / 'own', [BLACK] * 4)
    (tmp_path / 'own' / 'manifest.json').write_text('{"mine": 1}')
    with pytest.raises(UserError, match='is damaged, or not written by data/prepare.py'):
        datasets.small('own', str(tmp_path))
    assert (tmp_path / 'own' / 'manifest.json').read_text() == '{"mine": 1}'


@pytest.mark.skipif(os.getuid() == 0, reason='root may write everywhere')
def test_a_folder_that_cannot_be_written(tmp_path, capfd):
    packed(tmp_path / 'own', [BLACK] * 4)
    os.chmod(tmp_path / 'own', stat.S_IRUSR | stat.S_IXUSR)
    assert datasets.small('own', str(tmp_path)).classes == 2
    assert 'cannot be written' in capfd.readouterr().err


def test_prepare_does_not_replace_the_users_records(place, scored):
    tree, before = place / 'FOLDER', (place / 'data' / 'mine' / 'train.rec').read_bytes()
    command = ('data/prepare.py', 'folder', '--source', tree, '--name', 'mine')
    out = ('--out', place / 'data')
    assert 'holds records and not folder' in user_error(*command, *out)
    assert 'would be overwritten' in user_error(*command, *out, '--force')
    assert (place / 'data' / 'mine' / 'train.rec').read_bytes() == before


def test_classes_that_cannot_be_trained_on(tmp_path):
    packed(tmp_path / 'one', [BLACK])
    with pytest.raises(UserError, match='holds a single class'):
        datasets.small('one', str(tmp_path))
    packed(tmp_path / 'gap', [BLACK] * 2)
    for split in ('train', 'test'):  # the first label becomes 3
        with open(tmp_path / 'gap' / f'{split}.rec', 'r+b') as rec:
            rec.seek(record_format.FRAME + 4)
            rec.write(numpy.float32(3).tobytes())
    with pytest.raises(UserError, match='has no image of class 0: number the classes from 0'):
        own_records.describe(str(tmp_path / 'gap'))


def test_lists_that_do_not_agree(tmp_path):
    packed(tmp_path / 'own', [BLACK] * 2)
    (tmp_path / 'own' / 'train.lst').write_text('0\t0.0\tcat/a.png\n1\t1.0\tdog/b.png\n')
    (tmp_path / 'own' / 'test.lst').write_text('0\t0.0\tdog/a.png\n1\t1.0\tfish/b.png\n')
    with pytest.raises(UserError, match='label 0 is cat in train.lst and dog in test.lst'):
        datasets.small('own', str(tmp_path))


def test_damaged_records_are_not_described(tmp_path):
    packed(tmp_path / 'own', [BLACK] * 4)
    whole = (tmp_path / 'own' / 'train.rec').read_bytes()
    (tmp_path / 'own' / 'train.rec').write_bytes(whole[:-8])
    with pytest.raises(UserError, match='train.rec is truncated or damaged'):
        datasets.small('own', str(tmp_path))
    assert not (tmp_path / 'own' / 'manifest.json').exists()


def test_an_image_that_does_not_decode(tmp_path):
    packed(tmp_path / 'own', [BLACK] * 4 + [undecodable()])
    with pytest.raises(
        UserError, match='own/train.rec holds an image that does not decode'
    ) as said:
        datasets.small('own', str(tmp_path))
    assert f'verify.py {tmp_path}/own/train.rec --any-size" finds it' in str(said.value)


def test_scoring_says_that_the_images_are_others_now(place, scored, tmp_path):
    """Their mean and deviation are others too, and the network knows those of before."""
    shutil.copytree(place / 'data' / 'mine', tmp_path / 'mine')
    command = ('score.py', '--run', place / 'checkpoints' / scored[1], '--cpus', '1')
    command += ('--data-dir', tmp_path)
    assert 'are others' not in run_script(*command, stderr=True)
    for ending in ('rec', 'idx', 'lst'):
        os.replace(tmp_path / 'mine' / f'test.{ending}', tmp_path / 'mine' / f'train.{ending}')
        shutil.copy(tmp_path / 'mine' / f'train.{ending}', tmp_path / 'mine' / f'test.{ending}')
    said = run_script(*command, stderr=True)
    assert f'are others than those that {scored[1]} was trained on' in said


def test_small_images_are_none_for_train_imagenet():
    said = user_error('train_imagenet.py', '--dataset', 'svhn')
    assert 'train_cifar.py --dataset svhn"' in said


def test_a_name_that_no_data_set_has(tmp_path):
    for name in ('nothing', '../mine', ''):
        with pytest.raises(UserError, match='no data set is called'):
            datasets.small(name, str(tmp_path))


def test_a_grid_has_the_epochs_of_ones_own_images(tmp_path):
    path = tmp_path / 'grid.txt'
    path.write_text('train_cifar.py --dataset mine\ntrain_imagenet.py --dataset mine\n')
    assert [line.options['epochs'] for line in grid.read(str(path), [])] == [400, 100]


# ---- larger images ----


@pytest.fixture(scope='module')
def large(tmp_path_factory):
    """Parts of a photograph, packed as the second block says, with smaller sizes."""
    place = tmp_path_factory.mktemp('large')
    for split in ('train', 'test'):
        for number, crop in enumerate(archives.crops(16, seed=len(split))):
            folder = place / 'FOLDER' / split / ('left', 'right')[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f'{number}.jpg').write_bytes(archives.jpeg(crop))
    follow(blocks()[1][:-1], place, **{'480': '64'})
    return place


@pytest.mark.slow
def test_larger_images_train_with_train_imagenet(large):
    more = ['--network', 'dfn2', '--epochs', '1', '--batch-size', '4', '--lr', '0.001']
    said = follow(blocks()[1][-1:], large, [*more, '--image-size', '32'])
    assert 'epoch 1/1' in said and 'finished' in said
    found = manifest.read(str(large / 'data' / 'large'))
    assert found['short_sides'] == [64, 64] and found['classes'] == ['left', 'right']
    dataset = datasets.get('large', str(large / 'data'), 32)
    assert (dataset.short, dataset.size, dataset.mean) == (64, 32, tuple(found['mean']))
    scored = run_script(
        *('score.py', '--run', large / 'checkpoints' / name_of(large / 'checkpoints')),
        *('--data-dir', large / 'data', '--cpus', '1'),
    )
    assert 'on the 16 images of' in scored


def test_larger_images_are_none_for_train_cifar(large):
    said = user_error('train_cifar.py', '--dataset', 'large', '--data-dir', large / 'data')
    assert 'and this network takes 32x32: pack them in that size' in said
    assert 'train_imagenet.py --dataset large' in said


def test_shorter_sides_that_differ_are_none_for_train_imagenet(tmp_path):
    sizes = ((64, 80), (70, 64), (90, 66), (64, 64))
    packed(tmp_path / 'own', [numpy.zeros((*size, 3), 'uint8') for size in sizes])
    with pytest.raises(UserError, match='shorter sides are 64 to 66 pixels.*pack them with --resi'):
        datasets.get('own', str(tmp_path), 32)


def test_other_sizes_are_packed_at_32(tmp_path):
    """The options that the page names for images of other sizes or without colours."""
    for split in ('train', 'test'):
        for number, crop in enumerate(archives.crops(8)):
            folder = tmp_path / 'FOLDER' / split / str(number % 2)
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f'{number}.png'), crop[..., 0])
    with open(os.path.join(ROOT, 'docs', 'data.md'), encoding='utf-8') as file:
        options = re.search(r'`(--resize 32 [^`]*)`', file.read())[1]
    commands = [command.replace('--pass-through', options) for command in blocks()[0][:5]]
    follow(commands, tmp_path)
    found = datasets.small('mine', str(tmp_path / 'data'))
    assert found.names == ['0', '1'] and len(set(found.mean)) == 1  # grey
