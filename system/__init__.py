"""What has nothing to do with networks: errors, files, processes, signals, progress.

Every script imports this package, which installs an exception hook for the time of the imports: a
required package that is not installed is reported in one sentence, without a traceback, whichever
file imports it, and so is Ctrl-C.
"""

import os
import sys

from system.errors import fail_for_missing_package, tell

REQUIRED_PACKAGES = (
    'cv2',
    'fastjsonschema',
    'graphviz',
    'matplotlib',
    'mxnet',
    'numpy',
    'PIL',
    'scipy',
    'tabulate',
    'tqdm',
)


def _report(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        tell('interrupted')
        os._exit(130)  # a hook cannot choose the status otherwise
    if issubclass(kind, ModuleNotFoundError) and error.name in REQUIRED_PACKAGES:
        fail_for_missing_package(error.name)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _report
