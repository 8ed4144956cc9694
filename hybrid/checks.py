"""What comparisons and experiments take and check alike: numbers, seeds, jobs and the output folder."""

from __future__ import annotations

import math
import tempfile
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from circuits.checks import whole


def seeds(seeds: Any) -> list[int]:
    """Return the seeds 0, 1, … of a number of seeds, or the seeds themselves."""
    try:
        chosen = list(range(seeds) if _is_whole(seeds) else seeds)
    except TypeError:
        chosen = []
    if not chosen or not all(_is_whole(seed) and 0 <= seed < 2**32 for seed in chosen):
        raise ValueError(
            f"seeds is {' '.join(repr(seeds).split())}: expected a number of seeds from 1, or a list of numbers "
            "from 0; write seeds=3 or seeds=[0, 1, 2]."
        )
    return list(dict.fromkeys(map(int, chosen)))


def jobs(jobs: Any) -> int:
    """Return a number of processes; the number of cores if None."""
    import joblib

    return joblib.cpu_count() if jobs is None else whole("jobs", jobs)


def number(name: str, number: Any) -> Any:
    """Return a real number as Python's own."""
    if not isinstance(number, Real) or isinstance(number, bool):
        raise TypeError(f"{name} is {number!r}: expected a number, such as {name}=0.1.")
    return float(number)


def positive(name: str, number: Any) -> Any:
    """Return a number that is positive and finite."""
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} is {number}: expected a positive number.")
    return number


def kind(name: str, value: Any, kind: type, expected: str) -> None:
    """Refuse a value of another type."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is of type {type(value).__name__}: expected {expected}.")


def writable(out: str | Path) -> Path:
    """Return the absolute path of an output folder that can be written to, with its folder of records."""
    out = Path(out).absolute()
    try:
        (out / "units").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out / "units"):
            return out
    except OSError as error:
        raise ValueError(f"Cannot write to the output folder {out} ({error.strerror}): choose another one.") from error


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)
