"""The mistakes a user can make, how they are said, and commands that can be pasted."""

import os
import shlex
import shutil
import sys
import unicodedata

STATUS = 2  # exit status of a run that ended on a UserError, the one argparse uses too
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class UserError(Exception):
    """A mistake that the user can put right.

    The message is one sentence that says what is wrong and what to do about it.
    """

    status = STATUS


def printable(text):
    """Return a text with each character that could steer a terminal written as its number.

    Names of files and classes come from anywhere: one may move the cursor, clear the screen, or
    turn the direction of writing. Letters of every script stay as they are.
    """
    return ''.join(_number(letter) if _steers(letter) else letter for letter in str(text))


def _steers(letter):
    # Control characters, bytes that are not UTF-8, ends of lines, directions of writing.
    return (
        unicodedata.category(letter) in ('Cc', 'Cs', 'Zl', 'Zp')
        or '\u202a' <= letter <= '\u202e'
        or '\u2066' <= letter <= '\u2069'
    )


def _number(letter):
    return letter.encode('unicode_escape').decode('ascii')


class Lost(UserError):
    """Another worker has gone: that one is to blame, and ``launch.py`` knows it by the status."""

    status = 3


def tell(message):
    """Print a line on stderr; nobody may be there to read it."""
    try:
        sys.stderr.write(f'{message}\n')
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def fail(error):
    """Print a message, or a ``UserError``, on stderr and leave with its status, or else with 2."""
    said = printable(' '.join(str(error).split()))
    tell(f'{os.path.basename(sys.argv[0]) or "python"}: error: {said}')
    raise SystemExit(getattr(error, 'status', STATUS))


def fail_for_missing_package(name):
    """Say which package is missing, and how to get it, and leave with status 2."""
    fail(
        f'the package {name} is missing here: use the environment that "make demo" makes '
        '(.venv/bin/python), or install requirements.txt with Python 3.10 to 3.14'
    )


def describe(error):
    """Return an ``OSError`` as one sentence: what failed, where, and what to look at."""
    where = f' ({error.filename})' if error.filename else ''
    return (
        f'{error.strerror or error}{where}; check the path, its permissions and the space '
        'left on the disk'
    )


def command(script, *arguments):
    """Return a command that a user can paste into the shell they started this process from.

    Parameters
    ----------
    script : str
        Path in the repository, such as ``score.py``, or ``-m`` and a module.
    arguments : str
        Quoted where the shell needs it.
    """
    if script.startswith('-m '):
        words = script.split()
    else:
        words = [_shortest(os.path.join(ROOT, script))]
    return ' '.join(map(shlex.quote, [_interpreter(), *words, *map(str, arguments)]))


def _interpreter():
    """Return the name by which the shell finds the interpreter that runs this."""
    for name in ('python', 'python3'):
        if shutil.which(name) == sys.executable:  # an environment that is activated
            return name
    return _shortest(sys.executable)


def _shortest(path):
    """Return a path as it is typed in the current folder."""
    inside = os.path.relpath(path)
    return path if inside.startswith(os.pardir) else inside


def discard(stream):
    """Send what is left in a stream nowhere, or the interpreter's own flush at exit would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
