"""Hybrid models, classical baselines, training, comparison and the command line: the top floor.

Nothing is imported here before it is used, so that ``qml --help`` answers at once; import what you need from its own
file::

    from hybrid.data import load, split
    from hybrid.training import classifier
    from hybrid.compare import compare
    from hybrid.attacks import pgd, robust_accuracy

:func:`hybrid.audit <hybrid.auditing.audit>` is there by name: the controls of any torch model with a quantum layer.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid.auditing import audit

__all__ = ["audit"]


def __getattr__(name: str) -> Any:
    if name == "audit":
        from hybrid.auditing import audit

        return audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
