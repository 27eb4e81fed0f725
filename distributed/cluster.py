"""The workers of a job that ``launch.py`` has started, on one machine or on several.

MXNet's parameter server sums gradients, and may change what is pushed to it on the way: it
compresses it, or adds it to a weight. What has to arrive as it was sent (metrics, BatchNorm
statistics, the arrays of a checkpoint) goes over a connection of its own from each worker to worker
0.
"""

import io
import json
import os
import sys
import time
from multiprocessing import connection

import numpy

from system.errors import ROOT, Lost, UserError, command

PATIENCE = (
    120  # seconds that a worker waits for worker 0 to begin; their machines may differ in speed
)
# What ``launch.py`` tells its parts beside the variables of MXNet's parameter server.
RANK, LINK, KEY = 'DFN_WORKER', 'DFN_LINK', 'DFN_KEY'


class Cluster:
    """One worker's place among ``size``; alone, it has rank 0 of 1.

    Parameters
    ----------
    rank, size : int
    links : list of multiprocessing.connection.Connection
        To the others, in the order of their ranks, for rank 0; to rank 0, for the others.
    """

    def __init__(self, rank=0, size=1, links=()):
        self.rank, self.size, self.links = rank, size, links

    def first(self, content):
        """Return the bytes that worker 0 calls this with, to every worker."""
        if self.rank:
            return self._receive(0)
        for rank, link in enumerate(self.links, 1):
            self._send(rank, link, content)
        return content

    def first_json(self, value):
        """Return worker 0's value, of what JSON knows."""
        return value if self.size == 1 else json.loads(self.first(json.dumps(value).encode()))

    def sum(self, numbers):
        """Return the sum of every worker's array of float64, of one shape, the same to the last bit for each."""
        numbers = numpy.asarray(numbers, numpy.float64)
        if self.size == 1:
            return numbers
        if self.rank:
            self._send(0, self.links[0], numbers.tobytes())
        else:
            for rank in range(1, self.size):
                numbers = numbers + numpy.frombuffer(self._receive(rank)).reshape(numbers.shape)
        return numpy.frombuffer(self.first(numbers.tobytes())).reshape(numbers.shape)

    def barrier(self):
        """Wait until every worker is here."""
        self.sum([0])

    def first_arrays(self, arrays):
        """Return worker 0's dict of NumPy arrays."""
        if self.size == 1:
            return arrays
        content = io.BytesIO()
        if not self.rank:
            numpy.savez(content, **arrays)
        with numpy.load(io.BytesIO(self.first(content.getvalue())), allow_pickle=False) as loaded:
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
        raise Lost(
            f'worker {rank} has gone: see what it said, and go on with --resume and the '
            'name of the run'
        )


ALONE = Cluster()


def join(kvstore):
    """Return this process's ``Cluster`` once every worker has come; ``ALONE`` for a ``kvstore`` of one process.

    Raises
    ------
    UserError
        The process was started by hand with a kvstore for several, or by ``launch.py`` with one for
        one.
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
    rank, size, key = (
        int(os.environ[RANK]),
        int(os.environ['DMLC_NUM_WORKER']),
        bytes.fromhex(os.environ[KEY]),
    )
    host, port = os.environ[LINK].rsplit(':', 1)
    return Cluster(
        rank,
        size,
        _call(rank, (host, int(port)), key) if rank else _answer(size, (host, int(port)), key),
    )


def _answer(size, address, key):
    links = {}
    with connection.Listener(address, backlog=size, authkey=key) as listener:
        while len(links) < size - 1:
            try:
                link = listener.accept()
            except (connection.AuthenticationError, EOFError, ConnectionError):
                continue  # somebody else's
            links[int(link.recv_bytes(8))] = link
    return [links[rank] for rank in sorted(links)]


def _call(rank, address, key):
    end = time.time() + PATIENCE
    while True:
        try:
            link = connection.Client(address, authkey=key)
        except (ConnectionError, EOFError) as error:
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
