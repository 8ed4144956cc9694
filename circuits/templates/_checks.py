"""Arguments of the templates, checked at the border."""

from __future__ import annotations

from typing import Any

from circuits.checks import whole as check_count

__all__ = ["AXES", "check_choice", "check_count"]

AXES = ("X", "Y", "Z")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless ``value`` is one of the names."""
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"got {name}={value!r}, expected one of {known}: write the name as listed")
