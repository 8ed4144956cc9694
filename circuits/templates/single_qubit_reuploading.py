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
    """Return ``⊗_q L_Lq … L_1q H``, ``L_lq = RX(θ_lq) RZ(x_3) RY(x_2) RZ(x_1)``, the SVQC of arXiv:2203.14348.

    Qubits do not interact: each is a point on the Bloch sphere that is turned, and <Z> of all has a closed form
    (``qml.SingleQubits``). Three features enter every qubit in every layer. More features are dealt, three at a time,
    to the qubits in turn, see :func:`dealt`, which is our reading. Qubits with the same features reach the same state
    before RX: with one layer ``<Z_q> = cos θ_q z(x) + sin θ_q y(x)`` of the same two functions.

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
    entanglers = [CZ(*pair) for pair in ring(n_qubits)] if entangle else []
    layers = [
        [_upload(n_qubits, n_features), entanglers, map(RX, angles, range(n_qubits))]
        for angles in weights(n_layers, n_qubits)
    ]
    return Circuit(n_qubits, [map(H, range(n_qubits)), layers], n_features, n_layers * n_qubits)


def dealt(n_qubits: int, n_features: int) -> list[list[int]]:
    """Return which features enter each qubit, in order: by threes in turn, until all are out and each qubit has some.

    >>> dealt(4, 6), dealt(2, 8)
    ([[0, 1, 2], [3, 4, 5], [0, 1, 2], [3, 4, 5]], [[0, 1, 2, 6, 7], [3, 4, 5]])
    """
    threes = [list(range(n_features)[i : i + 3]) for i in range(0, n_features, 3)]
    hands: list[list[int]] = [[] for _ in range(n_qubits)]
    for turn in range(max(len(threes), n_qubits)):
        hands[turn % n_qubits] += threes[turn % len(threes)]
    return hands


def _upload(n_qubits: int, n_features: int) -> Iterator[Op]:
    x = inputs(n_features)
    for qubit, features in enumerate(dealt(n_qubits, n_features)):
        yield from (turn(x[i], qubit) for i, turn in zip(features, cycle((RZ, RY, RZ)), strict=False))
