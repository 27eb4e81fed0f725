#!/usr/bin/env python
"""Train with several workers, on this machine or on others through ssh, by MXNet's parameter server.

python launch.py --workers 2 train_cifar.py --network mr --depth 56 --kv-store dist_sync
python launch.py --workers 4 --hosts hosts.txt train_imagenet.py --network mr --depth 44 --gpus 0,1,2,3,4,5,6,7 --kv-store dist_device_sync

Each worker is one process with all the devices that it is given, so one for each machine. The
others need this repository, its environment and the data under the same paths, or those of
--directory and --python. When one part of the job fails, all are ended.
"""

import argparse
import os
import secrets
import socket
import sys

import engine
from common import options
from distributed.job import Job, Part
from engine import cpu
from system.errors import UserError
from system.script import run_main

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 9091  # of the scheduler on the first host; the next one joins the workers


def parse_args(arguments=None):
    lines = __doc__.split('\n')
    parse = argparse.ArgumentParser(description=lines[0], epilog=' '.join(lines[5:]))
    parse.add_argument(
        '--workers',
        type=options.number(int, 1, 1024),
        required=True,
        metavar='N',
        help='processes that train',
    )
    parse.add_argument(
        '--servers',
        type=options.number(int, 1, 1024),
        metavar='N',
        help='processes that sum gradients (default: as many as workers)',
    )
    parse.add_argument(
        '--hosts',
        metavar='FILE',
        help='a file with the name of a machine in each line (default: this machine alone)',
    )
    parse.add_argument(
        '--port',
        type=options.number(int, 1024, 65534),
        help=f'this and the next one are used on the first host (default: {PORT}, and on this '
        'machine alone any that are free)',
    )
    parse.add_argument(
        '--address',
        metavar='IP',
        help='by which the other hosts reach this machine, if it is one of the hosts '
        '(default: what its '
        'name leads to; where that is 127.x.x.x, the address that it sends to them from)',
    )
    parse.add_argument(
        '--ssh',
        default='ssh -o BatchMode=yes -o ServerAliveInterval=15',
        help='default: %(default)s, which ends when a machine does not answer for 45 s',
    )
    parse.add_argument(
        '--directory', default=HERE, help='of this repository on the hosts (default: as here)'
    )
    parse.add_argument(
        '--python', default=sys.executable, help='interpreter on the hosts (default: as here)'
    )
    parse.add_argument(
        'command',
        nargs=argparse.REMAINDER,
        metavar='SCRIPT ...',
        help='a training script and its options',
    )
    args = parse.parse_args(arguments)
    if not args.command:
        parse.error('name a training script, such as train_cifar.py, and its options')
    return args


def hosts(path):
    """Return the machines that a file names, or [None], this one."""
    if path is None:
        return [None]
    if not os.path.isfile(path):
        raise UserError(f'--hosts {path}: there is no such file')
    with open(path) as file:
        names = [line.split('#')[0].strip() for line in file]
    if not any(names):
        raise UserError(f'--hosts {path} names no machine: write one into each line')
    return [name for name in names if name]


def addresses(machines, own=None):
    """Return the address of each machine by which the other parts reach it.

    On Debian a machine's own name leads to 127.0.1.1, where others would reach themselves. So where
    there are other machines too, this one gets the address that it sends to them from.

    Parameters
    ----------
    machines : list of str or None
        Names, such as user@host; None is this machine.
    own : str, optional
        This machine's address, if it is not to be found out.

    Raises
    ------
    UserError
        A name is unknown, or there is no way from this machine to the others.
    """
    found = {
        machine: '127.0.0.1' if machine is None else _resolved(machine) for machine in machines
    }
    others = [address for address in found.values() if not address.startswith('127.')]
    if own:
        here, address = list(filter(_is_here, found.values())), _resolved(own)
        if not here:
            raise UserError(
                f'--address {own} is that of this machine, and this machine is not among '
                'the hosts: leave it out'
            )
    else:
        here, address = set(found.values()) - set(others), others and _toward(others[0])
    return {
        machine: address if address and known in here else known for machine, known in found.items()
    }


def _resolved(host):
    try:
        return socket.gethostbyname(host.split('@')[-1])
    except OSError as error:
        raise UserError(f'the host {host} cannot be found ({error})')


def _is_here(address):
    """Return whether an address is one of this machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def _toward(other):
    """Return the address that this machine sends to another one from; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((other, PORT))
        except OSError as error:
            raise UserError(
                f'there is no way from here to {other} ({error.strerror}): name the '
                'address by which it reaches '
                'this machine with --address'
            )
        return probe.getsockname()[0]


def free_ports(count):
    """Return ports that nobody uses at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(('127.0.0.1', 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def parts(args):
    """Return the ``Part`` list of a job: its scheduler, servers and workers."""
    from distributed import cluster

    machines, servers = hosts(args.hosts), args.servers or args.workers
    local = args.hosts is None
    port, link = (
        free_ports(2)
        if local and args.port is None
        else (args.port or PORT, (args.port or PORT) + 1)
    )
    address = addresses(machines, args.address)
    root = address[machines[0]]
    shared = {
        'DMLC_PS_ROOT_URI': root,
        'DMLC_PS_ROOT_PORT': port,
        'DMLC_NUM_WORKER': args.workers,
        'DMLC_NUM_SERVER': servers,
        cluster.LINK: f'{root}:{link}',
        cluster.KEY: secrets.token_hex(16),
    }
    if local:  # they share the cores
        shared['OMP_NUM_THREADS'] = cpu.threads_of_the_environment() or max(
            1, engine.cores() // args.workers
        )
    found = []
    for role, count in (('scheduler', 1), ('server', servers), ('worker', args.workers)):
        for number in range(count):
            host = machines[number % len(machines)]
            own = {'DMLC_ROLE': role, 'DMLC_NODE_HOST': address[host]}
            command = ['-u'] + args.command if role == 'worker' else ['-m', 'distributed.server']
            if role == 'worker':
                own[cluster.RANK] = number
            else:
                own['PYTHONPATH'] = args.directory
            found.append(
                Part(
                    role,
                    number,
                    host,
                    [args.python] + command,
                    {key: str(value) for key, value in dict(shared, **own).items()},
                )
            )
    return found


def main():
    args = parse_args()
    directory = args.directory if args.hosts else os.getcwd()
    raise SystemExit(
        Job(parts(args), directory, args.directory, args.python, args.ssh.split()).run()
    )


if __name__ == '__main__':
    run_main(main)
