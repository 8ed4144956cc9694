"""Classical counterparts, one file each, with one function ``build``; the folder listing is the list of names."""

from __future__ import annotations

import pkgutil


def names() -> list[str]:
    """Return the names of the baselines, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
