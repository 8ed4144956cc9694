"""Forecasting tasks: a series as short windows, or as a whole for models that keep a running state.

Both are divided in time, the first part to train on, and scaled to [-1, 1] by what the train part alone says; errors
are counted in the series' own units.

>>> task = windows(load("bessel"), 4)
>>> task.nrmse(task.last_known)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from circuits.checks import whole
from hybrid.series import Series

Array = np.ndarray


class Scaler(NamedTuple):
    """The affine map from [low, high] to [-1, 1], and back."""

    low: Any
    high: Any

    def scale(self, values: Array) -> Array:
        """Return values scaled: low is -1, high is 1."""
        return 2 * (values - self.low) / (self.high - self.low) - 1

    def restore(self, scaled: Array) -> Array:
        """Return scaled values in their own units."""
        return self.low + (np.asarray(scaled, float) + 1) * (self.high - self.low) / 2


@dataclass(frozen=True, eq=False)
class Windows:
    """A series as a regression: windows of w values, each with the value that follows; scaled.

    Attributes
    ----------
    name : str
        The series.
    X, X_test : array, float64 (n, w)
        Windows, in the order of time.
    y, y_test : array, float64 (n,)
        The value after each.
    scaler : Scaler
        Fitted on the values of the train part.
    """

    name: str
    X: Array
    y: Array
    X_test: Array
    y_test: Array
    scaler: Scaler

    @property
    def last_known(self) -> Array:
        """The last value of each test window: the forecast of persistence."""
        return self.X_test[:, -1]

    @property
    def longest_lag(self) -> int:
        """How many values back a forecast may look."""
        return self.X.shape[1]

    def lags(self, order: int) -> tuple[Array, Array]:
        """Return the last `order` values before each target, (n, order), of the train and of the test part."""
        return self.X[:, -order:], self.X_test[:, -order:]

    def nrmse(self, predicted: Any) -> float:
        """Return the error of the forecasts of the test part, see :func:`nrmse`, in the series' own units.

        Parameters
        ----------
        predicted : array, shape (n_test,) or (n_test, 1)
            Scaled, as models give them.

        Raises
        ------
        ValueError
            If the shape is another, a forecast is not finite, or the test part is constant.
        """
        return _error(self, predicted)

    def validation(self, share: float = 0.25) -> Windows:
        """Return the train part, its last windows to validate on: for choices that must not see the test part.

        Parameters
        ----------
        share : float
            Of the train part, to validate on.

        Raises
        ------
        ValueError
            If a part would have fewer than two windows.
        """
        n = _cut(self.name, len(self.y), 1 - share)
        return Windows(self.name, self.X[:n], self.y[:n], self.X[n:], self.y[n:], self.scaler)


@dataclass(frozen=True, eq=False)
class Stream:
    """A series as a whole, for models that keep a running state: one input and one target per step; scaled.

    Attributes
    ----------
    name : str
        The series.
    inputs : array, float64 (T, n_inputs)
        What the model reads: what drives the series, or its values where nothing does.
    targets : array, float64 (T,)
        ``targets[t]`` is the value that follows step t.
    known : array, float64 (T,)
        The value at step t itself, the last known one, scaled as the targets.
    n_train : int
        The first steps, to train on; the state runs on from there into the test part.
    scaler : Scaler
        Of values and targets, fitted on the train part.
    """

    name: str
    inputs: Array
    targets: Array
    known: Array
    n_train: int
    scaler: Scaler

    @property
    def y(self) -> Array:
        """Targets of the train part."""
        return self.targets[: self.n_train]

    @property
    def y_test(self) -> Array:
        """Targets of the test part."""
        return self.targets[self.n_train :]

    @property
    def last_known(self) -> Array:
        """The value before each target of the test part: the forecast of persistence."""
        return self.known[self.n_train :]

    @property
    def longest_lag(self) -> int:
        """How many steps back a forecast may look: half the train part."""
        return self.n_train // 2

    def lags(self, order: int) -> tuple[Array, Array]:
        """Return the last `order` inputs before each target, (n, order * n_inputs), of the train and the test part.

        The first ``order - 1`` targets of the train part have none.
        """
        found = np.lib.stride_tricks.sliding_window_view(self.inputs, order, axis=0)
        rows, n = found.reshape(len(found), -1), self.n_train - order + 1
        return rows[:n], rows[n:]

    def nrmse(self, predicted: Any) -> float:
        """Return the error of the forecasts of the test part, as :meth:`Windows.nrmse`."""
        return _error(self, predicted)

    def validation(self, share: float = 0.25) -> Stream:
        """Return the train part, its last steps to validate on, as :meth:`Windows.validation`."""
        n, end = _cut(self.name, self.n_train, 1 - share), self.n_train
        return replace(self, inputs=self.inputs[:end], targets=self.targets[:end], known=self.known[:end], n_train=n)


Task = Windows | Stream


def windows(series: Series, size: int = 4, train: float = 0.67, horizon: int = 1) -> Windows:
    """Cut a series into windows, and divide them in time.

    Parameters
    ----------
    series : Series
        Its inputs, if it has any, are left aside.
    size : int
        Values in a window.
    train : float
        Share of the windows to train on, the first ones.
    horizon : int
        How many steps after the window's last value the target lies.

    Raises
    ------
    ValueError
        If the series is too short, the train part is constant, or a number is out of range.
    """
    _check_size(series, size, horizon, needed=size + horizon + 3)
    cut = np.lib.stride_tricks.sliding_window_view(series.values, size)[: len(series) - size - horizon + 1]
    targets = series.values[size + horizon - 1 :]
    n = _cut(series.name, len(targets), train)
    scaler = _fitted(series.name, series.values[: n + size + horizon - 1])
    X, y = scaler.scale(cut), scaler.scale(targets)
    return Windows(series.name, X[:n], y[:n], X[n:], y[n:], scaler)


def stream(series: Series, train: float = 0.67, horizon: int = 1) -> Stream:
    """Keep a series as a whole, and divide it in time.

    Parameters
    ----------
    series : Series
        Where it has inputs the model reads these, otherwise the values.
    train : float
        Share of the steps to train on, the first ones.
    horizon : int
        ``targets[t]`` is ``values[t + horizon]``.

    Raises
    ------
    ValueError
        If the series is too short, the train part is constant, or a number is out of range.
    """
    _check_size(series, 1, horizon, needed=horizon + 4)
    targets, known = series.values[horizon:], series.values[:-horizon]
    n = _cut(series.name, len(targets), train)
    scaler = _fitted(series.name, series.values[: n + horizon])
    if series.inputs is None:
        inputs = scaler.scale(known)[:, None]
    else:
        inputs = _fitted(f"the input of {series.name}", series.inputs[:n]).scale(series.inputs[:-horizon])
    return Stream(series.name, inputs, scaler.scale(targets), scaler.scale(known), n, scaler)


def nrmse(y: Any, predicted: Any) -> float:
    """Return ``sqrt(mean((y - ŷ)²) / var(y))``: 0 is perfect, 1 is as good as the mean of y.

    Parameters
    ----------
    y, predicted : array, equal shapes

    Raises
    ------
    ValueError
        If the shapes differ, a forecast is not finite, or y is constant.
    """
    y, predicted = np.asarray(y, float), np.asarray(predicted, float)
    if y.shape != predicted.shape:
        raise ValueError(f"got forecasts of shape {predicted.shape}, expected {y.shape}: one per target")
    if bad := np.count_nonzero(~np.isfinite(predicted)):
        raise ValueError(f"got {bad} forecasts that are NaN or infinite, expected none: train with smaller steps")
    if y.size == 0 or np.ptp(y) == 0:
        raise ValueError(f"got {y.size} targets without any variation, expected some: take a longer test part")
    return float(np.sqrt(np.mean((y - predicted) ** 2) / np.var(y)))


def _check_size(series: Series, size: int, horizon: int, needed: int) -> None:
    whole("size", size)
    whole("horizon", horizon)
    if len(series) < needed:
        raise ValueError(
            f"got size={size} and horizon={horizon} for {series.name}, expected a series of at least {needed} values, "
            f"it has {len(series)}: take shorter windows or a longer series"
        )


def _cut(name: str, n: int, share: float) -> int:
    """Return how many of n are the first part, two or more being left for each."""
    first = int(share * n) if 0 < share < 1 else 0
    if not 2 <= first <= n - 2:
        raise ValueError(
            f"got a first part of {share:g} of {n} steps of {name}, expected a share that leaves two or more in both "
            "parts: 0.67, for example, or a longer series"
        )
    return first


def _fitted(what: str, values: Array) -> Scaler:
    low, high = values.min(axis=0), values.max(axis=0)
    if np.any(low == high):
        raise ValueError(
            f"{what}: got a train part that is constant, expected one that varies: train on a larger share"
        )
    return Scaler(low, high)


def _error(task: Task, predicted: Any) -> float:
    found = np.asarray(predicted, float)
    found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    return nrmse(task.scaler.restore(task.y_test), task.scaler.restore(found))
