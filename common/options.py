"""Options that scripts of every kind share: numbers, devices, folders, replacing files."""

import argparse

FOLDERS = {'data_dir': 'data', 'log_dir': 'logs', 'checkpoint_dir': 'checkpoints'}


def number(kind, least, most=float('inf')):
    """Return an argparse type: a finite number of ``kind`` from ``least`` to ``most``."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{text!r} is not a number')
        if not least <= value < float('inf'):
            raise argparse.ArgumentTypeError(f'{text} is less than {least} or not finite')
        if value > most:
            raise argparse.ArgumentTypeError(f'{text} is more than {most}')
        return value

    return parse


def gpu_list(text):
    """Return [0, 1] for ``0,1``."""
    numbers = [number(int, 0)(part) for part in text.split(',')]
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f'{text} names a GPU twice')
    return numbers


def add_devices(parser):
    group = parser.add_argument_group(
        'where to compute (default: the GPUs that are found, else the CPU)'
    )
    either = group.add_mutually_exclusive_group()
    either.add_argument('--gpus', type=gpu_list, metavar='LIST', help='GPU numbers, such as 0,1')
    either.add_argument(
        '--cpus',
        type=number(int, 1, 1024),
        metavar='N',
        help='number of CPU contexts, over which training splits a batch as over GPUs',
    )
    group.add_argument(
        '--threads',
        type=number(int, 1, 1024),
        metavar='N',
        help='number of OpenMP threads; more than there are cores are slow (default: '
        'OMP_NUM_THREADS, else one for each core)',
    )


def add_folders(parser):
    group = parser.add_argument_group('where files are')
    add_data_dir(group)
    for key, text in (
        ('log_dir', 'folder of the logs, RUN.jsonl'),
        ('checkpoint_dir', 'folder of the checkpoints, RUN/ with symbol, parameters and state'),
    ):
        _add_folder(group, key, text)


def add_data_dir(parser):
    _add_folder(parser, 'data_dir', 'folder of the data sets that data/prepare.py made')


def _add_folder(parser, key, text):
    parser.add_argument(
        '--' + key.replace('_', '-'),
        default=FOLDERS[key],
        metavar='DIR',
        help=text + ' (default: %(default)s)',
    )


def add_epochs_filter(parser, text='take only runs that are to have N epochs in all'):
    """Add ``--epochs`` to a script that reads logs, see ``repetition.with_epochs``."""
    parser.add_argument(
        '--epochs', type=number(int, 1), metavar='N', help=f'{text} (default: all runs)'
    )


def add_overwrite(parser):
    """Add ``--overwrite``, without which ``files.write_outputs`` replaces no foreign file."""
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a file even if this project did not write it, or somebody changed it since',
    )


def add_quiet(parser):
    """Add ``--quiet``; a script that is given it calls ``system.progress.be_quiet``."""
    parser.add_argument(
        '--quiet',
        action='store_true',
        help='print nothing but warnings and errors, which go to stderr',
    )
