"""The hybrid CNN of Shahzad (arXiv:2509.13353), its controls, and the plain CNN that it is compared with.

The hybrid is [3×3 convolution, batch norm, ReLU, 2×2 pooling] for each number of channels, averages down to 4 × 4
pixels, linear layer, ReLU, linear layer to 16, softmax, a circuit of 4 qubits (the 16 numbers as amplitudes, 2 basic
entangler layers, <Z>), and the head: linear layer, batch norm, ReLU, dropout, linear layer. The plain CNN has more
channels, and its head comes at once. Gates and schedules are those of the published code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, OneCycleLR

from backends import Backend
from circuits import Circuit
from circuits.templates import amplitude_encoding, basic_entangler
from hybrid.models.classifiers.convolutions import convolutions
from hybrid.models.classifiers.rows import Settings
from qml import QuantumLayer

CONTROLS = ("separable", "frozen", "removed", "linear")

N_QUBITS, N_LAYERS = 4, 2
N_AMPLITUDES = 2**N_QUBITS
DROPOUT = 0.3


def build(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, control: str | None = None
) -> nn.Module:
    """Return the hybrid network, or one of its controls with the same first weights before the circuit.

    Parameters
    ----------
    shape : (1, H, W)
        Of an image.
    n_classes : int
    settings : mapping
        With ``channels`` and ``kernel`` of the convolutions, ``side``, of the averages, ``narrow``, the width between
        them and the 16 amplitudes, and ``width``, of the head.
    backend : Backend
        Where the circuit runs: a simulator, as it begins with amplitudes.
    control : {"separable", "frozen", "removed", "linear"}, optional
        The circuit without entangling gates, though not its start state; untrained; nothing in its place, so that the
        head takes all 16 numbers; a linear layer of its width in it.

    Raises
    ------
    ValueError
        If the control has another name.
    """
    n = settings["channels"][-1] * settings["side"] ** 2
    narrow = [nn.Linear(n, settings["narrow"]), nn.ReLU(), nn.Linear(settings["narrow"], N_AMPLITUDES), nn.Softmax(-1)]
    before = [*_averages(shape[0], settings["channels"], settings), *narrow]
    read = N_AMPLITUDES if control == "removed" else N_QUBITS
    after = [*_head(read, settings["width"], n_classes)]  # before the core is drawn: it starts the same for every one
    return nn.Sequential(*before, _core(backend, control), *after)


def plain(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend) -> nn.Module:
    """Return the classical rival, of the channels ``settings["plain_channels"]`` and the head ``["plain_width"]``."""
    channels = settings["plain_channels"]
    head = _head(channels[-1] * settings["side"] ** 2, settings["plain_width"], n_classes)
    return nn.Sequential(*_averages(shape[0], channels, settings), *head)


def circuit() -> Circuit:
    """Return the circuit of 16 amplitudes."""
    return amplitude_encoding(N_QUBITS) + basic_entangler(N_QUBITS, N_LAYERS)


def one_cycle(n_steps: int) -> dict[str, Any]:
    """Return how the paper trains its hybrid: AdamW, one cycle of the learning rate over all steps, clipped gradients.

    Parameters
    ----------
    n_steps : int
        All steps of the training.

    Returns
    -------
    dict
        For :func:`hybrid.training.fit`.
    """
    return {
        "lr": 1e-3, "optimizer": AdamW, "optimizer_options": {"weight_decay": 0.01}, "schedule": OneCycleLR,
        "schedule_options": {"max_lr": 2e-3, "pct_start": 0.3, "total_steps": n_steps, "step_every": "batch"},
        "clip": 1.0,
    }  # fmt: skip


def warm_restarts(n_steps: int, step_every: str = "batch") -> dict[str, Any]:
    """Return how the paper trains its plain CNN: Adam, whose learning rate starts again after every 5 steps.

    Parameters
    ----------
    n_steps : int
        Not read.
    step_every : {"batch", "epoch"}
        What a step of the schedule is: a batch in the published code.

    Returns
    -------
    dict
        For :func:`hybrid.training.fit`.
    """
    return {
        "lr": 3e-3, "optimizer": Adam, "optimizer_options": {"weight_decay": 0.005},
        "schedule": CosineAnnealingWarmRestarts,
        "schedule_options": {"T_0": 5, "eta_min": 1e-5, "step_every": step_every},
    }  # fmt: skip


def _averages(before: int, channels: Sequence[int], settings: Settings) -> Iterator[nn.Module]:
    yield from convolutions(before, channels, settings["kernel"])
    yield from (nn.AdaptiveAvgPool2d(settings["side"]), nn.Flatten())


def _head(n: int, width: int, n_classes: int) -> Iterator[nn.Module]:
    yield from (nn.Linear(n, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(width, n_classes))


def _core(backend: Backend, control: str | None) -> nn.Module:
    match control:
        case None | "separable" | "frozen":
            chosen = circuit().separable() if control == "separable" else circuit()
            return QuantumLayer(chosen, backend=backend).requires_grad_(control != "frozen")
        case "removed":
            return nn.Identity()
        case "linear":
            return nn.Linear(N_AMPLITUDES, N_QUBITS)
    raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")
