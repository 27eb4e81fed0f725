"""Mistakes a user can make, and how every script reports them."""
import os
import sys
import traceback
import unicodedata

STATUS = 2  # exit status of a run that ended on a UserError, the one argparse uses too


class UserError(Exception):
    """A mistake that the user can put right.

    The message is one sentence that says what is wrong and what to do about it.
    """


def printable(text):
    """Return a text with each character that could steer a terminal written as its number.

    Names of files and classes come from anywhere: one may move the cursor, clear the screen, or turn the direction
    of writing. Letters of every script stay as they are.
    """
    return ''.join(_number(letter) if _steers(letter) else letter for letter in str(text))


def _steers(letter):
    # Control characters, halves of characters (bytes that are not UTF-8), ends of lines, directions of writing.
    return (unicodedata.category(letter) in ('Cc', 'Cs', 'Zl', 'Zp')
            or '\u202a' <= letter <= '\u202e' or '\u2066' <= letter <= '\u2069')


def _number(letter):
    return letter.encode('unicode_escape').decode('ascii')


def fail(message):
    """Print ``message`` on stderr and leave with status 2."""
    said = printable(' '.join(str(message).split()))
    sys.stderr.write('%s: error: %s\n' % (os.path.basename(sys.argv[0]) or 'python', said))
    raise SystemExit(STATUS)


def describe(error):
    """Return an ``OSError`` as one sentence: what failed, where, and what to look at."""
    where = ' (%s)' % error.filename if error.filename else ''
    return '%s%s; check the path, its permissions and the space left on the disk' % (
        error.strerror or error, where)


def run(main):
    """Call ``main()`` and turn the errors a user can make into one line and status 2."""
    try:
        _run(main)
    except BaseException as error:
        if 'DMLC_ROLE' in os.environ:
            _leave_the_job(error)
        raise


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
        fail('the package %s is missing here: use the environment that "make demo" makes (.venv/bin/python), '
             'or install requirements.txt with Python 3.8 to 3.11' % error.name)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing is left to say, and the
        # interpreter's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1)
    except OSError as error:
        fail(describe(error))
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
        raise SystemExit(130)
