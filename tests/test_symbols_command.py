"""python -m symbols takes the networks for CIFAR and, with --imagenet, those for ImageNet."""

import pytest
from scripts import user_error

from system.errors import UserError


def test_networks_for_imagenet_by_the_command(monkeypatch, capsys):
    from study import show_network as command

    def said(*options):
        monkeypatch.setattr('sys.argv', ['symbols', *options])
        command.main()
        return capsys.readouterr().out

    whole = said('--imagenet', '--network', 'resnet', '--depth', '101')
    assert (
        '44,549,160 (44.5M)' in whole and '8,589,934,592 paths' in whole and '64x112x112' in whole
    )
    assert '43,338,024 (43.3M)' in said('--imagenet') and '1,710,426 (1.7M)' in said()
    for options, words in (
        (('--network', 'dfn1'), 'add --imagenet'),
        (('--imagenet', '--widen', '2'), '--widen is for CIFAR'),
        (('--imagenet', '--depth', '0'), 'has the depths 44, not 0'),
        (('--imagenet', '--classes', '1'), 'at least 2 classes'),
    ):
        with pytest.raises(UserError, match=words):
            said(*options)
    assert 'no network for ImageNet' in user_error(
        '-m', 'symbols', '--imagenet', '--network', 'plain'
    )
