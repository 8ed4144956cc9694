"""The circuit of a quantum fast weight programmer: another network sets its angles, anew for every sample."""

from __future__ import annotations

from circuits.angles import inputs
from circuits.circuit import Circuit
from circuits.gates import CX, RY, H
from circuits.templates._checks import check_count
from circuits.templates._pairs import brick


def fast_weight_circuit(n_qubits: int, n_layers: int, n_features: int | None = None) -> Circuit:
    """Return ``prod_l [prod_i RY(θ_li) CX_brick] prod_j RY(x_j) H^n``, the fast programmer of Chen (arXiv:2402.17760).

    Feature j enters on qubit j: with one feature, qubit 0 alone gets data. The brick is CX(0, 1), CX(2, 3), …,
    CX(1, 2), CX(3, 4), … The angles θ are not trained but given with every sample, as the features are.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        Number of layers ("reps").
    n_features : int, optional
        Length of x, at most n_qubits; n_qubits if not given.

    Returns
    -------
    Circuit
        n_inputs = n_features + n_layers * n_qubits: first x, then θ of shape (n_layers, n_qubits), in radians;
        n_weights = 0.

    Raises
    ------
    ValueError
        If a count is out of range.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    n_features = n_qubits if n_features is None else n_features
    check_count("n_features", n_features, most=n_qubits)
    angles = inputs(n_features + n_layers * n_qubits)
    x, theta = angles[:n_features], angles[n_features:].reshape(n_layers, n_qubits)
    encoding = [H(q) for q in range(n_qubits)], [RY(angle, q) for q, angle in enumerate(x)]
    entangler = [CX(*pair) for pair in brick(n_qubits)]
    layers = [(entangler, [RY(angle, q) for q, angle in enumerate(layer)]) for layer in theta]
    return Circuit(n_qubits, [encoding, layers], n_inputs=len(angles))
