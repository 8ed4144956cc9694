"""Ours: the first call of a circuit, with building it and compiling its program."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from typing import Any

from rich.progress import track

from benchmarks import report
from benchmarks.contestants import OURS, Process
from benchmarks.workloads import WORKLOADS, Workload

NOTES = """\
Milliseconds of the first training step of a circuit, ours, with building the circuit and the layer and compiling its \
program, without importing the packages: in a process that has run other circuits before (median), and as the first \
one of a process, with the compiled kernels of an earlier process on disk. A later step is in the last column.
"""
EMPTY = "With no compiled kernels on disk, as after installation, {name} takes {seconds:.1f} s the first time.\n"


def calls(workloads: Sequence[Workload], seconds: float, **environment: str) -> dict[str, dict[str, float]]:
    """Return first call and median of later ones in a process that runs the workloads in this order."""
    with Process(OURS.module, **environment) as process:
        return {workload.name: _call(process, workload, seconds) for workload in workloads}


def _call(process: Process, workload: Workload, seconds: float) -> dict[str, float]:
    first = process.prepare(workload, *workload.data(report.SEED))["first_ms"]
    later = process.call("measure", seconds=seconds)["times_ms"]
    return {"first_ms": first, "later_ms": statistics.median(later)}


def rotations(workloads: Sequence[Workload]) -> list[list[Workload]]:
    """Return as many orders as there are workloads: each comes first once."""
    return [[*workloads[k:], *workloads[:k]] for k in range(len(workloads))]


def row(name: str, processes: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return the figures of one workload; each process holds its workloads in the order they ran."""
    fresh = next(p[name]["first_ms"] for p in processes if next(iter(p)) == name)
    warm = [p[name]["first_ms"] for p in processes if next(iter(p)) != name]
    later = statistics.median(p[name]["later_ms"] for p in processes)
    return {"workload": name, "warm_ms": statistics.median(warm or [fresh]), "fresh_ms": fresh, "later_ms": later}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the figures as Markdown."""
    head = ["", "new circuit, warm process", "new circuit, fresh process", "later steps"]
    keys = ("warm_ms", "fresh_ms", "later_ms")
    return report.table(head, [[r["workload"], *(report.milliseconds(r[key]) for key in keys)] for r in rows])


def run(options: argparse.Namespace) -> str:
    """Measure, write ``first.json`` and ``first.md`` and return the latter."""
    facts = report.environment()
    chosen = [w for w in WORKLOADS if w.name in options.workloads]
    with tempfile.TemporaryDirectory() as folder:
        empty = calls(chosen[:1], 0, NUMBA_CACHE_DIR=folder)[chosen[0].name]["first_ms"]
    calls(chosen, 0)  # leaves the compiled kernels on disk
    orders = track(rotations(chosen), "measuring", transient=True)
    processes = [calls(order, options.seconds / len(chosen)) for order in orders]
    rows = [row(workload.name, processes) for workload in chosen]
    line = EMPTY.format(name=chosen[0].name, seconds=empty / 1e3)
    text = "\n".join((NOTES, table(rows), line, report.bullets(facts)))
    report.save(options.out, "first", {"environment": facts, "empty_cache_ms": empty, "rows": rows}, text)
    return text
