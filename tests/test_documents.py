"""What the documents say can be done: their commands, options, files and links are there."""

import fnmatch
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'data/README.md',
    *sorted(f'docs/{path.name}' for path in (ROOT / 'docs').glob('*.md')),
]
WRITTEN_BY_SCRIPTS = ('docs/verdicts.md',)  # by make results
README_LINES, LONGEST = 120, 99
# What users bring, or get when they convert, train or draw: it is not in a fresh checkout.
OF_USERS = (
    'checkpoints/*',
    'data/archives/*',
    'data/[a-z]*/*.rec',
    'figures/*',
    'hosts.txt',
    'imagenet_2012_validation_synset_labels.txt',
    'logs/output/*',
    'mine/*',
    'study-sample/*',
)
ENDINGS = r'\.(?:py|md|txt|toml|cff|cc|h|csv|jsonl|png|svg)'


def text_of(document):
    return (ROOT / document).read_text(encoding='utf-8')


def parts(document):
    """Return a document's lines of code, and its other lines."""
    code, prose, fenced, listed = [], [], False, False
    for line in text_of(document).splitlines():
        if line.startswith('```'):
            fenced = not fenced
        elif fenced or (line.startswith('    ') and not listed):
            code.append(line)
        else:
            listed = bool(line.strip()) and (listed or re.match(r'\* |\d+\. ', line) is not None)
            prose.append(line)
    return code, prose


def quoted(document):
    """Return the texts in backquotes, outside of blocks of code."""
    return re.findall(r'`([^`]+)`', '\n'.join(parts(document)[1]))


def commands(document):
    """Return the words of each command of a document that starts a script."""
    code = re.sub(r'\\\n\s*', '', '\n'.join(parts(document)[0])).splitlines()
    lines = [*code, *(text for text in quoted(document) if text.startswith('python '))]
    found = []
    for line in lines:
        if re.search(r'\bpython [\w-]', line):
            found.append(shlex.split(line.strip().replace(';', ' '), comments=True))
    return found


def options_by_script(words):
    """Return [(script, its options)] of a command, in which one script may start another.

    A script is a path, or a module behind ``-m``.
    """
    if 'pytest' in words:
        return []
    found, module = [], False
    for word in words:
        if module or word.endswith('.py'):
            found.append((word, []))
            module = False
        elif word == '-m':
            module = True
        elif re.fullmatch(r'[a-z]+(\.[a-z0-9]+)+', word) and found and found[-1][0] == 'engine':
            found.append((word, []))
        elif re.match('--[a-z]', word) and found:
            found[-1][1].append(word.split('=')[0])
    return found


MENTIONED = [
    (document, script, option)
    for document in DOCUMENTS
    for words in commands(document)
    for script, options in options_by_script(words)
    for option in (options or [None])
]
SCRIPTS = sorted({script for _, script, _ in MENTIONED} - {'engine'})


def ask_for_help(script):
    if script.endswith('.py'):
        how = [script]
    elif script.startswith('mxnet.'):
        how = ['-m', 'engine', script]
    else:
        how = ['-m', script]
    command = [sys.executable, *how, '--help']
    environment = dict(os.environ, COLUMNS='200')
    done = subprocess.run(
        command, cwd=str(ROOT), env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f'{" ".join(how)} --help: {done.stderr}'
    return set(re.findall(r'(?<![\w-])--[a-z][\w-]*', done.stdout))


@cache
def known_options():
    """Return {script: its options}, by asking each for its help once."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SCRIPTS, pool.map(ask_for_help, SCRIPTS)))


def is_path(text):
    """Return whether a text in backquotes is a path in the repository, without a placeholder."""
    if re.search(r'[\s=(){}<>$:]|[A-Z]{3}(?!\w*\.md$)', text) or text.startswith(('-', '/', '.')):
        return False
    return bool(re.fullmatch(r'[\w.*/-]+/[\w.*-]*|[\w-]+' + ENDINGS, text))


def test_the_readme_fits_on_two_screens():
    lines = text_of('README.md').splitlines()
    assert len(lines) <= README_LINES
    assert [line for line in lines if len(line) > LONGEST] == []


@pytest.mark.parametrize('document', sorted({*DOCUMENTS} - {*WRITTEN_BY_SCRIPTS}))
def test_lines_are_short(document):
    """Tables, code and addresses may be longer."""
    long = [
        line
        for line in parts(document)[1]
        if len(line) > LONGEST and not line.startswith('|') and '://' not in line
    ]
    assert long == []


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (ROOT / document).parent
    links = re.findall(r'\]\(([^)\s]+)\)', '\n'.join(parts(document)[1]))
    missing = []
    for link in links:
        target, _, heading = link.partition('#')
        if '://' in link:
            continue
        path = folder / target if target else ROOT / document
        if not path.exists() or heading and heading not in headings(path):
            missing.append(link)
    assert missing == []


def headings(path):
    """Return the names by which a page's headings are linked to."""
    titles = re.findall(r'^#+ (.*)$', path.read_text(encoding='utf-8'), re.M)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('document', DOCUMENTS)
def test_paths_exist(document):
    missing = [
        text
        for text in quoted(document)
        if is_path(text)
        and not any(fnmatch.fnmatch(text, users) for users in OF_USERS)
        and not list(ROOT.glob(text.rstrip('/')))
    ]
    assert missing == []


def test_every_page_of_the_manual_is_in_the_readme():
    readme = text_of('README.md')
    assert [
        page for page in DOCUMENTS if f'docs/{Path(page).name}' == page and page not in readme
    ] == []


def test_targets_of_make_exist():
    targets = set(re.findall(r'^([\w-]+):', text_of('Makefile'), re.M))
    for document in DOCUMENTS:
        code, _ = parts(document)
        words = [*code, *quoted(document)]
        named = {match.group(1) for line in words if (match := re.match(r'\s*make ([\w-]+)', line))}
        assert named <= targets, document


def test_scripts_of_commands_exist():
    wrong = {
        (document, script)
        for document, script, _ in MENTIONED
        if script.endswith('.py') and not (ROOT / script).is_file()
    }
    assert not wrong


def test_options_of_commands_are_known_to_their_scripts():
    wrong = {
        f'{document}: {script} {option}'
        for document, script, option in MENTIONED
        if option and script in SCRIPTS and option not in known_options()[script]
    }
    assert not wrong


def test_what_make_demo_says_last_can_be_done():
    """It names what it has made, and commands whose scripts and options are there."""
    options = dict(cwd=ROOT, capture_output=True, text=True, check=True)
    command = ['make', '-n', '--no-print-directory', 'demo']
    recipe = subprocess.run(command, **options).stdout.splitlines()
    echoes = [line for line in recipe if line.startswith('echo')]
    assert recipe[-len(echoes) :] == echoes
    said = subprocess.run(['sh', '-c', '\n'.join(echoes)], **options).stdout.strip().splitlines()
    assert 3 <= len(said) <= 4
    made = re.search(r'plot_curves\.py .* --out (\S+)', '\n'.join(recipe)).group(1)
    assert said[0].startswith(f'{made} ')
    started = [
        pair
        for line in said
        if 'python ' in line
        for pair in options_by_script(shlex.split(line, comments=True))
    ]
    assert len(started) >= 3
    for script, its_options in started:
        assert set(its_options) <= known_options()[script]


@pytest.mark.parametrize('document', DOCUMENTS)
def test_options_in_sentences_are_known_to_some_script(document):
    known = set().union(*known_options().values())
    named = {
        word.split('=')[0] for text in quoted(document) for word in text.split() if word[:2] == '--'
    }
    assert named <= known


def test_the_readme_names_every_folder_of_the_code():
    named = set(re.findall(r'^    (\w+)/ ', text_of('README.md'), re.M))
    code = {path.parent.name for path in ROOT.glob('[a-z]*/*.py')}
    assert code - {'tests'} <= named
    assert [name for name in named if not (ROOT / name).is_dir()] == []
