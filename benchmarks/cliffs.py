"""Ours: every gate, readout and way to start against RX on the same qubits, to find where speed falls off a cliff."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import torch
from rich.progress import track

from benchmarks import report, timing
from circuits import (
    CRX,
    CX,
    CZ,
    RX,
    RY,
    RZZ,
    Circuit,
    Gate,
    Observable,
    Op,
    PauliRot,
    Probabilities,
    amplitudes,
    inputs,
    pauli,
    unitary,
    weights,
    z_each,
)
from circuits.gates import TABLE
from circuits.observables import Readout
from circuits.templates import iqp
from qml import QuantumLayer

LAYERS, CLIFF, N_WORDS = 4, 3.0, 50
#: Qubits and batch: odd batches, and no step of much more than a second.
SIZES = ((2, 33), (4, 7), (7, 33), (10, 3), (12, 7), (14, 3), (16, 3), (18, 1), (20, 1), (22, 1))
BASE = "RX(w)"
#: The rotation that a gate is measured against, by the number of its qubits.
ROTATIONS = {1: BASE, 2: "RXX(w)", 3: "PauliRot XYZ(w)", 4: "PauliRot XYZX(w)"}
NOTES = f"""\
Time per operation of one training step of ours (the best of all repeats), forward and backward with gradients of \
weights and inputs, in float32, relative to a rotation of as many qubits as the gate has \
({", ".join(ROTATIONS.values())}) on the same register and batch; all other rows relative to {BASE}. Each gate stands \
{LAYERS} times on every qubit and its next neighbours, after RX(x) and with a chain of CX in between. Each of the \
{N_WORDS} random words, on three of four qubits on average, is an operation too. Bold is above {CLIFF:g}×.
"""

Angles = np.ndarray
Columns = Sequence[dict[str, dict[str, float]]]  # of each size, by case
Place = Callable[[Angles, Angles, tuple[int, ...]], Any]  # features, one weight, qubits -> operations


@dataclass(frozen=True)
class Case:
    """A circuit at any width, and how it is read and called."""

    name: str
    circuit: Callable[[int], Circuit]
    readout: Callable[[int], Readout] = z_each
    least: int = 1  # qubits
    most: int = 99
    weights_per_sample: bool = False
    base: str = BASE  # what it is measured against
    n_words: int = 0  # that count as operations


def template(n: int, place: Place, size: int) -> Circuit:
    """Return RX(x), then layers of a chain of CX and one operation that starts at each qubit."""
    x, w = inputs(n), weights(LAYERS, n)
    ops: list[Any] = [RX(x[q], q) for q in range(n)]
    for layer in range(LAYERS):
        ops += [CX(q, q + 1) for q in range(n - 1)]
        ops += [place(x, w[layer, q], tuple((q + k) % n for k in range(size))) for q in range(n)]
    return Circuit(n, ops, n, LAYERS * n)


def on_all_pairs(n: int, place: Place) -> Circuit:
    """Return RX(x), then RY(w) and an operation on every pair of qubits."""
    x, w, pairs = inputs(n), weights(n + n * (n - 1) // 2), list(combinations(range(n), 2))
    single = [[RX(x[q], q), RY(w[q], q)] for q in range(n)]
    return Circuit(n, [single, [place(x, w[n + k], pair) for k, pair in enumerate(pairs)]], n, len(w))


def gate_cases() -> Iterator[Case]:
    """Return every named gate; rotations by weights and by features."""
    for gate in TABLE.values():
        yield from (
            _rotations(gate.name, gate.n_qubits, partial(_apply, gate))
            if gate.n_angles
            else [_placed(gate.name, gate.n_qubits, lambda x, w, qubits, gate=gate: gate(*qubits))]
        )
    for word in ("XYZ", "XYZX"):
        yield from _rotations(f"PauliRot {word}", len(word), lambda t, qubits, word=word: PauliRot(t, word, *qubits))
    for size in (1, 2, 3):
        matrix = haar(size)
        yield _placed(f"unitary on {size}", size, lambda x, w, qubits, matrix=matrix: unitary(matrix, *qubits))


def other_cases() -> Iterator[Case]:
    """Return other circuits, readouts, and ways to start and to call."""
    yield Case("IQP on all pairs", lambda n: iqp(n, 2), least=2, most=14)
    yield Case("IQP on a chain", lambda n: iqp(n, 2, [(q, q + 1) for q in range(n - 1)]), least=2)
    yield Case("CZ on all pairs", partial(on_all_pairs, place=lambda x, w, pair: CZ(*pair)), least=2, most=14)
    yield Case("RZZ on all pairs", partial(on_all_pairs, place=lambda x, w, pair: RZZ(w, *pair)), least=2, most=14)
    yield Case("CRX on all pairs", partial(on_all_pairs, place=lambda x, w, pair: CRX(w, *pair)), least=2, most=14)
    yield Case("all probabilities", rx, lambda n: Probabilities(tuple(range(n))))
    yield Case("probabilities of two qubits", rx, lambda n: Probabilities((0, n - 1)), least=2)
    yield Case("transverse-field Ising energy", rx, lambda n: (ising(n),))
    yield Case(f"{N_WORDS} random words", rx, words, n_words=N_WORDS)
    yield Case(f"sum of {N_WORDS} random words", rx, lambda n: (sum(words(n), start=0 * pauli("")),), n_words=N_WORDS)
    yield Case("weights per sample", rx, weights_per_sample=True)
    yield Case("start from amplitudes", from_amplitudes, most=10)


def rx(n: int) -> Circuit:
    """Return what all are measured against."""
    return template(n, lambda x, w, qubits: RX(w, *qubits), 1)


def from_amplitudes(n: int) -> Circuit:
    """Return the same with features as amplitudes of the start."""
    start = Circuit(n, [amplitudes(inputs(2**n), *range(n))], 2**n)
    return start + Circuit(n, rx(n).ops[n:], 0, LAYERS * n)


def ising(n: int) -> Observable:
    """Return the energy of a chain of spins in a transverse field."""
    bonds = sum((pauli(f"Z{q} Z{q + 1}") for q in range(n - 1)), start=0 * pauli(""))
    return bonds + sum((pauli(f"X{q}") for q in range(n)), start=0 * pauli(""))


def words(n: int) -> tuple[Observable, ...]:
    """Return ``N_WORDS`` random Pauli words."""
    letters = np.random.default_rng(report.SEED).choice(list("IXYZ"), (N_WORDS, n))
    return tuple(pauli(" ".join(f"{p}{q}" for q, p in enumerate(word))) for word in letters)


def haar(n_qubits: int) -> np.ndarray:
    """Return a random unitary."""
    rng = np.random.default_rng(report.SEED)
    return np.linalg.qr(rng.normal(size=(2**n_qubits,) * 2) + 1j * rng.normal(size=(2**n_qubits,) * 2))[0]


def _placed(name: str, size: int, place: Place) -> Case:
    return Case(name, partial(template, place=place, size=size), least=size, base=ROTATIONS[size])


def _rotations(name: str, size: int, gate: Callable[[Any, tuple[int, ...]], Op]) -> list[Case]:
    return [
        _placed(f"{name}(w)", size, lambda x, w, qubits: gate(w, qubits)),
        _placed(f"{name}(x)", size, lambda x, w, qubits: gate(x[qubits[0]], qubits)),
    ]


def _apply(gate: Gate, angle: Any, qubits: tuple[int, ...]) -> Op:
    return gate(angle, *qubits)


def step(case: Case, n: int, batch: int, dtype: torch.dtype = torch.float32) -> Callable[[], Any]:
    """Return a training step of a case."""
    layer = QuantumLayer(case.circuit(n), case.readout(n), dtype=dtype)
    generator = torch.Generator().manual_seed(report.SEED)
    x = torch.rand(batch, layer.in_features, generator=generator, dtype=dtype).requires_grad_()
    rows = (batch,) if case.weights_per_sample else ()
    w = torch.rand(*rows, len(layer.weights), generator=generator, dtype=dtype).requires_grad_()
    return lambda: torch.autograd.grad(layer(x, w).square().sum(), (x, w), allow_unused=True)


def measure(n: int, batch: int, cases: Sequence[Case], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the best milliseconds of every case at one width, and microseconds per operation."""
    fitting = {case.name: case for case in cases if case.least <= n <= case.most}
    steps = {name: step(case, n, batch) for name, case in fitting.items()}
    for function in steps.values():
        function()  # compiles
    turns = {name: partial(timing.repeated, function) for name, function in steps.items()}
    times = timing.in_turn(turns, options.rounds, options.seconds, pause=0)
    best = {name: min(ts) for name, ts in times.items()}
    return {name: {"ms": t, "us_per_op": 1e3 * t / _n_operations(fitting[name], n)} for name, t in best.items()}


def _n_operations(case: Case, n: int) -> int:
    return len(case.circuit(n).ops) + case.n_words


def ratios(columns: Columns, name: str, base: str) -> list[float | None]:
    """Return by how much a case is slower per operation than another, None where it was not measured."""
    return [c[name]["us_per_op"] / c[base]["us_per_op"] if name in c else None for c in columns]


def table(columns: Columns, bases: Mapping[str, str], sizes: Sequence[tuple[int, int]]) -> str:
    """Return the ratios of all cases to their bases as Markdown, those above the limit in bold, after times of RX."""
    head = ["qubits × batch", *(f"{n} × {batch}" for n, batch in sizes)]
    first = [f"{BASE}, µs per operation", *(f"{c[BASE]['us_per_op']:,.1f}" for c in columns)]
    rows = [[name, *map(_cell, ratios(columns, name, base))] for name, base in bases.items()]
    return report.table(head, [first, *rows])


def _cell(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    return f"**{ratio:.1f}**" if ratio > CLIFF else f"{ratio:.1f}"


def cliffs(columns: Columns, bases: Mapping[str, str]) -> str:
    """Return the lines that name what is above the limit, measured against the bases and against RX."""
    found = [
        ", ".join(name for name, base in each.items() if _is_cliff(ratios(columns, name, base))) or "nothing"
        for each in (bases, dict.fromkeys(bases, BASE))
    ]
    return f"Above {CLIFF:g}× somewhere: {found[0]}.\n\nAbove {CLIFF:g}× {BASE} somewhere: {found[1]}.\n"


def _is_cliff(found: Sequence[float | None]) -> bool:
    return any(ratio is not None and ratio > CLIFF for ratio in found)


def run(options: argparse.Namespace) -> str:
    """Measure, write ``cliffs.json`` and ``cliffs.md`` and return the latter."""
    facts, cases = report.environment(), [*gate_cases(), *other_cases()]
    sizes, bases = [size for size in SIZES if size[0] <= options.largest], {case.name: case.base for case in cases}
    columns = [measure(*size, cases, options) for size in track(sizes, "measuring", transient=True)]
    parts = NOTES, table(columns, bases, sizes), cliffs(columns, bases), report.bullets(facts)
    text = "\n".join(parts)
    rows = [{"n_qubits": n, "batch": batch, "cases": c} for (n, batch), c in zip(sizes, columns, strict=True)]
    report.save(options.out, "cliffs", {"environment": facts, "rows": rows}, text)
    return text
