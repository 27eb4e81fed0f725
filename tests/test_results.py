"""The study's results in the documents: they are those of the committed logs."""

import shutil
from pathlib import Path

import log_files
import pytest
from scripts import ROOT, run_script, user_error

from report import claim_formats, finished_runs, marked_blocks, study_summary, verdicts
from system import output_marks
from system.errors import UserError

SCRIPT = 'study/update_results.py'
DOCUMENTS = ('README.md', 'docs/results.md')
LOGS = sorted(Path(ROOT, 'logs', 'results').glob('*.jsonl'))


@pytest.fixture(scope='module')
def groups():
    found, notes = finished_runs.read(list(map(str, LOGS)))
    assert notes == []  # every committed run is finished, and none is there twice
    return found


# ---- the documents of this project ----


@pytest.mark.parametrize('name', DOCUMENTS)
def test_a_document_has_the_results_of_the_committed_logs(name, groups):
    text = Path(ROOT, name).read_text(encoding='utf-8')
    contents = study_summary.blocks(groups, 'fashion-mnist')
    assert marked_blocks.fill(text, contents, name) == text, 'run: make results'


def test_the_verdicts_are_those_of_the_committed_logs(groups):
    path = Path(ROOT, 'docs', 'verdicts.md')
    written = output_marks.marked(
        str(path),
        claim_formats.markdown(
            verdicts.find_all(groups, 'fashion-mnist'), 'fashion-mnist'
        ).encode(),
    )
    assert path.read_bytes() == written, 'run: make results'


# ---- the script ----


@pytest.fixture
def logs(tmp_path):
    """Logs of the networks of one size with two seeds each, of one epoch."""
    networks = (('plain', 26, 9.0), ('resnet', 26, 8.0), ('il', 14, 7.0), ('mr', 14, 6.0))
    return [
        log_files.write(
            tmp_path,
            network,
            depth,
            [log_files.record(error + (seed - 1) / 5)],
            dataset='fashion-mnist',
            seed=seed,
        )
        for network, depth, error in networks
        for seed in (1, 2)
    ]


def test_the_script_changes_blocks_and_nothing_else(logs, tmp_path):
    document = tmp_path / 'notes.md'
    block = '<!-- begin {0} -->\nold\n<!-- end {0} -->\n'
    names = ('networks', 'runs', 'tables', 'decided')
    document.write_text('Above.\n' + 'Between.\n'.join(map(block.format, names)) + 'Below.\n')
    assert run_script(SCRIPT, *logs, '--into', document) == f'{document}\n'
    text = document.read_text()
    assert text.startswith('Above.\n<!-- begin networks -->\n| network ') and 'old' not in text
    assert text.count('Between.\n') == 3 and text.endswith('<!-- end decided -->\nBelow.\n')
    assert '| ResNet-26 | 8.10 ± 0.14 | 2 | 6.62 ± 0.24 |' in text
    assert '| Fashion-MNIST | 1 | DFN-MR | 14 |' in text and '| 6.10 ± 0.14 | 1, 2 |' in text
    assert 'Ours after 1 epoch on Fashion-MNIST in place of CIFAR-10' in ' '.join(text.split())
    assert 'Of 23 claims the verdict on 0 is final: 0 are undecided.' in text
    assert 'is up to date' in run_script(SCRIPT, *logs, '--into', document)
    assert document.read_text() == text


def test_a_document_from_windows_keeps_its_line_ends(logs, tmp_path):
    document = tmp_path / 'notes.md'
    document.write_bytes(b'Above.\r\n<!-- begin runs -->\r\n<!-- end runs -->\r\nBelow.\r\n')
    run_script(SCRIPT, *logs, '--into', document)
    found = document.read_bytes()
    assert found.startswith(b'Above.\r\n<!-- begin runs -->\r\n| data set ')
    assert found.endswith(b'<!-- end runs -->\r\nBelow.\r\n')
    assert found.count(b'\n') == found.count(b'\r\n')


def test_what_the_script_cannot_fill_stays_as_it_is(logs, tmp_path):
    good, bad = tmp_path / 'good.md', tmp_path / 'bad.md'
    shutil.copy(Path(ROOT, 'README.md'), good)
    for text, message in (
        ('no place', 'has no place for results'),
        ('<!-- begin runs -->\n<!-- end run -->\n', 'has no place for results'),
        (
            '<!-- begin runs -->\n<!-- end runs -->\n<!-- begin x -->\n',
            'begin x --> has no partner',
        ),
        ('<!-- begin figures -->\n<!-- end figures -->\n', 'figures is not one of the results'),
    ):
        bad.write_text(text)
        assert message in user_error(SCRIPT, *logs, '--into', good, bad)
        assert bad.read_text() == text
        assert good.read_text() == Path(ROOT, 'README.md').read_text()
    assert 'is not a file' in user_error(SCRIPT, *logs, '--into', tmp_path)
    bad.write_bytes(b'\xff')
    assert 'cannot be read' in user_error(SCRIPT, *logs, '--into', bad)
    assert 'no log is a finished run on this data set' in user_error(
        SCRIPT, *logs, '--into', good, '--stand-in', 'sample'
    )


def test_claims_that_are_decided_are_named(tmp_path):
    """ResNet is worse than N_f6 by two points with every seed."""
    paths = [
        log_files.write(
            tmp_path,
            network,
            14,
            [log_files.record(error + seed / 10)],
            dataset='fashion-mnist',
            seed=seed,
        )
        for network, error in (('fuse6', 7.0), ('resnet', 9.0))
        for seed in (1, 2, 3)
    ]
    contents = study_summary.blocks(finished_runs.read(paths)[0], 'fashion-mnist')
    assert ' '.join(contents['decided'].split()) == (
        'Of 23 claims the verdict on 1 is final: 0 are undecided. '
        '* 1 is contradicted: ResNet is better than N_f6 at depth 14 (8).'
    )


def test_a_document_without_a_block_is_refused():
    with pytest.raises(UserError, match='each on a line of its own'):
        marked_blocks.fill('text', {'runs': ''}, 'notes.md')
