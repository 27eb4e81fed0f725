"""A training script whose workers, but for the first, are in a folder of their own, as on a machine
of their own.
"""

import os
import runpy
import sys

if os.environ['DFN_WORKER'] != '0':
    folder = 'machine-' + os.environ['DFN_WORKER']
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
