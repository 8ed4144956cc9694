"""Ours and the installed peers in turn on the same data, after checking that all agree."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks import report, timing
from benchmarks.contestants import OURS, PEERS, Contestant, Process, WorkerError
from benchmarks.workloads import LAYER, WORKLOADS, Workload

TOLERANCE = 1e-3  # of the largest entry: float32 sums over a million amplitudes, added one by one in some libraries
NOTES = """\
Milliseconds of one training step, forward and backward with gradients of weights and inputs, in float32: median, \
quartiles in brackets, and how many times as long as ours. All contestants run in turn, each in a process of its own \
that sleeps while others run; their outputs and gradients agree to {tolerance:.0e} of the largest entry. Peers are \
driven in the fastest way found (`benchmarks/adapters`): most read the qubits out of the final state, which is several \
times faster than their own expectation values.
"""
LEFT_OUT = "qiskit-machine-learning is left out: a step of qcnn8_b64 takes it 27 s."


def compare(
    workloads: Sequence[Workload], contestants: Sequence[Contestant], options: argparse.Namespace, device: str
) -> dict[str, Any]:
    """Return the measurements of all installed contestants on all workloads."""
    versions = {who: who.version for who in contestants}
    present = [who for who, version in versions.items() if version]
    with ExitStack() as stack:
        runs = {who: stack.enter_context(Process(who.module, who.python)) for who in present}
        steps = track(workloads, "measuring", transient=True)
        rows = [race(workload, runs, options.rounds, options.seconds, device) for workload in steps]
    return {
        "versions": {who.name: f"{who.package} {versions[who]}" for who in present},
        "absent": [who.name for who in contestants if who not in present],
        "rows": rows,
    }


def race(
    workload: Workload, runs: Mapping[Contestant, Process], rounds: int, seconds: float, device: str = "cpu"
) -> dict[str, Any]:
    """Return the times of every contestant on one workload; those that fail give their reason instead."""
    cells: dict[str, dict[str, Any]] = {}
    ready = {}
    for who, process in runs.items():
        try:
            cells[who.name] = start(workload, who, process, device)
            ready[who.name] = process
        except WorkerError as error:
            cells[who.name] = {"failed": str(error)}
    errors = agree({name: cells[name].pop("results") for name in ready})
    turns = {name: Turns(process) for name, process in ready.items()}
    for name, times in timing.in_turn(turns, rounds, seconds).items():
        cells[name] |= {"error": errors[name], **turns[name].outcome(times)}
    return {"workload": workload.name, "cells": cells}


def start(workload: Workload, who: Contestant, process: Process, device: str) -> dict[str, Any]:
    """Return time and results of a contestant's first step.

    Raises
    ------
    WorkerError
        If it fails, or is known to be too slow.
    """
    if workload.amplitudes > who.largest:
        raise WorkerError("left out: a step takes it many seconds")
    return process.prepare(workload, *workload.data(report.SEED), device=device)


class Turns:
    """The turns of one contestant; remembers how many cores it kept busy, and why it failed if it did."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.cores: list[float] = []
        self.failed = ""

    def __call__(self, seconds: float) -> list[float]:
        try:
            measured = {} if self.failed else self.process.call("measure", seconds=seconds)
        except WorkerError as error:
            measured, self.failed = {}, str(error)
        self.cores.append(measured.get("cores", 0.0))
        return measured.get("times_ms", [])

    def outcome(self, times: list[float]) -> dict[str, Any]:
        """Return summary and cores of all turns, or why there is none."""
        return {"failed": self.failed} if self.failed else {**timing.summary(times), "cores": max(self.cores)}


def agree(results: Mapping[str, Mapping[str, list]]) -> dict[str, float]:
    """Return the largest relative difference of each contestant from the first.

    Raises
    ------
    RuntimeError
        If outputs or gradients of two contestants differ.
    """
    first = next(iter(results), None)
    errors = {}
    for name, theirs in results.items():
        found = {what: _difference(results[first][what], theirs[what]) for what in theirs}
        errors[name] = max(found.values())
        for what, error in found.items():
            if not error <= TOLERANCE:
                raise RuntimeError(
                    f"got {what} of {first} and {name} that differ by {error:.1e}, expected at most {TOLERANCE:.0e}: "
                    "one of them is wrong, compare both with tests/dense.py"
                )
    return errors


def _difference(ours: list, theirs: list) -> float:
    a, b = np.array(ours), np.array(theirs)
    if a.shape != b.shape:
        return math.inf
    return float(np.abs(a - b).max() / np.abs(a).max())


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the times as Markdown, one line for each contestant."""
    names = list(rows[0]["cells"])
    head = ["", *(row["workload"] for row in rows)]
    return report.table(head, [[name, *(_cell(row["cells"], name) for row in rows)] for name in names])


def _cell(cells: Mapping[str, Mapping[str, Any]], name: str) -> str:
    cell, ours = cells[name], next(iter(cells.values()))
    if "failed" in cell:
        return "–"
    low, median, high = (report.milliseconds(cell[key]) for key in ("q1_ms", "median_ms", "q3_ms"))
    ratio = "" if "failed" in ours else f" {report.ratio(cell['median_ms'] / ours['median_ms'])}×"
    return f"**{median}** ({low} to {high}){ratio}"


def first_calls(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the times of first calls, in seconds, as Markdown."""
    names = list(rows[0]["cells"])
    seconds = [[f"{row['cells'][n]['first_ms'] / 1e3:.2f}" if "first_ms" in row["cells"][n] else "–" for row in rows]
               for n in names]  # fmt: skip
    return report.table(
        ["", *(row["workload"] for row in rows)], [[n, *s] for n, s in zip(names, seconds, strict=True)]
    )


def versions(data: Mapping[str, Any]) -> str:
    """Return versions and threads as Markdown."""
    rows = []
    for name, version in data["versions"].items():
        cells = [row["cells"][name] for row in data["rows"] if "cores" in row["cells"][name]]
        threads = ", ".join(sorted({str(cell["threads"]) for cell in cells}))
        cores, error = (max((cell[key] for cell in cells), default=0.0) for key in ("cores", "error"))
        rows.append([name, version, threads, f"{cores:.1f}", f"{error:.0e}"])
    return report.table(["", "version", "threads", "cores busy, at most", "differs from the first by, at most"], rows)


def remarks(data: Mapping[str, Any]) -> str:
    """Return who is missing, and why."""
    absent = [f"Not installed: {', '.join(data['absent'])}; `make bench-peers` installs all."] if data["absent"] else []
    failed = [
        f"{name} on {row['workload']}: {cell['failed']}."
        for row in data["rows"]
        for name, cell in row["cells"].items()
        if "failed" in cell
    ]
    return "".join(f"- {line}\n" for line in [*absent, *failed, LEFT_OUT])


def run(
    options: argparse.Namespace,
    name: str = "speed",
    contestants: Sequence[Contestant] = (OURS, *PEERS),
    device: str = "cpu",
    more: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Measure, write ``name.json`` and ``name.md`` and return the latter."""
    facts = {**report.environment(), **more}
    chosen = [w for w in (*WORKLOADS, LAYER) if w.name in options.workloads]
    data = {"environment": facts, **compare(chosen, contestants, options, device)}
    parts = (
        NOTES.format(tolerance=TOLERANCE),
        table(data["rows"]),
        "Seconds of the first call, with building the circuit and compiling, without importing the library.\n",
        first_calls(data["rows"]),
        versions(data),
        remarks(data),
        report.bullets(facts),
    )
    text = "\n".join(parts)
    report.save(options.out, name, data, text)
    return text
