"""Arrays that wait for the next step."""

import threading

import numpy as np
import pytest

from backends.statevector import buffers
from backends.statevector.buffers import Buffers


@pytest.fixture(autouse=True)
def shelf(monkeypatch):
    """An empty shelf for arrays of any size up to 1000 bytes in all."""
    monkeypatch.setattr(buffers, "_shelf", found := buffers._Shelf())
    monkeypatch.setattr(buffers, "LEAST", 1)
    monkeypatch.setattr(buffers, "MOST", 1000)
    monkeypatch.setattr(buffers, "BETWEEN", 0)
    return found


def places(made):
    return {array.ctypes.data for array in made.arrays}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_are_as_asked_for_and_their_own(dtype):
    made = Buffers(3, 10, dtype)
    assert [(a.shape, a.dtype) for a in made.arrays] == [((10,), np.dtype(dtype))] * 3
    for k, array in enumerate(made.arrays):
        array[:] = k
    assert [set(array) for array in made.arrays] == [{0}, {1}, {2}]


def test_the_next_step_has_the_arrays_of_the_last():
    made = Buffers(2, 10, np.float32)
    last = places(made)
    assert not places(Buffers(2, 10, np.float32)) & last  # they are still in use
    del made
    assert places(Buffers(2, 10, np.float32)) == last


@pytest.mark.parametrize("length, dtype", [(20, np.float32), (10, np.float64)])
def test_arrays_of_other_sizes_are_given_back(shelf, length, dtype):
    Buffers(2, 10, np.float32)
    assert len(shelf.blocks) == 1
    made = Buffers(1, length, dtype)
    assert made.arrays[0].shape == (length,) and made.arrays[0].dtype == dtype and not shelf.blocks


def test_only_so_much_is_kept(shelf):
    Buffers(1, 251, np.float32)
    assert not shelf.blocks  # more than all that may be kept
    first, second = Buffers(1, 150, np.float32), Buffers(1, 150, np.float32)
    kept = places(second)
    del first, second
    assert {block.ctypes.data for block in shelf.blocks} == kept  # the newest


def test_arrays_lie_on_multiples_of_64_bytes_but_not_of_4096_apart(monkeypatch):
    monkeypatch.undo()
    first, second, third = (array.ctypes.data for array in Buffers(3, 2**14, np.float32).arrays)
    assert not first % 64 and not (second - first) % 64 and (second - first) % 4096 and (third - first) % 4096


def test_small_arrays_are_not_kept(shelf, monkeypatch):
    monkeypatch.setattr(buffers, "LEAST", 65)
    Buffers(1, 10, np.float32)
    assert not shelf.blocks


def test_threads_have_shelves_of_their_own(shelf):
    made = Buffers(1, 10, np.float32)
    mine, theirs = places(made), []
    del made

    def run():
        theirs.append(places(Buffers(1, 10, np.float32)))

    (thread := threading.Thread(target=run)).start()
    thread.join()
    assert len(shelf.blocks) == 1 and theirs[0] != mine


def test_arrays_that_outlive_the_names_of_the_module_say_nothing(monkeypatch):
    made = Buffers(1, 10, np.float32)
    monkeypatch.setattr(buffers, "_shelf", None)
    monkeypatch.setattr(buffers, "LEAST", None)  # what the end of the interpreter leaves of them
    del made  # an error here would be a warning, and warnings are errors
