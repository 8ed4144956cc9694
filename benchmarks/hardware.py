"""Steps with shots: seconds, and what is handed in for them, ours and the peers' own way on the same machines."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks import report, timing
from benchmarks.adapters._hardware import COUNTS, DEVICE, SHOTS
from benchmarks.contestants import HARDWARE, Contestant, Process, WorkerError
from benchmarks.speed import Turns
from benchmarks.workloads import COUNTED, TIMED, Workload

MACHINES = {
    "aer": f"Aer, noise of {DEVICE}",
    "fake": f"fake device {DEVICE}",
    "lightning": "lightning.qubit, no noise",
}
PACKAGES = ("qiskit", "qiskit-aer", "qiskit-ibm-runtime", "pennylane", "pennylane_lightning")
PATIENCE = 1800.0  # seconds for a step
TOLERANCE = 1.5  # standard errors, root mean square over all entries
NOTES = f"""\
One training step, forward and backward with gradients of the weights, with {SHOTS} shots, of a circuit of \
{COUNTED.n_qubits} qubits and {COUNTED.n_weights} weights that reads Z of every qubit. On each machine ours and a peer \
that submits its own way (`benchmarks/adapters/hardware_*`) run the same circuit, transpiled in the same way. Aer runs \
circuits on all cores for both; the fake device runs one after the other for the peer, as it comes, and on all cores \
for ours.

- circuits: what the simulator runs, each row of parameters once in each basis of measurement
- PUBs: pieces that are handed in, each a circuit with its rows of parameters: PUBs of an estimator, circuits of a run \
of Aer, tapes of PennyLane
- jobs: calls that hand them in; on a device every one queues
- transpiles: circuits that go through a pass manager; ours are kept on disk, and the disk was empty

Outputs and gradients agree with ours within shot noise: the last column of the first table is the root mean square of \
their differences in standard errors, at most {TOLERANCE}; these are upper bounds, so that 1 is no expectation.
"""


def compare(contestants: Mapping[str, Sequence[Contestant]], options: argparse.Namespace) -> dict[str, Any]:
    """Return the measurements of all installed contestants on all machines."""
    everyone = {who for each in contestants.values() for who in each}
    versions = {who: version for who in everyone if (version := who.version)}
    machines = track(contestants.items(), "measuring", transient=True)
    present = [(machine, [who for who in each if who in versions]) for machine, each in machines]
    return {
        "versions": {who.name: f"{who.package} {version}" for who, version in versions.items()},
        "absent": sorted({who.name for who in everyone - versions.keys()}),
        "rows": [row for machine, each in present for row in measure(machine, each, options)],
    }


def measure(machine: str, contestants: Sequence[Contestant], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the first step of the counted workload, and later ones of the timed workload, of every contestant."""
    with TemporaryDirectory() as cache, ExitStack() as stack:
        runs = {
            who.name: stack.enter_context(Process(who.module, who.python, patience=PATIENCE, XDG_CACHE_HOME=cache))
            for who in contestants
        }
        first = begin(COUNTED, runs, machine)
        later = race(TIMED, runs, machine, options)
    return [{"machine": machine, "name": name, "first": first[name], "later": later[name]} for name in runs]


def race(
    workload: Workload, runs: Mapping[str, Process], machine: str, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Return times and counts of a step after the first; those that fail give their reason instead."""
    cells = begin(workload, runs, machine)
    turns = {name: Turns(runs[name]) for name, cell in cells.items() if "failed" not in cell}
    for name, times in timing.in_turn(turns, options.rounds, options.seconds).items():
        cells[name] |= turns[name].outcome(times)
        if "failed" not in cells[name]:
            cells[name]["counts"] = {k: n / len(times) for k, n in runs[name].call("counts").items()}
    return cells


def begin(workload: Workload, runs: Mapping[str, Process], machine: str) -> dict[str, dict[str, Any]]:
    """Return time and counts of every contestant's first step, and its distance from the first contestant."""
    cells = {name: _first(workload, process, machine) for name, process in runs.items()}
    found = {name: cell.pop("results") for name, cell in cells.items() if "results" in cell}
    for name, distance in agree(found, workload.batch).items():
        cells[name]["distance"] = distance
    return cells


def _first(workload: Workload, process: Process, machine: str) -> dict[str, Any]:
    try:
        reply = process.prepare(workload, *workload.data(report.SEED), device=machine)
        return {"seconds": reply["first_ms"] / 1e3, "results": reply["results"], "counts": process.call("counts")}
    except WorkerError as error:
        return {"failed": str(error)}


def agree(results: Mapping[str, Mapping[str, list]], batch: int) -> dict[str, float]:
    """Return the distance of each contestant from the first, in standard errors.

    A value of Z has at most the variance 1/shots, half the difference of two 1/(2 shots). The variance of a gradient
    of the mean is at most that over the batch, whatever the correlation of the outputs of one sample.

    Raises
    ------
    RuntimeError
        If outputs or gradients of two contestants differ by more than shots explain.
    """
    errors = {"outputs": math.sqrt(2 / SHOTS), "weight gradients": math.sqrt(1 / (SHOTS * batch))}
    first = next(iter(results), None)
    distances = {}
    for name, theirs in results.items():
        found = {what: _distance(results[first][what], theirs[what], errors[what]) for what in errors}
        distances[name] = max(found.values())
        for what, distance in found.items():
            if not distance <= TOLERANCE:
                raise RuntimeError(
                    f"got {what} of {first} and {name} that differ by {distance:.1f} standard errors, expected at most "
                    f"{TOLERANCE}: one of them is wrong, compare both with backends.Aer without shots"
                )
    return distances


def _distance(ours: list, theirs: list, error: float) -> float:
    a, b = np.array(ours), np.array(theirs)
    return float(np.sqrt(np.mean((a - b) ** 2)) / error) if a.shape == b.shape else math.inf


def first_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return seconds and counts of first steps as Markdown, with how many times ours they are."""
    head = ["", "", "seconds", *COUNTS, "PUBs, × ours", "differs by"]
    return report.table(head, [_line(row, _ours(rows, row), "first", _seconds, _pubs, _differs) for row in rows])


def later_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return seconds and counts of later steps as Markdown, with how many times as long as ours they take."""
    head = ["", "", "seconds", *COUNTS, "time, × ours"]
    return report.table(head, [_line(row, _ours(rows, row), "later", _quartiles, _slower) for row in rows])


def _ours(rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(other for other in rows if other["machine"] == row["machine"])


def _line(row: Mapping[str, Any], ours: Mapping[str, Any], when: str, seconds: Any, *more: Any) -> list[str]:
    names, cell = [MACHINES[row["machine"]], row["name"]], row[when]
    if "failed" in cell or "failed" in ours[when]:
        return [*names, *["–"] * (1 + len(COUNTS) + len(more))]
    counts = [f"{cell['counts'][name]:,.4g}" if cell["counts"][name] < 1000 else f"{cell['counts'][name]:,.0f}"
              for name in COUNTS]  # fmt: skip
    return [*names, seconds(cell), *counts, *(column(cell, ours[when]) for column in more)]


def _seconds(cell: Mapping[str, Any]) -> str:
    return f"{cell['seconds']:.3g}"


def _quartiles(cell: Mapping[str, Any]) -> str:
    low, median, high = (f"{cell[key] / 1e3:.3g}" for key in ("q1_ms", "median_ms", "q3_ms"))
    return f"**{median}** ({low} to {high})"


def _pubs(cell: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    return report.ratio(cell["counts"]["pubs"] / ours["counts"]["pubs"])


def _slower(cell: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    return f"{report.ratio(cell['median_ms'] / ours['median_ms'])}×"


def _differs(cell: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    return f"{cell['distance']:.2f}"


def remarks(data: Mapping[str, Any]) -> str:
    """Return versions, who is missing, and why."""
    absent = [f"Not installed: {', '.join(data['absent'])}; `make bench-peers` installs all."] if data["absent"] else []
    failed = [
        f"{row['name']} on {MACHINES[row['machine']]}: {row[when]['failed']}."
        for row in data["rows"]
        for when in ("first", "later")
        if "failed" in row[when]
    ]
    versions = [f"{name}: {version}" for name, version in sorted(data["versions"].items())]
    return "".join(f"- {line}\n" for line in [*absent, *failed, *versions])


def run(options: argparse.Namespace, contestants: Mapping[str, Sequence[Contestant]] = HARDWARE) -> str:
    """Measure, write ``hardware.json`` and ``hardware.md`` and return the latter."""
    facts = report.environment(*PACKAGES)
    data = {"environment": facts, **compare(contestants, options)}
    parts = (
        NOTES,
        f"The first step of {COUNTED.batch} samples, once, with building and transpiling the circuit:\n",
        first_table(data["rows"]),
        f"A later step of {TIMED.batch} samples, median and quartiles, contestants in turn:\n",
        later_table(data["rows"]),
        remarks(data),
        report.bullets(facts),
    )
    text = "\n".join(parts)
    report.save(options.out, "hardware", data, text)
    return text
