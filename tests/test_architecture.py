"""The code keeps the rules of docs/architecture.md: which folder imports which, and their sizes."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8')
SCRIPTS = 'scripts at the top level'
LARGEST_SHARE = 0.25  # of the lines of code, in one folder


def rules():
    """Return {folder: modules that it may import}, in the order of the page's second table."""
    table = PAGE.split('| folder | may import |')[1].split('\n\n')[0]
    rows = [line.strip('|').split('|') for line in table.splitlines() if line.startswith('|')]
    return {
        folder.strip().strip('`'): set(re.findall(r'`([\w.]+)`', modules))
        for folder, modules in rows
        if set(folder.strip()) != set('-')
    }


def described():
    """Return the folders of the page's first table."""
    return re.findall(r'^\| `(\w+)/` \|', PAGE, re.M)


def folder_of(path):
    return path.relative_to(ROOT).parts[0] if path.parent != ROOT else SCRIPTS


RULES = rules()
FILES = sorted(ROOT.glob('*.py')) + sorted(
    path for folder in RULES if folder != SCRIPTS for path in (ROOT / folder).rglob('*.py')
)
TREES = {path: ast.parse(path.read_text(encoding='utf-8')) for path in FILES}


def file_of(module):
    """Return the file of a module of the project, or None."""
    path = ROOT.joinpath(*module.split('.'))
    for candidate in (path.with_suffix('.py'), path / '__init__.py'):
        if candidate.is_file():
            return candidate
    return None


def imports(path):
    """Yield (line, module) for each module of the project that a file imports anywhere."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}, line {node.lineno}, imports relative to its folder'
            members = [f'{node.module}.{alias.name}' for alias in node.names]
            names = [name if file_of(name) else node.module for name in members]
        else:
            continue
        for name in names:
            if file_of(name):
                yield node.lineno, name


def is_script(path):
    return "\nif __name__ == '__main__':" in path.read_text(encoding='utf-8')


def lines_of_code(path):
    lines = (line.strip() for line in path.read_text(encoding='utf-8').splitlines())
    return sum(1 for line in lines if line and not line.startswith(('#', '//')))


def test_the_page_has_every_folder_with_code():
    folders = {path.parent.name for path in ROOT.glob('[a-z]*/*.py')}
    assert folders == set(described())
    assert folders - {'tests'} == set(RULES) - {SCRIPTS}


def test_the_table_goes_from_the_bottom_to_the_top():
    """A folder may import only folders whose rows stand above its own, so there is no circle."""
    above = set()
    for folder, allowed in RULES.items():
        assert {module.split('.')[0] for module in allowed} <= above, folder
        above.add(folder)


@pytest.mark.parametrize('folder', RULES)
def test_a_folder_imports_what_the_page_allows(folder):
    wrong = []
    for path in FILES:
        if folder_of(path) != folder:
            continue
        for line, module in imports(path):
            parts = module.split('.')
            prefixes = {'.'.join(parts[:length]) for length in range(1, len(parts) + 1)}
            if not prefixes & (RULES[folder] | {folder}):
                wrong.append(f'{path.relative_to(ROOT)}:{line} imports {module}')
    assert not wrong, '\n'.join(wrong)


def test_the_table_of_subjects_names_functions_that_are_there():
    table = PAGE.split('| subject | file and function |')[1].split('\n\n')[0]
    rows = [re.findall(r'`([^`]+)`', line) for line in table.splitlines()]
    checked = 0
    for words in rows:
        paths = [ROOT / word for word in words if '/' in word]
        sources = [
            file.read_text(encoding='utf-8')
            for path in paths
            for file in (sorted(path.glob('*.py')) if path.is_dir() else [path])
        ]
        for name in filter(str.isidentifier, words):
            defined = rf'^ *(?:def|class) {name}\b'
            assert any(re.search(defined, source, re.M) for source in sources), name
            checked += 1
    assert checked >= 5


def test_no_files_import_each_other_in_a_circle():
    graph = {
        path: sorted({file_of(module) for _, module in imports(path)} - {path}) for path in FILES
    }
    finished = set()

    def visit(path, above):
        names = [str(each.relative_to(ROOT)) for each in (*above, path)]
        assert path not in above, 'a circle: ' + ' imports '.join(names)
        if path not in finished:
            for imported in graph.get(path, ()):
                visit(imported, (*above, path))
            finished.add(path)

    for path in FILES:
        visit(path, ())


def test_no_script_is_imported():
    wrong = [
        f'{path.relative_to(ROOT)}:{line} imports {module}'
        for path in FILES
        for line, module in imports(path)
        if is_script(file_of(module))
    ]
    assert not wrong, '\n'.join(wrong)


def test_no_folder_has_more_than_a_quarter_of_the_code():
    native = ROOT / 'engine' / 'native'
    count = Counter()
    for path in [*FILES, *native.glob('*.cc'), *native.glob('*.h')]:
        count[folder_of(path)] += lines_of_code(path)
    del count[SCRIPTS]  # no folder, but what stands at the top
    total = sum(count.values())
    largest, lines = count.most_common(1)[0]
    assert lines <= LARGEST_SHARE * total, f'{largest} has {lines} of {total} lines'
