"""ZZ feature map: Qiskit's encoding for quantum kernels."""

from __future__ import annotations

from math import pi

from circuits.angles import inputs
from circuits.circuit import Circuit
from circuits.gates import CX, H, P
from circuits.templates._checks import check_count
from circuits.templates._pairs import Pairs, entangled_pairs


def zz_feature_map(n_qubits: int, n_layers: int = 2, entanglement: str | Pairs = "full") -> Circuit:
    """Return ``[prod_ij CX P_j(2 (π-x_i)(π-x_j)) CX prod_i P(2 x_i) H^n]^L`` (Havlíček et al., arXiv:1804.11326).

    The gates and angles of Qiskit's ``zz_feature_map``.

    Parameters
    ----------
    n_qubits : int
        Number of qubits and of features, in radians.
    n_layers : int
        L, how often the encoding is repeated ("reps").
    entanglement : {"linear", "ring", "brick", "full"} or sequence of (int, int)
        Pairs (i, j); "brick" is Qiskit's "pairwise", "ring" holds the pairs of its "circular".

    Returns
    -------
    Circuit
        n_inputs = n_qubits, n_weights = 0.

    Raises
    ------
    ValueError
        If a count is less than 1 or the entanglement is neither a known name nor pairs of qubits.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    pairs = entangled_pairs("entanglement", entanglement, n_qubits)
    x = inputs(n_qubits)
    hadamards, single = [H(q) for q in range(n_qubits)], [P(2 * x[q], q) for q in range(n_qubits)]
    coupled = [(CX(i, j), P(2 * (pi - x[i]) * (pi - x[j]), j), CX(i, j)) for i, j in pairs]
    return Circuit(n_qubits, [hadamards, single, coupled] * n_layers, n_inputs=n_qubits)
