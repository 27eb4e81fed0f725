"""Completion of options in the shell by argcomplete."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import ROOT

BIN = Path(sys.executable).parent
MARKER = '# PYTHON_ARGCOMPLETE_OK\n'
# What bash does when somebody presses the tabulator, with the words of $LINE.
PRESS_TAB = """
eval "$(activate-global-python-argcomplete --dest=- 2>/dev/null)"
COMP_WORDS=($LINE) COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_TYPE=9
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete_global "${COMP_WORDS[0]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completions(line):
    """Return what the last word of a command line may become, as bash is told."""
    environment = dict(os.environ, LINE=line, PATH=f'{BIN}{os.pathsep}{os.environ["PATH"]}')
    done = subprocess.run(
        ['bash', '-c', PRESS_TAB], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    'line,expected',
    [
        ('python train_cifar.py --network m', ['mr', 'mr-late']),
        ('python launch.py --ser', ['--servers']),
        ('python -m symbols --cla', ['--classes']),
    ],
)
def test_words_are_completed(line, expected):
    assert completions(line) == expected


def test_mxnet_is_not_imported(tmp_path):
    """Python lists what it imports; nothing else is printed or written."""
    answer = tmp_path / 'answer'
    line = 'train_cifar.py --bat'
    environment = dict(
        os.environ,
        _ARGCOMPLETE='1',
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
        PYTHONPROFILEIMPORTTIME='1',
    )
    command = [sys.executable, *line.split()]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert answer.read_text().split() == ['--batch-size']
    imported = {text.split('|')[-1].strip() for text in done.stderr.splitlines()}
    assert 'argcomplete' in imported and 'mxnet' not in imported and done.stdout == ''


def test_every_script_with_options_has_the_marker():
    marked, scripts = set(), set()
    for path in [*Path(ROOT).glob('*.py'), *Path(ROOT).glob('[a-z]*/*.py')]:
        text = path.read_text(encoding='utf-8')
        name = str(path.relative_to(ROOT))
        if MARKER in text[:1024] and not name.startswith('tests'):
            marked.add(name)
        if "\nif __name__ == '__main__':" in text and any(
            isinstance(node, ast.Attribute) and node.attr == 'ArgumentParser'
            for node in ast.walk(ast.parse(text))
        ):
            scripts.add(name)
    # python -m symbols starts study/show_network.py.
    scripts = {name for name in scripts if not name.startswith(('tests', 'benchmarks'))}
    assert marked == scripts - {'study/show_network.py'} | {'symbols/__main__.py'}
