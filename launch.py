#!/usr/bin/env python
# PYTHON_ARGCOMPLETE_OK
"""Train with several workers through MXNet's parameter server, on this machine or on others.

python launch.py --workers 2 train_cifar.py --network mr --depth 56 --kv-store dist_sync
python launch.py --workers 4 --hosts hosts.txt train_imagenet.py --network mr --depth 44 \\
    --gpus 0,1,2,3,4,5,6,7 --kv-store dist_device_sync

A worker is one process that uses all GPUs given to it, so start one worker on each machine. The
other machines are reached through ssh. They need this repository, its environment and the data
under the same paths as here, or under those of --directory and --python. When one process of the
job fails, all others are ended.
"""

import argparse
import os
import secrets
import socket
import sys

import engine
from common import options
from distributed import cluster
from distributed.job import Job, Member
from engine import cpu
from system import files
from system.errors import UserError
from system.script import run_main

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 9091  # of the scheduler, on the first host; the workers' own connections use the next one


def parse_args(arguments=None):
    lines = __doc__.split('\n')
    parser = argparse.ArgumentParser(description=lines[0], epilog=' '.join(lines[6:]))
    parser.add_argument(
        '--workers',
        type=options.number(int, 1, 1024),
        required=True,
        metavar='N',
        help='number of processes that train',
    )
    parser.add_argument(
        '--servers',
        type=options.number(int, 1, 1024),
        metavar='N',
        help='number of processes that sum gradients (default: as many as workers)',
    )
    _add_hosts(parser)
    parser.add_argument(
        'command',
        nargs=argparse.REMAINDER,
        metavar='SCRIPT ...',
        help='a training script and its options',
    )
    args = parser.parse_args(arguments)
    if not args.command:
        parser.error('name a training script, such as train_cifar.py, and its options')
    return args


def _add_hosts(parser):
    parser.add_argument(
        '--hosts',
        metavar='FILE',
        help='file with the name of one machine in each line (default: only this machine)',
    )
    parser.add_argument(
        '--port',
        type=options.number(int, 1024, 65534),
        help='the job uses this port and the next one on the first host '
        f'(default: {PORT} with --hosts, else any two that are free)',
    )
    parser.add_argument(
        '--address',
        metavar='IP',
        help='address by which the other hosts reach this machine, if it is one of the hosts '
        '(default: what its name resolves to or, where that is 127.x.x.x, the source address of '
        'its connections to them)',
    )
    parser.add_argument(
        '--ssh',
        default='ssh -o BatchMode=yes -o ServerAliveInterval=15',
        metavar='COMMAND',
        help='command that runs another command on a host '
        '(default: %(default)s, which ends when the host does not answer for 45 s)',
    )
    parser.add_argument(
        '--directory',
        default=HERE,
        metavar='DIR',
        help='directory of this repository on the hosts (default: as here)',
    )
    parser.add_argument(
        '--python',
        default=sys.executable,
        metavar='PATH',
        help='Python interpreter on the hosts (default: as here)',
    )


def read_hosts(path):
    """Return the machines that a file names, or [None], this machine, without a file."""
    if path is None:
        return [None]
    if not os.path.isfile(path):
        raise UserError(f'--hosts {path}: there is no such file')
    names = [line.split('#')[0].strip() for line in files.read_text(path).split('\n')]
    if not any(names):
        raise UserError(f'--hosts {path} names no machine: write one name into each line')
    return [name for name in names if name]


def addresses(machines, own=None):
    """Return {machine: the IP address by which the other machines reach it}.

    On Debian the own name of a machine resolves to 127.0.1.1, where the others would reach
    themselves. So if there are other machines, this one gets the source address of its connections
    to them.

    Parameters
    ----------
    machines : list of str or None
        Names, such as user@host; None is this machine.
    own : str, optional
        Address of this machine (the option --address). None: it is found out.

    Raises
    ------
    UserError
        A name does not resolve, the other machines cannot be reached, or ``own`` is given and this
        machine is not in the list.
    """
    found = {
        machine: '127.0.0.1' if machine is None else _resolved(machine) for machine in machines
    }
    others = [address for address in found.values() if not address.startswith('127.')]
    if own:
        here, address = list(filter(_is_here, found.values())), _resolved(own)
        if not here:
            raise UserError(
                f'--address {own} is an address of this machine, which is not among the hosts: '
                'leave the option out'
            )
    else:
        here, address = set(found.values()) - set(others), others and _source_address(others[0])
    return {
        machine: address if address and known in here else known for machine, known in found.items()
    }


def _resolved(host):
    try:
        return socket.gethostbyname(host.split('@')[-1])
    except (OSError, UnicodeError) as error:  # UnicodeError: such as a..b, which no name can be
        raise UserError(f'the host {host} cannot be found ({error}): correct its name')


def _is_here(address):
    """Return whether an address is one of this machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def _source_address(other):
    """Return the address of this machine in connections to another one; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((other, PORT))
        except OSError as error:
            raise UserError(
                f'the host {other} cannot be reached ({error.strerror}): give the address by '
                'which it reaches this machine with --address'
            )
        return probe.getsockname()[0]


def free_ports(count):
    """Return ``count`` different ports that are free at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(('127.0.0.1', 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def members(args):
    """Return the ``Member`` of each process of the job: the scheduler, servers and workers."""
    machines, servers = read_hosts(args.hosts), args.servers or args.workers
    local = args.hosts is None
    first = args.port or PORT
    # ``port`` is the scheduler's, ``link`` that of the workers' own connections (cluster.py).
    port, link = free_ports(2) if local and args.port is None else (first, first + 1)
    address = addresses(machines, args.address)
    root = address[machines[0]]
    environment = {
        'DMLC_PS_ROOT_URI': root,
        'DMLC_PS_ROOT_PORT': port,
        'DMLC_NUM_WORKER': args.workers,
        'DMLC_NUM_SERVER': servers,
        cluster.LINK: f'{root}:{link}',
        cluster.KEY: secrets.token_hex(16),
    }
    if local:  # the workers share the cores
        environment['OMP_NUM_THREADS'] = cpu.threads_of_the_environment() or max(
            1, engine.cores() // args.workers
        )
    found = []
    for role, count in (('scheduler', 1), ('server', servers), ('worker', args.workers)):
        for number in range(count):
            host = machines[number % len(machines)]
            own = dict(environment, DMLC_ROLE=role, DMLC_NODE_HOST=address[host])
            if role == 'worker':
                command = [args.python, '-u', *args.command]
                own[cluster.RANK] = number
            else:
                command = [args.python, '-m', 'distributed.server']
                own['PYTHONPATH'] = args.directory
            own = {name: str(value) for name, value in own.items()}
            found.append(Member(role, number, host, command, own))
    return found


def main():
    args = parse_args()
    directory = args.directory if args.hosts else os.getcwd()
    job = Job(members(args), directory, args.directory, args.python, args.ssh.split())
    raise SystemExit(job.run())


if __name__ == '__main__':
    run_main(main)
