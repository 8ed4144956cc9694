"""Tables in Markdown, the environment they were measured in, and files written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import timing

PACKAGES = ("hybridqml", "torch", "numpy", "numba", "llvmlite")
SEED = 0


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def environment(*packages: str) -> dict[str, str]:
    """Return what the figures depend on, with the versions of further packages."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": str(timing.cores()),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in (*PACKAGES, *packages)},
        "seed of the data": str(SEED),
    }


def bullets(facts: dict[str, str]) -> str:
    """Return the environment as a list."""
    return "".join(f"- {name}: {value}\n" for name, value in facts.items())


def save(folder: Path, name: str, data: dict[str, Any], text: str) -> None:
    """Write ``name.json`` and ``name.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{name}.json", json.dumps(data, indent=1) + "\n")
    _write(folder / f"{name}.md", text)


def milliseconds(value: float) -> str:
    """Return a time to three digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def ratio(value: float) -> str:
    """Return a ratio to two digits."""
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    part.replace(path)


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
