# PYTHON_ARGCOMPLETE_OK
"""``python -m symbols`` runs study/show_network.py, which prints and draws networks."""

import os
import runpy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

runpy.run_path(os.path.join(ROOT, 'study', 'show_network.py'), run_name='__main__')
