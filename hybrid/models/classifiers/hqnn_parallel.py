"""HQNN-Parallel (Senokosov et al., arXiv:2304.09224), convolutions and parallel circuits of 5 qubits; its controls.

The paper's is [5×5 convolution, batch norm, ReLU, 2×2 pooling] twice, with 16 and 32 channels, linear layer to 20
features, batch norm, 4 circuits (RX of a feature on each qubit, 3 strongly entangling layers, <Y>), linear layer. The
features become angles by π/2 tanh.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from backends import Backend
from circuits import Circuit
from circuits.templates import angle_encoding, strongly_entangling
from hybrid.models.classifiers.convolutions import convolutions
from hybrid.models.classifiers.rows import Settings
from qml import ParallelCircuits

CONTROLS = ("separable", "frozen", "removed", "linear")

N_QUBITS, N_LAYERS = 5, 3


class Angles(nn.Module):
    """``π/2 tanh(x)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return angles in (-π/2, π/2)."""
        return math.pi / 2 * x.tanh()


def build(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, control: str | None = None
) -> nn.Module:
    """Return the hybrid network, or one of its controls with the same first weights elsewhere.

    Parameters
    ----------
    shape : (channels, H, W)
        Of an image; H and W are multiples of 4.
    n_classes : int
    settings : mapping
        With ``channels``, two numbers, ``kernel``, an odd one, and ``n_circuits``.
    backend : Backend
        Where the circuits run.
    control : {"separable", "frozen", "removed", "linear"}, optional
        The circuits without entangling gates; untrained; nothing in their place; a linear layer and tanh in it.

    Raises
    ------
    ValueError
        If the control has another name.
    """
    width = N_QUBITS * settings["n_circuits"]
    narrow = nn.Linear(flat(shape, settings), width)
    before = [*convolved(shape, settings), narrow, nn.BatchNorm1d(width), Angles()]
    after = nn.Linear(width, n_classes)  # before the core is drawn: every control starts from the same one
    return nn.Sequential(*before, _core(settings["n_circuits"], backend, control), after)


def wide(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend) -> nn.Module:
    """Return the classical rival: the same convolutions, then dense layers of the widths ``settings["wide"]``."""
    layers: list[nn.Module] = []
    n = flat(shape, settings)
    for width in settings["wide"]:
        layers += [nn.Linear(n, width), nn.ReLU()]
        n = width
    return nn.Sequential(*convolved(shape, settings), *layers, nn.Linear(n, n_classes))


def circuit() -> Circuit:
    """Return the circuit of 5 features."""
    return angle_encoding(N_QUBITS) + strongly_entangling(N_QUBITS, N_LAYERS)


def _core(n_circuits: int, backend: Backend, control: str | None) -> nn.Module:
    width = N_QUBITS * n_circuits
    match control:
        case None | "separable" | "frozen":
            chosen = circuit().separable() if control == "separable" else circuit()
            core = ParallelCircuits(chosen, n_circuits, [f"Y{q}" for q in range(N_QUBITS)], backend)
            return core.requires_grad_(control != "frozen")
        case "removed":
            return nn.Identity()
        case "linear":
            return nn.Sequential(nn.Linear(width, width), nn.Tanh())
    raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")


def convolved(shape: Sequence[int], settings: Settings, normed: bool = True) -> Iterator[nn.Module]:
    """Yield the layers before the narrow one: convolutions, with batch norm or without, then flat features."""
    yield from convolutions(shape[0], settings["channels"], settings["kernel"], normed)
    yield nn.Flatten()


def flat(shape: Sequence[int], settings: Settings) -> int:
    """Return the number of features after the convolutions."""
    return int(settings["channels"][-1] * (shape[1] // 4) * (shape[2] // 4))
