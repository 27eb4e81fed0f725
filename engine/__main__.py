"""Run one of MXNet's own tools, prepared for this machine: python -m engine mxnet.tools.im2rec."""

import runpy
import sys

from engine import mx
from system.errors import UserError
from system.script import run_main


def main():
    if len(sys.argv) < 2:
        raise UserError('name a module of MXNet, for example mxnet.tools.im2rec')
    del sys.argv[0]
    mx.nd  # noqa: B018 -- the first use of MXNet prepares and imports it
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    run_main(main)
