"""Persistence, ``ŷ_{t+1} = y_t``: the trivial forecast of a time series, which every other has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from hybrid.forecasting import Task


class Persistence:
    """Forecasts the last known value; there is nothing to fit."""

    n_parameters = 0

    def fit(self, task: Task) -> Persistence:
        """Do nothing, for the sake of one interface; return the model itself."""
        return self

    def predict(self, task: Task) -> np.ndarray:
        """Return the forecasts of the test part, float64 (n_test,), scaled."""
        return task.last_known


def build() -> Persistence:
    """Return the model, which has no settings."""
    return Persistence()
