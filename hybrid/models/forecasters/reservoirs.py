"""Frozen systems as forecasters: states that are computed once, and a linear readout by ridge regression; tuned or not.

A reservoir is anything with ``states(u, state=None) -> (states, state)``, time first: a
:class:`qml.QuantumReservoir`, a :class:`qml.IsingReservoir`, a frozen
:class:`hybrid.models.forecasters.recurrent.Forecaster`. The echo state network that they are compared with is tuned by
:mod:`hybrid.baselines.echo_state`; :func:`tune` gives a reservoir as many tries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backends import Backend
from hybrid.baselines.echo_state import RIDGES
from hybrid.forecasting import Task, Windows
from hybrid.models.forecasters import recurrent
from qml import IsingReservoir, QuantumReservoir

Array = np.ndarray
Make = Callable[..., nn.Module]
Grid = Mapping[str, Sequence[float]]

#: What :func:`tune` tries for a quantum cell: 9 × 8 reservoirs, as many as for the echo state network.
CELL_GRID: Grid = {"weight_scale": (0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 3.0)}
CELL_INPUTS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)

#: And for the Ising reservoir.
ISING_GRID: Grid = {"tau": (1.0, 3.0, 10.0), "field": (0.1, 0.5, 2.0)}
ISING_INPUTS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Fitted:
    """A reservoir with its readout.

    Attributes
    ----------
    reservoir : nn.Module
    predicted : array, shape (n_test,)
        Forecasts of the test part, scaled.
    settings : dict
        What it was made with, the factor on its inputs, and the penalty on its readout.
    seconds : float
        That its states took, of both parts.
    """

    reservoir: nn.Module
    predicted: Array
    settings: dict[str, float]
    seconds: float


def cell(
    kind: str, seed: int, *, weight_scale: float, entangled: bool = True, backend: Backend | None = None
) -> QuantumReservoir:
    """Return the papers' cell of 3 hidden entries as a reservoir of one input.

    Parameters
    ----------
    kind : {"QRNN", "QLSTM", "QGRU"}
    seed : int
        Of the weights.
    weight_scale : float
        Their standard deviation.
    entangled : bool
        False for the control without entangling gates.
    backend : Backend, optional
        Where the circuits run.
    """
    rnn: Any = recurrent.quantum(kind, entangled=entangled, backend=backend).rnn
    return QuantumReservoir(rnn.cells[0], weight_scale=weight_scale, seed=seed)


class Clipped(IsingReservoir):
    """An Ising reservoir that takes inputs out of its range as the nearest one in it."""

    def states(self, u: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the states, and the density matrix to go on from."""
        return super().states(torch.as_tensor(u).clamp(*self.input_range), state)


def ising(seed: int, *, tau: float, field: float, n_qubits: int = 4, n_virtual_nodes: int = 5) -> Clipped:
    """Return an Ising reservoir of one input in [-1, 1], with n_qubits * n_virtual_nodes states."""
    return Clipped(n_qubits, n_virtual_nodes=n_virtual_nodes, tau=tau, field=field, input_range=(-1.0, 1.0), seed=seed)


def features(reservoir: Any, task: Task, scales: Sequence[float] = (1.0,)) -> list[tuple[Array, Array]]:
    """Return the states that a readout sees, of the train and of the test part, for each factor on the inputs.

    Windows start from the initial state each, and are read at their last step; a whole series keeps its running state.

    Returns
    -------
    list of (array, array), shapes (n_train, size) and (n_test, size)
    """
    inputs, n_train = sequences(task), len(task.y)
    scaled = torch.stack([scale * inputs for scale in scales], 1)
    with torch.no_grad():
        states = reservoir.states(scaled.flatten(1, 2))[0].unflatten(1, scaled.shape[1:3])
    rows = states[-1] if isinstance(task, Windows) else states[:, :, 0].transpose(0, 1)
    return [(each[:n_train], each[n_train:]) for each in rows.numpy()]


def sequences(task: Task) -> Tensor:
    """Return what a network reads, time first: all windows (w, n, 1), or the whole series (T, 1, n_inputs)."""
    if isinstance(task, Windows):
        return torch.as_tensor(np.concatenate([task.X, task.X_test]).T[..., None].copy())
    return torch.as_tensor(task.inputs[:, None])


def fit_ridge(states: Array, task: Task, penalties: Sequence[float], washout: int) -> Any:
    """Return the ridge regression of the train part's targets on its states, one output for each penalty.

    The intercept is not penalised. Of a whole series the first `washout` steps are left out.
    """
    from sklearn.linear_model import Ridge

    skipped = 0 if isinstance(task, Windows) else washout
    targets = np.tile(task.y[skipped:, None], len(penalties))
    return Ridge(np.array(penalties), solver="svd").fit(states[skipped:], targets)


def tune(make: Make, grid: Grid, scales: Sequence[float], task: Task, washout: int = 0, share: float = 0.25) -> Fitted:
    """Return the reservoir that forecasts the last part of the train part best, fitted to the whole train part.

    All combinations of the grid, the factors on the inputs, and :data:`RIDGES` are tried; the test part is not
    looked at.

    Parameters
    ----------
    make : callable
        ``make(**settings)`` returns a reservoir, the same for the same settings.
    grid : mapping
        Values to try of each setting.
    scales : sequence of float
        Factors on the inputs to try.
    task : Windows or Stream
    washout : int
        First steps of a whole series that readouts are not fitted to.
    share : float
        Of the train part, to choose by.
    """
    inner = task.validation(share)
    tries = [found for settings in _combinations(grid) for found in _tries(make, settings, scales, inner, washout)]
    settings = min(tries, key=lambda found: found[0])[1]
    return fit(make, settings, task, washout)


def fit(make: Make, settings: Mapping[str, float], task: Task, washout: int = 0) -> Fitted:
    """Return a reservoir fitted to the train part.

    Parameters
    ----------
    make : callable
        ``make(**settings)`` returns a reservoir.
    settings : mapping
        What it takes, with ``input_scale`` and ``ridge``.
    task : Windows or Stream
    washout : int
        First steps of a whole series that the readout is not fitted to.
    """
    own = {name: value for name, value in settings.items() if name not in ("input_scale", "ridge")}
    start, reservoir = time.perf_counter(), make(**own)
    ((known, unknown),) = features(reservoir, task, [settings["input_scale"]])
    seconds = time.perf_counter() - start
    predicted = fit_ridge(known, task, [settings["ridge"]], washout).predict(unknown).ravel()
    return Fitted(reservoir, predicted, dict(settings), seconds)


def _combinations(grid: Grid) -> Iterator[dict[str, float]]:
    return (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def _tries(
    make: Make, settings: dict[str, float], scales: Sequence[float], task: Task, washout: int
) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield error and settings of a reservoir with every factor and penalty; its factors run side by side."""
    for scale, (known, unknown) in zip(scales, features(make(**settings), task, scales), strict=True):
        predicted = fit_ridge(known, task, RIDGES, washout).predict(unknown)
        for ridge, each in zip(RIDGES, predicted.T, strict=True):
            yield task.nrmse(each), {**settings, "input_scale": scale, "ridge": ridge}
