"""Single qubits side by side: the features enter each of them anew in every layer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from circuits.angles import inputs, weights
from circuits.circuit import Circuit
from circuits.gates import CZ, RX, RY, RZ, H, Op
from circuits.templates._checks import check_count
from circuits.templates._pairs import ring


def single_qubit_reuploading(n_qubits: int, n_layers: int, n_features: int = 3, entangle: bool = False) -> Circuit:
    """Return ``⊗_q L_Lq … L_1q H``, ``L_lq = RX(θ_lq) RZ(x_3) RY(x_2) RZ(x_1)``: SVQC of Hsiao et al., arXiv:2203.14348.

    Qubits do not interact: each is a point on the Bloch sphere that is turned, and <Z> of all has a closed form
    (``qml.SingleQubits``). Every qubit gets all features in every layer; in the first they all reach the same state, so
    that with one layer every <Z_q> is ``cos θ_q z(x) + sin θ_q y(x)`` of the same two functions. More than three
    features go on with RZ, RY, RZ and so forth, which is our reading.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        L, how often the features are uploaded ("reps").
    n_features : int
        Length of x, in radians: the paper has the arctan of what an agent observes.
    entangle : bool
        Whether CZ on neighbours in a ring follow the features of every layer, before its RX: a control, not the
        paper's. (After RX the last ones would do nothing to <Z>.)

    Returns
    -------
    Circuit
        n_inputs = n_features; the weights θ have shape (n_layers, n_qubits), in radians.

    Raises
    ------
    ValueError
        If a count is less than 1.
    """
    for name, value in (("n_qubits", n_qubits), ("n_layers", n_layers), ("n_features", n_features)):
        check_count(name, value)
    layers = [
        [
            _upload(n_qubits, n_features),
            [CZ(*pair) for pair in ring(n_qubits) if entangle],
            map(RX, angles, range(n_qubits)),
        ]
        for angles in weights(n_layers, n_qubits)
    ]
    return Circuit(n_qubits, [map(H, range(n_qubits)), layers], n_features, n_layers * n_qubits)


def _upload(n_qubits: int, n_features: int) -> Iterator[Op]:
    for feature, rotation in zip(inputs(n_features), cycle((RZ, RY, RZ)), strict=False):
        yield from (rotation(feature, q) for q in range(n_qubits))
