"""Communication between the workers of a job that ``launch.py`` has started.

MXNet's parameter server sums gradients, and may change what is pushed to it: it compresses values,
or adds them to a weight. What has to arrive as it was sent (metrics, BatchNorm statistics, the
arrays of a checkpoint) goes over a separate connection from each worker to worker 0. Gradients are
summed by MXNet's kvstore, which common/trainer.py chooses.
"""

import io
import json
import os
import sys
import time
from multiprocessing import connection

import numpy

from system.errors import ROOT, UserError, WorkerLost, command

TIMEOUT = 120  # seconds that a worker waits for worker 0, whose machine may be slower
# Environment variables that ``launch.py`` sets beside those of MXNet's parameter server: the rank
# of a worker, the address of worker 0 as HOST:PORT, and the key of the connections in hexadecimal
# digits.
RANK, LINK, KEY = 'DFN_WORKER', 'DFN_LINK', 'DFN_KEY'


class Cluster:
    """The workers of a job as one of them sees it; without ``launch.py`` a single one of rank 0.

    Parameters
    ----------
    rank : int
        Number of this worker, from 0.
    size : int
        Number of workers.
    links : list of multiprocessing.connection.Connection
        Of worker 0: the connections to the others, in the order of their ranks. Of any other
        worker: the connection to worker 0.
    """

    def __init__(self, rank=0, size=1, links=()):
        self.rank, self.size, self.links = rank, size, links

    def broadcast(self, content):
        """Return, in every worker, the bytes that worker 0 passes to this method."""
        if self.rank:
            return self._receive(0)
        for rank, link in enumerate(self.links, 1):
            self._send(rank, link, content)
        return content

    def broadcast_json(self, value):
        """Return, in every worker, the value that worker 0 passes; JSON must be able to hold it."""
        if self.size == 1:
            return value
        return json.loads(self.broadcast(json.dumps(value).encode()))

    def sum(self, numbers):
        """Return the sum of all workers' arrays, in float64, equal to the last bit in each.

        Parameters
        ----------
        numbers : array_like
            Of the same shape in every worker.
        """
        numbers = numpy.asarray(numbers, numpy.float64)
        if self.size == 1:
            return numbers
        if self.rank:
            self._send(0, self.links[0], numbers.tobytes())
        else:
            for rank in range(1, self.size):
                numbers = numbers + numpy.frombuffer(self._receive(rank)).reshape(numbers.shape)
        return numpy.frombuffer(self.broadcast(numbers.tobytes())).reshape(numbers.shape)

    def barrier(self):
        """Wait until every worker has called this."""
        self.sum([0])

    def broadcast_arrays(self, arrays):
        """Return, in every worker, the dict of NumPy arrays that worker 0 passes."""
        if self.size == 1:
            return arrays
        content = io.BytesIO()
        if not self.rank:
            numpy.savez(content, **arrays)
        received = io.BytesIO(self.broadcast(content.getvalue()))
        with numpy.load(received, allow_pickle=False) as loaded:
            return dict(loaded)

    def _send(self, rank, link, content):
        try:
            link.send_bytes(content)
        except OSError:
            self._lost(rank)

    def _receive(self, rank):
        try:
            return self.links[rank - 1 if not self.rank else 0].recv_bytes()
        except (OSError, EOFError):
            self._lost(rank)

    def _lost(self, rank):
        raise WorkerLost(
            f'the connection to worker {rank} is lost: read its last message, and go on with '
            '--resume and the name of the run'
        )


ALONE = Cluster()


def join(kvstore):
    """Connect to the other workers and return the ``Cluster``, or ``ALONE`` without ``launch.py``.

    Parameters
    ----------
    kvstore : str
        The option --kv-store.

    Raises
    ------
    UserError
        The kvstore is for several processes and ``launch.py`` did not start this one, or it is for
        a single process and ``launch.py`` did; or worker 0 does not answer.
    """
    started = RANK in os.environ
    if kvstore.startswith('dist') and not started:
        script = os.path.relpath(os.path.realpath(sys.argv[0]), ROOT)
        raise UserError(
            f'--kv-store {kvstore} is for several processes: start two, for example, with '
            f'"{command("launch.py", "--workers", 2, script)}" and the same options'
        )
    if started and not kvstore.startswith('dist'):
        raise UserError(
            f'--kv-store {kvstore} is for one process, and launch.py starts several: add '
            '--kv-store dist_sync'
        )
    if not started:
        return ALONE
    rank, size = int(os.environ[RANK]), int(os.environ['DMLC_NUM_WORKER'])
    host, port = os.environ[LINK].rsplit(':', 1)
    address, key = (host, int(port)), bytes.fromhex(os.environ[KEY])
    return Cluster(rank, size, connect(rank, address, key) if rank else listen(size, address, key))


def listen(size, address, key):
    """Return the connections to all other workers, in the order of their ranks.

    Raises
    ------
    UserError
        The port is in use, or the address is none of this machine's.
    """
    links = {}
    try:
        listener = connection.Listener(address, backlog=size, authkey=key)
    except OSError as error:
        host, port = address
        raise UserError(
            f'worker 0 cannot listen at {host}:{port} ({error}): give launch.py another --port, '
            'or with --address an address of the first machine'
        ) from None
    with listener:
        while len(links) < size - 1:
            try:
                link = listener.accept()
            except (connection.AuthenticationError, EOFError, OSError):
                continue  # not one of the workers
            links[int(link.recv_bytes(8))] = link
    return [links[rank] for rank in sorted(links)]


def connect(rank, address, key):
    """Return the connection to worker 0, as a list of one.

    Raises
    ------
    UserError
        Nobody answers there for ``TIMEOUT`` seconds, or another job does.
    """
    end = time.time() + TIMEOUT
    while True:
        try:
            link = connection.Client(address, authkey=key)
        except connection.AuthenticationError:
            raise UserError(
                f'another job answers at {":".join(map(str, address))}: give launch.py another '
                '--port'
            ) from None
        except (OSError, EOFError) as error:
            if time.time() > end:
                host, port = address
                raise UserError(
                    f'worker 0 does not answer at {host}:{port} ({error}): is the port open '
                    'between the machines?'
                )
            time.sleep(0.2)
        else:
            link.send_bytes(b'%d' % rank)
            return [link]
