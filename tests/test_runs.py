"""Runs: their names, what they begin from, how long they go on, and listing them."""

import pytest
from scripts import run_script
from training_runs import arguments, name_of, small_cifar

import train_cifar
from common import log, training_options
from report import run_setting
from system.errors import UserError


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder with a small CIFAR-10 and a finished run of two epochs, called ``first``."""
    folder = small_cifar(tmp_path_factory.mktemp('runs'), fashion, 100, 40)
    run_script(*arguments(folder, '--epochs', '2', '--name', 'first'))
    return folder


def folders(folder):
    return ('--log-dir', folder / 'logs', '--checkpoint-dir', folder / 'checkpoints')


# ---- --name ----


def test_a_tag_is_in_the_name_of_the_run_and_its_files(place):
    name = name_of(place / 'checkpoints')
    assert name.startswith('cifar10-mr-8-first-20')
    header, _ = log.read(str(place / 'logs' / (name + '.jsonl')))
    assert header['run'] == name


@pytest.mark.parametrize('tag', ('../x', 'a/b', 'a b', '.hidden', '-x', '', 'a' * 41))
def test_a_tag_that_is_no_part_of_a_file_name_is_refused(tag, capsys):
    with pytest.raises(SystemExit):
        train_cifar.parse_args(['--name=' + tag])
    assert 'cannot be part of a file name' in capsys.readouterr().err


def test_a_tag_is_not_part_of_the_setting_and_stays(place):
    plain, tagged = (vars(train_cifar.parse_args(words)) for words in ([], ['--name', 'x']))
    assert run_setting.setting_of(plain) == run_setting.setting_of(tagged)
    del plain['name']  # as in a log of before
    with pytest.raises(UserError, match='was started without --name and cannot go on with x'):
        training_options.resumed(train_cifar.parse_args, ['--name', 'x'], plain)
