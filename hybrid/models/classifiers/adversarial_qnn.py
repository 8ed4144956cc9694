"""The classifier of two classes of images that Ren et al. (arXiv:2204.01738) attack, its rivals, and their attack.

Pixels, scaled to unit length, are x̂. They enter a circuit of interleaved blocks, c x̂ + π + θ in each of its rotations;
one qubit is read, P(0) = <(1 + Z)/2>, and the loss is the cross-entropy of both probabilities. All attacks change x̂
itself, which is what turns the qubits, and not what it is computed from: so there are no bounds, and radii are in
units of x̂.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backends import Backend
from circuits import Circuit, Observable, z_each
from circuits.templates import interleaved_block_encoding
from qml import QuantumLayer

#: c, radians per unit of x̂.
SCALE = 2.0

#: Of the paper's attack: Adam's learning rate, and what an angle c x̂ must exceed to be changed, both in radians.
ASCENT_RATE, BACKGROUND = 0.01, 0.05


class LogProbabilities(nn.Module):
    """Logarithms of (1 ± z)/2, whose cross-entropy is that of these probabilities: (*, 1) -> (*, 2)."""

    def forward(self, z: Tensor) -> Tensor:
        """Return them, finite where rounding takes z to ±1."""
        return (torch.cat([1 + z, 1 - z], -1) / 2).clamp_min(1e-7).log()


def unit(images: Tensor, side: int) -> Tensor:
    """Return x̂ (n, side²): images (n, H, W), averaged to `side` pixels a side, flattened, of unit L2 norm."""
    return F.normalize(F.adaptive_avg_pool2d(images[:, None], side).flatten(1))


def circuit(n_features: int, n_qubits: int) -> Circuit:
    """Return the circuit: 8, 6, 6, 6 columns for 256 pixels on 10 qubits, 4, 3, 3, 3 for 64 on 5."""
    return interleaved_block_encoding(n_qubits, n_features, n_blocks=4, scale=SCALE)


@dataclass(frozen=True)
class Samples:
    """How classifiers take their samples, by the number of features and that of qubits.

    Parameters
    ----------
    circuit
        The circuit with its samples and its weights.
    z
        Z of every qubit, by their number.
    measured
        A circuit without weights, of which classical models take `z`; None where they take the samples as they are.
    """

    circuit: Callable[[int, int], Circuit]
    z: Callable[[int], tuple[Observable, ...]]
    measured: Callable[[int, int], Circuit] | None = None


PIXELS = Samples(circuit, z_each)


def qnn(n_features: int, n_qubits: int, backend: Backend, of: Samples = PIXELS) -> nn.Module:
    """Return the paper's classifier, x̂ -> logits of two classes."""
    read = of.z(n_qubits)[n_qubits // 2 - 1]
    return nn.Sequential(QuantumLayer(of.circuit(n_features, n_qubits), read, backend), LogProbabilities())


def separable(n_features: int, n_qubits: int, backend: Backend, of: Samples = PIXELS) -> nn.Module:
    """Return it without CX.

    One qubit knows then of its own pixels only: all are read, and a trained linear layer makes logits of them, with
    some more parameters, which favours the control.
    """
    layer = QuantumLayer(of.circuit(n_features, n_qubits).separable(), of.z(n_qubits), backend)
    return nn.Sequential(layer, nn.Linear(n_qubits, 2))


def frozen(n_features: int, n_qubits: int, backend: Backend, of: Samples = PIXELS) -> nn.Module:
    """Return it with angles as they are drawn, and a line through <Z> trained in their place."""
    read = of.z(n_qubits)[n_qubits // 2 - 1]
    layer = QuantumLayer(of.circuit(n_features, n_qubits), read, backend).requires_grad_(False)
    return nn.Sequential(layer, nn.Linear(1, 2))


def linear(n_features: int, n_qubits: int, backend: Backend, of: Samples = PIXELS) -> nn.Module:
    """Return logistic regression: 65 parameters for 64 pixels, as the circuit has, 257 for 256, where that has 260."""
    width, front = _front(n_features, n_qubits, backend, of)
    return nn.Sequential(*front, nn.Linear(width, 1), Opposite())


def mlp(n_features: int, n_qubits: int, backend: Backend, of: Samples = PIXELS) -> nn.Module:
    """Return a network of as few hidden units as have the circuit's number of parameters, one as a rule; tanh.

    Not ReLU, whose only unit may be dead from the start.
    """
    width, front = _front(n_features, n_qubits, backend, of)
    hidden = max(1, round((of.circuit(n_features, n_qubits).n_weights - 1) / (width + 2)))
    return nn.Sequential(*front, nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1), Opposite())


def _front(n_features: int, n_qubits: int, backend: Backend, of: Samples) -> tuple[int, list[nn.Module]]:
    """Return how wide the samples of a classical model are, and what makes them so."""
    if of.measured is None:
        return n_features, []
    return n_qubits, [QuantumLayer(of.measured(n_features, n_qubits), of.z(n_qubits), backend)]


class Opposite(nn.Module):
    """Logits z/2 and -z/2 of two classes, whose softmax is the logistic function: (*, 1) -> (*, 2)."""

    def forward(self, z: Tensor) -> Tensor:
        """Return them."""
        return torch.cat([z, -z], -1) / 2


def masked_ascent(
    model: nn.Module, x: Tensor, y: Tensor, n_steps: int = 10, scale: float = SCALE, mask: Tensor | None = None
) -> Tensor:
    """Return what the paper attacks with: steps of Adam up the loss, on angles that are no background.

    Parameters
    ----------
    model
        Gives logits.
    x : Tensor, shape (n, n_features)
        x̂, or other samples.
    y : Tensor, shape (n,)
        True classes.
    n_steps
        Of the paper's 7 to 10; each changes a pixel by about 0.005, in units of x̂.
    scale
        Radians per unit of a sample.
    mask : Tensor, optional
        Which values may change; those that are no background if not given.
    """
    angles = (scale * x).requires_grad_()
    allowed: Any = angles.detach() > BACKGROUND if mask is None else mask
    optimizer = torch.optim.Adam([angles], lr=ASCENT_RATE, maximize=True)
    for _ in range(n_steps):
        loss = F.cross_entropy(model(angles / scale), y, reduction="sum")
        angles.grad = allowed * torch.autograd.grad(loss, angles)[0]
        optimizer.step()
    return (angles / scale).detach()
