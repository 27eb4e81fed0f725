"""Jobs of a real scheduler, servers and workers on the loopback interface, started by launch.py."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing import connection

import numpy
import pytest
import training_runs as runs
from scripts import ROOT, run_script, user_error

import launch
from common import log
from distributed import cluster
from distributed.job import Job, Member
from launch import free_ports
from recordio import datasets, record_iterator
from system import errors
from system.errors import UserError

DATASET = datasets.get('cifar10')


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return runs.small_cifar(tmp_path_factory.mktemp('distributed'), fashion, train=230, test=46)


def job(workers, *command, servers=2):
    return ('launch.py', '--workers', workers, '--servers', servers, *command)


def processes(text):
    """Return the processes whose arguments or environment have ``text`` in them."""
    found = []
    for number in filter(str.isdigit, os.listdir('/proc')):
        try:
            with (
                open(f'/proc/{number}/environ', 'rb') as environment,
                open(f'/proc/{number}/cmdline', 'rb') as line,
            ):
                if text.encode() in environment.read() + line.read() and int(number) != os.getpid():
                    found.append(number)
        except OSError:
            pass
    return found


def gone(text, seconds=20):
    end = time.time() + seconds
    while processes(text):
        if time.time() > end:
            return False
        time.sleep(0.1)
    return True


# ---- the images of each worker ----


@pytest.mark.parametrize('size,batch', [(2, 16), (4, 7), (3, 13), (7, 4)])
def test_workers_share_the_images(place, size, batch):
    """Every image belongs to one worker, in every epoch; all have as many batches; fillings are not
    counted.
    """
    folder = str(place / 'data' / 'cifar10')
    plain = DATASET._replace(augment=False)
    one = record_iterator.Batches(folder, plain, 10)
    whole = {
        split: sorted(
            numpy.concatenate(
                [b.data[0].asnumpy()[: 10 - b.pad].reshape(10 - b.pad, -1) for b in batches]
            ).tolist()
        )
        for split, batches in (('train', one.train(1)), ('test', one.test()))
    }
    parts = [
        record_iterator.Batches(folder, plain, batch, seed=2, shard=(rank, size))
        for rank in range(size)
    ]
    assert len({part.per_epoch for part in parts}) == 1 and {
        part.train_images for part in parts
    } == {230}
    for epoch in (1, 2):
        batches = [
            [b.data[0].asnumpy()[: len(b.data[0]) - b.pad] for b in part.train(epoch)]
            for part in parts
        ]
        assert {len(own) for own in batches} == {parts[0].per_epoch}
        rows = [
            row
            for own in batches
            for images in own
            for row in images.reshape(len(images), 3072).tolist()
        ]
        assert sorted(rows) == whole['train']
    rows = [
        row
        for part in parts
        for b in part.test()
        for row in b.data[0].asnumpy()[: len(b.data[0]) - b.pad].reshape(-1, 3072).tolist()
    ]
    assert sorted(rows) == whole['test']


def test_a_worker_without_enough_images(place):
    with pytest.raises(UserError, match='46 images, 23 for worker 0 of 2'):
        record_iterator.Batches(str(place / 'data' / 'cifar10'), DATASET, 24, shard=(0, 2))


# ---- the workers' own connections ----


def test_sum_and_broadcast():
    """Real connections; the sum is the same to the last bit for each."""
    address, key, results = ('127.0.0.1', *free_ports(1)), b'key', {}

    def work(rank):
        links = cluster.connect(rank, address, key) if rank else cluster.listen(3, address, key)
        worker = cluster.Cluster(rank, 3, links)
        arrays = worker.broadcast_arrays(
            {'arg:a': numpy.arange(6.0).reshape(2, 3), 'x': numpy.zeros(0)} if not rank else {}
        )
        results[rank] = (
            worker.sum([[0.1 * 3**rank, 1e9 + rank]]).tolist(),
            worker.broadcast(b'of %d' % rank),
            arrays['arg:a'].tolist(),
        )
        worker.barrier()

    threads = [threading.Thread(target=work, args=[rank]) for rank in range(3)]
    threads[0].start()
    ask_for_a_page(address)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 3 and results[0] == results[1] == results[2]
    assert results[0] == ([[0.1 + 0.1 * 3 + 0.1 * 9, 3e9 + 3]], b'of 0', [[0, 1, 2], [3, 4, 5]])
    assert cluster.ALONE.sum([1.5]).tolist() == [1.5] and cluster.ALONE.broadcast(b'x') == b'x'


def ask_for_a_page(address):
    """Connect to worker 0 as a browser, or what scans ports, would; it must go on."""
    end = time.time() + 30
    while True:
        try:
            with socket.create_connection(address, 30) as stranger:
                stranger.sendall(b'GET / HTTP/1.0\r\n\r\n')
                while stranger.recv(100):
                    pass
            return
        except ConnectionRefusedError:
            assert time.time() < end  # worker 0 does not listen yet
        except ConnectionResetError:
            return


def test_a_port_that_another_job_uses():
    address = ('127.0.0.1', *free_ports(1))
    with connection.Listener(address, authkey=b'theirs') as other:
        with pytest.raises(UserError, match='cannot listen at .* give launch.py another --port'):
            cluster.listen(2, address, b'ours')
        accept = threading.Thread(target=refuse, args=[other])
        accept.start()
        with pytest.raises(UserError, match='another job answers at .*another --port'):
            cluster.connect(1, address, b'ours')
        accept.join(30)


def refuse(listener):
    with pytest.raises(connection.AuthenticationError):
        listener.accept()


def test_an_address_that_cannot_be_reached(monkeypatch):
    """The system's error is none of a refused connection."""
    monkeypatch.setattr(cluster, 'TIMEOUT', 0)
    with pytest.raises(UserError, match='worker 0 does not answer at 255.255.255.255:9 '):
        cluster.connect(1, ('255.255.255.255', 9), b'key')


# ---- training ----


@pytest.mark.slow
@pytest.mark.parametrize('workers', [2, 4])
def test_workers_train_as_one_process_on_the_same_batches(place, tmp_path, workers):
    """2 servers; BatchNorm is frozen, because each worker has the statistics of its part of a
    batch.
    """
    arguments = ('tests/helpers/train_with_frozen_batchnorm.py', place / 'data' / 'cifar10')
    run_script(*job(workers, *arguments, tmp_path / 'many', 'dist_sync', workers))
    run_script(*arguments, tmp_path / 'one', 'device', workers)
    one = numpy.load(str(tmp_path / 'one-0.npz'))
    # 230 images of 2 workers fill 5 batches of 23; of 4 the last is filled up, and which images are
    # not counted differs.
    names = set(one) - ({'loss', 'error'} if workers == 4 else set())
    for rank in range(workers):
        many = numpy.load(str(tmp_path / (f'many-{rank}.npz')))
        assert set(many) == set(one)
        for name in names:
            assert numpy.abs(many[name] - one[name]).max() < 1e-4, name
    assert (
        max(numpy.abs(one[name]).max() for name in one if name.startswith('momentum')) > 1e-2
    )  # 1e-4 is little


@pytest.mark.parametrize(
    'mode',
    ['dist_sync', *(pytest.param(mode, marks=pytest.mark.slow) for mode in ('dist_async', '2bit'))],
)
def test_a_job_trains_and_only_the_first_worker_writes(place, tmp_path, mode):
    more = (
        ('--kv-store', 'dist_sync', '--gradient-compression', '2bit')
        if mode == '2bit'
        else ('--kv-store', mode)
    )
    said = run_in(tmp_path, place, '--epochs', '2', *more)
    name = runs.name_of(tmp_path / 'checkpoints')
    header, records = log.read(str(tmp_path / 'logs' / (name + '.jsonl')))
    assert (
        header['workers'] == 2
        and header['train_images'] == 230
        and len(records) == 2
        and said.count('epoch 2/2') == 1
    )
    for record in records:  # errors of all 230 and all 46 images
        for key, images in (('train_error', 230), ('test_error', 46)):
            assert abs(record[key] * images / 100 - round(record[key] * images / 100)) < 1e-2
    assert os.listdir(str(tmp_path / 'machine-1')) == []
    scored = run_script(
        'score.py',
        '--run',
        tmp_path / 'checkpoints' / name,
        '--data-dir',
        place / 'data',
        '--cpus',
        '1',
    )
    error, loss = map(float, re.search(r'error ([\d.]+)%, loss ([\d.]+) on', scored).groups())
    assert (error, loss) == (
        pytest.approx(records[-1]['test_error'], abs=0.01),
        pytest.approx(records[-1]['test_loss'], abs=1e-3),
    )


def command_in(folder, place, *more):
    return [
        sys.executable,
        os.path.join(ROOT, 'launch.py'),
        '--workers',
        '2',
        os.path.join(ROOT, 'tests', 'helpers', 'on_another_machine.py'),
        os.path.join(ROOT, 'train_cifar.py'),
        '--network',
        'mr',
        '--depth',
        '8',
        '--batch-size',
        '32',
        '--cpus',
        '1',
        '--data-dir',
        str(place / 'data'),
        *more,
    ]


def start_in(folder, place, *more):
    return subprocess.Popen(
        command_in(folder, place, *more),
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=ROOT, MARK=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def run_in(folder, place, *more):
    process = start_in(folder, place, *more)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, out + said
    return out


def worker_number(folder, number):
    """Return the process of a worker of the job in ``folder``."""
    for found in processes(str(folder)):
        with open(f'/proc/{found}/environ') as environment, open(f'/proc/{found}/cmdline') as line:
            if (
                f'DFN_WORKER={number}\x00' in environment.read()
                and 'on_another_machine' in line.read()
            ):
                return int(found)


def wait_for(process, start):
    for line in process.stdout:
        if line.startswith(start):
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.slow
@pytest.mark.parametrize('who', [1, 0])
def test_a_killed_worker_ends_the_job_and_it_goes_on(place, tmp_path, who):
    """Worker 0 alone has the checkpoint; the other gets everything from it."""
    process = start_in(tmp_path, place, '--epochs', '40', '--kv-store', 'dist_sync')
    wait_for(process, 'epoch 2/40')
    os.kill(worker_number(tmp_path, who), signal.SIGKILL)
    began = time.time()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and time.time() - began < 30
    name = runs.name_of(tmp_path / 'checkpoints')
    last = said.strip().splitlines()[-1]
    assert (
        last.startswith(f'launch.py: error: worker {who} was killed by SIGKILL')
        and '--resume ' + name in last
    )
    assert gone(str(tmp_path))
    done = len(log.read(str(tmp_path / 'logs' / (name + '.jsonl')))[1])
    assert 2 <= done < 40
    if who:
        process = start_in(tmp_path, place, '--kv-store', 'dist_sync', '--resume', name)
        wait_for(process, f'epoch {done + 1}/40')
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        assert (
            process.returncode == 143
            and 'stopped by SIGTERM' in said
            and '--resume ' + name in said
        )
        assert len(log.read(str(tmp_path / 'logs' / (name + '.jsonl')))[1]) > done and gone(
            str(tmp_path)
        )


@pytest.mark.parametrize(
    'what',
    [
        'launch.py',
        *(
            pytest.param(f'DMLC_ROLE={role}', marks=pytest.mark.slow)
            for role in ('server', 'scheduler')
        ),
    ],
)
def test_nothing_is_left_behind(place, tmp_path, what):
    """When launch.py itself is killed, or a server, or the scheduler."""
    process = start_in(tmp_path, place, '--epochs', '40', '--kv-store', 'dist_sync')
    wait_for(process, 'epoch 1/40')
    victim = process.pid if what == 'launch.py' else part_with(tmp_path, what)
    os.kill(victim, signal.SIGKILL)
    said = process.communicate(timeout=60)[1]
    assert gone(str(tmp_path))
    assert process.returncode == (-9 if what == 'launch.py' else 2)
    assert what == 'launch.py' or 'was killed by SIGKILL' in said.splitlines()[-1]
    if what != 'launch.py':
        assert said.splitlines()[-1].startswith('launch.py: error: ' + what.partition('=')[2])


def part_with(folder, variable):
    """Return the process of a part of the job in ``folder`` that has this variable in its
    environment, not the one that keeps it.
    """
    for number in processes(str(folder)):
        with (
            open(f'/proc/{number}/environ') as environment,
            open(f'/proc/{number}/cmdline') as line,
        ):
            if variable in environment.read().split('\0') and 'start_process.py' not in line.read():
                return int(number)
    raise AssertionError('no part has ' + variable)


def scripted(folder, codes):
    """Return the parts of a job of workers that run these pieces of Python, in a folder."""
    return [
        Member(
            'worker',
            number,
            None,
            [sys.executable, '-c', 'import os, signal, sys, time\n' + code],
            {'MARK': str(folder)},
        )
        for number, code in enumerate(codes)
    ]


KILLED = 'os.kill(os.getpid(), signal.SIGKILL)'
# The worker that misses another one ends first, and the other a little later.
LEAVE = 'open(os.environ["MARK"] + "/gone", "w").close(); '
MISSED = f'{LEAVE}sys.exit({errors.WorkerLost.status})'
LATER = (
    'while not os.path.exists(os.environ["MARK"] + "/gone"): time.sleep(0.01)\ntime.sleep(0.2); '
)


@pytest.mark.parametrize(
    'codes,blamed',
    [
        # One that misses another ends before launch.py has seen the end of the one that was killed.
        ([MISSED, LATER + KILLED, 'time.sleep(60)'], 'worker 1 was killed by SIGKILL'),
        ([MISSED, 'time.sleep(60)', LATER + 'sys.exit(2)'], 'worker 2 ended with status 2'),
        ([LATER + 'sys.exit(2)', LEAVE + 'sys.exit(1)'], 'worker 1 ended with status 1'),
        ([MISSED, 'time.sleep(60)'], 'worker 0 ended with status 3'),
    ],
)
def test_who_is_to_blame(tmp_path, codes, blamed):
    with pytest.raises(errors.UserError, match=blamed):
        Job(scripted(tmp_path, codes), str(tmp_path), ROOT, sys.executable, []).run()
    assert gone(str(tmp_path))


def started_job(folder, code):
    """Return the process of a job of one worker, which runs a piece of Python."""
    values = ('import signal, sys, time\n' + code, str(folder), ROOT)
    job = (
        'import os, sys\nfrom system.script import run_main\n'
        'from distributed.job import Job, Member\n'
        f'code, folder, root = {values!r}\n'
        'part = Member("worker", 0, None, [sys.executable, "-u", "-c", code], {"MARK": folder})\n'
        'def main(): raise SystemExit(Job([part], folder, root, sys.executable, []).run())\n'
        'run_main(main)'
    )
    return subprocess.Popen(
        [sys.executable, '-c', job],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding='utf-8',
    )


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(tmp_path, number):
    """launch.py gives worker 0 the signal that it gets, and ends with 128 + n."""
    process = started_job(
        tmp_path,
        f'signal.signal({number}, lambda *_: sys.exit("in order"))\nprint("ready"); time.sleep(60)',
    )
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(number)
    assert 'in order' in process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number and gone(str(tmp_path))


def test_a_job_goes_on_when_its_reader_has_gone(tmp_path):
    """Its parts write more than a pipe holds."""
    process = started_job(
        tmp_path,
        'sys.stdin.read()\nfor _ in range(20000): print("x" * 50)\nopen("done", "w").close()',
    )
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 0 and (tmp_path / 'done').exists() and gone(str(tmp_path))


# ---- addresses ----


@pytest.fixture
def outside():
    """An address of this machine by which others would reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('192.0.2.1', 9))  # of a network for documents; nothing is sent
        except OSError:
            pytest.skip('this machine has no network')
        return probe.getsockname()[0]


def test_the_address_of_this_machine_among_others(outside):
    """Debian's own name leads to 127.0.1.1, where other hosts would reach themselves."""
    assert launch.addresses([None]) == {None: '127.0.0.1'}
    assert launch.addresses(['localhost']) == {'localhost': '127.0.0.1'}
    assert launch.addresses(['me@127.0.1.1', '192.0.2.1']) == {
        'me@127.0.1.1': outside,
        '192.0.2.1': '192.0.2.1',
    }
    assert launch.addresses(['192.0.2.1', '127.0.1.1'], '127.0.0.5') == {
        '127.0.1.1': '127.0.0.5',
        '192.0.2.1': '192.0.2.1',
    }
    assert launch.addresses([outside, '192.0.2.1'], '127.0.0.5')[outside] == '127.0.0.5'
    with pytest.raises(errors.UserError, match='is not among the hosts'):
        launch.addresses(['192.0.2.1'], '127.0.0.5')


def test_a_job_says_where_its_parts_are(outside, tmp_path):
    (tmp_path / 'hosts').write_text('127.0.1.1\n192.0.2.1\n')
    args = launch.parse_args(
        ['--workers', '2', '--hosts', str(tmp_path / 'hosts'), 'train_cifar.py']
    )
    found = launch.members(args)
    assert {part.environment['DMLC_PS_ROOT_URI'] for part in found} == {outside}
    assert {part.environment['DFN_LINK'] for part in found} == {f'{outside}:{launch.PORT + 1}'}
    assert {part.environment['DMLC_NODE_HOST'] for part in found if part.host == '127.0.1.1'} == {
        outside
    }


@pytest.mark.slow
def test_what_a_user_can_get_wrong(place, tmp_path):
    script = runs.arguments(
        place, '--cpus', '1', '--log-dir', tmp_path, '--checkpoint-dir', tmp_path
    )
    assert 'launch.py --workers' in user_error(*script, '--kv-store', 'dist_sync')
    assert 'add --kv-store dist_sync' in user_error(*script, '--gradient-compression', '2bit')
    said = run_script(*job(2, *script), status=2)
    assert (
        'add --kv-store dist_sync' in said
        and 'launch.py: error: worker' in said
        and 'Traceback' not in said
    )
    said = run_script(*job(2, *script, '--kv-store', 'dist_sync', '--batch-size', '31'), status=2)
    assert 'choose a multiple of 2' in said and 'Traceback' not in said
    assert 'there is no such file' in user_error(
        'launch.py', '--workers', '2', '--hosts', tmp_path / 'none', *script
    )
    (tmp_path / 'hosts').write_text('# nobody\n')
    assert 'names no machine' in user_error(
        'launch.py', '--workers', '2', '--hosts', tmp_path / 'hosts', *script
    )
    for name, words in (
        (b'no.such.host.invalid', 'cannot be found'),
        (b'two..dots', 'cannot be found'),
        (b'n\xfcrnberg', 'is not UTF-8'),
    ):
        (tmp_path / 'hosts').write_bytes(name + b'\n')
        assert words in user_error(
            'launch.py', '--workers', '2', '--hosts', tmp_path / 'hosts', *script
        )
    (tmp_path / 'hosts').write_text('127.0.0.1\n')
    assert 'cannot be started' in user_error(
        'launch.py',
        '--workers',
        '2',
        '--hosts',
        tmp_path / 'hosts',
        '--ssh',
        tmp_path / 'no-ssh',
        *script,
    )
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith('.jsonl')]


# ---- ssh ----


@pytest.fixture
def sshd(tmp_path):
    """A real server on the loopback interface with keys of its own; gives the ssh command that
    reaches it.
    """
    server = shutil.which('sshd') or '/usr/sbin/sshd'
    if not os.path.exists(server) or not shutil.which('ssh'):
        pytest.skip('OpenSSH is not installed')
    for name in ('host', 'user'):
        subprocess.run(
            ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(tmp_path / name)], check=True
        )
    (port,) = free_ports(1)
    if os.getuid() == 0:
        os.makedirs('/run/sshd', exist_ok=True)
    (tmp_path / 'config').write_text(
        f'HostKey {tmp_path / "host"}\nAuthorizedKeysFile '
        f'{tmp_path / "user.pub"}\nStrictModes no\nPidFile none\nUsePAM no\n'
    )
    process = subprocess.Popen(
        [
            server,
            '-D',
            '-e',
            '-f',
            str(tmp_path / 'config'),
            '-p',
            str(port),
            '-o',
            'ListenAddress=127.0.0.1',
        ],
        stderr=subprocess.DEVNULL,
    )
    yield (
        'ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o '
        f'UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i {tmp_path / "user"} -p {port}'
    )
    process.terminate()
    process.wait()


@pytest.mark.slow
def test_through_ssh(place, tmp_path, sshd):
    """Trained to the end; then launch.py is killed in the middle, and nothing is left at the other
    end of the connection.
    """
    (tmp_path / 'hosts').write_text('127.0.0.1\n')
    (port,) = free_ports(1)
    options = (
        'launch.py',
        '--workers',
        '2',
        '--servers',
        '1',
        '--hosts',
        tmp_path / 'hosts',
        '--ssh',
        sshd,
        '--port',
        min(port, 65000),
    )
    script = runs.arguments(
        place,
        '--cpus',
        '1',
        '--kv-store',
        'dist_sync',
        '--log-dir',
        tmp_path / 'logs',
        '--checkpoint-dir',
        tmp_path / 'checkpoints',
    )
    said = run_script(*options, *script, '--epochs', '1', OMP_NUM_THREADS='1')
    assert 'epoch 1/1' in said and 'finished' in said
    process = runs.start((*options, *script, '--epochs', '40'))
    while len(processes(str(tmp_path / 'checkpoints'))) < 3:
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert gone(str(tmp_path / 'checkpoints'))
