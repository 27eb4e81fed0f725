"""Curves, figures, tables and pages from logs.

Figures are files, so matplotlib needs no screen, and what MPLBACKEND asks for, which may not be
installed, must not be asked.
"""

import os

os.environ['MPLBACKEND'] = 'agg'
