"""--help says of every option what it does, and its default."""

import argparse
import importlib
import re
from pathlib import Path

import pytest
from scripts import ROOT

NOT_FOR_USERS = {'benchmarks.photographs', 'benchmarks.worker'}
SCRIPTS = sorted(
    {
        '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        for path in [*Path(ROOT).glob('*.py'), *Path(ROOT).glob('[a-z]*/*.py')]
        if re.search(r'^def parse_args', path.read_text(encoding='utf-8'), re.M)
    }
    - NOT_FOR_USERS
)


class Found(Exception):
    """Carries the parser of a script, which is about to parse."""


def parser_of(script, monkeypatch):
    def stop(parser, *_):
        raise Found(parser)

    module = importlib.import_module(script)
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', stop)
    with pytest.raises(Found) as found:
        module.parse_args()
    monkeypatch.undo()
    return found.value.args[0]


def test_scripts_are_found():
    assert {'train_cifar', 'data.prepare', 'study.run_experiments'} <= set(SCRIPTS)


@pytest.mark.parametrize('script', SCRIPTS)
def test_every_option_is_explained(script, monkeypatch):
    parser = parser_of(script, monkeypatch)
    assert parser.description
    for action in parser._actions:
        name = action.option_strings[-1] if action.option_strings else action.dest
        assert action.help and len(action.help) > 10, name
        # A switch is off by default; every other default is said.
        has_default = action.default not in (None, False, True, argparse.SUPPRESS)
        assert not has_default or 'default: ' in action.help, name
        assert action.help[-1] != '.', name
