"""The exit statuses of docs/scripts.md, and no others."""

import ast
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import ROOT

PAGE = Path(ROOT, 'docs', 'scripts.md').read_text(encoding='utf-8')
TABLE = re.findall(r'^\| (\d[\d +n]*) \|', PAGE, re.M)
# A worker that lost the connection to another one, and a script that has much to do.
WORKER_LOST = """
from system.errors import WorkerLost
from system.script import run_main
def main():
    raise WorkerLost('the connection to another worker is lost')
run_main(main)
"""
LONG = """
import time
from system.script import run_main
def main():
    print('begun', flush=True)
    time.sleep(60)
run_main(main)
"""


def start(*words):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done():
    return start('data/verify.py', '--help')


def cut_off():
    process = start('study/run_experiments.py', 'experiments/table1.txt', '--dry-run')
    process.stdout.close()  # what head does after its last line
    process.stdout = None
    return process


def mistaken():
    return start('score.py', '--run', 'of-nobody')


def lost_another_worker():
    return start('-c', WORKER_LOST)


def ended_by_a_signal():
    process = start('-c', LONG)
    assert process.stdout.readline() == 'begun\n'
    process.send_signal(signal.SIGTERM)
    return process


CASES = {
    '0': done,
    '1': cut_off,
    '2': mistaken,
    '3': lost_another_worker,
    '128 + n': ended_by_a_signal,
}


def test_the_table_has_a_case_each():
    assert TABLE == list(CASES)


@pytest.mark.parametrize('status', TABLE)
def test_a_status_of_the_table(status):
    process = CASES[status]()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == eval(status, {'n': signal.SIGTERM}), said
    assert 'Traceback' not in said and len(said.splitlines()) == (0 if status in '01' else 1)


def test_scripts_have_no_other_status():
    """Neither what they exit with nor the status of an error class is missing in the table."""
    found = set()
    for path in [*Path(ROOT).glob('*.py'), *Path(ROOT).glob('[a-z]*/*.py')]:
        if path.parent.name in ('tests', 'benchmarks'):  # benchmark.py starts and reads the latter
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ('SystemExit', 'sys.exit'):
                found |= {ast.unparse(argument) for argument in node.args}
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in (
                'status',
                'STATUS',
            ):
                if isinstance(node.value, ast.Constant):
                    found.add(ast.unparse(node.value))
    numbers = {text for text in found if text.isdigit()}
    assert numbers - {'130'} == set(TABLE) - {'0', '128 + n'}
    # All others come from these: a signal, an error class, the process that failed first.
    others = {text for text in found - numbers if not text.startswith('128 + ')}
    assert others <= {"getattr(error, 'status', STATUS)", 'job.run()'}


def test_a_missing_option_has_the_status_of_an_error():
    process = start('launch.py')
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and said.splitlines()[-1].startswith('launch.py: error: ')
