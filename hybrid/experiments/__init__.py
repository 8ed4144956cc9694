"""Papers, one file each, with one function ``experiment``; the folder listing is the list of names."""

from __future__ import annotations

import pkgutil


def names() -> list[str]:
    """Return the names of the experiments, sorted: those of the files, with dashes."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))
