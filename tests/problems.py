"""A zoo of small circuits with closed-form answers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from circuits import (
    CCX,
    CP,
    CRX,
    CSWAP,
    CX,
    RX,
    RY,
    RZ,
    RZZ,
    Circuit,
    H,
    P,
    PauliRot,
    Probabilities,
    amplitudes,
    inputs,
    pauli,
    unitary,
    weights,
    z_each,
)
from circuits.observables import Readout


@dataclass(frozen=True)
class Problem:
    """A circuit, its readout, and the outputs as a formula of x and w, valid for features in (0, 1)."""

    name: str
    circuit: Circuit
    readout: Readout
    formula: Callable

    def answer(self, x, w):
        """Outputs (*batch, n_outputs) for features (*batch, n_inputs), weights (n_weights,) or (*batch, n_weights)."""
        batch = np.broadcast_shapes(x.shape[:-1], w.shape[:-1])
        return np.broadcast_to(self.formula(x, w), (*batch, len(self.readout)))

    def sample(self, seed, *batch):
        """Features (*batch, n_inputs) in (0.1, 0.9) and weights (n_weights,) in (-2, 2), float64."""
        rng = np.random.default_rng(seed)
        x = rng.uniform(0.1, 0.9, (*batch, self.circuit.n_inputs))
        return x, rng.uniform(-2, 2, self.circuit.n_weights)


def columns(*outputs):
    """Stack outputs, numbers or arrays of the batch's shape, along a last dimension."""
    return np.stack(np.broadcast_arrays(*outputs), axis=-1).astype(float)


def split(array):
    """The entries of the last dimension, one array each."""
    return np.moveaxis(np.asarray(array), -1, 0)


def words(*texts):
    """One observable per Pauli word."""
    return tuple(map(pauli, texts))


def amplitude_answer(x, w):
    """<Z0>, <Z1>, <X1> of the normalised state (x0, x1, x2, x3)."""
    a, b, c, d = split(x / np.linalg.norm(x, axis=-1, keepdims=True))
    return columns(a**2 + b**2 - c**2 - d**2, a**2 - b**2 + c**2 - d**2, 2 * (a * b + c * d))


def product_probabilities(x, w):
    """Outcome probabilities of two RY-rotated qubits, qubit 1 the leading bit."""
    p0, p1 = (np.stack([np.cos(t / 2) ** 2, np.sin(t / 2) ** 2]) for t in split(x))
    return columns(*(p1[i] * p0[j] for i in (0, 1) for j in (0, 1)))


x, w = inputs(4), weights(3)
ROTATION = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])  # RY(0.6)

PROBLEMS = (
    Problem("rx", Circuit(1, [RX(x[0], 0)], 1), z_each(1), lambda x, w: np.cos(x)),
    Problem(
        "bloch",
        Circuit(1, [RY(x[0], 0), RZ(w[0], 0)], 1, 1),
        words("X0", "Y0", "Z0"),
        lambda x, w: columns(
            np.sin(x[..., 0]) * np.cos(w[..., 0]), np.sin(x[..., 0]) * np.sin(w[..., 0]), np.cos(x[..., 0])
        ),
    ),
    Problem(
        "bell",
        Circuit(2, [H(0), CX(0, 1)]),
        words("Z0 Z1", "X0 X1", "Y0 Y1", "Z0"),
        lambda x, w: [1.0, 1.0, -1.0, 0.0],
    ),
    Problem(
        "ghz phase",
        Circuit(3, [H(0), CX(0, 1), CX(1, 2), P(w[0], 0)], 0, 1),
        words("X0 X1 X2", "X0 X1 Y2", "Z0 Z2"),
        lambda x, w: columns(np.cos(w[..., 0]), np.sin(w[..., 0]), 1.0),
    ),
    Problem(
        "controlled rotation",
        Circuit(2, [H(0), CRX(x[0], 0, 1)], 1),
        words("Z1", "Y1", "X0"),
        lambda x, w: columns((1 + np.cos(x[..., 0])) / 2, -np.sin(x[..., 0]) / 2, np.cos(x[..., 0] / 2)),
    ),
    Problem(
        "ising product of feature and weight",
        Circuit(2, [H(0), H(1), RZZ(x[0] * w[0], 0, 1)], 1, 1),
        words("X0", "Y0 Z1"),
        lambda x, w: columns(np.cos(x[..., 0] * w[..., 0]), np.sin(x[..., 0] * w[..., 0])),
    ),
    Problem(
        "affine angle",
        Circuit(2, [RY(2 * x[1] * w[0] + w[2] - 0.5, 1)], 2, 3),
        words("Z1", "X1"),
        lambda x, w: columns(*(f(2 * x[..., 1] * w[..., 0] + w[..., 2] - 0.5) for f in (np.cos, np.sin))),
    ),
    Problem(
        "function of a feature",
        Circuit(1, [RX(np.arcsin(x[0]), 0)], 1),
        words("Z0", "Y0"),
        lambda x, w: columns(np.sqrt(1 - x[..., 0] ** 2), -x[..., 0]),
    ),
    Problem(
        "re-uploading",
        Circuit(1, [RX(x[0], 0), RX(w[0], 0), RX(x[0], 0)], 1, 1),
        z_each(1),
        lambda x, w: columns(np.cos(2 * x[..., 0] + w[..., 0])),
    ),
    Problem(
        "shared weight",
        Circuit(2, [RY(w[0], 0), RY(w[0], 1)], 0, 1),
        words("Z0 Z1", "X0"),
        lambda x, w: columns(np.cos(w[..., 0]) ** 2, np.sin(w[..., 0])),
    ),
    Problem(
        "pauli rotation",
        Circuit(3, [PauliRot(w[0], "XY", 2, 0)], 0, 1),
        words("Z0", "Z1", "Z2", "Z0 Z2"),
        lambda x, w: columns(np.cos(w[..., 0]), 1.0, np.cos(w[..., 0]), 1.0),
    ),
    Problem(
        "controlled phase",
        Circuit(2, [H(0), H(1), CP(w[0], 0, 1)], 0, 1),
        words("X0", "X1"),
        lambda x, w: columns(*[(1 + np.cos(w[..., 0])) / 2] * 2),
    ),
    Problem(
        "toffoli",
        Circuit(3, [RY(x[0], 0), RY(x[1], 2), CCX(0, 2, 1)], 2),
        words("Z1"),
        lambda x, w: columns(1 - 2 * np.sin(x[..., 0] / 2) ** 2 * np.sin(x[..., 1] / 2) ** 2),
    ),
    Problem(
        "swap test",
        Circuit(3, [RY(x[0], 1), RY(x[1], 2), H(0), CSWAP(0, 1, 2), H(0)], 2),
        words("Z0"),
        lambda x, w: columns(np.cos((x[..., 0] - x[..., 1]) / 2) ** 2),
    ),
    Problem(
        "fixed unitary",
        Circuit(2, [RY(x[0], 1), unitary(ROTATION, 1)], 1),
        z_each(2),
        lambda x, w: columns(1.0, np.cos(x[..., 0] + 0.6)),
    ),
    Problem(
        "sum of words",
        Circuit(2, [RY(x[0], 0), RY(w[0], 1)], 1, 1),
        (0.5 * pauli("Z0 Z1") - 2 * pauli("X0") + 0.25 * pauli(""), pauli("Z1") - pauli("Z1")),
        lambda x, w: columns(0.5 * np.cos(x[..., 0]) * np.cos(w[..., 0]) - 2 * np.sin(x[..., 0]) + 0.25, 0.0),
    ),
    Problem(
        "amplitudes",
        Circuit(2, [amplitudes(x, 0, 1)], 4),
        words("Z0", "Z1", "X1"),
        amplitude_answer,
    ),
    Problem(
        "amplitudes then gates",
        Circuit(2, [amplitudes([x[0], x[1]], 1), RY(w[0], 1), CX(1, 0)], 2, 1),
        words("Z0", "Z1", "X0 X1"),
        lambda x, w: columns(
            *[np.cos(2 * np.arctan2(x[..., 1], x[..., 0]) + w[..., 0])] * 2,
            np.sin(2 * np.arctan2(x[..., 1], x[..., 0]) + w[..., 0]),
        ),
    ),
    Problem(
        "probabilities",
        Circuit(3, [RY(x[0], 0), RY(x[1], 1), RX(w[0], 2)], 2, 1),
        Probabilities((1, 0)),
        product_probabilities,
    ),
)
