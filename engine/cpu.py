"""Cores and OpenMP threads. MXNet takes half of the cores unless it is told otherwise."""

import contextlib
import functools
import math
import os
import platform
import re
import sys
import threading

from system.errors import UserError, tell

MOST_THREADS = 1024
# Where a quota and its period are, in microseconds: version 2 of control groups, and version 1.
QUOTAS = (
    ('/sys/fs/cgroup/cpu.max',),
    ('/sys/fs/cgroup/cpu/cpu.cfs_quota_us', '/sys/fs/cgroup/cpu/cpu.cfs_period_us'),
)
MOST_CHARACTERS = 200  # in the name of a processor
# Fields of /proc/cpuinfo that tell processors of one name apart, on x86-64 and on ARM.
KIND = {
    'cpu family': 'family',
    'model': 'model',
    'CPU implementer': 'implementer',
    'CPU part': 'part',
}
VECTORS = {'avx512f': 'AVX-512', 'avx2': 'AVX2', 'avx': 'AVX'}  # the widest comes first


def cores():
    """Return how many cores this process may use: those it is bound to, or a container's quota."""
    if not hasattr(os, 'sched_getaffinity'):
        return os.cpu_count()  # macOS
    return math.ceil(min(len(os.sched_getaffinity(0)), _quota()))


def _text_of(path):
    with open(path, encoding='ascii') as file:
        return file.read()


def _quota():
    """Return the cores that Linux's control groups allow the processes of a container, or inf."""
    for paths in QUOTAS:
        with contextlib.suppress(OSError, ValueError):
            quota, period = map(float, ' '.join(map(_text_of, paths)).split())
            if quota > 0 and period > 0:  # -1 and "max" stand for no limit
                return quota / period
    return math.inf


def processor():
    """Return the kind of the processor, on which the last bits of a result depend."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8', errors='replace') as file:
            return processor_in(file.read())
    except OSError:
        return processor_in('')  # macOS


def processor_in(cpuinfo):
    """Return the kind of the first processor in the text of /proc/cpuinfo.

    Virtual machines call processors with and without AVX-512 "AMD EPYC". So family, model and
    vector instructions follow the name, as in ``AMD EPYC, family 26, model 2, AVX-512``, and on
    ARM the numbers of implementer and part.
    """
    fields = dict(re.findall(r'^(.*?)\s*:(.*)$', cpuinfo.partition('\n\n')[0], re.M))
    words = [fields.get('model name') or platform.processor() or platform.machine()]
    words += [f'{word} {fields[field]}' for field, word in KIND.items() if field in fields]
    flags = fields.get('flags', '').split()
    words += [name for flag, name in VECTORS.items() if flag in flags][:1]
    printable = ''.join(each if each.isprintable() else ' ' for each in ', '.join(words))
    return ' '.join(printable.split())[:MOST_CHARACTERS] or 'unknown'


def set_threads(threads):
    """Set the number of OpenMP threads; ``None`` keeps OMP_NUM_THREADS, or else every core.

    More threads than cores are allowed, since the number decides the last bits of a result; a line
    on stderr says that they are slow.

    Raises
    ------
    RuntimeError
        MXNet is loaded already, and has read the number.
    UserError
        OMP_NUM_THREADS is no number of threads.
    """
    if 'mxnet' in sys.modules:
        raise RuntimeError('set_threads must come before the first use of MXNet')
    threads = threads or threads_of_the_environment() or cores()
    _warn_of_too_many(threads)
    # MXNet reads a plain number and ends the process on anything else.
    os.environ['OMP_NUM_THREADS'] = str(threads)


@functools.cache
def _warn_of_too_many(threads):
    """Say once if there are more threads than cores."""
    if threads > cores():
        tell(
            f'{threads} threads share {cores()} cores, which is slower than one thread '
            'for each core: leave out --threads and OMP_NUM_THREADS'
        )


def threads_of_the_environment():
    """Return the number in OMP_NUM_THREADS, or None.

    OpenMP also allows a list such as ``2,1``, one number for each nested level; the first is meant.
    """
    text = os.environ.get('OMP_NUM_THREADS', '')
    first = text.split(',')[0].strip()
    if not text:
        return None
    if not (first.isascii() and first.isdigit() and 1 <= int(first) <= MOST_THREADS):
        raise UserError(
            f'OMP_NUM_THREADS is {text!r}, which is no number of threads: set it to 1 or '
            f'more, at most {MOST_THREADS}, or unset it'
        )
    return int(first)


def threads():
    """Return the number of OpenMP threads that MXNet computes with."""
    return int(os.environ['OMP_NUM_THREADS'])


def check_threads(contexts):
    """Check that MXNet will be able to start its threads, without which it aborts or hangs.

    A limit of processes, such as a container's, counts threads too. MXNet is imported by now.

    Parameters
    ----------
    contexts : int
        Number of CPU contexts.

    Raises
    ------
    UserError
        The system refuses so many threads.
    """
    # Counted in trainings with 1, 2 and 4 threads and contexts, without those of MXNet's import.
    needed = 7 + (2 + contexts) * threads()
    end, started = threading.Event(), []
    try:
        for _ in range(needed):
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        raise UserError(
            f'the system refuses {needed - len(started)} of the {needed} threads that MXNet needs: '
            'raise the limit of processes or of memory (ulimit -u and -v, or those of the '
            'container or batch job), end other programs, or compute with fewer threads '
            '(--threads, OMP_NUM_THREADS)'
        ) from None
    finally:
        end.set()
        for thread in started:
            thread.join()
