"""A real SLURM of one node, in a folder: started by a test and stopped after it."""

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time

from system.processes import die_with_parent

NEEDED = ('munged', 'slurmctld', 'slurmd', 'sbatch')  # of Debian's packages munge and slurm-wlm
SBIN = '/usr/sbin'  # where Debian has the daemons, which is not on every user's path
PATH = os.pathsep.join((os.environ.get('PATH', ''), SBIN))
SECONDS = 60  # that the daemons may take to answer
# Neither a database nor control groups. Five seconds, the least, until a credential expires let a
# task that is queued again start soon.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Return which of the programs are not installed."""
    return [program for program in NEEDED if not shutil.which(program, path=PATH)]


class Cluster:
    """The cluster of ``started``; its commands are sbatch, squeue, scancel and the like."""

    def __init__(self, folder):
        self.folder, self.daemons = folder, []
        self.environment = dict(os.environ, PATH=PATH, SLURM_CONF=f'{folder}/slurm.conf')

    def start(self):
        """Start the daemons; return when the node is free for jobs."""
        for name in ('state', 'spool'):
            os.mkdir(f'{self.folder}/{name}')
        self._start_munge()
        with socket.socket() as first, socket.socket() as second:
            for each in (first, second):
                each.bind(('127.0.0.1', 0))
            ports = [each.getsockname()[1] for each in (first, second)]
        with open(f'{self.folder}/slurm.conf', 'w') as file:
            file.write(
                CONFIGURATION.format(
                    host=socket.gethostname().split('.')[0],
                    user=getpass.getuser(),
                    folder=self.folder,
                    ports=ports,
                    cpus=os.cpu_count(),
                )
            )
        self._start('slurmctld', '-D')
        self._start('slurmd', '-D')
        self._wait_for(lambda: 'idle' in self.call('sinfo', '-h', '-o', '%T', check=False))

    def _start_munge(self):
        key = f'{self.folder}/munge.key'
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o400), 'wb') as file:
            file.write(secrets.token_bytes(128))
        paths = {'key': key, 'socket': f'{self.folder}/munge.socket'}
        for name in ('pid', 'log', 'seed'):
            paths[name] = f'{self.folder}/munge.{name}'
        options = [
            f'--{name}={path}' if name == 'socket' else f'--{name}-file={path}'
            for name, path in paths.items()
        ]
        self._start('munged', '--foreground', '--force', *options)
        self._wait_for(lambda: os.path.exists(paths['socket']))

    def _start(self, *command):
        with open(f'{self.folder}/{command[0]}.out', 'w') as file:
            self.daemons.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    preexec_fn=die_with_parent,
                )
            )

    def _wait_for(self, condition):
        end = time.time() + SECONDS
        while not condition():
            ended = [daemon.args[0] for daemon in self.daemons if daemon.poll() is not None]
            assert not ended and time.time() < end, f'{ended} ended, see {self.folder}'
            time.sleep(0.1)

    def call(self, *command, check=True, **options):
        """Run one of SLURM's commands; return what it printed."""
        done = subprocess.run(
            list(map(str, command)),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            **options,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        """Cancel all jobs, and stop the daemons."""
        if len(self.daemons) == 3:
            self.call('scancel', '--user', getpass.getuser(), check=False)
            with contextlib.suppress(AssertionError):
                self._wait_for(lambda: not self.call('squeue', '-h', check=False))
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


@contextlib.contextmanager
def started(folder):
    """Yield a ``Cluster`` whose files are in ``folder``."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
