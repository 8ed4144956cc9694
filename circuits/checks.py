"""The check of whole numbers, for all floors; an error says what it got, what it expected and what to do."""

from __future__ import annotations

from numbers import Integral
from typing import Any


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return an integer from ``least`` to ``most`` as Python's own, or raise ValueError."""
    found = isinstance(value, Integral) and not isinstance(value, bool)
    if not found or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"got {name}={value!r}, expected an integer {bounds}: pass {name}={least}, for example")
    return int(value)
