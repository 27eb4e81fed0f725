"""Names that NumPy dropped and MXNet 1.9.1 asks for while it is imported.

Most are for functions of ``mxnet.numpy`` that fall back on NumPy's and that this project does not
use. They stand in NumPy's namespace during the import alone, so that other users of NumPy in the
process see it as it is.
"""

import contextlib

import numpy


def _never_called(*args, **kwargs):
    raise NotImplementedError('NumPy has no financial functions since version 1.20')


# Each dropped name, and what it meant.
RESTORED = {
    'bool': bool,
    'trapz': getattr(numpy, 'trapezoid', None),
    **dict.fromkeys(('Inf', 'infty', 'PINF', 'Infinity'), numpy.inf),
    'NINF': -numpy.inf,
    'PZERO': 0.0,
    'NZERO': -0.0,
    **dict.fromkeys(('NaN', 'NAN'), numpy.nan),
    'product': numpy.prod,
    'cumproduct': numpy.cumprod,
    'sometrue': numpy.any,
    'alltrue': numpy.all,
    'round_': numpy.round,
    'in1d': numpy.isin,
    'msort': lambda a: numpy.sort(a, axis=0),
    'row_stack': numpy.vstack,
    'float_': numpy.float64,
    'complex_': numpy.complex128,
    'bool8': numpy.bool_,
    'int0': numpy.intp,
    'uint0': numpy.uintp,
    'unicode_': numpy.str_,
    'string_': numpy.bytes_,
    'asfarray': numpy.asarray,
    'mat': numpy.asmatrix,
    'find_common_type': numpy.result_type,
    **dict.fromkeys(('mirr', 'npv', 'pmt', 'ppmt', 'pv', 'rate'), _never_called),
}


@contextlib.contextmanager
def restored():
    """Give NumPy the names that it lacks while this context lasts, for MXNet's import."""
    missing = [name for name in RESTORED if name not in dir(numpy)]
    for name in missing:
        setattr(numpy, name, RESTORED[name])
    try:
        yield
    finally:
        for name in missing:
            delattr(numpy, name)
