"""Arguments of the templates, checked at the border."""

from __future__ import annotations

from typing import Any

import numpy as np

AXES = ("X", "Y", "Z")


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> None:
    """Raise ValueError unless ``value`` is an integer from ``least`` to ``most``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"got {name}={value!r}, expected an integer {bounds}: pass {name}={least}, for example")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless ``value`` is one of the names."""
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"got {name}={value!r}, expected one of {known}: write the name as listed")
