"""Committed runs can be reproduced: the first epoch of one of them is trained again and compared.

On the kind of processor of the run, with its versions and number of threads, the numbers are the
same to the last digit. Elsewhere sums are rounded in another order, and training makes the
differences larger; after the many updates of an epoch of the whole of Fashion-MNIST the numbers of
training then agree within TOLERANCE. That a run learns as fast is all that this says elsewhere: the
numbers of most other networks of the study are within TOLERANCE too. After five updates differences
have hardly begun to grow, and the loss tells networks and seeds apart on every processor.
"""

import glob
import json
import os
import subprocess

import log_files
import pytest
from scripts import ROOT, run_script, user_error
from training_runs import arguments, small_cifar

import engine
from common import log
from common.options import FOLDERS
from data import fashion_mnist
from engine import operators
from study.repeat_epoch import command_of, differences, first_epoch, is_alike

RESULTS = os.path.join(ROOT, 'logs', 'results')
FIVE_UPDATES = os.path.join(ROOT, 'logs', 'five-updates')
REPEATED = os.path.join(ROOT, 'logs', 'repeated')  # runs of the study again, elsewhere
MOST_BYTES = 3_000_000  # of all logs in the repository
# Of the first epoch on the whole of Fashion-MNIST: the error in percentage points, the loss as a
# share of the committed one. docs/claims.md has measured differences. Test errors are not compared:
# at the learning rate of 0.1 they jump, from 14% on one processor to 40% on another.
TOLERANCE = {'train_error': 3, 'train_loss': 0.1}
# Of the mean loss of five updates. Seeds 1 and 2 are 0.02 to 0.08 apart; MXNet's own operators
# differ from the project's by at most 0.0044, and those for AVX2 from those for AVX-512 by 0.0001.
LOSS_OF_FIVE_UPDATES = 0.01


def too_far(then, now):
    """Return {name: (then, now)} of the numbers of two records that TOLERANCE does not allow."""
    return {
        name: (then[name], now[name])
        for name, most in TOLERANCE.items()
        if abs(then[name] - now[name]) > most * (then[name] if name.endswith('loss') else 1)
    }


def committed_logs():
    """Return the paths of the logs that git knows, or of all in logs/ where there is no git."""
    listed = subprocess.run(
        ['git', 'ls-files', 'logs'], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split() if listed.returncode == 0 else []
    paths = [os.path.join(ROOT, name) for name in names]
    return [path for path in paths if path.endswith('.jsonl')] or glob.glob(
        os.path.join(ROOT, 'logs', '**', '*.jsonl'), recursive=True
    )


def machine(**other):
    """Return what a header of a run on one thread of this machine would say of it."""
    here = {'processor': engine.processor(), 'threads': 1, 'devices': ['cpu(0)']}
    return {'versions': operators.versions(), **here, **other}


def comparable(runs, here):
    """Return the header and the first record of the run whose epoch is least work, None without.

    Runs that can be the same to the last digit come first, then those of today's operators.
    Elsewhere a run on a part of Fashion-MNIST is no use, since its errors differ as much as those
    of two seeds.
    """

    def rank(run):
        header = run[0]
        work = header['parameters'] * header['train_images']
        is_older = header['versions'].get('operators') != here['versions']['operators']
        return not is_alike(header, here), is_older, work

    datasets = {True: ('fashion-mnist', *fashion_mnist.SUBSETS), False: ('fashion-mnist',)}
    fit = [
        (header, records[0])
        for header, records in runs
        if records and header['options']['dataset'] in datasets[is_alike(header, here)]
    ]
    return min(fit, key=rank) if fit else None


def committed_runs():
    """Return the header and the records of each run in the logs of the study."""
    paths = [path for folder in (RESULTS, REPEATED) for path in glob.glob(f'{folder}/*.jsonl')]
    return [log.read(path) for path in paths]


@pytest.mark.slow
@pytest.mark.skipif(
    not os.path.isdir(fashion_mnist.DEBIAN), reason='dataset-fashion-mnist is not installed'
)
def test_the_first_epoch_of_a_committed_run(tmp_path):
    header, then = comparable(committed_runs(), machine())
    run_script('data/prepare.py', header['options']['dataset'], '--out', tmp_path, timeout=1800)
    again, now = first_epoch(header, tmp_path)
    exact = is_alike(header, again)
    print(f'{header["run"]}, {"exact" if exact else "within the tolerance"}: {then} and {now}')
    assert (differences(then, now) if exact else too_far(then, now)) == {}


@pytest.mark.parametrize(
    'run',
    [
        'sample-mr-14-20261130-083857',
        pytest.param('sample-il-14-20261130-083847', marks=pytest.mark.slow),
        pytest.param('sample-resnet-26-20261130-083836', marks=pytest.mark.slow),
        pytest.param('sample-plain-26-20261130-083827', marks=pytest.mark.slow),
    ],
)
def test_five_updates_give_the_same_loss_on_every_processor(run, sample):
    header, (then,) = log.read(os.path.join(FIVE_UPDATES, f'{run}.jsonl'))
    assert header['train_images'] == 5 * header['options']['batch_size']
    again, now = first_epoch(header, sample)
    assert abs(then['train_loss'] - now['train_loss']) < LOSS_OF_FIVE_UPDATES
    assert not is_alike(header, again) or differences(then, now) == {}


def test_the_first_epoch_of_a_run_of_seconds(tmp_path, fashion):
    """Trained again here it is the same to the last digit, whatever the clock says."""
    small_cifar(tmp_path, fashion, 100, 40)
    events = tmp_path / 'events'
    run_script(*arguments(tmp_path, '--cpus', '1', '--threads', '1', '--tensorboard', events))
    (path,) = (tmp_path / 'logs').glob('*.jsonl')
    (tmp_path / 'data').rename(tmp_path / "it's && data")
    command = ('study/repeat_epoch.py', tmp_path / 'logs', '--data-dir', tmp_path / "it's && data")
    said = run_script(*command)
    assert said == f'{path.stem} (machines alike): the same to the last digit\n'
    # A log of another processor, whose test loss is another one in the last digit.
    header, records = log.read(path)
    wrong = dict(records[0], test_loss=records[0]['test_loss'] + 1e-6)
    log.restore(path, dict(header, processor='Abacus 3'), [wrong, *records[1:]])
    said = run_script(*command)
    assert said == (
        f'{path.stem} (machines not known to be alike): '
        f'test_loss {wrong["test_loss"]}, now {records[0]["test_loss"]}\n'
    )
    assert sorted(os.listdir(tmp_path / 'logs')) == [path.name] and len(os.listdir(events)) == 1


def test_what_cannot_be_repeated(tmp_path, fashion):
    small_cifar(tmp_path, fashion, 100, 40)
    run_script(*arguments(tmp_path, '--cpus', '1', '--threads', '1'))
    (path,) = (tmp_path / 'logs').glob('*.jsonl')
    header, records = log.read(path)
    command = ('study/repeat_epoch.py', path, '--data-dir', tmp_path / 'data')
    assert 'cannot be trained again: train_cifar.py: error: ' in user_error(*command[:2])
    assert 'there is no log in' in user_error(command[0], tmp_path)
    of_mr_relu = dict(header['options'], network='mr-relu')
    for changed, kept, why in (
        (header, [], 'has no epoch yet'),
        (dict(header, workers=2), records, 'of several workers'),
        (dict(header, options=dict(header['options'], init_from='other')), records, '--init-from'),
        (dict(header, options=of_mr_relu), records, 'only scored any more'),
        (dict(header, data=dict(header['data'], manifest_sha256='0')), records, 'other data'),
    ):
        log.restore(path, changed, kept)
        assert why in user_error(*command)


def test_the_tolerance():
    then = dict(log_files.record(20.0), train_error=20.0, train_loss=0.8)
    assert too_far(then, dict(then, train_error=22.9, train_loss=0.87)) == {}
    far = dict(then, train_loss=0.9, train_error=23.5)
    assert list(too_far(then, far)) == ['train_error', 'train_loss']


def test_which_run_is_trained_again():
    """The study has runs of every kind: alike and not, on all images and on a part of them."""
    runs = committed_runs()
    assert len(runs) >= 80
    elsewhere = machine(processor='Abacus 3')
    header, _ = comparable(runs, elsewhere)
    assert header['options']['dataset'] == 'fashion-mnist' and not is_alike(header, elsewhere)
    assert header['versions']['operators'] == elsewhere['versions']['operators']
    part = next(run for run in runs if run[0]['options']['dataset'] == 'fashion-mnist-12000')
    assert comparable([part], elsewhere) is None
    there = {name: part[0][name] for name in machine()}
    assert comparable([part], there) == (part[0], part[1][0])


def test_a_run_of_another_processor_or_before_it_was_named_is_not_exact():
    here = machine()
    assert is_alike(here, dict(here)) and not is_alike(here, dict(here, threads=2))
    assert not is_alike(here, machine(processor='Abacus 3'))
    assert not is_alike(here, machine(devices=['gpu(0)']))
    assert not is_alike(here, machine(versions=dict(here['versions'], operators='mxnet')))
    assert is_alike(here, machine(versions=dict(here['versions'], python='3.10.0')))
    assert not is_alike({name: here[name] for name in here if name != 'processor'}, here)


def test_the_command_of_an_ensemble(tmp_path):
    """Its header has the name of the network, which is no option, and options without a value."""
    from study import train_ensemble

    for words in (['--no-sharing'], ['--without', 'RRR'], ['--component', 'LLR', '--cpus', '1']):
        options = vars(train_ensemble.parse_args(['--depth', '14', '--seed', '3', *words]))
        options['epochs'] = 8
        header = {'script': 'train_ensemble.py', 'options': options, 'threads': 2}
        command = command_of(json.loads(json.dumps(header)), tmp_path, 'data')
        again = vars(train_ensemble.parse_args(command[2:]))
        kept = {name: again[name] for name in options if name not in ('threads', *FOLDERS)}
        assert kept == {name: options[name] for name in kept} and again['threads'] == 2


def test_the_logs_stay_small():
    sizes = {path: os.path.getsize(path) for path in committed_logs()}
    assert len(sizes) >= 3 and sum(sizes.values()) < MOST_BYTES
