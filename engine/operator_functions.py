"""Has MXNet make the Python function of an operator when it is first called.

While MXNet is imported, it writes the code of a function for each of its operators in each of
several modules, and has Python compile it. That takes much of the time of the import, and a run
calls few of these functions. Here each has a stand-in, at whose first call MXNet makes it.
"""

import contextlib
import functools
import sys


@contextlib.contextmanager
def made_when_called():
    """Have the functions made late if MXNet is imported while this context lasts."""
    sys.meta_path.insert(0, _Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(_Finder)


class _Finder:
    """Finds no module, but is asked for each, and so can change MXNet in the midst of its import.

    ``mxnet.base`` has the two functions that fill modules with operators. It is imported before
    ``mxnet.ndarray``, whose import is the first to call them.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'mxnet.ndarray':
            base = sys.modules['mxnet.base']
            base._init_op_module = _with_stand_ins(base._init_op_module)
            base._init_np_op_module = _with_stand_ins(base._init_np_op_module)


def _with_stand_ins(fill):
    """Return MXNet's function that fills modules, with stand-ins instead of what it would make."""

    @functools.wraps(fill)
    def filled(*args, **kwargs):
        if 'make_op_func' in kwargs:
            return fill(*args, **dict(kwargs, make_op_func=_late(kwargs['make_op_func'])))
        return fill(*args[:-1], _late(args[-1]))

    return filled


def _late(make):
    """Return a function like ``make``, which is MXNet's for one operator, that makes a stand-in."""

    def make_stand_in(handle, operator, name):
        made = functools.cache(lambda: make(handle, operator, name))

        def stand_in(*args, **kwargs):
            return made()(*args, **kwargs)

        stand_in.__name__ = stand_in.__qualname__ = name
        stand_in.__doc__ = f'The operator {operator}: see the reference of MXNet 1.9.1.'
        return stand_in

    return make_stand_in
