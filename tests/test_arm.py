"""The stand-ins for the ARM Performance Libraries, linked with libraries of the machine at hand."""

import ctypes

import pytest

from engine import arm, build
from system.errors import UserError


@pytest.fixture
def linked_with(tmp_path, monkeypatch):
    """Return a function that makes the stand-in of BLAS from a library of this machine."""
    monkeypatch.setattr(build, 'BUILD', str(tmp_path / 'build'))

    def make(library):
        monkeypatch.setattr(arm, 'LIBRARIES', (library,))
        return arm._stand_in(arm.BLAS)

    return make


def test_a_stand_in_has_what_it_is_linked_with(linked_with):
    """Its functions are found through the name that the wheel asks for."""
    path = linked_with('libm.so.6')
    cosine = ctypes.CDLL(path).cos
    cosine.restype, cosine.argtypes = ctypes.c_double, [ctypes.c_double]
    assert path.endswith(arm.BLAS) and cosine(0.0) == 1.0


def test_a_missing_library_is_named(linked_with):
    with pytest.raises(UserError, match='apt-get install libopenblas0-pthread liblapacke'):
        linked_with('libnowhere.so.0')


def test_other_machines_need_none(monkeypatch):
    monkeypatch.setattr(arm, '_stand_in', lambda name: pytest.fail('made for nothing'))
    arm.preload()
