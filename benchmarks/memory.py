"""Ours: peak memory of a step, in state vectors: linear in the batch, constant in the depth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from rich.progress import track

from benchmarks import report
from benchmarks.contestants import OURS, Process
from benchmarks.workloads import hardware_efficient

QUBITS, BATCHES, DEPTHS = (16, 20, 22), (1, 2, 4, 8), (2, 8, 32)
WARM_UP = hardware_efficient(14, 1, 1)  # loads what every step of such a circuit needs
NOTES = """\
Peak memory of a training step of a hardware-efficient circuit, ours, complex64: by how much the process grows beyond \
what it held before, in a fresh process for each line, and the same divided by batch × 2^n × 8 bytes, the size of the \
state vectors. A step allocates all its buffers anew here; otherwise they are kept for the next one. The first step of \
a circuit also makes its plan, which is kept and grows with the number of gates. A megabyte of other allocations \
counts as two states at 16 qubits and as nothing at 22.
"""


def cases(largest: int) -> list[tuple[int, int, int]]:
    """Return (qubits, layers, batch): all batches at the least depth, and all depths at batch 1."""
    shapes = [*((DEPTHS[0], batch) for batch in BATCHES), *((depth, 1) for depth in DEPTHS[1:])]
    return [(n, depth, batch) for n in QUBITS if n <= largest for depth, batch in shapes]


def measure(n_qubits: int, n_layers: int, batch: int) -> dict[str, int]:
    """Return by how many bytes a fresh process grows in its first step, and in one more."""
    workload = hardware_efficient(n_qubits, n_layers, batch)
    with Process(OURS.module, MALLOC_MMAP_THRESHOLD_="65536") as process:  # freed buffers go back at once
        process.prepare(WARM_UP, *WARM_UP.data(report.SEED))
        x, w = (array.tolist() for array in workload.data(report.SEED))
        grown = process.call("peak", workload=asdict(workload), x=x, w=w)
    return {"n_qubits": n_qubits, "n_layers": n_layers, "batch": batch, **grown}


def states_per_sample(row: dict[str, int]) -> float:
    """Return the bytes of a step as a multiple of the state vectors of the batch."""
    return row["step"] / (row["batch"] * 2 ** row["n_qubits"] * 8)


def table(rows: Sequence[dict[str, int]]) -> str:
    """Return the figures as Markdown."""
    head = ["qubits", "layers", "batch", "first step, MB", "step, MB", "state vectors per sample"]
    sizes = [[str(r[key]) for key in ("n_qubits", "n_layers", "batch")] for r in rows]
    figures = [[f"{r['first'] / 1e6:,.1f}", f"{r['step'] / 1e6:,.1f}", f"{states_per_sample(r):.2f}"] for r in rows]
    return report.table(head, [a + b for a, b in zip(sizes, figures, strict=True)])


def run(options: argparse.Namespace) -> str:
    """Measure, write ``memory.json`` and ``memory.md`` and return the latter."""
    facts, sizes = report.environment(), cases(options.largest)
    rows = [measure(*size) for size in track(sizes, "measuring", transient=True)]
    text = "\n".join((NOTES, table(rows), report.bullets(facts)))
    report.save(options.out, "memory", {"environment": facts, "rows": rows}, text)
    return text
