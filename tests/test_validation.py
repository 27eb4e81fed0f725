"""Training images that are held out: which they are, what is read, and what is chosen on them."""

import shutil

import numpy
import official_archives as archives
import pytest
from scripts import run_script, user_error
from training_runs import arguments, arrays_of, back_to, name_of, records_of, small_cifar

from common import log, model, run_state
from data import target_checks
from recordio import datasets, held_out, record_format, records
from recordio.images import cv2
from recordio.record_iterator import Batches, Reading, Records
from report import curves, finished_runs, repetition, run_setting
from system.errors import UserError

SHARE = 0.2
CHOSEN = [8, 11, 13, 23, 44, 45]  # the first that are held out, as ever
PLAIN = datasets.get('cifar10')._replace(augment=False)


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder with a small CIFAR-10 and a finished run of three epochs that held images out."""
    folder = small_cifar(tmp_path_factory.mktemp('validation'), fashion, 103, 40)
    run_script(*arguments(folder, '--epochs', '3', '--validation', SHARE, '--batch-size', '16'))
    return folder


def train_rec(place):
    return str(place / 'data' / 'cifar10' / 'train.rec')


def whole(path):
    """All images of a file, normalised, and their labels, as MXNet reads them."""
    data = [
        (image, label)
        for batch in Records(path, PLAIN, 1).batches()
        for image, label in zip(batch.data[0].asnumpy(), batch.label[0].asnumpy())
    ]
    return numpy.array([image for image, _ in data]), numpy.array([label for _, label in data])


def images_of(batches):
    """Images of batches, without those that must not be counted, and the labels."""
    data, labels = [], []
    for batch in batches:
        count = len(batch.label[0]) - batch.pad
        data.append(batch.data[0].asnumpy()[:count])
        labels.append(batch.label[0].asnumpy()[:count])
    return numpy.concatenate(data), numpy.concatenate(labels)


def rows(images):
    return sorted(image.tobytes() for image in images)


@pytest.mark.parametrize(
    'name', ['a?b=1', *(pytest.param(name, marks=pytest.mark.slow) for name in ('a#b', 'a;b'))]
)
def test_signs_that_mean_something_else_to_mxnet(place, tmp_path, name):
    """In the path of record files, and of the temporary list of those that are held out."""
    odd = tmp_path / name
    shutil.copytree(place / 'data', odd)
    said = user_error(*arguments(place, '--data-dir', odd, '--epochs', '1'))
    assert 'symbolic link' in said and not list((tmp_path).glob('*.rec'))
    with pytest.raises(UserError, match='backslash, one of # ; [?]'):
        target_checks.check_name(name)
    run = arguments(place, '--epochs', '1', '--validation', '0.1', '--log-dir', tmp_path / 'logs')
    assert 'TMPDIR' in user_error(*run, TMPDIR=str(odd))


# ---- which images ----


def test_the_share_of_each_class_is_held_out(place):
    held, labels = held_out.chosen(train_rec(place), SHARE), records.labels(train_rec(place))
    for label, count in enumerate(numpy.bincount(labels.astype(int))):
        assert held[labels == label].sum() == round(SHARE * count) == 2
    assert (held == held_out.chosen(train_rec(place), SHARE)).all()
    assert (held_out.chosen(train_rec(place), 0.001).sum(), len(held)) == (10, 100)


def test_the_choice_never_changes(place):
    """A resumed run and another seed need the images of before; so do other versions."""
    assert numpy.flatnonzero(held_out.chosen(train_rec(place), SHARE))[:6].tolist() == CHOSEN


def test_a_class_with_a_single_image(tmp_path):
    image = cv2.imencode('.png', numpy.zeros((32, 32, 3), 'uint8'))[1].tobytes()
    packed(tmp_path, [(0, image), (0, image), (1, image)])
    with pytest.raises(UserError, match='a single image of class 1, of which none can be held out'):
        held_out.chosen(str(tmp_path / 'train.rec'), SHARE)


def packed(folder, labelled, numbers=None):
    """Write train.rec and train.idx of (label, bytes) pairs."""
    with open(folder / 'train.rec', 'wb') as rec, open(folder / 'train.idx', 'w') as index:
        for number, (label, image) in enumerate(labelled):
            index.write(f'{number}\t{rec.tell()}\n')
            record_format.write(rec, numbers[number] if numbers else number, label, image)


def test_records_that_share_a_number_are_refused(tmp_path):
    image = cv2.imencode('.png', numpy.zeros((32, 32, 3), 'uint8'))[1].tobytes()
    packed(tmp_path, [(label % 2, image) for label in range(8)], [7] * 8)
    dataset = PLAIN._replace(classes=2)
    reader = Records(
        str(tmp_path / 'train.rec'), dataset, 2, Reading(shuffle_seed=1, held_out=SHARE)
    )
    with pytest.raises(UserError, match='several images with one number'):
        next(reader.batches())


# ---- what is read ----


@pytest.mark.parametrize('size', (1, 3))
def test_training_and_validation_share_no_image_and_lack_none(place, size):
    """For one worker and for three, whose shards hold different numbers of images out."""
    images, labels = whole(train_rec(place))
    held = held_out.chosen(train_rec(place), SHARE)
    folder, dataset = str(place / 'data' / 'cifar10'), PLAIN._replace(validation=SHARE)
    workers = [Batches(folder, dataset, 7, seed=3, shard=(rank, size)) for rank in range(size)]
    assert [each.train_images for each in workers] == [80] * size
    assert [each.validation_images for each in workers] == [20] * size
    assert len({each.per_epoch for each in workers}) == 1
    for epoch in (1, 2):
        found = [images_of(each.train(epoch)) for each in workers]
        assert rows(numpy.concatenate([data for data, _ in found])) == rows(images[~held])
        counts = numpy.bincount(numpy.concatenate([each for _, each in found]).astype(int))
        assert counts.tolist() == [8] * 10
        lengths = [len(list(each.train(epoch + 2))) for each in workers]
        assert lengths == [workers[0].per_epoch] * size
    found = [images_of(each.validation()) for each in workers]
    numpy.testing.assert_allclose(
        sorted(numpy.concatenate([data for data, _ in found]).sum((1, 2, 3))),
        sorted(images[held].sum((1, 2, 3))),
        rtol=1e-4,
    )
    together = numpy.concatenate([each for _, each in found])
    assert sorted(together) == sorted(labels[held])


def test_validation_images_are_those_that_mxnet_reads(place):
    """In the order of the file, and equal up to rounding."""
    images, labels = whole(train_rec(place))
    held = held_out.chosen(train_rec(place), SHARE)
    batches = Batches(
        str(place / 'data' / 'cifar10'), PLAIN._replace(validation=SHARE), 16, threads=3
    )
    data, found = images_of(batches.validation())
    numpy.testing.assert_allclose(data, images[held], atol=1e-5)
    assert (found == labels[held]).all()


def test_the_last_batch_is_filled_with_images_that_are_not_held_out(place):
    dataset = PLAIN._replace(validation=SHARE)
    batches = list(Batches(str(place / 'data' / 'cifar10'), dataset, 32, seed=3).train(1))
    assert [batch.pad for batch in batches] == [0, 0, 16]
    first, last = batches[0].data[0].asnumpy(), batches[2].data[0].asnumpy()
    labels = batches[2].label[0].asnumpy()
    assert (labels >= 0).all() and last[16:].any() and first.shape == last.shape


def test_photographs_are_held_out_too(tmp_path):
    dataset = datasets.PHOTOGRAPHS._replace(classes=2, size=28, short=64, validation=0.25)
    photographs = [cv2.resize(crop, (90, 64)) for crop in archives.crops(16)]
    packed(tmp_path, [(n % 2, archives.jpeg(each, 95)) for n, each in enumerate(photographs)])
    for ending in ('rec', 'idx'):
        shutil.copy(tmp_path / f'train.{ending}', tmp_path / f'test.{ending}')
    batches = Batches(str(tmp_path), dataset, 4, seed=2)
    assert [batches.train_images, batches.validation_images] == [12, 4]
    assert [len(images_of(batches.train(epoch))[0]) for epoch in (1, 2)] == [12, 12]
    held = held_out.chosen(str(tmp_path / 'train.rec'), 0.25)
    as_tested = images_of(batches.test())[0][held]
    # Two versions of OpenCV decode and scale; a standard deviation is 69 of 255.
    assert numpy.abs(images_of(batches.validation())[0] - as_tested).mean() < 6 / 69


# ---- runs ----


def test_the_log_and_the_best_epoch(place):
    name = name_of(place / 'checkpoints')
    path = str(place / 'logs' / (name + '.jsonl'))
    header, found = log.read(path)
    assert (header['validation_images'], header['options']['validation']) == (20, SHARE)
    assert header['train_images'] == 100  # of the file
    assert all(0 <= record['validation_error'] <= 100 for record in found)
    state = run_state.load(str(place / 'checkpoints' / name))
    errors = [record['validation_error'] for record in found]
    assert state['best'] == errors.index(min(errors)) + 1
    (group,) = curves.group([path])[0]
    assert len(group.epochs) == 3 and group.setting['validation'] == SHARE
    assert finished_runs.read([path])[0][0].runs[0].records == found


def test_best_is_the_lowest_validation_error_where_there_is_one():
    records = [
        {'epoch': number, 'test_error': test, 'validation_error': validation}
        for number, (test, validation) in enumerate([(9, 8), (5, 7), (7, 6), (8, 6)], 1)
    ]
    assert run_state.best(records) == 3
    assert run_state.best([{**each, 'validation_error': 0} for each in records]) == 1
    without = [{'epoch': each['epoch'], 'test_error': each['test_error']} for each in records]
    assert run_state.best(without) == 2


def test_a_resumed_run_holds_the_same_images_out(place, tmp_path):
    for part in ('logs', 'checkpoints'):
        shutil.copytree(place / part, tmp_path / part)
    (tmp_path / 'data').symlink_to(place / 'data')
    name = name_of(tmp_path / 'checkpoints')
    run, path = tmp_path / 'checkpoints' / name, tmp_path / 'logs' / (name + '.jsonl')
    arrays, before = arrays_of(run, 3), records_of(path)
    back_to(run, 2)
    folders = arguments(tmp_path)[-6:]
    run_script('train_cifar.py', '--resume', name, *folders)
    assert arrays_of(run, 3) == arrays and records_of(path) == before
    said = user_error('train_cifar.py', '--resume', name, '--validation', '0.1', *folders)
    assert 'was started with --validation 0.2 and cannot go on with 0.1' in said


@pytest.mark.slow
def test_which_checkpoint_is_meant():
    state = {'epoch': 5, 'best': 3, 'kept': [2, 3, 5]}
    assert [model.epoch_of(state, which) for which in ('last', 'best', '2')] == [5, 3, 2]


def test_scoring_the_best_says_what_it_was_chosen_on(place, tmp_path):
    folders = arguments(place)[-6:]
    scored = ('score.py', *folders, '--checkpoint', 'best', '--run')
    assert 'chosen on' not in run_script(*scored, name_of(place / 'checkpoints'), stderr=True)
    run_script(
        *arguments(place, '--epochs', '1'),
        *('--log-dir', tmp_path / 'logs', '--checkpoint-dir', tmp_path / 'checkpoints'),
    )
    run = tmp_path / 'checkpoints' / name_of(tmp_path / 'checkpoints')
    said = run_script(*scored, run, stderr=True).splitlines()
    assert len([line for line in said if 'it was chosen on the test set' in line]) == 1
    assert 'chosen on' not in run_script('score.py', *folders, '--run', run, stderr=True)


def test_held_out_images_are_part_of_the_setting(place):
    name = name_of(place / 'checkpoints')
    (run,) = repetition.read([str(place / 'logs' / (name + '.jsonl'))])
    plain = run_setting.setting_of({**run.header['options'], 'validation': 0}, run.header)
    assert list(run_setting.differences([run.setting, plain])) == ['validation']
    before = {key: each for key, each in run.header['options'].items() if key != 'validation'}
    assert run_setting.setting_of(before, run.header) == plain
