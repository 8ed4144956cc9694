"""Bodies of actors, with a circuit or without: what turns observations into what a linear head makes actions of.

All see the same: the arctan of what is observed, the cart's position left out. Outputs of narrow ones are repeated
before the head, as in the paper: the head then learns as many times faster, with a circuit or without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from backends import Backend
from circuits.templates import single_qubit_reuploading
from hybrid.models.policies import environments
from qml import QuantumLayer, SingleQubits

Settings = Mapping[str, Any]
Body = Callable[[int, int, Settings, Backend], list[nn.Module]]  # of n_features, n_actions, settings and backend

#: How often the paper's outputs are repeated.
TIMES = 16


class Priors(nn.Module):
    """``arctan`` of the observations from some number on, (*, n_observations) -> (*, n_observations - first)."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def forward(self, observations: Tensor) -> Tensor:
        """Return the features."""
        return observations[..., self.first :].arctan()


class Repeat(nn.Module):
    """All columns several times, (*, n) -> (*, times * n)."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """Return the columns, the first n again and again."""
        return torch.cat([x] * self.times, -1)


class TwoFunctions(nn.Module):
    """``<Y>`` and ``<Z>`` of a qubit after each three features, (*, n_features) -> (*, 2 * ceil(n_features / 3)).

    ``y = cos a cos b sin c + sin a cos c`` and ``z = -cos a sin b``: what unentangled qubits with one layer compute is
    a linear function of these.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return all y, then all z."""
        a, b, c = nn.functional.pad(x, (0, -x.shape[-1] % 3)).unflatten(-1, (-1, 3)).unbind(-1)
        return torch.cat([a.cos() * b.cos() * c.sin() + a.sin() * c.cos(), -a.cos() * b.sin()], -1)


def make(task: str, body: Body, settings: Settings, backend: Backend) -> nn.Sequential:
    """Return a body for a task, what it sees included."""
    sizes = environments.sizes(task)
    return nn.Sequential(Priors(environments.TASKS[task].first), *body(*sizes, settings, backend))


def svqc(
    n_features: int,
    n_actions: int,
    settings: Settings,
    backend: Backend,
    times: int = TIMES,
    n_layers: int | None = None,
    frozen: bool = False,
) -> list[nn.Module]:
    """Return unentangled qubits (arXiv:2203.14348), their ``<Z>`` repeated."""
    layer = SingleQubits(settings["n_qubits"], n_layers or settings["n_layers"], n_features, backend=backend)
    return [layer.requires_grad_(not frozen), Repeat(times)]


def entangled(n_features: int, n_actions: int, settings: Settings, backend: Backend) -> list[nn.Module]:
    """Return the same with CZ between neighbours."""
    sizes = settings["n_qubits"], settings["n_layers"], n_features
    return [QuantumLayer(single_qubit_reuploading(*sizes, entangle=True), backend=backend), Repeat(TIMES)]


def two_functions(n_features: int, n_actions: int, settings: Settings, backend: Backend) -> list[nn.Module]:
    """Return what one layer computes before its angles, without a circuit, repeated."""
    return [TwoFunctions(), Repeat(TIMES)]


def linear(
    n_features: int, n_actions: int, settings: Settings, backend: Backend, times: int = TIMES
) -> list[nn.Module]:
    """Return the features, repeated: with the head a linear policy."""
    return [Repeat(times)]


def tanh(n_features: int, n_actions: int, settings: Settings, backend: Backend) -> list[nn.Module]:
    """Return a linear layer as wide as the circuit, and tanh, repeated."""
    return [nn.Linear(n_features, settings["n_qubits"]), nn.Tanh(), Repeat(TIMES)]


def mlp(
    n_features: int, n_actions: int, settings: Settings, backend: Backend, widths: tuple[int, ...] | None = None
) -> list[nn.Module]:
    """Return hidden layers with tanh: of some widths, or one, so that there are as many parameters as with `svqc`."""
    width, layers = n_features, list[nn.Module]()
    for number in widths or (_matched(n_features, n_actions, settings),):
        layers += [nn.Linear(width, number), nn.Tanh()]
        width = number
    return layers


def _matched(n_features: int, n_actions: int, settings: Settings) -> int:
    """Return the width of one hidden layer with which an actor has about as many parameters as with `svqc`."""
    n_parameters = settings["n_qubits"] * (settings["n_layers"] + TIMES * n_actions)  # but for the head's bias
    return max(1, round(n_parameters / (n_features + 1 + n_actions)))
