"""Quantum Hamiltonian embedding of images (QHE; Wang et al., arXiv:2407.14055), and the QCNN that it is compared with.

Both give probabilities, of which the softmax is taken, as published; with a scale they are multiplied before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from backends import Backend
from circuits import Circuit, Probabilities
from circuits.templates import SU4, amplitude_encoding, few_data_qcnn
from hybrid.models.classifiers.local_unitaries import localised
from hybrid.models.classifiers.rows import Settings
from qml import HamiltonianReuploading, QuantumLayer

N_READ = 3  # qubits that the QCNN keeps: 8 classes


class Scaled(nn.Module):
    """A module whose output is multiplied by a constant."""

    def __init__(self, model: nn.Module, scale: float) -> None:
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every sample."""
        return self.scale * self.model(x)


def square(images: Tensor, settings: Settings) -> Tensor:
    """Return the images with zeros around them, of 2^n × 2^n pixels, without a dimension for channels."""
    return F.pad(images, [settings["pad"]] * 4)[:, 0]


def symmetric(images: Tensor, settings: Settings) -> Tensor:
    """Return the symmetric parts of the images, which are all that a Hamiltonian has of them."""
    found = square(images, settings)
    return (found + found.mT) / 2


def spectra(images: Tensor, settings: Settings) -> Tensor:
    """Return eigenvalues and eigenvectors of the symmetric parts: once per image, before training."""
    found = square(images, settings)
    return HamiltonianReuploading(_n_qubits(found.shape), n_layers=1).spectrum(found)


def build(
    shape: Sequence[int],
    n_classes: int,
    settings: Settings,
    backend: Backend,
    shared: bool = False,
    scale: float = 1.0,
    frozen: bool = False,
    separable: bool = False,
) -> nn.Module:
    """Return the network of spectra.

    Parameters
    ----------
    shape : (2^n, 2^n + 1)
        Of the spectrum of an image.
    n_classes : int
    settings : mapping
        With ``n_layers``, and ``whole``: whether a unitary acts on all qubits, and not one on each pair of neighbours.
        With all qubits the last one is not read.
    backend : Backend
        Not used: it is no circuit.
    shared : bool
        Whether all unitaries of a layer have the same angles, as in the published code.
    scale : float
        Factor on the probabilities.
    frozen : bool
        Whether the unitaries stay as they are drawn, and only times are trained.
    separable : bool
        Whether they do not entangle; what enters as a Hamiltonian still does.
    """
    n = _n_qubits(shape)
    whole: dict[str, Any] = {"blocks": [range(n)], "n_measured": n - 1} if settings["whole"] else {}
    model = HamiltonianReuploading(n, settings["n_layers"], n_classes, shared=shared, **whole)
    model.unitaries.requires_grad_(not frozen)
    return Scaled(localised(model) if separable else model, scale)


def dense(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend) -> nn.Module:
    """Return a network of images, (2^n, 2^n), with one hidden layer and about as many parameters as QHE; tanh."""
    n, spectrum = shape[0] * shape[1], (shape[0], shape[1] + 1)
    total = sum(parameter.numel() for parameter in build(spectrum, n_classes, settings, backend).parameters())
    width = max(1, round((total - n_classes) / (n + n_classes + 1)))
    return nn.Sequential(nn.Flatten(), nn.Linear(n, width), nn.Tanh(), nn.Linear(width, n_classes))


def qcnn(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, n_before: int = 0, scale: float = 1.0
) -> nn.Module:
    """Return the QCNN of images; its weights start standard normal, as all here.

    Parameters
    ----------
    shape : (2^n, 2^n)
        Of an image.
    n_classes : int
        At most 8.
    settings : mapping
        With ``n_levels``, of pooling.
    backend : Backend
        Where the circuit runs: a simulator, as the pixels are amplitudes.
    n_before : int
        Layers of any unitaries on neighbours that come first, each with angles of its own, to have more parameters.
    scale : float
        Factor on the probabilities.
    """
    n_levels = settings["n_levels"]
    read = Probabilities(tuple(2**n_levels * q for q in range(N_READ)))
    circuit = qcnn_circuit(2 * _n_qubits(shape), n_levels, n_before)
    layer = QuantumLayer(circuit, read, backend, init=nn.init.normal_)
    return Scaled(nn.Sequential(nn.Flatten(), layer, First(n_classes)), scale)


class First(nn.Module):
    """The first entries of the last dimension."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        """Return them."""
        return x[..., : self.n]


def qcnn_circuit(n_qubits: int, n_levels: int, n_before: int = 0) -> Circuit:
    """Return amplitude encoding, layers of unitaries on even and then on odd neighbours, and the QCNN."""
    found = amplitude_encoding(n_qubits)
    for qubit in n_before * [*range(0, n_qubits - 1, 2), *range(1, n_qubits - 1, 2)]:
        found = found + SU4.shift(qubits=qubit, weights=found.n_weights, n_qubits=n_qubits)
    return found + few_data_qcnn(n_qubits, n_levels).shift(weights=found.n_weights)


def _n_qubits(shape: Sequence[int]) -> int:
    return int(shape[-2]).bit_length() - 1
