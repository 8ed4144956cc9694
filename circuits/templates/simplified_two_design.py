"""Simplified two-design: RY and CZ in bricks, the circuit of the barren-plateau studies."""

from __future__ import annotations

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CZ, RY
from circuits.templates._checks import check_count
from circuits.templates._pairs import brick


def simplified_two_design(n_qubits: int, n_layers: int) -> Circuit:
    """Return ``[prod_bricks (RY⊗RY) CZ]^L RY^n``, even then odd pairs in a layer (Cerezo et al., arXiv:2001.00550).

    As PennyLane's SimplifiedTwoDesign; imitates a random unitary's first two moments, but is no exact two-design.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        L, number of layers ("reps").

    Returns
    -------
    Circuit
        n_inputs = 0; first n_qubits weights for the initial RY, then weights of shape (n_layers, n_qubits - 1, 2) for
        the pairs (0, 1), (2, 3), …, (1, 2), (3, 4), …; radians.

    Raises
    ------
    ValueError
        If a count is less than 1.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    pairs = brick(n_qubits) * n_layers
    w = weights(n_qubits + 2 * len(pairs))
    first, rest = w[:n_qubits], w[n_qubits:].reshape(-1, 2)
    initial = [RY(first[q], q) for q in range(n_qubits)]
    blocks = [(CZ(i, j), RY(a, i), RY(b, j)) for (i, j), (a, b) in zip(pairs, rest, strict=True)]
    return Circuit(n_qubits, [initial, blocks], n_weights=len(w))
