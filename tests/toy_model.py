"""A dressed circuit small enough to train in a blink, with the controls that every hybrid model has."""

from __future__ import annotations

from torch import nn

from circuits import CX, RX, RY, Circuit, inputs, weights
from qml import QuantumLayer


def build(n_features, n_classes, *, control=None, backend=None):
    """Linear to two qubits, tanh, circuit, linear."""
    model = nn.Sequential(nn.Linear(n_features, 2), nn.Tanh(), _middle(control, backend), nn.Linear(2, n_classes))
    if control == "frozen":
        model[2].requires_grad_(False)
    return model


def _middle(control, backend):
    if control == "removed":
        return nn.Identity()
    if control == "linear":
        return nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    x, w = inputs(2), weights(2)
    entangler = [] if control == "separable" else [CX(0, 1)]
    circuit = Circuit(2, [RX(x[0], 0), RX(x[1], 1), *entangler, RY(w[0], 0), RY(w[1], 1)], n_inputs=2, n_weights=2)
    return QuantumLayer(circuit, backend=backend)
