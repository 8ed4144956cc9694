"""Ours on 1, 2, 4, … cores: how a step scales, and how near it comes to what the machine can do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from rich.progress import track

from benchmarks import operations, report, roofline, timing
from benchmarks.contestants import OURS, Process
from benchmarks.speed import Turns
from benchmarks.workloads import FLOPS, WORKLOADS, Workload

#: Bytes per amplitude of a step: the state read and written on the way forward, it and its gradient on the way back.
BYTES = 48
NOTES = f"""\
Milliseconds of one training step of ours, forward and backward with gradients of weights and inputs, in float32. \
Gates are what is left when every run of one-qubit gates is multiplied out, and MFLOP counts {FLOPS} operations per \
amplitude for each; done are the operations that our kernels make of it, and GFLOP/s are those.

The roofline of a step is the longer of two times: the operations done at the machine's peak rate, and {BYTES} bytes \
per amplitude at its memory bandwidth (each state and its gradient go through memory once, forward and back; nothing \
where they fit into the last cache). Peaks are those of as many cores as the step has threads.
"""


def counts(cores: int) -> list[int]:
    """Return 1, 2, 4, … and the number of cores."""
    return sorted({2**k for k in range(cores.bit_length())} | {cores})


def measure(workload: Workload, runs: dict[int, Process], options: argparse.Namespace) -> dict[str, Any]:
    """Return the times of one workload on every number of threads, in turn."""
    for process in runs.values():
        process.prepare(workload, *workload.data(report.SEED))
    turns = {str(threads): Turns(process) for threads, process in runs.items()}
    times = timing.in_turn(turns, options.rounds, options.seconds)
    return {"workload": workload.name, "threads": {n: timing.summary(ts) for n, ts in times.items()}}


def figures(workload: Workload, milliseconds: float, peaks: dict[str, float], cache: int) -> dict[str, float]:
    """Return nanoseconds per gate and amplitude, GFLOP/s, and the share of the roofline."""
    seconds, done = milliseconds / 1e3, operations.done(workload)
    traffic = BYTES * workload.amplitudes if 2 * 8 * workload.amplitudes > cache else 0
    return {
        "ns_per_gate_and_amplitude": 1e9 * seconds / (workload.fused_gates * workload.amplitudes),
        "mflop_done": done / 1e6,
        "gflops": done / seconds / 1e9,
        "of_roofline": roofline.bound(done, traffic, peaks) / seconds,
    }


def table(workloads: Sequence[Workload], rows: Sequence[dict[str, Any]]) -> str:
    """Return times, speed-ups and figures as Markdown."""
    counted = ["gates", "MFLOP", "done", "threads"]
    measured = ["ms", "quartiles", "speed-up", "ns per gate and amplitude", "GFLOP/s", "of the roofline"]
    head = ["", *counted, *measured]
    lines = [_line(w, n, row["threads"]) for w, row in zip(workloads, rows, strict=True) for n in row["threads"]]
    return report.table(head, lines)


def _line(workload: Workload, threads: str, cells: dict[str, dict[str, float]]) -> list[str]:
    cell, name = cells[threads], workload.name if threads == "1" else ""
    counted = [str(workload.fused_gates), f"{workload.flops / 1e6:,.1f}", f"{cell['mflop_done']:,.1f}"]
    quartiles = f"{report.milliseconds(cell['q1_ms'])} to {report.milliseconds(cell['q3_ms'])}"
    speed_up = f"{cells['1']['median_ms'] / cell['median_ms']:.2f}×"
    rates = f"{cell['ns_per_gate_and_amplitude']:.3f}", f"{cell['gflops']:.1f}", f"{100 * cell['of_roofline']:.0f} %"
    return [
        name,
        *(counted if name else [""] * 3),
        threads,
        report.milliseconds(cell["median_ms"]),
        quartiles,
        speed_up,
        *rates,
    ]


def machine(peaks: dict[str, dict[str, float]]) -> str:
    """Return the machine's peaks as Markdown."""
    rows = [[n, f"{p['flops'] / 1e9:.0f}", f"{p['bytes'] / 1e9:.1f}"] for n, p in peaks.items()]
    return report.table(["cores", "peak GFLOP/s, float32", "memory GB/s"], rows)


def run(options: argparse.Namespace) -> str:
    """Measure, write ``threads.json`` and ``threads.md`` and return the latter."""
    facts = report.environment()
    numbers, chosen = counts(int(facts["cores"])), [w for w in WORKLOADS if w.name in options.workloads]
    peaks = {str(n): roofline.machine(n) for n in track(numbers, "the machine", transient=True)}
    with ExitStack() as stack:
        runs = {n: stack.enter_context(Process(OURS.module, threads=n)) for n in numbers}
        rows = [measure(workload, runs, options) for workload in track(chosen, "measuring", transient=True)]
    for workload, row in zip(chosen, rows, strict=True):
        for n, cell in row["threads"].items():
            cell |= figures(workload, cell["median_ms"], peaks[n], roofline.last_cache())
    text = "\n".join((NOTES, table(chosen, rows), machine(peaks), report.bullets(facts)))
    report.save(options.out, "threads", {"environment": facts, "machine": peaks, "rows": rows}, text)
    return text
