"""Peak memory of a step."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def growth(step: Callable[[], Any]) -> int:
    """Return by how many bytes the memory of this process grows at most during a step."""
    before = _reset()
    step()
    return _peak() - before


def _reset() -> int:
    """Return the bytes in use; from now on the peak counts from here, where the system allows it."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    if STATUS.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
