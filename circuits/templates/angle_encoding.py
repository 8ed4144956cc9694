"""Angle encoding: one feature per qubit."""

from __future__ import annotations

from circuits.angles import inputs
from circuits.circuit import Circuit
from circuits.gates import TABLE
from circuits.templates._checks import AXES, check_choice, check_count


def angle_encoding(n_qubits: int, rotation: str = "X") -> Circuit:
    """Return ``⊗_i R_P(x_i) |0>``, one rotation per feature (LaRose and Coyle, arXiv:2003.01695).

    As PennyLane's AngleEmbedding: ``rotation="Z"`` alone only adds phases, so put Hadamards before it. The source
    writes ``cos(x_i)|0> + sin(x_i)|1>``, which is ``rotation="Y"`` at twice the feature.

    Parameters
    ----------
    n_qubits : int
        Number of qubits and of features, each an angle in radians.
    rotation : {"X", "Y", "Z"}
        Axis P of the rotations.

    Returns
    -------
    Circuit
        n_inputs = n_qubits, n_weights = 0.

    Raises
    ------
    ValueError
        If ``n_qubits`` is less than 1 or ``rotation`` is another name.
    """
    check_count("n_qubits", n_qubits)
    check_choice("rotation", rotation, AXES)
    gate = TABLE[f"R{rotation}"]
    return Circuit(n_qubits, [gate(x, q) for q, x in enumerate(inputs(n_qubits))], n_inputs=n_qubits)
