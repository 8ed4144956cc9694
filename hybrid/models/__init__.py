"""Published hybrid models, one file each, with one function ``build``.

Those beside this file take samples of flat features and can stand in every comparison: the folder listing is the list
of their names. Those in the folders are built for the data of their papers' experiments.
"""

from __future__ import annotations

import pkgutil


def names() -> list[str]:
    """Return the names of the hybrid models that take flat features, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
