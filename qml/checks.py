"""Checks of arguments that several modules share; an error says what it got, what it expected and what to do."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import torch


def generator(seed: int | None) -> torch.Generator | None:
    """Return a generator of its own for a seed, or None for torch's."""
    return None if seed is None else torch.Generator().manual_seed(seed)


def whole(name: str, value: Any, least: int) -> int:
    """Return a whole number of at least ``least``, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"got {name}={value!r}, expected a whole number of at least {least}")
    return int(value)


def real(name: str, value: Any, least: float = -math.inf) -> float:
    """Return a finite number of at least ``least``, or raise ValueError."""
    found = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(found) and found >= least):
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"got {name}={value!r}, expected a finite number{bound}")
    return found
