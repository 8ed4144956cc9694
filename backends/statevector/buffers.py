"""Large arrays of one step, kept for the next: asking the system for them again would cost as much as a few gates."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch

#: What is worth keeping, and the most that is kept, in bytes and per thread.
LEAST, MOST = 2**17, 2**28

#: Bytes between arrays: a multiple of 64, not one of 4096, at which stores to one would hold up loads from the next.
BETWEEN = 21 * 64


class _Shelf(threading.local):
    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []


_shelf = _Shelf()


class Buffers:
    """Arrays in use until this object is gone: one-dimensional, of one dtype, not initialised."""

    _block = np.empty(0, np.uint8)  # where there is no memory for one

    def __init__(self, count: int, length: int, dtype: Any) -> None:
        size = length * np.dtype(dtype).itemsize
        apart = -(-size // 64) * 64 + BETWEEN
        self._block = _take(count * apart)
        self.arrays = tuple(self._block[k * apart : k * apart + size].view(dtype) for k in range(count))

    def __del__(self) -> None:
        # The interpreter, where it ends, has taken the module's names away.
        if _shelf is None or not LEAST <= self._block.nbytes <= MOST:
            return
        _shelf.blocks = [self._block, *_shelf.blocks]  # the newest stay: the next step asks for their sizes
        while sum(block.nbytes for block in _shelf.blocks) > MOST or len(_shelf.blocks) > 2:
            _shelf.blocks.pop()


def _take(size: int) -> np.ndarray:
    """Return a block of so many bytes, from a multiple of 64 on."""
    for place, block in enumerate(_shelf.blocks):
        if block.nbytes == size:
            return _shelf.blocks.pop(place)
    if size >= LEAST:
        _shelf.blocks.clear()  # other sizes: give them back before more is asked for
    return torch.empty(size, dtype=torch.uint8, device="cpu").numpy()
