"""The circuits measured: gates as (name, qubits, slot), slot None, ("x", i) or ("w", j): any library can read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Floating-point operations per amplitude and general one-qubit gate, forward and back: 14 to apply it, as many to undo
#: it on each of two states, and 16 for the three real numbers that its gradient needs.
FLOPS = 58

Gates = list[tuple[str, tuple[int, ...], tuple[str, int] | None]]


@dataclass(frozen=True)
class Workload:
    """A circuit, the qubits whose Z is read, and a batch size."""

    name: str
    n_qubits: int
    gates: Gates
    n_weights: int
    readout: tuple[int, ...]
    batch: int

    def data(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (batch, n_qubits) and weights (n_weights,), uniform on [-π, π)."""
        rng = np.random.default_rng(seed)
        return rng.uniform(-np.pi, np.pi, (self.batch, self.n_qubits)), rng.uniform(-np.pi, np.pi, self.n_weights)

    @property
    def amplitudes(self) -> int:
        """Amplitudes of the whole batch."""
        return self.batch * 2**self.n_qubits

    @property
    def fused_gates(self) -> int:
        """General one-qubit gates left when every run of one-qubit gates on a qubit is multiplied out."""
        count, running = 0, set()
        for _, qubits, _ in self.gates:
            if len(qubits) > 1:
                running -= set(qubits)
            elif qubits[0] not in running:
                count += 1
                running.add(qubits[0])
        return count

    @property
    def flops(self) -> int:
        """Floating-point operations of a step, forward and back."""
        return self.fused_gates * self.amplitudes * FLOPS


def from_json(fields: dict[str, Any]) -> Workload:
    """Return the workload whose fields went through JSON, which turns tuples into lists."""
    gates = [(name, tuple(qubits), tuple(slot) if slot else None) for name, qubits, slot in fields["gates"]]
    return Workload(**{**fields, "gates": gates, "readout": tuple(fields["readout"])})


class _Builder:
    def __init__(self) -> None:
        self.gates: Gates = []
        self.n_weights = 0

    def weight(self, name: str, qubit: int) -> None:
        self.gates.append((name, (qubit,), ("w", self.n_weights)))
        self.n_weights += 1

    def encode(self, name: str, n: int) -> None:
        self.gates += [(name, (q,), ("x", q)) for q in range(n)]

    def cnot(self, control: int, target: int) -> None:
        self.gates.append(("CNOT", (control, target), None))


def reupload(n: int, layers: int, batch: int) -> Workload:
    """Layers of RX(x), RY(w), RZ(w) and a ring of CNOTs."""
    b = _Builder()
    for _ in range(layers):
        b.encode("RX", n)
        for q in range(n):
            b.weight("RY", q)
            b.weight("RZ", q)
        for q in range(n):
            b.cnot(q, (q + 1) % n)
    return Workload(f"reupload{n}x{layers}_b{batch}", n, b.gates, b.n_weights, tuple(range(n)), batch)


def hardware_efficient(n: int, layers: int, batch: int) -> Workload:
    """RX(x), then layers of RY(w), RZ(w) and a chain of CNOTs."""
    b = _Builder()
    b.encode("RX", n)
    for _ in range(layers):
        for q in range(n):
            b.weight("RY", q)
            b.weight("RZ", q)
        for q in range(n - 1):
            b.cnot(q, q + 1)
    return Workload(f"hea{n}x{layers}_b{batch}", n, b.gates, b.n_weights, tuple(range(n)), batch)


def qcnn(n: int, batch: int) -> Workload:
    """RY(x), then convolution and pooling with shared weights down to one qubit; n a power of two."""
    b = _Builder()
    b.encode("RY", n)
    live = list(range(n))
    while len(live) > 1:
        starts = [*range(0, len(live), 2), *(range(1, len(live), 2) if len(live) > 2 else ())]
        for a, c in ((live[i], live[(i + 1) % len(live)]) for i in starts):
            _block(b, a, c, final=True)
        b.n_weights += 4
        for a, c in zip(live[::2], live[1::2], strict=True):
            _block(b, a, c, final=False)
        b.n_weights += 3
        live = live[1::2]
    return Workload(f"qcnn{n}_b{batch}", n, b.gates, b.n_weights, (live[0],), batch)


def _block(b: _Builder, a: int, c: int, final: bool) -> None:
    w = b.n_weights
    if final:
        b.gates.append(("RZ", (c,), ("w", w)))
        w += 1
    b.cnot(c, a)
    b.gates += [("RZ", (a,), ("w", w)), ("RY", (c,), ("w", w + 1))]
    b.cnot(a, c)
    b.gates.append(("RY", (c,), ("w", w + 2)))
    if final:
        b.cnot(c, a)


WORKLOADS = (
    reupload(4, 6, 128),
    qcnn(8, 64),
    hardware_efficient(12, 4, 32),
    hardware_efficient(16, 4, 8),
    hardware_efficient(20, 2, 1),
)

#: One sample through a small layer: what a call costs before any amplitude is touched.
LAYER = reupload(4, 2, 1)

#: A step of 24 weights with shots: counted on a batch of 32, timed on one of 8, which takes a peer seconds already.
COUNTED, TIMED = hardware_efficient(4, 3, 32), hardware_efficient(4, 3, 8)
