"""Checks of arguments that several modules share; an error says what it got, what it expected and what to do."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch

from circuits.checks import whole

__all__ = ["generator", "real", "whole"]


def generator(seed: int | None) -> torch.Generator | None:
    """Return a generator of its own for a seed, or None for torch's."""
    return None if seed is None else torch.Generator().manual_seed(seed)


def real(name: str, value: Any, least: float = -math.inf) -> float:
    """Return a finite number of at least ``least``, or raise ValueError."""
    found = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(found) and found >= least):
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"got {name}={value!r}, expected a finite number{bound}")
    return found
