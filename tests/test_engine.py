"""MXNet is prepared for today's machines; the GPU logic runs against stand-ins for NVIDIA's
libraries.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys

import pytest
import training_runs
from scripts import ROOT, run_script, user_error

import engine
from engine import cpu, cuda, mx

PRINT_THREADS = (
    'import engine; engine.set_threads(%s); from engine import mx; '
    'print(engine.threads(), mx.nd.ones(3).sum().asscalar())'
)


def test_threads():
    without = {key: value for key, value in os.environ.items() if key != 'OMP_NUM_THREADS'}

    def said(threads, **variables):
        return subprocess.run(
            [sys.executable, '-c', PRINT_THREADS % threads],
            cwd=ROOT,
            check=True,
            env=dict(without, **variables),
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    assert said(None) == f'{int(engine.cores())} 3.0\n'
    assert said(None, OMP_NUM_THREADS='1') == '1 3.0\n'
    assert said(3, OMP_NUM_THREADS='1') == '3 3.0\n'


def test_threads_cannot_change_later():
    assert mx.nd
    with pytest.raises(RuntimeError):
        engine.set_threads(1)


def test_help_does_not_wait_for_mxnet():
    for script in ('train_cifar.py', 'score.py', 'plot_curves.py', 'data/prepare.py'):
        said = run_script(
            '-X',
            'importtime',
            '-c',
            f'import sys, runpy; sys.argv = [{script!r}, "--help"]\ntry: '
            f'runpy.run_path({os.path.join(ROOT, script)!r}, '
            'run_name="__main__")\nfinally: print("mxnet" in sys.modules)',
        )
        assert said.splitlines()[-1] == 'False', script


def test_numpy_names_that_mxnet_asks_for():
    run_script(
        '-c',
        'import numpy; from engine import mx; before = dir(numpy); mx.nd.array([True]); '
        'assert dir(numpy) == before',
    )


OPERATORS = """
import contextlib, json, sys
generated = []  # the functions of operators that MXNet makes
def note(event, given):
    for code in given[0].co_consts if event == 'exec' else ():
        if {'_imperative_invoke', '_symbol_creator'} & set(getattr(code, 'co_names', ())):
            generated.append(code.co_name)
sys.addaudithook(note)
from engine import mx, operator_functions
if sys.argv[1] == 'at once':
    operator_functions.made_when_called = contextlib.nullcontext
spaces = [mx.nd, mx.nd.op, mx.nd.contrib, mx.sym, mx.sym.linalg, mx.sym.np, mx.np, mx.npx]
names = [sorted(dir(space)) for space in spaces]
during = len(generated)
image = mx.sym.var('data')
layers = mx.sym.Convolution(image, num_filter=3, kernel=(3, 3)), mx.sym.sum_axis(image, axis=1)
symbol = mx.sym.concat(mx.sym.relu(image + 1), mx.sym.elemwise_add(image, image), *layers, dim=1)
values = mx.nd.concat(mx.nd.relu(mx.nd.array([-1, 2])), mx.nd.ones(3), dim=0)
wrong = []
for call in (lambda: mx.nd.relu(3), lambda: mx.nd.Convolution(values, num_filter=-1)):
    try:
        call()
    except (AssertionError, mx.MXNetError) as error:
        wrong.append(type(error).__name__)
said = [names, symbol.tojson(), values.asnumpy().tolist(), mx.np.sum(mx.np.ones(3)).item(), wrong]
print(json.dumps([during, said]))
"""


def test_functions_of_operators_are_made_when_they_are_called():
    """They are the functions that MXNet makes, only later, and are called by the same names."""
    at_once, late = (
        json.loads(run_script('-c', OPERATORS, when)) for when in ('at once', 'when called')
    )
    assert late[1] == at_once[1] and late[1][2] == [0, 2, 1, 1, 1]
    assert late[0] == 0 and at_once[0] > 2000


def test_scipys_statistics_are_imported_when_they_are_used():
    run_script(
        '-c',
        'import sys; from engine import mx; mx.nd.array([1]); '
        'assert "scipy.stats" not in sys.modules; '
        'entropy = mx.contrib.quantization.stats.entropy([1, 1]); from scipy import stats; '
        'assert entropy == stats.entropy([1, 1]) > 0',
    )


def test_python_without_the_packages():
    """-S leaves site-packages out, as an interpreter does into which nothing was installed."""
    for script in (
        'train_cifar.py',
        'score.py --run x',
        'plot_curves.py x --out x.png',
        'data/prepare.py sample',
    ):
        said = subprocess.run(
            [sys.executable, '-S', *script.split()], cwd=ROOT, capture_output=True, text=True
        )
        assert (
            said.returncode == 2
            and 'is not installed' in said.stderr
            and 'Traceback' not in said.stderr
        ), said.stderr


def test_tables_without_tabulate(tmp_path):
    """A package that only some scripts import is named in the same sentence."""
    (tmp_path / 'tabulate.py').write_text('raise ModuleNotFoundError(name="tabulate")')
    said = subprocess.run(
        [sys.executable, 'study/make_tables.py', '--help'],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
    )
    assert said.returncode == 2 and 'the package tabulate is not installed' in said.stderr
    assert 'Traceback' not in said.stderr


def test_mxnets_tools_run():
    assert 'prefix' in run_script('-m', 'engine', 'mxnet.tools.im2rec', '--help')
    assert 'name a module' in user_error('-m', 'engine')


def test_no_gpu_here():
    assert cuda.gpu_build() is None
    assert [str(device) for device in engine.devices()] == ['cpu(0)']
    assert [str(device) for device in engine.devices(cpus=2)] == ['cpu(0)', 'cpu(1)']


# ---- the GPU build, with stand-ins ----

DRIVER = """
#include <stdlib.h>
int cuInit(unsigned flags) { return getenv("GPUS") ? 0 : 100; }
int cuDeviceGetCount(int *count) { *count = atoi(getenv("GPUS")); return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? atoi(getenv("MAJOR")) : atoi(getenv("MINOR")); return 0; }
"""
LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void loaded(void) {
  FILE *log = fopen(getenv("LOADED"), "a"); fprintf(log, "%s\\n", NAME); fclose(log); }
"""


def compile_library(source, path, *options):
    subprocess.run(
        ['gcc', '-shared', '-fPIC', '-x', 'c', '-', '-o', str(path), *options],
        input=source.encode(),
        check=True,
    )


@pytest.fixture(scope='module')
def stand_in(tmp_path_factory):
    """A site folder that looks like an installed GPU build: its metadata, libraries and a
    driver.
    """
    if not shutil.which('gcc'):
        pytest.skip('compiling the stand-ins needs gcc')
    site = tmp_path_factory.mktemp('site')
    metadata = site / 'mxnet_cu112-1.9.1.dist-info'
    metadata.mkdir()
    (metadata / 'METADATA').write_text('Metadata-Version: 2.1\nName: mxnet-cu112\nVersion: 1.9.1\n')
    for number, name in enumerate(cuda.CUDA_LIBRARIES):
        folder = site / 'nvidia' / (f'package{number}') / 'lib'
        folder.mkdir(parents=True)
        compile_library(LIBRARY, folder / name, f'-DNAME="{name}"')
    (site / 'driver').mkdir()
    compile_library(DRIVER, site / 'driver' / 'libcuda.so.1')
    return site


def with_gpu(site, code, check=run_script, driver=True, **variables):
    """Run code that sees the stand-ins."""
    log = site / 'loaded'
    if log.exists():
        log.unlink()
    code = (
        f'import sys; sys.path.insert(0, {str(site)!r}); import engine\n'
        f'from engine import mx, operators\nfrom system import errors, script\n{code}'
    )
    said = check(
        '-c',
        code,
        LOADED=str(log),
        LD_LIBRARY_PATH=str(site / 'driver') if driver else '',
        **variables,
    )
    return said, log.read_text().split() if log.exists() else []


IMPORT = 'mx.nd.ones(2).asnumpy(); print(operators.versions()["build"])'
DEVICES = 'script.run_main(lambda: print(engine.devices(%s)))'

# Trains, and prints for how many contexts threads were checked, how many the check had started, and
# how many more there were afterwards than before it, at most.
COUNT_THREADS = """
import os, sys, threading, time
from engine import cpu
def count():
    return len(os.listdir('/proc/self/task'))
most, over, seen, check = 0, False, [], cpu.check_threads
def watch():
    global most
    while not over:
        most = max(most, count())
        time.sleep(0.001)
def checked(contexts):
    before = count()
    started, start = [], threading.Thread.start
    threading.Thread.start = lambda thread: (started.append(thread), start(thread))
    check(contexts)
    threading.Thread.start = start
    seen.extend((contexts, len(started), before))
    threading.Thread(target=watch, daemon=True).start()
cpu.check_threads = checked
sys.argv[1:] = sys.argv[2:]
import train_cifar
train_cifar.main()
over = True
print(*seen[:2], most - seen[2] - 1)
"""


def test_processors_of_one_name_are_told_apart():
    """Family, model and vector instructions decide which bits come out, and so are in the name."""
    with open('/proc/cpuinfo') as file:
        text = file.read()
    name = re.search('model name\t: (.*)\n', text)
    assert name is None or engine.processor().startswith(f'{name[1]}, family ')
    fields = 'processor\t: 0\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: AMD EPYC\n'
    zen = fields + 'flags\t\t: fpu {}\n\n'
    old, new = zen.format(25, 1, 'avx avx2'), zen.format(26, 2, 'avx avx2 avx512f')
    assert cpu.processor_in(old + new) == 'AMD EPYC, family 25, model 1, AVX2'
    assert cpu.processor_in(new) == 'AMD EPYC, family 26, model 2, AVX-512'
    assert cpu.processor_in(zen.format(21, 2, 'avx')) == 'AMD EPYC, family 21, model 2, AVX'
    arm = 'processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n\n'
    assert cpu.processor_in(arm).endswith(', implementer 0x41, part 0xd40')
    assert len(cpu.processor_in(f'model name\t: {"long" * 100}\n')) == cpu.MOST_CHARACTERS


def test_a_system_that_refuses_threads():
    """MXNet would abort, or wait for threads for ever. Little memory for stacks is a limit too."""
    program = """
import resource, threading
import engine
from engine import cpu
from system import script
engine.set_threads(1)
cpu.check_threads(2)
threading.stack_size(2**23)
with open('/proc/self/statm') as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, resource.RLIM_INFINITY))
script.run_main(lambda: cpu.check_threads(1000))
"""
    done = subprocess.run(
        [sys.executable, '-c', program], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert re.search(r'refuses \d+ of the 1009 threads that MXNet needs: raise', done.stderr)


@pytest.mark.parametrize('threads,contexts', [(1, 1), (2, 1), (2, 2)])
def test_a_training_has_no_more_threads_than_were_checked(threads, contexts, tmp_path, fashion):
    training_runs.small_cifar(tmp_path, fashion, 100, 40)
    words = training_runs.arguments(tmp_path, '--cpus', contexts, '--threads', threads)
    done = subprocess.run(
        [sys.executable, '-c', COUNT_THREADS, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    checked, started, new = map(int, done.stdout.split()[-3:])
    assert checked == contexts and 0 < new <= started == 7 + (2 + contexts) * threads


@pytest.mark.parametrize(
    'contents,quota',
    [
        (['150000 100000\n'], 1.5),
        (['max 100000\n'], math.inf),
        (['200000\n', '100000\n'], 2),
        (['-1\n', '100000\n'], math.inf),
        (['damaged'], math.inf),
    ],
)
def test_the_quota_of_a_container(contents, quota, tmp_path, monkeypatch):
    """As Linux writes it, in one file or in two. A part of a core is worth a thread."""
    paths = [str(tmp_path / str(number)) for number in range(len(contents))]
    for path, content in zip(paths, contents):
        with open(path, 'w') as file:
            file.write(content)
    monkeypatch.setattr(cpu, 'QUOTAS', (('/nowhere',), paths))
    assert cpu._quota() == quota
    assert cpu.cores() == min(len(os.sched_getaffinity(0)), 2 if quota == 1.5 else quota)


def test_cuda_libraries_are_loaded_in_order(stand_in):
    said, loaded = with_gpu(stand_in, IMPORT)
    assert said == 'mxnet-cu112\n' and loaded == list(cuda.CUDA_LIBRARIES)


@pytest.mark.parametrize('major,minor', [(5, 0), (8, 9)])
def test_gpus_that_the_wheel_runs_on(stand_in, major, minor):
    said, _ = with_gpu(stand_in, DEVICES % '[1]', GPUS='2', MAJOR=str(major), MINOR=str(minor))
    assert said == '[gpu(1)]\n'


def test_all_gpus_are_the_default(stand_in):
    assert (
        with_gpu(stand_in, DEVICES % '', GPUS='2', MAJOR='7', MINOR='0')[0] == '[gpu(0), gpu(1)]\n'
    )
    assert with_gpu(stand_in, DEVICES % '')[0] == '[cpu(0)]\n'


@pytest.mark.parametrize(
    'variables,gpus,word',
    [
        (dict(GPUS='1', MAJOR='9', MINOR='0'), '', 'capability 9.0 and is too new'),
        (dict(GPUS='1', MAJOR='3', MINOR='7'), '[0]', 'capability 3.7 and is too old'),
        (dict(GPUS='2', MAJOR='7', MINOR='0'), '[2]', 'there are 2 GPUs'),
        (dict(), '[0]', 'the driver shows none'),
    ],
)
def test_gpus_that_cannot_be_used(stand_in, variables, gpus, word):
    said, _ = with_gpu(stand_in, DEVICES % gpus, user_error, **variables)
    assert word in said and '--cpus' in said


def test_missing_driver_and_library(stand_in, tmp_path):
    assert "NVIDIA's driver" in with_gpu(stand_in, IMPORT, user_error, driver=False)[0]
    site = tmp_path / 'site'
    shutil.copytree(str(stand_in), str(site))
    shutil.rmtree(str(site / 'nvidia' / 'package9'))
    assert 'requirements-gpu.txt' in with_gpu(site, IMPORT, user_error)[0]


def test_requirements_name_every_cuda_library():
    """One nvidia package for each library that is loaded; cublas holds two."""
    with open(os.path.join(ROOT, 'requirements-gpu.txt')) as file:
        packages = [line for line in file if line.startswith('nvidia-')]
    assert len(packages) == len(cuda.CUDA_LIBRARIES) - 1
