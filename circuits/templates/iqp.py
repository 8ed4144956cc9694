"""IQP encoding: features on qubits, products of features between them."""

from __future__ import annotations

from circuits.angles import inputs
from circuits.circuit import Circuit
from circuits.gates import RZ, RZZ, H
from circuits.templates._checks import check_count
from circuits.templates._pairs import Pairs, entangled_pairs


def iqp(n_qubits: int, n_layers: int = 1, pairs: Pairs | None = None) -> Circuit:
    """Return ``[prod_ij RZZ(x_i x_j) prod_i RZ(x_i) H^n]^L`` (Havlíček et al., arXiv:1804.11326).

    As PennyLane's IQPEmbedding; diagonal gates between Hadamards are the instantaneous quantum polynomial circuits of
    Bremner, Jozsa and Shepherd (arXiv:1005.1407). With one layer, outcome probabilities are flat: layers or an ansatz
    must follow.

    Parameters
    ----------
    n_qubits : int
        Number of qubits and of features, in radians.
    n_layers : int
        L, how often the encoding is repeated ("reps").
    pairs : sequence of (int, int), optional
        Which products enter; every pair i < j if not given.

    Returns
    -------
    Circuit
        n_inputs = n_qubits, n_weights = 0.

    Raises
    ------
    ValueError
        If a count is less than 1 or a pair is not two different qubits in range.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    coupled = entangled_pairs("pairs", "full" if pairs is None else pairs, n_qubits)
    x = inputs(n_qubits)
    hadamards, single = [H(q) for q in range(n_qubits)], [RZ(x[q], q) for q in range(n_qubits)]
    layer = [*hadamards, *single, *(RZZ(x[i] * x[j], i, j) for i, j in coupled)]
    return Circuit(n_qubits, layer * n_layers, n_inputs=n_qubits)
