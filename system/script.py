"""How every script begins and ends: its streams, the signals that end it, and what it says then."""

import errno
import io
import os
import signal
import sys
import traceback

from system.errors import UserError, describe, discard, fail, fail_for_missing_package, tell

# A closed terminal or SSH connection, and what batch systems send before they kill a job.
ENDING = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C's asks the process to end; ``number`` is the signal's."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def run_main(main):
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
        fail_for_missing_package(error.name)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing is left to say.
        discard(sys.stdout)
        raise SystemExit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            discard(sys.stdout)  # it may be what is full
        fail(describe(error))
    except Ended as error:
        tell(f'stopped by {error}')
        raise SystemExit(128 + error.number)
    except KeyboardInterrupt:
        tell('interrupted')
        raise SystemExit(130)
