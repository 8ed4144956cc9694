"""Two-qubit blocks that QCNNs and tensor networks repeat; each is a circuit, so your own fits as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CRY, CRZ, CX, RX, RXX, RY, RYY, RZZ, Op


def xyx(angles: np.ndarray, qubit: int) -> tuple[Op, Op, Op]:
    """Return ``RX(c) RY(b) RX(a)``, a acting first: any one-qubit unitary, by Euler's theorem.

    About X, Y and X, no angle is lost on a qubit that starts in |0> or is measured along Z.
    """
    a, b, c = angles
    return RX(a, qubit), RY(b, qubit), RX(c, qubit)


def _su4() -> Circuit:
    w = weights(5, 3)
    coupling = RXX(w[2, 0], 0, 1), RYY(w[2, 1], 0, 1), RZZ(w[2, 2], 0, 1)
    return Circuit(2, (xyx(w[0], 0), xyx(w[1], 1), coupling, xyx(w[3], 0), xyx(w[4], 1)), n_weights=15)


def _ry_cx() -> Circuit:
    w = weights(2)
    return Circuit(2, (RY(w[0], 0), RY(w[1], 1), CX(0, 1)), n_weights=2)


def _controlled_rot() -> Circuit:
    w = weights(3)
    return Circuit(2, (CRZ(w[0], 0, 1), CRY(w[1], 0, 1), CRZ(w[2], 0, 1)), n_weights=3)


#: Any two-qubit unitary: ``(C⊗D) exp(-i(aXX + bYY + cZZ)/2) (A⊗B)`` with Euler angles about X, Y, X for A to D;
#: 15 weights, the fewest possible (Vatan and Williams, arXiv:quant-ph/0308006).
SU4 = _su4()

#: The real block ``CX (RY⊗RY)`` of Grant et al. (arXiv:1804.03680); 2 weights.
RY_CX = _ry_cx()

#: Any unitary of determinant 1 on qubit 1, controlled by qubit 0: PennyLane's CRot; 3 weights.
CONTROLLED_ROT = _controlled_rot()


def check_block(name: str, block: Any) -> None:
    """Raise ValueError unless ``block`` is a circuit on two qubits without features."""
    if not isinstance(block, Circuit):
        raise ValueError(f"got {name}={block!r}, expected a Circuit on 2 qubits: circuits.templates.SU4, for example")
    if block.n_qubits != 2 or block.n_inputs:
        raise ValueError(
            f"got {name} on {block.n_qubits} qubits with {block.n_inputs} features, expected 2 qubits and no features: "
            "Circuit(2, [...], n_weights=...)"
        )


def place(block: Circuit, qubits: tuple[int, int], first_weight: int) -> Iterator[Op]:
    """Yield the operations of a block on the given qubits, its w[j] read from w[first_weight + j]."""
    for op in block.shift(weights=first_weight).ops:
        yield Op(op.gate, tuple(qubits[q] for q in op.qubits), op.angles)


def place_each(block: Circuit, pairs: Sequence[tuple[int, int]], first_weight: int = 0) -> Iterator[Op]:
    """Yield the operations of one block per pair, each with weights of its own."""
    for i, pair in enumerate(pairs):
        yield from place(block, pair, first_weight + i * block.n_weights)
