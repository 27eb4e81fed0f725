"""What has nothing to do with networks: errors, files, processes, signals, progress.

Every script imports something from here first, so this is where it is settled what a missing
package looks like, whichever file asks for it: one sentence, and no traceback.
"""

import sys

NEEDED = ('cv2', 'fastjsonschema', 'matplotlib', 'mxnet', 'numpy', 'PIL', 'scipy', 'tqdm')


def _say_what_is_missing(kind, error, trace):
    if issubclass(kind, ModuleNotFoundError) and error.name in NEEDED:
        from system.errors import fail_for_missing_package

        fail_for_missing_package(error.name)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _say_what_is_missing
