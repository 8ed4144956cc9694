"""Echo state network of reservoirpy with a ridge readout: the classical reservoir for time series, tuned.

    x_{t+1} = (1 - a) x_t + a tanh(ρ W x_t + s (W_in u_{t+1} + b)),      ŷ = c + w·x

(Jaeger, GMD report 148 (2001)), W dense and normal, scaled to spectral radius 1, W_in of ±1, b uniform on [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from circuits.checks import whole
from hybrid.forecasting import Task, Windows

Array = np.ndarray

#: What :func:`tune` tries, each with each: 72 reservoirs, the readout of each with every penalty. A reservoir that is
#: compared with a tuned one deserves as many tries.
SPECTRAL_RADII = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1)
LEAKS = (0.3, 0.6, 1.0)
INPUT_SCALES = (0.01, 0.1, 0.5, 1.5)
RIDGES = (1e-12, 1e-9, 1e-6, 1e-3)


@dataclass
class EchoState:
    """An echo state network; on windows it starts each from a state of zeros, as recurrent networks do.

    Parameters
    ----------
    units : int
        Size of the state.
    spectral_radius : float
        ρ, of the recurrent matrix: memory.
    leak : float
        a, in (0, 1]: 1 forgets at once, less is slower.
    input_scale : float
        s, of input and bias: nonlinearity.
    ridge : float
        Penalty on the squared readout weights, the constant left out.
    seed : int
        Of the random matrices.
    washout : int
        First steps of a whole series that the readout is not fitted to.
    """

    units: int
    spectral_radius: float = 0.9
    leak: float = 1.0
    input_scale: float = 0.5
    ridge: float = 1e-6
    seed: int = 0
    washout: int = 0

    def __post_init__(self) -> None:
        for name, least in (("units", 1), ("seed", 0), ("washout", 0)):
            whole(name, getattr(self, name), least)
        for name, most in (("spectral_radius", np.inf), ("leak", 1.0), ("input_scale", np.inf), ("ridge", np.inf)):
            value = getattr(self, name)
            if not 0 < value <= most or not np.isfinite(value):
                raise ValueError(f"got {name}={value!r}, expected more than 0, at most {most:g}: pass {name}=0.5")

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters: the readout's, its constant included."""
        return self.units + 1

    @property
    def n_frozen(self) -> int:
        """Number of random parameters for one input: the two matrices and the bias."""
        return self.units * (self.units + 2)

    def states(self, inputs: Array, state: Array | None = None) -> tuple[Array, Array]:
        """Return the state after every step, and the last one, with which the next call goes on.

        Parameters
        ----------
        inputs : array, shape (T, n_inputs)
        state : array, shape (units,), optional
            What the last call returned; zeros if not given.

        Returns
        -------
        states : array, shape (T, units)
        state : array, shape (units,)

        Raises
        ------
        ModuleNotFoundError
            If reservoirpy is not installed.
        """
        found = _run(self._reservoir(), np.asarray(inputs, float), state)
        return found, found[-1]

    def fit(self, task: Task) -> EchoState:
        """Fit the readout to the train part; return the network itself.

        Raises
        ------
        ValueError
            If the washout leaves fewer than two steps.
        """
        return self._fit(self._features(task)[0], task)

    def predict(self, task: Task) -> Array:
        """Return the forecasts of the test part, float64 (n_test,), scaled."""
        return self._readout.predict(self._features(task)[1])

    def _fit(self, features: Array, task: Task) -> EchoState:
        from sklearn.linear_model import Ridge

        skipped = 0 if isinstance(task, Windows) else self.washout
        if skipped > len(task.y) - 2:
            raise ValueError(
                f"got washout={skipped} for {len(task.y)} training steps, expected at least two more steps"
            )
        self._readout: Any = Ridge(self.ridge, solver="svd").fit(features[skipped:], task.y[skipped:])
        return self

    def _features(self, task: Task) -> tuple[Array, Array]:
        """Return the states that the readout sees, of the train and of the test part."""
        reservoir = self._reservoir()
        if isinstance(task, Windows):
            train, test = (_run(reservoir, part[..., None])[:, -1] for part in (task.X, task.X_test))
            return train, test
        found = _run(reservoir, task.inputs)
        return found[: task.n_train], found[task.n_train :]

    def _reservoir(self) -> Any:
        try:
            from reservoirpy.mat_gen import uniform
            from reservoirpy.nodes import Reservoir
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "echo_state needs reservoirpy: pip install 'hybridqml[sequences]'", name=error.name
            ) from error
        return Reservoir(
            self.units,
            lr=self.leak,
            sr=self.spectral_radius,
            input_scaling=self.input_scale,
            rc_connectivity=1.0,  # a few units, sparsely connected, would often not be connected at all
            input_connectivity=1.0,
            bias=uniform(input_scaling=self.input_scale),
            seed=self.seed,
        )


def build(units: int, **settings: Any) -> EchoState:
    """Return an untuned network, see :class:`EchoState`.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    return EchoState(units, **settings)


def tune(units: int, task: Task, *, seed: int = 0, washout: int = 0, share: float = 0.25) -> EchoState:
    """Return the network that forecasts the last part of the train part best, fitted to the whole train part.

    All combinations of :data:`SPECTRAL_RADII`, :data:`LEAKS`, :data:`INPUT_SCALES` and :data:`RIDGES` are tried; the
    test part is not looked at.

    Parameters
    ----------
    units : int
        Size of the state.
    task : Windows or Stream
    seed : int
        Of the random matrices, the same in every try.
    washout : int
        First steps of a whole series that readouts are not fitted to.
    share : float
        Of the train part, to choose by.

    Raises
    ------
    ValueError
        If the train part is too short to be divided.
    """
    inner = task.validation(share)
    grid = product(SPECTRAL_RADII, LEAKS, INPUT_SCALES)
    tries = [try_ for settings in grid for try_ in _tries(EchoState(units, *settings, 1.0, seed, washout), inner)]
    return min(tries, key=lambda found: found[0])[1].fit(task)


def _tries(network: EchoState, task: Task) -> list[tuple[float, EchoState]]:
    """Return the error of a network with every penalty on the readout; its states are computed once."""
    known, unknown = network._features(task)
    networks = [replace(network, ridge=ridge)._fit(known, task) for ridge in RIDGES]
    return [(task.nrmse(each._readout.predict(unknown)), each) for each in networks]


def _run(reservoir: Any, inputs: Array, state: Array | None = None) -> Array:
    """Return the states for inputs (T, n_inputs), or for windows (n, T, n_inputs) that all start from the state."""
    if not reservoir.initialized:
        reservoir.initialize(inputs)
    reservoir.state = {"out": np.zeros(reservoir.units) if state is None else np.asarray(state, float)}
    return reservoir.run(inputs)
