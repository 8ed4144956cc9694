"""Repeated timing of a step, and its median and quartiles; the standard library alone, for any interpreter."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Between two turns, so that threads which still spin after their work have gone to sleep (up to 0.2 s in OpenMP).
PAUSE = 0.25


def once(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the milliseconds that a call took, and its result."""
    start = time.perf_counter()
    result = function()
    return 1e3 * (time.perf_counter() - start), result


def repeated(step: Callable[[], Any], seconds: float) -> list[float]:
    """Return the milliseconds of as many steps as fit into ``seconds``, at least one."""
    times = [once(step)[0]]
    while sum(times) < 1e3 * seconds:
        times.append(once(step)[0])
    return times


def in_turn(
    measures: Mapping[str, Callable[[float], list[float]]], rounds: int, seconds: float, pause: float = PAUSE
) -> dict[str, list[float]]:
    """Return the times of every contestant, measured in alternation so that drift of the machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            time.sleep(pause)
            times[name] += measure(seconds / rounds)
    return times


def summary(times: Sequence[float]) -> dict[str, float]:
    """Return median and quartiles in milliseconds, and the number of repeats."""
    low, median, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [times[0]] * 3
    return {"median_ms": median, "q1_ms": low, "q3_ms": high, "repeats": len(times)}
