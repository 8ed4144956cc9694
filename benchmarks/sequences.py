"""A training step of a quantum recurrent network: ours, and PennyLane's TorchLayer inside the same loop."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import report, speed
from benchmarks.contestants import Contestant
from benchmarks.workloads import Gates, Workload

STEPS, QUBITS, LAYERS, BATCH = 20, 4, 2, 32
CONTESTANTS = (
    Contestant("QRNN", "sequence_qrnn", "hybridqml"),
    Contestant("PennyLane TorchLayer", "sequence_torch_layer", "pennylane"),
)
NOTES = f"""\
Milliseconds of one training step of a QRNN with one feature and {QUBITS - 1} hidden entries on {QUBITS} qubits \
(arXiv:2211.02612), over {STEPS} steps of {BATCH} sequences: forward and backward with gradients of weights and \
inputs, in float32; median, quartiles in brackets, and how many times as long as ours. PennyLane's TorchLayer on \
default.qubit, by backpropagation and with the batch broadcast, is called in the same loop over the steps. Both take \
turns, each in a process of its own that sleeps while the other runs; outputs and gradients agree to \
{speed.TOLERANCE:.0e} of the largest entry.
"""


class Sequence(Workload):
    """A circuit that runs on every step of a sequence; its readouts are the hidden entries of the next step."""

    def data(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return features (STEPS, batch, 1) and weights (n_weights,)."""
        rng = np.random.default_rng(seed)
        return rng.uniform(-1, 1, (STEPS, self.batch, 1)), rng.uniform(-np.pi, np.pi, self.n_weights)


def qrnn(n: int, layers: int, batch: int) -> Sequence:
    """The block of ``circuits.templates.recurrent_block``: x[q] is arctan(v_q), x[n + q] is arctan(v_q²)."""
    gates: Gates = []
    for q in range(n):
        gates += [("H", (q,), None), ("RY", (q,), ("x", q)), ("RZ", (q,), ("x", n + q))]
    for layer in range(layers):
        gates += [("CNOT", (q, (q + distance) % n), None) for distance in (1, 2) for q in range(n)]
        slots = ((q, name, 3 * (layer * n + q) + k) for q in range(n) for k, name in enumerate(("RZ", "RY", "RZ")))
        gates += [(name, (q,), ("w", number)) for q, name, number in slots]
    return Sequence(f"qrnn{n}x{layers}_{STEPS}_steps_b{batch}", n, gates, 3 * n * layers, tuple(range(n - 1)), batch)


def run(options: argparse.Namespace) -> str:
    """Measure, write ``sequences.json`` and ``sequences.md`` and return the latter."""
    facts = report.environment()
    data = {"environment": facts, **speed.compare([qrnn(QUBITS, LAYERS, BATCH)], CONTESTANTS, options, "cpu")}
    text = "\n".join((NOTES, speed.table(data["rows"]), speed.versions(data), report.bullets(facts)))
    report.save(options.out, "sequences", data, text)
    return text
