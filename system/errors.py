"""Errors that the user can correct, how they are printed, and commands that can be pasted."""

import os
import shlex
import shutil
import sys
import unicodedata

STATUS = 2  # exit status of a run that ended on a UserError, the one argparse uses too
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class UserError(Exception):
    """An error that the user can correct.

    The message is one sentence that says what is wrong and what to do about it.
    """

    status = STATUS


def printable(text):
    """Return a text in which characters that could control a terminal are escaped.

    The names of files and classes are not to be trusted: they may hold characters that move the
    cursor, clear the screen, or reverse the direction of the text. Letters of every script stay as
    they are.
    """
    return ''.join(_escaped(letter) if _is_control(letter) else letter for letter in str(text))


def _is_control(letter):
    # Control characters, bytes that are not UTF-8, line separators, and direction marks.
    return (
        unicodedata.category(letter) in ('Cc', 'Cs', 'Zl', 'Zp')
        or '\u202a' <= letter <= '\u202e'
        or '\u2066' <= letter <= '\u2069'
    )


def _escaped(letter):
    return letter.encode('unicode_escape').decode('ascii')


class WorkerLost(UserError):
    """The connection to another worker is lost.

    The other worker failed first. ``launch.py`` tells the two apart by the exit status.
    """

    status = 3


def tell(message):
    """Print a line on stderr. Where stderr cannot be written to, the line is dropped."""
    try:
        sys.stderr.write(f'{message}\n')
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def fail(error):
    """Print an error on stderr as one line, and exit.

    Parameters
    ----------
    error : UserError or str
        A ``UserError`` decides the exit status; with a text the status is 2.
    """
    message = printable(' '.join(str(error).split()))
    tell(f'{os.path.basename(sys.argv[0]) or "python"}: error: {message}')
    raise SystemExit(getattr(error, 'status', STATUS))


def fail_for_missing_package(name):
    """Print which package is not installed and how to install it, and exit with status 2."""
    fail(
        f'the package {name} is not installed: use the environment that "make demo" makes '
        '(.venv/bin/python), or install requirements.txt with Python 3.10 to 3.14'
    )


def missing_package(name):
    """Return the ``UserError`` for a package that one option needs and requirements.txt lacks."""
    return UserError(
        f'the package {name} is missing here, which this option needs: '
        f'"{command("-m pip", "install", name)}" installs it'
    )


def describe(error):
    """Return an ``OSError`` as one sentence: what failed, for which file, and what to check."""
    if isinstance(error, FileExistsError):
        return f'{error.filename} is no folder, but a file or a broken link: name another folder'
    file = f' ({error.filename})' if error.filename else ''
    return (
        f'{error.strerror or error}{file}; check the path, its permissions and the space '
        'left on the disk'
    )


def command(script, *arguments):
    """Return a command that the user can paste into the shell that started this process.

    Parameters
    ----------
    script : str
        Path in the repository, such as ``score.py``, or ``-m`` and the name of a module.
    arguments : str
        The arguments of the script; they are quoted where the shell needs it.
    """
    if script.startswith('-m '):
        words = script.split()
    else:
        words = [_shortest(os.path.join(ROOT, script))]
    return ' '.join(map(shlex.quote, [_interpreter(), *words, *map(str, arguments)]))


def install_command(requirements):
    """Return the command that installs a file of requirements of the repository, from any folder.

    pip takes the paths in the file as relative to the folder that it is started in.
    """
    folder, python = shlex.quote(ROOT), shlex.quote(sys.executable)
    return f'cd {folder} && {python} -m pip install -r {requirements}'


def _interpreter():
    """Return how to call the running interpreter from the shell: by name if it is on the path."""
    for name in ('python', 'python3'):
        if shutil.which(name) == sys.executable:  # its environment is activated
            return name
    return _shortest(sys.executable)


def _shortest(path):
    """Return a path relative to the current folder if it lies in it, else as it is."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def discard(stream):
    """Redirect a stream to /dev/null, so that Python's flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
