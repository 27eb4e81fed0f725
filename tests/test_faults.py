"""Runs that are killed, disks that fail, files that are damaged: nothing is lost but the epoch at
hand.
"""

import glob
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import weakref

import pytest
from scripts import ROOT, run_script, user_error
from training_runs import arguments, arrays_of, name_of, records_of, small_cifar, start

import engine
import train_cifar
from common import log, run_state
from common.trainer import Trainer
from engine import mx
from system.errors import UserError

EPOCHS = 4
# Runs the script of its arguments and kills itself at the Nth of these calls: before it, or right
# behind it.
SUICIDE = """
import builtins, os, runpy, signal, sys
where, count = sys.argv[1], int(sys.argv[2])
def watch(module, name, wanted):
    original = getattr(module, name)
    def call(*args, **kwargs):
        global count
        if wanted(*args):
            count -= 1
            if not count and where == 'before':
                os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if wanted(*args) and not count and where == 'behind':
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, call)
for name in ('fsync', 'replace', 'rename', 'remove'):
    watch(os, name, lambda *args: True)
def writes(path, *mode):
    own = str(path).endswith(('.dfn-partial', '.jsonl'))
    return own and mode[:1] in (('w',), ('wb',), ('a',))

watch(builtins, 'open', writes)
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    """A folder with a small CIFAR-10, and a run of 4 epochs on it that nothing happened to."""
    folder = tmp_path_factory.mktemp('faults')
    small_cifar(folder, fashion, 96, 32)
    run_script(*arguments(folder, '--threads', '1'))
    return folder


def same_as_undisturbed(place, folder, name, kept=(), lost=()):
    """The log, the parameters and the files of a run are those of the one that nothing
    happened to.
    """
    undisturbed = name_of(place / 'checkpoints')
    assert records_of(folder / 'logs' / (name + '.jsonl')) == records_of(
        place / 'logs' / (undisturbed + '.jsonl')
    )
    assert arrays_of(folder / 'checkpoints' / name, EPOCHS) == arrays_of(
        place / 'checkpoints' / undisturbed, EPOCHS
    )
    left, expected = (
        sorted(os.listdir(str(where)))
        for where in (folder / 'checkpoints' / name, place / 'checkpoints' / undisturbed)
    )
    assert set(left) | set(lost) == {*expected, *kept, *lost}
    # What was killed before its first checkpoint cannot be gone on with, and leaves a log without
    # an epoch.
    others = [log for log in os.listdir(str(folder / 'logs')) if log != name + '.jsonl']
    assert not any(records_of(folder / 'logs' / log) for log in others)


def command_for(place, folder):
    """Return what begins the run of a folder, or goes on with it."""
    options = arguments(
        place,
        '--threads',
        '1',
        '--log-dir',
        folder / 'logs',
        '--checkpoint-dir',
        folder / 'checkpoints',
    )
    name = name_of(folder / 'checkpoints')
    return options + (('--resume', name) if name else ())


def killed_at_random(place, folder, kills, seed):
    """Kill runs at ``kills`` moments between the first file and the end; each ends like the
    undisturbed one.
    """
    moments, done = random.Random(seed), 0
    while done < kills or name_of(folder / 'checkpoints'):
        process = start(command_for(place, folder))
        last = done >= kills
        if not last:
            logs = set(glob.glob(str(folder / 'logs' / '*')))
            while (
                not name_of(folder / 'checkpoints')
                and set(glob.glob(str(folder / 'logs' / '*'))) <= logs
                and process.poll() is None
            ):
                time.sleep(0.01)
            try:
                process.wait(moments.uniform(0, 1.2))
            except subprocess.TimeoutExpired:
                process.kill()
                done += 1
        said = process.communicate()[1]
        assert process.returncode in (0, -9), said
        if process.returncode == 0:
            same_as_undisturbed(place, folder, name_of(folder / 'checkpoints'))
            shutil.rmtree(str(folder))
            folder.mkdir()


@pytest.mark.slow
def test_killed_at_random_moments(place, tmp_path):
    """SIGKILL while it loads, trains, evaluates or writes: the run that goes on gives the same
    bits.
    """
    killed_at_random(place, tmp_path, 20, seed=1)


@pytest.mark.slow
def test_killed_at_many_random_moments(place, tmp_path):
    killed_at_random(place, tmp_path, 200, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize('where', ['behind', 'before'])
def test_killed_while_it_writes(place, tmp_path, where):
    """SIGKILL at the first call of a resumed process that touches a file, then at the second, and
    so on.
    """
    for number in range(1, 60):
        command = [sys.executable, '-c', SUICIDE, where, str(number)] + [
            str(part) for part in command_for(place, tmp_path)
        ]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert process.returncode in (0, -9), process.stderr
        assert 'damaged' not in process.stderr
        if process.returncode == 0:
            break
    # A process that dies at its nth call has n - 1 behind it: the later ones save an epoch each.
    assert process.returncode == 0 and number > 12
    same_as_undisturbed(place, tmp_path, name_of(tmp_path / 'checkpoints'))


@pytest.mark.parametrize('number', ('SIGINT', 'SIGTERM'))
def test_a_second_signal_ends_at_once(number):
    code = (
        'import os, signal, time\nfrom system.signals import Stop\nwith Stop() as stop:\n    '
        f'os.kill(os.getpid(), signal.{number})\n    time.sleep(0.1)\n    print("noted", '
        f'flush=True)\n    os.kill(os.getpid(), signal.{number})\n    time.sleep(9)\n    '
        'print("here")'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (-getattr(signal, number), 'noted\n')


# ---- damage ----


@pytest.fixture
def copy(place, tmp_path):
    """A copy of the undisturbed run: its folder, the run's name, the folder of its checkpoints."""
    for part in ('logs', 'checkpoints'):
        shutil.copytree(str(place / part), str(tmp_path / part))
    name = name_of(tmp_path / 'checkpoints')
    return tmp_path, name, tmp_path / 'checkpoints' / name


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 0x40
    path.write_bytes(bytes(content))


def cut(path, at):
    path.write_bytes(path.read_bytes()[: at % path.stat().st_size])


def foreign(path, _):
    mx.nd.save(str(path), {'arg:fc_weight': mx.nd.ones((3, 3))})


@pytest.mark.parametrize('harm', (flip, cut, foreign))
@pytest.mark.parametrize('at', (0, 20, 40000, -10))
def test_a_damaged_checkpoint_is_not_used(copy, capsys, harm, at):
    _, _, folder = copy
    harm(folder / 'model-0004.params', at)
    state = run_state.load(str(folder))
    said = capsys.readouterr().err
    assert (
        state['epoch'] == 3
        and len(state['records']) == 3
        and 4 not in state['kept']
        and state['best'] <= 3
    )
    assert (
        'model-0004.params is damaged' in said and 'epoch 3' in said and len(said.splitlines()) == 1
    )


@pytest.mark.parametrize('harm', (flip, cut))
@pytest.mark.parametrize('at', (0, 30, 80, 500, -3))
def test_a_damaged_state_is_not_used(copy, capsys, harm, at):
    _, _, folder = copy
    harm(folder / 'state.json', at)
    assert run_state.load(str(folder))['epoch'] == 3
    assert 'state.json is damaged: the checkpoint of epoch 3' in capsys.readouterr().err


def test_a_run_goes_on_from_the_checkpoint_before(place, copy):
    """And it ends like the run that was never damaged. The log has an epoch more, and is kept."""
    folder, name, run = copy
    flip(run / 'model-0004.params', 5000)
    process = start(command_for(place, folder))
    said = process.communicate()[1]
    assert process.returncode == 0 and said.count('damaged') == 1
    kept = folder / 'logs' / (name + '.jsonl.kept-1')
    assert len(records_of(kept)) == EPOCHS and str(kept) in said
    kept.unlink()
    same_as_undisturbed(place, folder, name, kept=['model-0004.params.kept-1'])


def test_nothing_whole_is_left(place, copy):
    folder, name, run = copy
    for path in run.glob('*.params'):
        flip(path, 77)
    assert 'no checkpoint' in user_error(*command_for(place, folder))
    for path in run.glob('state*.json'):
        path.write_text('{"format": 1, "epoch": 4}')
    assert 'another version' in user_error(*command_for(place, folder))


def test_a_damaged_checkpoint_is_not_scored(place, copy):
    folder, name, run = copy
    command = ('score.py', '--run', run, '--data-dir', place / 'data')
    flip(run / 'model-0002.params', 5000)
    assert 'another epoch' in user_error(*command, '--checkpoint', '2')
    assert 'epoch 4' in run_script(*command)
    flip(run / 'model-symbol.json', 300)
    assert 'damaged' in user_error(*command)


def test_resume_says_that_other_threads_give_other_bits(place, copy):
    folder, name, run = copy
    for option, word in (('--threads', '2'), 'threads 2 instead of 1'), (('--threads', '1'), None):
        process = start(command_for(place, folder) + option)
        said = process.communicate()[1]
        assert process.returncode == 0 and (word in said if word else said == '')


@pytest.mark.slow
def test_resume_says_that_another_processor_gives_other_bits(place, copy):
    """Older logs do not name it, or not its family and model, and nothing is said then."""
    folder, name, run = copy
    state = run_state.read(str(run / run_state.STATE))
    mine = state['header'].pop('processor')
    assert mine == engine.processor()
    for added, word in (
        ({}, ''),
        ({'processor': mine}, ''),
        ({'processor': mine.partition(',')[0]}, ''),
        ({'processor': 'Abacus 3'}, f'processor {mine} instead of Abacus 3'),
    ):
        changed = dict(state, header=dict(state['header'], **added))
        run_state.write(str(run), run_state.STATE, changed)
        log.restore(folder / 'logs' / f'{name}.jsonl', changed['header'], state['records'])
        process = start(command_for(place, folder))
        said = process.communicate()[1]
        assert process.returncode == 0 and (word in said if word else said == ''), said


# ---- disks ----


def full_disk(folder, size):
    """Mount a small file system, or skip where that is not allowed."""
    folder.mkdir()
    if subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(folder)],
        stderr=subprocess.DEVNULL,
    ).returncode:
        pytest.skip('no file system of its own to be had here')


@pytest.mark.slow
def test_disk_full(place, tmp_path):
    """The first checkpoint has room, the third has not; once there is room the run goes on."""
    disk = tmp_path / 'disk'
    full_disk(disk, 3 << 20)
    try:
        said = user_error(*command_for(place, disk))
        assert 'No space left' in said and f'--resume {name_of(disk / "checkpoints")}' in said
        epoch = run_state.load(str(disk / 'checkpoints' / name_of(disk / 'checkpoints')))['epoch']
        assert 1 <= epoch < EPOCHS and f'from epoch {epoch + 1}' in said
        subprocess.run(['mount', '-o', 'remount,size=64m', str(disk)], check=True)
        run_script(*command_for(place, disk))
        same_as_undisturbed(place, disk, name_of(disk / 'checkpoints'))
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        assert 'Read-only' in user_error(
            *arguments(place, '--log-dir', disk / 'new', '--checkpoint-dir', disk / 'new')
        )
    finally:
        subprocess.run(['umount', str(disk)], check=True)


@pytest.mark.slow
def test_file_size_limit(place, tmp_path):
    """A quota in the middle of the second .params file."""
    run_script(
        *arguments(
            place,
            '--epochs',
            '4',
            '--log-dir',
            tmp_path / 'logs',
            '--checkpoint-dir',
            tmp_path / 'checkpoints',
        )
    )
    name = name_of(tmp_path / 'checkpoints')
    os.remove(str(tmp_path / 'checkpoints' / name / 'model-0004.params'))
    process = start(
        command_for(place, tmp_path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)),
    )
    said = process.communicate()[1]
    assert (
        process.returncode == 2
        and 'epoch 4 could not be saved: File too large' in said
        and '--resume ' + name in said
    )
    run_script(*command_for(place, tmp_path))
    assert run_state.load(str(tmp_path / 'checkpoints' / name))['epoch'] == 4


@pytest.mark.parametrize(
    'network',
    [
        pytest.param(('mr', '--depth', '26', '--widen', '40'), id='its arrays'),
        pytest.param(
            ('plain', '--depth', '5', '--widen', '64'), id='in a thread', marks=pytest.mark.slow
        ),
    ],
)
def test_a_network_that_the_memory_cannot_hold(place, tmp_path, network):
    files = ('--log-dir', tmp_path, '--checkpoint-dir', tmp_path)
    limit = 3 << 30  # bytes
    process = start(
        arguments(place, '--network', *network, *files),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    said = process.communicate()[1]
    assert process.returncode == 2 and 'Traceback' not in said, said
    assert 'the memory does not suffice' in said and 'a smaller --batch-size' in said


@pytest.mark.slow
def test_a_folder_that_somebody_removes(place, tmp_path):
    """What was trained is in memory: the run makes its folder and its log again, and says so."""
    process = start(command_for(place, tmp_path))
    while not name_of(tmp_path / 'checkpoints'):
        assert process.poll() is None
        time.sleep(0.005)
    name = name_of(tmp_path / 'checkpoints')
    for part in ('checkpoints', 'logs'):
        shutil.rmtree(str(tmp_path / part))
    said = process.communicate()[1]
    if process.returncode == 2:  # it was writing at that moment
        assert 'could not be saved' in said
        return
    assert process.returncode == 0 and 'made again' in said
    same_as_undisturbed(place, tmp_path, name, lost=['model-0001.params'])


# ---- loss that is not finite ----


def poison(monkeypatch, epoch, times):
    """Make the parameters NaN before an epoch, the first ``times`` times."""
    original, left = Trainer.train, [times]

    def train(self, number, stop):
        if number == epoch and left[0]:
            left[0] -= 1
            arguments, auxiliary = self.module.get_params()
            arguments['fc_weight'][:] = float('nan')
            self.module.set_params(arguments, auxiliary)
        return original(self, number, stop)

    monkeypatch.setattr(Trainer, 'train', train)


def trained_here(monkeypatch, place, folder, *more):
    """Run train_cifar.py in this process, where methods can be replaced; return its log's path."""
    command = arguments(place, '--log-dir', folder, '--checkpoint-dir', folder, *more)
    monkeypatch.setattr(sys, 'argv', [str(part) for part in command])
    monkeypatch.setattr(train_cifar.engine, 'set_threads', lambda threads: None)  # MXNet is loaded
    monkeypatch.setattr(train_cifar, 'outlive_readers', lambda: None)  # pytest reads the output
    train_cifar.main()
    return os.path.join(str(folder), name_of(folder) + '.jsonl')


def test_nan_stops_the_run(place, tmp_path, monkeypatch):
    poison(monkeypatch, 3, 1)
    with pytest.raises(
        UserError,
        match=r'not finite in epoch 3, batch 1, learning rate 0\.01.*--on-nan rollback; '
        'to go on from epoch 3: .*--resume cifar10-mr-8-.* --threads 1$',
    ):
        trained_here(monkeypatch, place, tmp_path, '--threads', '1')
    assert run_state.load(str(tmp_path / name_of(tmp_path)))['epoch'] == 2


@pytest.mark.parametrize('epoch', (1, pytest.param(3, marks=pytest.mark.slow)))
def test_nan_goes_back(place, tmp_path, monkeypatch, capsys, epoch):
    poison(monkeypatch, epoch, 1)
    made, alive, original = [], [], Trainer.__init__

    def init(self, *args):
        alive.append(sum(trainer() is not None for trainer in made))
        made.append(weakref.ref(self))
        original(self, *args)

    monkeypatch.setattr(Trainer, '__init__', init)
    path = trained_here(monkeypatch, place, tmp_path, '--on-nan', 'rollback')
    assert alive == [0, 0]  # two at once would take twice the memory
    header, records = log.read(path)
    assert f'back to epoch {epoch - 1}' in capsys.readouterr().err
    factors = [0.1 if number >= epoch else 1 for number in range(1, 5)]
    assert [record['lr'] for record in records] == pytest.approx(
        [lr * factor for lr, factor in zip((0.1, 0.1, 0.01, 0.001), factors)]
    )
    assert [record.get('rollbacks', 0) for record in records] == [
        int(factor < 1) for factor in factors
    ]
    # Another process goes on with the lower rate.
    shutil.copy(path, path + '.before')
    os.remove(run_state.params_path(path[: -len('.jsonl')], 4))
    run_script(
        *arguments(
            place, '--log-dir', tmp_path, '--checkpoint-dir', tmp_path, '--resume', header['run']
        )
    )
    assert records_of(path) == records_of(path + '.before')


@pytest.mark.slow
def test_nan_again_and_again(place, tmp_path):
    """A learning rate that no rollback helps."""
    for more, word in ((), '--on-nan rollback'), (('--on-nan', 'rollback'), 'after 3 rollbacks'):
        said = run_script(
            *arguments(
                place, '--lr', '1e30', '--log-dir', tmp_path, '--checkpoint-dir', tmp_path, *more
            ),
            status=2,
        )
        assert word in said and 'epoch 1, batch' in said and 'Traceback' not in said
        assert said.count('back to epoch 0') == (3 if more else 0)


# ---- a long run ----


def usage(pid):
    """Return the resident memory (MB), open files and threads of a process."""
    with open(f'/proc/{pid}/status') as file:
        status = dict(line.split(':', 1) for line in file)
    return (
        int(status['VmRSS'].split()[0]) / 1024,
        len(os.listdir(f'/proc/{pid}/fd')),
        int(status['Threads']),
    )


@pytest.mark.slow
def test_memory_stays_flat(place, tmp_path):
    """200 epochs: memory, open files and threads at every twentieth."""
    process = start(
        arguments(place, '--epochs', '200', '--log-dir', tmp_path, '--checkpoint-dir', tmp_path)
    )
    table, done = [], 0
    while process.poll() is None:
        time.sleep(0.02)
        logs = glob.glob(str(tmp_path / '*.jsonl'))
        with open(logs[0]) if logs else open(os.devnull) as file:
            done = max(0, sum(1 for _ in file) - 1)
        if done >= 20 * (len(table) + 1) and done < 200:
            table.append((done, *usage(process.pid)))
            epoch, megabytes, files, threads = table[-1]
            print(f'epoch {epoch}: {megabytes:.1f} MB, {files} files, {threads} threads')
    assert process.returncode == 0, process.communicate()[1]
    memory, files, threads = (list(column) for column in list(zip(*table))[1:])
    assert len(table) == 9 and max(memory[2:]) - memory[1] < 8
    assert max(files) <= files[0] + 2 and max(threads) == threads[0]
