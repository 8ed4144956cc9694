"""Circuit 9 of Sim, Johnson and Aspuru-Guzik's comparison: Hadamards, CZ in a chain, RX."""

from __future__ import annotations

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CZ, RX, H
from circuits.templates._checks import check_count
from circuits.templates._pairs import linear


def sim9(n_qubits: int, n_layers: int = 1) -> Circuit:
    """Return ``[⊗_q RX(w_lq) prod_q CZ(q, q+1) H^n]^L``, circuit 9 of Sim et al. (arXiv:1905.10876).

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        L, how often the layer is repeated ("reps").

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_layers, n_qubits), radians.

    Raises
    ------
    ValueError
        If a count is less than 1.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    fixed = [*(H(q) for q in range(n_qubits)), *(CZ(*pair) for pair in linear(n_qubits))]
    layers = [(fixed, [RX(angle, q) for q, angle in enumerate(layer)]) for layer in weights(n_layers, n_qubits)]
    return Circuit(n_qubits, layers, n_weights=n_layers * n_qubits)
