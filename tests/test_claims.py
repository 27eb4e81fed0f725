"""The paper's claims: the rule, the page that states it, and verdicts on logs of known results."""

import math
import re
import subprocess
import sys
from pathlib import Path

import log_files
import numpy
import pytest
from scripts import ROOT, run_script, user_error
from training_runs import arguments, small_cifar

from report import claim_formats, claims, compared_results, finished_runs, paper_tables, verdicts
from report.verdicts import Interval
from symbols import ensemble
from system.errors import UserError

PAGE = (Path(ROOT) / 'docs' / 'claims.md').read_text(encoding='utf-8')
PROSE = ' '.join(PAGE.split())  # lines may break anywhere
SCRIPT = 'study/check_claims.py'
SEEDS = (1, 2, 3)


def write(folder, run, errors, trained=2, more=lambda seed: {}, **options):
    """Write a log of ``trained`` epochs for each seed.

    ``errors`` are those of the last epoch, and ``more`` gives parts of the records.
    """
    network, depth = run.rsplit('-', 1)
    options = {'dataset': 'fashion-mnist', **options}
    paths = []
    for seed, error in zip(SEEDS, errors):
        before = (trained - 1) * [error + 10]
        records = [log_files.record(value, **more(seed)) for value in (*before, error)]
        paths.append(log_files.write(folder, network, int(depth), records, seed=seed, **options))
    return paths


def findings_of(title, paths, stand_in='fashion-mnist'):
    groups, _ = finished_runs.read(paths)
    (claim,) = (claim for claim in claims.CLAIMS if claim.title == title)
    return verdicts.find(claim, groups, stand_in)


# ---- the rule ----


def test_the_interval_is_that_of_a_paired_t_test():
    """Critical values of Student's t from a printed table: 4.303 for 2, 2.776 for 4 degrees."""
    for values, critical in (([1.0, 2.0, 4.0], 4.303), ([0.1, 0.4, -0.2, 0.3, 0.2], 2.776)):
        found = verdicts.interval_of(values)
        reach = critical * numpy.std(values, ddof=1) / math.sqrt(len(values))
        assert found.mean == pytest.approx(numpy.mean(values))
        assert (found.low, found.high) == pytest.approx(
            (found.mean - reach, found.mean + reach), 1e-3
        )
    assert verdicts.interval_of([0.5, 0.5])[:3] == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    'kind,low,high,verdict',
    [
        ('greater', 0.1, 9, 'supported'),
        ('greater', -9, -0.1, 'contradicted'),
        ('greater', 0, 9, 'undecided'),
        ('greater', 0, 0, 'undecided'),
        ('alike', -0.4, 0.4, 'supported'),
        ('alike', -0.5, 0.4, 'undecided'),
        ('alike', 0.6, 9, 'contradicted'),
        ('alike', -9, -0.6, 'contradicted'),
        ('alike', -9, 9, 'undecided'),
        ('not more', -9, 0.4, 'supported'),
        ('not more', 0.6, 9, 'contradicted'),
        ('not more', 0.4, 0.6, 'undecided'),
    ],
)
def test_the_verdict_on_a_comparison(kind, low, high, verdict):
    assert verdicts.verdict_of(kind, Interval((low + high) / 2, low, high, 3), 0.5) == verdict
    assert verdicts.verdict_of(kind, None, 0.5) == 'undecided'


# ---- the page and the table in the code ----


def test_the_page_states_the_claims_of_the_code():
    """Titles, differences, kinds, parts and tables, in the same order."""
    sections = re.split(r'^### ', PAGE.split('## What is not tested')[0], flags=re.M)[1:]
    stated = []
    for section in sections:
        title, text = section.split('\n', 1)
        rows = re.findall(r'^\| (\w[^|]*-\d[^|]*) \| ([\w ]+) \|$', text, re.M)
        part = re.search(r'Part\s([ABCD])', text).group(1)
        margin = re.search(r'M\s=\s([\d.]+)', text)
        stated.append((title, tuple(rows), part, float(margin.group(1)) if margin else 0.5))
    assert stated == [
        (
            f'{number}. {claim.title}',
            tuple((difference, claim.kind) for difference in claim.differences),
            claim.part,
            claim.margin,
        )
        for number, claim in enumerate(claims.CLAIMS, 1)
    ]
    assert (
        f'M is {claims.MARGIN} points' in PROSE and f'M is {claims.MARGIN_WITHOUT} points' in PROSE
    )


def test_the_page_states_how_many_epochs_and_seeds_a_part_has():
    stated = re.findall(r'^\| ([ABCD]) \|.*\| (\d+) \| 1 to (\d) \|$', PAGE, re.M)
    assert {part: int(epochs) for part, epochs, _ in stated} == claims.EPOCHS
    assert {part: int(last) for part, _, last in stated} == claims.SEEDS


def test_the_page_gives_the_papers_numbers_behind_the_margin():
    header, rows = paper_tables.read(4)
    deviations = [
        float(cell.split(' ± ')[1].strip('*'))
        for row in rows
        for name, cell in zip(header, row)
        if name.startswith('CIFAR-10 ') and '±' in cell
    ]
    assert f'the median {numpy.median(deviations):.2f}' in PROSE
    fused, both = (paper_tables.read(1)[0].index(name) for name in ('DFN', 'Ensemble'))
    deep = [row for row in paper_tables.read(1)[1] if int(row[0]) >= 38]
    least = min(
        paper_tables.printed_error(row[fused]) - paper_tables.printed_error(row[both])
        for row in deep
    )
    assert f'differences of {least:.2f} points and more similar' in PROSE
    removed = [
        abs(paper_tables.printed_error(cell) - paper_tables.printed_error(row[-1]))
        for row in paper_tables.read(3)[1]
        for cell in row[1:-1]
    ]
    assert numpy.mean([change < 0.3 for change in removed]) > 0.75


def test_every_run_of_a_claim_is_in_the_grid():
    """Every run that a claim asks for is in experiments/fashion-mnist.txt, with all its seeds."""
    from study import grid

    lines = grid.read(f'{ROOT}/experiments/fashion-mnist.txt', [])
    for claim in claims.CLAIMS:
        for difference in claim.differences:
            wanted = [result for _, result in compared_results.parse(difference)]
            trained = [
                {
                    (line.options['epochs'], line.options['seed'])
                    for line in lines
                    if (line.options['network'], line.options['depth'])
                    == (result.network, result.depth)
                    and line.options['dataset'] == claim.dataset('fashion-mnist')
                }
                for result in wanted
            ]
            shared = set.intersection(*trained)
            assert {seed for _, seed in shared} == claim.planned_seeds, difference
            assert {epochs for epochs, _ in shared} == {claims.EPOCHS[claim.part]}, difference


def test_the_numbers_beside_a_claim_are_the_papers():
    cells = {
        (claim.table, result.text): compared_results.printed(claim.table, result)
        for claim in claims.CLAIMS
        for difference in claim.differences
        for _, result in compared_results.parse(difference)
    }
    for (table, text), cell in {
        (4, 'mr-14'): (['26/14'], 'CIFAR-10 DFN-MR', '**6.48 ± 0.04**'),
        (4, 'plain-110'): (['110/56'], 'CIFAR-10 Plain', 'fail'),
        (1, 'fuse3-26'): (['26'], 'DFN', '7.06 ↑'),
        (1, 'plain-14'): None,
        (1, 'fuse6-26'): None,
        (2, 'separate8-14'): (['26', 'without'], 'Overall', '5.82'),
        (2, 'ensemble8-14: LLR alone'): (['26', 'with'], 'LLR', '9.89 ↓'),
        (3, 'ensemble8-14: without RRR'): (['26'], 'W/O RRR', '**7.34**'),
        (3, 'ensemble7-14'): None,
        (2, 'ensemble8-98: RLR alone'): (['98', 'with'], 'RLR', '9.31 ↑'),
        (3, 'ensemble8-98: without RLR'): (['98'], 'W/O RLR', '**9.75**'),
        (None, 'mr-14: mean training loss'): None,
    }.items():
        assert cells[table, text] == cell, text


# ---- verdicts on logs ----


def test_a_supported_and_a_contradicted_comparison(tmp_path):
    paths = [
        *write(tmp_path, 'plain-26', (9.0, 9.2, 9.1)),
        *write(tmp_path, 'resnet-26', (7.0, 7.1, 7.2)),
        *write(tmp_path, 'il-14', (8.0, 8.2, 8.1)),
        *write(tmp_path, 'mr-14', (8.5, 7.9, 8.1)),
    ]
    found = findings_of('Order of the networks of one size', paths)
    assert [each.verdict for each in found] == ['supported', 'contradicted', 'undecided']
    assert verdicts.verdict_of_claim(found) == 'contradicted'
    assert verdicts.verdict_of_claim(found[::2]) == 'undecided'
    assert verdicts.verdict_of_claim(found[:1]) == 'supported'
    assert found[0].interval.mean == pytest.approx(2) and found[0].interval.count == 3
    assert found[0].interval.low == pytest.approx(2 - 4.303 * 0.1 / math.sqrt(3), abs=1e-3)


def test_seeds_are_paired_whatever_the_order_of_the_logs(tmp_path):
    """The seeds differ by 5 points and the networks by 1: paired, every d is 1."""
    one, two = (
        write(tmp_path, run, errors)
        for run, errors in (('plain-110', (11.0, 16.0, 21.0)), ('plain-50', (10.0, 15.0, 20.0)))
    )
    title = 'The plain network gets worse with depth'
    (found,) = findings_of(title, [*one[::-1], *two], 'cifar10')
    assert found.verdict == 'undecided' and 'no finished run of plain-110' in found.reason
    subset = {'dataset': claims.SUBSETS['fashion-mnist']}
    paths = [log_files.changed(path, f'{path}.c.jsonl', **subset) for path in (*one[::-1], *two)]
    (found,) = findings_of(title, paths)
    assert found.interval[:3] == pytest.approx((1, 1, 1)) and found.verdict == 'supported'
    (found,) = findings_of(title, [*paths[:1], *paths[3:]])  # seed 3 is the only one in common
    assert (found.verdict, found.reason) == ('undecided', 'too few seeds: 1 in common')


def test_runs_of_other_trainings_are_not_compared(tmp_path):
    """ResNet-26 of part A has 12 epochs and cannot be compared with N_f6 of part B, which has 8."""
    fuse6 = write(tmp_path, 'fuse6-26', (9.0, 9.1, 9.2), trained=8)
    twelve = write(tmp_path / 'a', 'resnet-26', (8.0, 8.1, 8.2), trained=12)
    title = 'ResNet is better than N_f6'
    (found,) = findings_of(title, [*fuse6, *twelve])
    assert found.interval is None and found.reason == 'the runs differ in the number of epochs'
    eight = write(tmp_path / 'b', 'resnet-26', (7.0, 7.1, 7.2), trained=8)
    (found,) = findings_of(title, [*fuse6, *twelve, *eight])
    assert found.interval.mean == pytest.approx(2) and found.verdict == 'supported'
    both = write(tmp_path / 'c', 'fuse6-26', (9.0, 9.1, 9.2), trained=12)
    (found,) = findings_of(title, [*fuse6, *twelve, *eight, *both])  # part B has 8 epochs
    assert found.setting['epochs'] == 8 and found.interval.mean == pytest.approx(2)
    others = [
        *write(tmp_path / 'd', 'fuse6-26', (9.0, 9.1, 9.2), trained=7),
        *write(tmp_path / 'd', 'resnet-26', (8.0, 8.1, 8.2), trained=7),
    ]
    with pytest.raises(UserError, match='number of epochs'):
        findings_of(title, [*twelve, *both, *others])


def test_a_run_that_is_left_out_because_of_its_training_is_named(tmp_path):
    """Runs that are compared elsewhere, or whose network is compared nowhere, are not named."""
    paths = [
        *write(tmp_path, 'fuse6-26', (9.0, 9.1, 9.2), trained=8),
        *write(tmp_path, 'resnet-26', (8.0, 8.1, 8.2), trained=8),
        *write(tmp_path / 'a', 'resnet-26', (7.0, 7.1, 7.2), trained=12),
        *write(tmp_path / 'a', 'plain-26', (7.5, 7.6, 7.7), trained=12),
        *write(tmp_path / 'a', 'resnet-8', (7.5, 7.6, 7.7), trained=12),
    ]
    other = write(tmp_path / 'b', 'resnet-26', (6.0,), trained=8, validation=0.1)

    def named(logs):
        groups, _ = finished_runs.read(logs)
        found = verdicts.find_all(groups, 'fashion-mnist')
        return verdicts.not_compared(found, groups)

    assert named(paths) == []
    assert named([*paths, *other]) == [
        f'{other[0]} is left out: from the runs of resnet-26 that are compared it differs in '
        'the share of training images that is held out'
    ]


def test_components_and_what_is_left_without_one(tmp_path):
    """Names are those of the log: a component alone, and the ensemble without it."""

    def shared(seed):
        alone = dict.fromkeys(ensemble.NAMES, 20.0 + seed)
        without = dict.fromkeys(ensemble.NAMES, 8.0 + seed)
        return {
            'test_components': dict(alone, LLL=22.0 + seed, RRR=18.0 + seed),
            'test_without': dict(without, RRR=8.05 + seed, LLL=9.0 + seed),
        }

    def separate(seed):
        return {'test_components': dict.fromkeys(ensemble.NAMES, 20.0 + seed)}

    paths = [
        *write(tmp_path, 'ensemble8-14', (8.0, 9.0, 10.0), more=shared),
        *write(tmp_path, 'separate8-14', (7.0, 8.0, 9.0), more=separate),
    ]
    hurt = findings_of('Sharing weights hurts the four shallow components', paths)
    assert [each.verdict for each in hurt] == ['supported'] + 3 * ['undecided']
    helped = findings_of('Sharing weights helps the four deep components', paths)
    assert [each.verdict for each in helped] == 3 * ['undecided'] + ['supported']
    than_medium = 'component matters no more than the medium ones at depth 14'
    deepest = findings_of(f'The deepest {than_medium}', paths)
    assert [each.verdict for each in deepest] == 3 * ['supported']
    assert deepest[0].interval.mean == pytest.approx(0.05)
    shallowest = findings_of(f'The shallowest {than_medium}', paths)
    assert [each.verdict for each in shallowest] == 3 * ['contradicted']


def test_the_area_under_a_curve(tmp_path):
    """Loss: over all epochs. Error: over the first half, before the learning rate drops."""
    paths = []
    for seed in SEEDS:
        for run, shift in (('mr', 0), ('resnet', 1)):
            records = [
                {**log_files.record(error + shift), 'train_loss': loss + shift}
                for error, loss in ((50, 2.0), (30, 1.0), (5, 0.5), (4, 0.1))
            ]
            depth = {'mr': 14, 'resnet': 26}[run]
            options = {'dataset': 'fashion-mnist', 'seed': seed}
            paths.append(log_files.write(tmp_path, run, depth, records, **options))
    (loss,) = findings_of('The training loss of DFN-MR falls faster', paths)
    (error,) = findings_of('The test error of DFN-MR falls faster', paths)
    assert loss.ours[1][1] == pytest.approx(dict.fromkeys(SEEDS, 0.9))
    assert error.ours[1][1] == pytest.approx(dict.fromkeys(SEEDS, 40))
    assert loss.verdict == error.verdict == 'supported'


def test_results_are_shown_where_a_partner_has_no_run_yet(tmp_path):
    """N_f3 is compared with N_f6 at two depths, and one of the four networks has runs."""
    (first, second) = findings_of('N_f6 is better than N_f3', write(tmp_path, 'fuse3-14', (7, 8)))
    assert first.reason == 'no finished run of fuse6-14' and first.seeds == ()
    assert first.setting['epochs'] == 2 and second.setting is None
    shown = {result.text: numbers for result, numbers in verdicts.ours([first, second]).items()}
    assert shown == {'fuse3-14': {1: 7, 2: 8}, 'fuse6-14': {}, 'fuse3-26': {}, 'fuse6-26': {}}


def test_a_verdict_is_final_with_all_seeds_or_once_contradicted(tmp_path):
    title = 'N_f6 is better than N_f3'
    (claim,) = (claim for claim in claims.CLAIMS if claim.title == title)
    paths = write(tmp_path, 'fuse3-14', (7, 7.1)) + write(tmp_path, 'fuse6-14', (9, 9.2, 9.3))
    two = findings_of(title, paths)
    assert verdicts.verdict_of_claim(two) == 'contradicted' and not verdicts.is_final(claim, two)
    paths += write(tmp_path, 'fuse3-14', (7, 7.1, 7.2))[2:]
    three = findings_of(title, paths)
    assert [finding.seeds for finding in three] == [SEEDS, ()] and verdicts.is_final(claim, three)
    others = [
        log_files.changed(path, f'{path}.later.jsonl', seed=9) for path in paths if '-3.' in path
    ]
    assert len(others) == 2
    later = findings_of(title, [path for path in paths if '-3.' not in path] + others)
    assert later[0].seeds == (1, 2, 9) and later[0].verdict == 'contradicted'
    assert not verdicts.is_final(claim, later)
    assert verdicts.planned_seeds_in_common(claim, later[:1]) == 2
    assert findings_of(title, [*paths, others[0], others[1]])[0].seeds == SEEDS
    better = write(tmp_path / 'better', 'fuse3-14', (9, 9.2, 9.3))
    better += write(tmp_path / 'better', 'fuse6-14', (7, 7.1, 7.2))
    assert not verdicts.is_final(claim, findings_of(title, better))
    for run in ('fuse3-26', 'fuse6-26'):
        better += write(tmp_path / 'better', run, (8, 8, 8))
    found = findings_of(title, better)
    assert verdicts.verdict_of_claim(found) == 'undecided' and verdicts.is_final(claim, found)


def test_a_number_is_not_lost_to_a_comparison_that_lacks_runs(tmp_path):
    """ResNet is compared with plain runs of its training, and with DFN-IL runs of another."""
    paths = write(tmp_path, 'plain-26', (9, 9.1)) + write(tmp_path, 'resnet-26', (8, 8.2))
    paths += write(tmp_path / 'more', 'il-14', (7, 7), lr=0.05)
    found = findings_of('Order of the networks of one size', paths)
    assert [finding.seeds for finding in found] == [(1, 2), (), ()]
    shown = {result.text: numbers for result, numbers in verdicts.ours(found).items()}
    assert shown['resnet-26'] == {1: 8, 2: 8.2} and 'the learning rate' in found[1].reason


# ---- the script ----


@pytest.fixture
def logs(tmp_path):
    """Logs of Table 4 in small, one of them unfinished and one twice."""
    paths = [
        *write(tmp_path, 'plain-26', (9.0, 9.2, 9.1)),
        *write(tmp_path, 'resnet-26', (7.0, 7.1, 7.2)),
    ]
    paths.append(log_files.changed(paths[0], tmp_path / 'again.jsonl'))
    paths += write(tmp_path / 'unfinished', 'il-14', (8.0,), epochs=12)
    paths += write(tmp_path / 'cosine', 'plain-26', (8.0,), decay='cosine')
    return paths


def test_the_script_prints_a_block_for_each_claim_and_the_verdicts(logs):
    said = run_script(SCRIPT, *logs)
    blocks = re.findall(r'^## (\d+)\. (.*): (supported|contradicted|undecided)$', said, re.M)
    assert [title for _, title, _ in blocks] == [claim.title for claim in claims.CLAIMS]
    assert '| plain-26 | 9.10 ± 0.10 | 3 | 7.88 ± 0.19 (Table 4: 26/14, CIFAR-10 Plain) |' in said
    row = '| plain-26 - resnet-26 | d > 0 | +2.00 [+1.75, +2.25] | 3 of 3 | +1.26 | supported |'
    assert row in said
    assert 'Ours: part A, Fashion-MNIST, 2 epochs.' in said
    end = '| 1 | Order of the networks of one size | section 6.3, Table 4 | undecided | '
    assert f'{end}1 supported, 2 undecided | 0 of 5 |' in said.split('## Verdicts')[1]


def test_the_script_names_what_does_not_count(logs, tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, *logs], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and 'is not finished and is left out' in done.stderr
    assert 'again.jsonl has the setting and the seed of' in done.stderr
    assert re.search('cosine/.* is left out: from the runs of plain-26 ', done.stderr)


def test_a_page_that_the_script_wrote_is_replaced_and_no_other(logs, tmp_path):
    page = tmp_path / 'results.md'
    run_script(SCRIPT, *logs, '--out', page)
    text = page.read_text()
    assert text.startswith(run_script(SCRIPT, *logs)) and 'Written by Deep Fusion' in text
    run_script(SCRIPT, *logs[:3], '--out', page)
    assert '| plain-26 | ' in page.read_text() and page.read_text() != text
    page.write_text('mine')
    assert '--overwrite' in user_error(SCRIPT, *logs, '--out', page)
    assert 'ends in .md' in user_error(SCRIPT, *logs, '--out', tmp_path / 'results.txt')
    assert page.read_text() == 'mine'


def test_logs_without_a_run_of_the_data_set(logs):
    said = user_error(SCRIPT, *logs, '--stand-in', 'cifar10')
    assert 'no log is a finished run on this data set' in said
    assert 'LOG' in run_script(SCRIPT, status=2)


def test_runs_of_part_c_alone_are_enough(tmp_path):
    subset = claims.SUBSETS['fashion-mnist']
    said = run_script(SCRIPT, *write(tmp_path, 'plain-110', (30.0, 40.0), dataset=subset))
    assert 'undecided (no finished run of plain-50)' in said


@pytest.mark.slow
def test_a_log_of_a_real_run(tmp_path, fashion):
    """A log that the script wrote is read as one is in the study."""
    small_cifar(tmp_path, fashion, 100, 40)
    network = ('--network', 'plain', '--depth', '14', '--epochs', '1')
    run_script(*arguments(tmp_path, *network))
    (path,) = map(str, tmp_path.glob('logs/*.jsonl'))
    paths = [path, log_files.changed(path, tmp_path / 'seed.jsonl', seed=2)]
    for number, seed in enumerate((1, 2)):
        copy = tmp_path / f'fused-{number}.jsonl'
        paths.append(log_files.changed(path, copy, network='fuse3', seed=seed))
    found = findings_of(
        'The fused net and the ensemble are better than the plain network', paths, 'cifar10'
    )
    assert found[0].interval[:3] == (0, 0, 0) and found[0].verdict == 'undecided'
    assert '0.00 [+0.00, +0.00]' in claim_formats.markdown(
        verdicts.find_all(finished_runs.read(paths)[0], 'cifar10'), 'cifar10'
    )
