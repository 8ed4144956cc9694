"""Data re-uploading: the features enter anew in every layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from circuits.angles import inputs, weights
from circuits.circuit import Circuit
from circuits.gates import CZ, Op, Rot
from circuits.templates._checks import check_count


def data_reuploading(
    n_qubits: int, n_layers: int, n_features: int | None = None, scaling: bool = True, entangle: bool = True
) -> Circuit:
    """Return ``L_L E … E L_2 E L_1``, ``L_l = ⊗_q U(θ_lq + w_lq ∘ x)`` (Pérez-Salinas et al., arXiv:1907.02085).

    The paper's many-qubit classifier. ``U(a, b, c) = RZ(b) RY(a) RZ(c)`` is a general one-qubit unitary that takes
    three features; more features take more of them in a row, the last filled up with zeros. Every qubit gets all
    features in every layer. E is CZ on the pairs (0, 1), (2, 3), … after odd layers (the first, the third, …) and
    on (1, 2), …, (n-1, 0) after even ones; none after the last layer. The paper has 1, 2 and 4 qubits; an odd number
    leaves one qubit out of each E. The very first c of a qubit turns |0>, which changes nothing, as in the paper.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        L, how often the features are uploaded ("reps").
    n_features : int, optional
        Length of x, in radians when ``scaling`` is off; n_qubits if not given.
    scaling : bool
        Whether the w are trainable, as in the paper; otherwise w = 1, so that x is an angle in radians.
    entangle : bool
        Whether E is there; the paper has both.

    Returns
    -------
    Circuit
        n_inputs = n_features; first the weights θ of shape (n_layers, n_qubits, 3 * ceil(n_features / 3)) in radians,
        then, when scaling, w of shape (n_layers, n_qubits, n_features) in radians per unit of the feature.

    Raises
    ------
    ValueError
        If a count is less than 1.
    """
    n_features = n_qubits if n_features is None else n_features
    for name, value in (("n_qubits", n_qubits), ("n_layers", n_layers), ("n_features", n_features)):
        check_count(name, value)
    angles, n_weights = _angles(n_qubits, n_layers, n_features, scaling)
    layers: list[Any] = []
    for number, layer in enumerate(angles):
        layers += [U(a, b, c, q) for q, unitaries in enumerate(layer) for a, b, c in unitaries]
        layers += _entanglers(n_qubits, number) if entangle and number < n_layers - 1 else []
    return Circuit(n_qubits, layers, n_features, n_weights)


def U(a: Any, b: Any, c: Any, qubit: int) -> tuple[Op, Op, Op]:
    """Return the paper's ``U(a, b, c) = RZ(b) RY(a) RZ(c)``, c acting first."""
    return Rot(c, a, b, qubit)


def _angles(n_qubits: int, n_layers: int, n_features: int, scaling: bool) -> tuple[np.ndarray, int]:
    """Return the angles ``θ + w∘x``, shape (n_layers, n_qubits, unitaries, 3), and the number of weights."""
    padded = -(-n_features // 3) * 3
    sizes = n_layers * n_qubits * padded, n_layers * n_qubits * n_features * scaling
    w = weights(sum(sizes))
    angles = w[: sizes[0]].reshape(n_layers, n_qubits, padded)
    scales = w[sizes[0] :].reshape(n_layers, n_qubits, n_features) if scaling else 1.0
    angles[..., :n_features] = angles[..., :n_features] + scales * inputs(n_features)
    return angles.reshape(n_layers, n_qubits, -1, 3), sum(sizes)


def _entanglers(n_qubits: int, number: int) -> Iterator[Op]:
    for q in range(number % 2, n_qubits - n_qubits % 2, 2):
        yield CZ(q, (q + 1) % n_qubits)
