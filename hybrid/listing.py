"""Lists for the terminal; what a folder of files holds is read from their docstrings, without an import."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType


def show(title: str, lines: Iterable[str]) -> None:
    """Print a list under its title."""
    print(f"{title}:")
    for line in lines:
        print(f"  {line}")


def summaries(package: ModuleType) -> list[str]:
    """Return a line for every file that a package names: its name, and the first line of its docstring."""
    names = package.names()
    width = max(map(len, names))
    return [f"{name:<{width}}  {_summary(package, name)}" for name in names]


def _summary(package: ModuleType, name: str) -> str:
    """Return the first line of a module's docstring without importing it (which would import torch)."""
    spec = importlib.util.find_spec(f"{package.__name__}.{name.replace('-', '_')}")
    text = ast.get_docstring(ast.parse(Path(str(spec and spec.origin)).read_text())) or ""
    return text.splitlines()[0] if text else ""
