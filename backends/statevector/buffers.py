"""Large arrays of one step, kept for the next: asking the system for them again would cost as much as a few gates."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch

#: What is worth keeping, and the most that is kept, in bytes and per thread.
LEAST, MOST = 2**17, 2**28


class _Shelf(threading.local):
    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []


_shelf = _Shelf()


class Buffers:
    """Arrays in use until this object is gone: one-dimensional, of one dtype, not initialised."""

    def __init__(self, count: int, length: int, dtype: Any) -> None:
        self.arrays = tuple(_take(length, np.dtype(dtype)) for _ in range(count))

    def __del__(self) -> None:
        if _shelf is None:  # the interpreter ends, and has taken the module's names away
            return
        kept = [array for array in self.arrays if array.nbytes >= LEAST]
        if sum(array.nbytes for array in kept) <= MOST:
            # The newest stay: the next step asks for their sizes.
            _shelf.arrays = [*kept, *_shelf.arrays]
            while sum(array.nbytes for array in _shelf.arrays) > MOST or len(_shelf.arrays) > 6:
                _shelf.arrays.pop()


def _take(length: int, dtype: np.dtype) -> np.ndarray:
    for place, array in enumerate(_shelf.arrays):
        if array.size == length and array.dtype == dtype:
            return _shelf.arrays.pop(place)
    if length * dtype.itemsize >= LEAST:
        _shelf.arrays.clear()  # other sizes: give them back before more is asked for
    return torch.empty(length * dtype.itemsize, dtype=torch.uint8, device="cpu").numpy().view(dtype)  # aligned
