"""Compiled passes kept on the disk: fresh after any change of their sources, safe between processes.

Numba's own cache looks at the file of a function alone, not at those of the functions it calls, gives numbers to its
files that two processes may both take, and fails where it cannot write.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

#: Files that the passes are made of.
SOURCES = tuple(
    Path(__file__).with_name(name) for name in ("kinds.py", "lanes.py", "kernels.py", "turns.py", "sweeps.py")
)

#: Set once a function was not found on the disk, and is compiled.
compiling = threading.Event()


def kept(function: Callable[..., None]) -> Any:
    """Compile a function, once on this machine; in every process where nothing can be written."""
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    try:
        compiled._cache = _Cache(function)
    except RuntimeError:  # no folder to write to
        compiling.set()
    return compiled


class _Files(IndexDataCacheFile):
    """Files named by what they hold."""

    def save(self, key: Any, data: Any) -> None:
        name = self._data_name(int(_digest(repr(key).encode())[:12], 16))
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})


class _Cache(FunctionCache):
    """A cache of functions that is fresh only where all their sources are as they were."""

    def __init__(self, function: Callable[..., None]) -> None:
        super().__init__(function)
        own = self._impl.locator.get_source_stamp()
        stamp = own, _digest(b"".join(path.read_bytes() for path in SOURCES))
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super().load_overload(sig, target_context)
        if found is None:
            compiling.set()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk is no reason to fail
            super().save_overload(sig, data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
