"""HQNN-Quanv (Senokosov et al., arXiv:2304.09224), a trained quanvolution and a linear layer; its controls.

Patches of 2 × 2 pixels, without overlap, become four channels: RX of π times a pixel on each of 4 qubits, 2 layers of
RY and a ring of CX, <Z>. Batch norm and a linear layer follow. Large images are averaged down first.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from backends import Backend
from hybrid.models.classifiers.rows import Settings
from qml import Quanvolution2d

CONTROLS = ("separable", "frozen", "removed")


def build(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, control: str | None = None
) -> nn.Module:
    """Return the hybrid network, or one of its controls.

    Parameters
    ----------
    shape : (1, H, W)
        Of an image; H and W are even.
    n_classes : int
    settings : mapping
        Not read: pooling is done before.
    backend : Backend
        Where the circuit runs.
    control : {"separable", "frozen", "removed"}, optional
        The circuit without entangling gates; untrained; or the four pixels themselves as channels.

    Raises
    ------
    ValueError
        If the control has another name.
    """
    return _headed(_quanvolution(backend, control), 4, shape, n_classes)


def convolution(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, channels: int = 4
) -> nn.Module:
    """Return the classical rival: torch's convolution of as many patches, with so many channels."""
    return _headed(nn.Conv2d(1, channels, 2, stride=2), channels, shape, n_classes)


def _headed(first: nn.Module, channels: int, shape: Sequence[int], n_classes: int) -> nn.Module:
    n = channels * (shape[1] // 2) * (shape[2] // 2)
    return nn.Sequential(first, nn.BatchNorm2d(channels), nn.Flatten(), nn.Linear(n, n_classes))


def _quanvolution(backend: Backend, control: str | None) -> nn.Module:
    match control:
        case None | "frozen":
            return _layer(backend, frozen=control == "frozen")
        case "separable":
            return _layer(backend, circuit=_layer(backend).circuit.separable())
        case "removed":
            return nn.PixelUnshuffle(2)
    raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")


def _layer(backend: Backend, **options: object) -> Quanvolution2d:
    return Quanvolution2d(1, 4, kernel_size=2, stride=2, backend=backend, **options)  # type: ignore[arg-type]
