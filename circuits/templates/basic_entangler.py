"""Basic entangler: one rotation per qubit and a ring of CX."""

from __future__ import annotations

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CX, TABLE
from circuits.templates._checks import AXES, check_choice, check_count
from circuits.templates._pairs import ring


def basic_entangler(n_qubits: int, n_layers: int, rotation: str = "X") -> Circuit:
    """Return ``prod_l CX_ring prod_i R_P(w_li)``: PennyLane's BasicEntanglerLayers (Bergholm et al., arXiv:1811.04968).

    The ring is CX(0, 1), CX(1, 2), …, CX(n-1, 0); two qubits have one CX, one qubit none.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        Number of layers ("reps").
    rotation : {"X", "Y", "Z"}
        Axis P of the rotations.

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_layers, n_qubits), radians.

    Raises
    ------
    ValueError
        If a count is less than 1 or ``rotation`` is another name.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    check_choice("rotation", rotation, AXES)
    gate = TABLE[f"R{rotation}"]
    entangler = [CX(*pair) for pair in ring(n_qubits)]
    layers = [[gate(angle, q) for q, angle in enumerate(w)] + entangler for w in weights(n_layers, n_qubits)]
    return Circuit(n_qubits, layers, n_weights=n_layers * n_qubits)
