"""Strongly entangling layers: general rotations and rings of growing range."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CX, Op, Rot
from circuits.templates._checks import check_count


def strongly_entangling(n_qubits: int, n_layers: int, ranges: Sequence[int] | None = None) -> Circuit:
    """Return ``prod_l prod_i CX(i, i + r_l) prod_i Rot(w_li)``, indices mod n (Schuld et al., arXiv:1804.00633).

    As PennyLane's StronglyEntanglingLayers. One qubit has no CX.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        Number of layers ("reps").
    ranges : sequence of int, length n_layers, optional
        Distance r_l from control to target; 1, 2, …, n_qubits - 1 and again from 1 if not given.

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_layers, n_qubits, 3), radians, in the order of ``Rot``: RZ, RY, RZ.

    Raises
    ------
    ValueError
        If a count is less than 1, or ``ranges`` has another length or a multiple of n_qubits.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    distances = [layer % max(n_qubits - 1, 1) + 1 for layer in range(n_layers)] if ranges is None else list(ranges)
    _check_ranges(distances, n_qubits, n_layers)
    layers = [
        [[Rot(a, b, c, q) for q, (a, b, c) in enumerate(w)], _ring(n_qubits, distance)]
        for w, distance in zip(weights(n_layers, n_qubits, 3), distances, strict=True)
    ]
    return Circuit(n_qubits, layers, n_weights=3 * n_qubits * n_layers)


def _ring(n_qubits: int, distance: int) -> list[Op]:
    return [CX(q, (q + distance) % n_qubits) for q in range(n_qubits) if n_qubits > 1]


def _check_ranges(ranges: list[int], n_qubits: int, n_layers: int) -> None:
    if len(ranges) != n_layers:
        raise ValueError(f"got {len(ranges)} ranges for n_layers={n_layers}, expected one per layer: leave ranges out")
    for r in ranges:
        if n_qubits > 1 and r % n_qubits == 0:
            raise ValueError(
                f"got the range {r} on {n_qubits} qubits, expected no multiple of {n_qubits}: "
                "a qubit cannot control itself, use 1"
            )
