"""The IQP ansatz of natural language processing: Hadamards, and trained CRZ in a chain."""

from __future__ import annotations

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CRZ, H
from circuits.templates._checks import check_count
from circuits.templates._pairs import linear


def iqp_ansatz(n_qubits: int, n_layers: int = 1) -> Circuit:
    """Return ``[prod_i CRZ(w_li) H^n]^L``, CRZ with control i+1 and target i (Harvey et al., arXiv:2308.07865).

    Its angles are weights; :func:`iqp` has features for angles.

    Parameters
    ----------
    n_qubits : int
        At least 2.
    n_layers : int
        L, how often the layer is repeated ("reps").

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_layers, n_qubits - 1), radians.

    Raises
    ------
    ValueError
        If ``n_qubits`` is less than 2 or ``n_layers`` less than 1.
    """
    check_count("n_qubits", n_qubits, least=2)
    check_count("n_layers", n_layers)
    hadamards = [H(q) for q in range(n_qubits)]
    layers = [
        (hadamards, [CRZ(angle, j, i) for (i, j), angle in zip(linear(n_qubits), layer, strict=True)])
        for layer in weights(n_layers, n_qubits - 1)
    ]
    return Circuit(n_qubits, layers, n_weights=n_layers * (n_qubits - 1))
