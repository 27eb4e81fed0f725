"""Runs from before DFN-MR had the paper's ending keep meaning what they were trained as (log format
1).
"""

import json
import os

import pytest
from scripts import ROOT, run_script
from training_runs import arrays_of, name_of, records_of, small_cifar

from common import log, log_format, run_state

COMMITTED = os.path.join(ROOT, 'logs')


def test_the_committed_logs_of_format_1():
    header, _ = log.read(os.path.join(COMMITTED, 'fashion-mnist-mr14-20261123-134057.jsonl'))
    assert (header['options']['network'], header['options']['bn_momentum']) == ('mr-late', 0.9)


def test_photographs_of_format_1():
    header = {'format': 1, 'script': 'train_imagenet.py', 'options': {'network': 'mr', 'depth': 44}}
    assert log_format.upgraded(header)['options'] == {
        'network': 'mr-relu',
        'depth': 44,
        'bn_momentum': 0.9,
        'augment': 'authors-2018',
    }


@pytest.fixture
def trained(tmp_path, fashion):
    """A finished run of two epochs of the network of before; return its folder and name."""
    small_cifar(tmp_path, fashion, 100, 40)
    run_script(
        *command(tmp_path),
        '--network',
        'mr-late',
        '--bn-momentum',
        '0.9',
        '--depth',
        '8',
        '--epochs',
        '2',
        '--batch-size',
        '32',
    )
    return tmp_path, name_of(tmp_path / 'checkpoints')


def command(folder):
    return (
        'train_cifar.py',
        '--data-dir',
        folder / 'data',
        '--log-dir',
        folder / 'logs',
        '--checkpoint-dir',
        folder / 'checkpoints',
    )


def test_such_a_run_goes_on_as_it_began(trained):
    """Its files are made what an older version leaves after its first epoch; the end is the same
    bit for bit.
    """
    folder, name = trained
    run, path = folder / 'checkpoints' / name, folder / 'logs' / (name + '.jsonl')
    whole, records = arrays_of(run, 2), records_of(path)
    state = run_state.read(str(run / run_state.STATE))
    header = dict(state['header'], format=1, options=dict(state['header']['options'], network='mr'))
    del header['options']['bn_momentum']
    first = dict(state, header=header, epoch=1, best=1, kept=[1], records=state['records'][:1])
    (run / 'model-0002.params').unlink()
    (run / run_state.BEFORE).unlink()
    run_state.write(str(run), run_state.STATE, first)
    path.write_text(json.dumps(header) + '\n')
    assert 'epoch 1: top-1 error' in run_script(
        'score.py', '--run', run, '--data-dir', folder / 'data'
    )
    run_script(*command(folder), '--resume', name)
    assert arrays_of(run, 2) == whole and records_of(path) == records
    assert log.read(str(path))[0]['options']['network'] == 'mr-late'
