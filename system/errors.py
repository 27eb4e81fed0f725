"""How every script begins and ends: its streams, the signals that end it, and the mistakes a user can make."""

import errno
import io
import os
import shlex
import shutil
import signal
import sys
import traceback
import unicodedata

STATUS = 2  # exit status of a run that ended on a UserError, the one argparse uses too
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A closed terminal or SSH connection, and what batch systems send before they kill a job.
ENDING = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


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


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C's asks the process to end; ``number`` is the signal's."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def tell(message):
    """Print a line on stderr; nobody may be there to read it."""
    try:
        sys.stderr.write(f'{message}\n')
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def fail(error):
    """Print a message, or a ``UserError``, on stderr and leave with its status, or else with 2."""
    said = printable(' '.join(str(error).split()))
    tell(f'{os.path.basename(sys.argv[0]) or "python"}: error: {said}')
    raise SystemExit(getattr(error, 'status', STATUS))


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


def run(main):
    """Call ``main()`` as a script does.

    The errors a user can make become one line and status 2. A signal that asks for the end becomes
    one line and status 128 + n, after what ``main`` has to clean up. The standard streams take any
    character, and may be closed.
    """
    _open_closed_streams()
    _use_utf8()
    _end_on_signals()
    try:
        _run(main)
    except BaseException as error:
        if 'DMLC_ROLE' in os.environ:
            _leave_the_job(error)
        raise


def _open_closed_streams():
    """Give a stream that was closed (``>&-``) to nobody; else a file would get its number, and what is printed with it."""
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            break
        os.set_inheritable(number, True)
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, 'w' if number else 'r', closefd=False))


def _use_utf8():
    """Have names of files, and all that is printed, in UTF-8, whatever the locale says.

    MXNet and OpenCV take names in UTF-8 alone, and a locale such as C would make them unreadable.
    Python decides about it when it starts, so it starts again. ``PYTHONIOENCODING`` still says how
    to print; a character that it does not have is printed as its number.
    """
    if sys.getfilesystemencoding().lower().replace('-', '') != 'utf8' and not sys.flags.utf8_mode:
        with open('/proc/self/cmdline', 'rb') as file:
            arguments = file.read().split(b'\0')[1:-1]
        os.environ['PYTHONUTF8'] = '1'  # for the processes that this one starts
        os.execv(sys.executable, [sys.executable, '-X', 'utf8', *arguments])
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')
    for argument in sys.argv[1:]:
        if any('\ud800' <= character <= '\udfff' for character in argument):
            fail(
                f'the argument {repr(os.fsencode(argument))[1:]} is not UTF-8: rename the '
                'file or folder'
            )


def _end_on_signals():
    def end(number, frame):
        _end_by_default()
        raise Ended(number)

    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP, and that stays so
            signal.signal(number, end)
    os.register_at_fork(after_in_child=_end_by_default)


def _end_by_default():
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def outlive_readers():
    """Go on when nobody reads the output any more: a long run is worth more than its last lines."""
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        stream.flush()
        raw = _Enduring(stream.fileno(), 'w', closefd=False)
        setattr(
            sys,
            name,
            io.TextIOWrapper(
                io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True
            ),
        )


class _Enduring(io.FileIO):
    def write(self, data):
        try:
            return super().write(data)
        except OSError:  # the reader has gone, or the terminal, or the disk of the file is full
            return len(data)


def _leave_the_job(error):
    """End at once: MXNet's parameter server would wait for the other parts of the job at an ordinary exit."""
    if not isinstance(error, SystemExit):
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    status = error.code if isinstance(error, SystemExit) else 1
    os._exit(status if isinstance(status, int) else int(bool(status)))


def _run(main):
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        fail(error)
    except ModuleNotFoundError as error:
        fail(
            f'the package {error.name} is missing here: use the environment that "make demo" makes '
            '(.venv/bin/python), or install requirements.txt with Python 3.8 to 3.11'
        )
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing is left to say.
        _discard(sys.stdout)
        raise SystemExit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _discard(sys.stdout)  # it may be what is full
        fail(describe(error))
    except Ended as error:
        tell(f'stopped by {error}')
        raise SystemExit(128 + error.number)
    except KeyboardInterrupt:
        tell('interrupted')
        raise SystemExit(130)


def _discard(stream):
    """Send what is left in a stream nowhere, or the interpreter's own flush at exit would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
