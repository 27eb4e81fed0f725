"""Run one of MXNet's own tools with MXNet prepared for this machine: python -m engine mxnet.tools.im2rec --help."""

import runpy
import sys

import engine
from system.errors import UserError, run


def main():
    if len(sys.argv) < 2:
        raise UserError('name a module of MXNet, for example mxnet.tools.im2rec')
    del sys.argv[0]
    engine.mx  # noqa: B018 -- the first use imports it
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    run(main)
