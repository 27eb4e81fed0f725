"""Completion of options in bash and zsh by the package argcomplete, where it is installed.

The shell starts a script to ask it what the words may become. argcomplete only asks scripts that
have the word PYTHON_ARGCOMPLETE_OK at their beginning.
"""

import argparse
import os

ASKED = '_ARGCOMPLETE'  # variable that the shell's side of argcomplete sets


def answer_shell():
    """If the shell asks for completions, have the script's parser give them instead of parsing.

    The parser is made later, in the script's ``parse_args``, so this changes what parsing does.
    After the answer the process ends: nothing is trained, and MXNet is not imported.
    """
    if ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ModuleNotFoundError:  # the shell's argcomplete is that of another environment
        raise SystemExit(1)
    parse = argparse.ArgumentParser.parse_known_args

    def answer(parser, *_):
        argparse.ArgumentParser.parse_known_args = parse  # argcomplete itself parses the words
        argcomplete.autocomplete(parser)

    argparse.ArgumentParser.parse_known_args = answer
