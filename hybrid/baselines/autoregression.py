"""Autoregression AR(p) by least squares, ``ŷ_{t+1} = c + Σ_{i<p} φ_i y_{t-i}``: the linear forecast of a time series.

Where an input drives the series, a whole series is forecast from the input: a finite impulse response filter of p taps.
"""

from __future__ import annotations

import numpy as np

from circuits.checks import whole
from hybrid.forecasting import Task, Windows

Array = np.ndarray


class Autoregression:
    """Least squares on the last p values, with a constant.

    Parameters
    ----------
    order : int, optional
        p. If not given: on windows all of their values, so that it knows what every other model knows; on a whole
        series the p with the least Bayesian information criterion (BIC) on the train part.
    max_order : int
        The largest p to choose from; half of what the train part allows if that is less.

    Attributes
    ----------
    order_ : int
        The p in use.

    Raises
    ------
    ValueError
        If a number is less than 1.
    """

    def __init__(self, order: int | None = None, max_order: int = 50) -> None:
        whole("max_order", max_order)
        whole("order", max_order if order is None else order)
        self.order, self.max_order = order, max_order

    @property
    def n_parameters(self) -> int:
        """Number of fitted coefficients, the constant included."""
        return len(self._coefficients)

    def fit(self, task: Task) -> Autoregression:
        """Fit to the train part; return the model itself.

        Raises
        ------
        ValueError
            If the order is larger than the windows, or than half the train part of a whole series.
        """
        self.order_ = self._chosen(task)
        self._coefficients = _least_squares(*_known(task, self.order_))[0]
        return self

    def predict(self, task: Task) -> Array:
        """Return the forecasts of the test part, float64 (n_test,), scaled."""
        return _with_constant(task.lags(self.order_)[1]) @ self._coefficients

    def _chosen(self, task: Task) -> int:
        most = task.longest_lag
        if self.order is None:
            return most if isinstance(task, Windows) else _least_bic(task, min(self.max_order, max(1, most // 2)))
        if self.order > most:
            raise ValueError(f"got order={self.order} for {task.name}, expected at most {most}: give it more values")
        return self.order


def build(order: int | None = None, max_order: int = 50) -> Autoregression:
    """Return the model, see :class:`Autoregression`.

    Raises
    ------
    ValueError
        If a number is less than 1.
    """
    return Autoregression(order, max_order)


def _known(task: Task, order: int) -> tuple[Array, Array]:
    """Return the rows of the train part, and their targets."""
    rows = _with_constant(task.lags(order)[0])
    return rows, task.y[-len(rows) :]


def _with_constant(rows: Array) -> Array:
    return np.column_stack([rows, np.ones(len(rows))])


def _least_squares(rows: Array, y: Array) -> tuple[Array, float]:
    """Return the coefficients and the mean squared residual."""
    found = np.linalg.lstsq(rows, y)[0]
    return found, float(np.mean((y - rows @ found) ** 2))


def _least_bic(task: Task, max_order: int) -> int:
    """Return the order with the least ``n log(RSS/n) + k log n``, all on the same n rows."""
    return min(range(1, max_order + 1), key=lambda order: _bic(task, order, max_order))


def _bic(task: Task, order: int, max_order: int) -> float:
    rows, y = (part[max_order - order :] for part in _known(task, order))
    residual = max(_least_squares(rows, y)[1], np.finfo(float).tiny)
    return len(y) * np.log(residual) + rows.shape[1] * np.log(len(y))
