"""How every script starts and ends: standard streams, signals, messages and exit status."""

import errno
import io
import os
import signal
import sys
import traceback

from system.completion import answer_shell
from system.errors import UserError, describe, discard, fail, fail_for_missing_package, tell

# Signals of a closed terminal or SSH connection, and of batch systems before they kill a job.
ENDING = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Ended(KeyboardInterrupt):
    """A signal of ``ENDING`` has come; ``number`` is the number of the signal."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def run_main(main):
    """Call ``main()`` and turn what it raises into a message and an exit status.

    An error that the user can correct is printed as one line, with exit status 2. A signal ends
    ``main`` by an exception, so that it can clean up; then one line is printed, and the status is
    128 + n. Any character can be printed, and the standard streams may be closed.
    """
    _open_closed_streams()
    _use_utf8()
    _end_on_signals()
    answer_shell()
    try:
        _run(main)
    except BaseException as error:
        if 'DMLC_ROLE' in os.environ:
            _exit_at_once(error)
        raise


def _open_closed_streams():
    """Open the standard streams that the shell has closed (``>&-``) on /dev/null.

    Otherwise the next file that is opened would get the number of the stream, and whatever is
    printed would be written into it.
    """
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
    """Use UTF-8 for file names and for output, whatever the locale is.

    MXNet and OpenCV accept file names in UTF-8 only, which Python cannot decode in a locale such as
    C. Python chooses the encoding at its start, so this restarts it. ``PYTHONIOENCODING`` still
    decides the encoding of the output; characters that it lacks are printed as escapes.
    """
    if sys.getfilesystemencoding().lower().replace('-', '') != 'utf8' and not sys.flags.utf8_mode:
        os.environ['PYTHONUTF8'] = '1'  # for the processes that this one starts
        os.execv(sys.executable, [sys.executable, '-X', 'utf8', *sys.orig_argv[1:]])
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
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, end)
    os.register_at_fork(after_in_child=_end_by_default)


def _end_by_default():
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def outlive_readers():
    """Ignore errors in writing to stdout and stderr, so that a long run survives its terminal."""
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        stream.flush()
        raw = _IgnoringErrors(stream.fileno(), 'w', closefd=False)
        setattr(
            sys,
            name,
            io.TextIOWrapper(
                io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True
            ),
        )


class _IgnoringErrors(io.FileIO):
    def write(self, data):
        try:
            return super().write(data)
        except OSError:  # the reader or the terminal is closed, or the disk is full
            return len(data)


def _exit_at_once(error):
    """Exit without Python's clean-up, in which MXNet would wait for the other processes of the job.

    ``launch.py`` ends those once this one has failed.
    """
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
        fail_for_missing_package(error.name)
    except BrokenPipeError:
        # The reader of the output, such as head or less, is closed.
        discard(sys.stdout)
        raise SystemExit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            discard(sys.stdout)  # it may go to the full disk
        fail(describe(error))
    except Ended as error:
        tell(f'stopped by {error}')
        raise SystemExit(128 + error.number)
    except KeyboardInterrupt:
        tell('interrupted')
        raise SystemExit(130)
