"""The rows of experiments on time series, all on equal terms.

Every row of a task sees the same windows or the same long series, scaled by the train part alone. All that is trained
has one optimiser (RMSprop), one schedule and one order of the data; what is frozen has its readout trained so, or
solved for by ridge regression. A long series is trained on in chunks that start from zeros, with the loss on their
second half; it is forecast with a running state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybrid import series, training
from hybrid.baselines import autoregression, echo_state
from hybrid.baselines.persistence import Persistence
from hybrid.experiment import Case, Outcome
from hybrid.forecasting import Task, Windows, stream, windows
from hybrid.models.forecasters import recurrent, reservoirs
from hybrid.units import count_parameters

Array = np.ndarray
Make = Callable[..., nn.Module]

LONG = "_long"  # what the names of tasks end in that are whole series with a running state

WINDOW_TASKS = ("damped_shm", "bessel", "narma5", "narma10", "mackey_glass", "santa_fe", "sunspots")
LONG_TASKS = ("narma10_long", "mackey_glass_long", "santa_fe_long", "sunspots_long")

#: The papers' training, and what is the same at every level. The weight scale is that of the authors' code.
PAPER: dict[str, Any] = {
    "window": 4, "train": 0.67, "lr": 0.01, "alpha": 0.99, "eps": 1e-8, "batch_size": 10, "chunk": 20,
    "weight_scale": 0.01, "ridge": 1e-6,
}  # fmt: skip

#: Seeds, epochs, and the most steps of a series that are used, of windows and of long series. Full has the
#: papers' 100 epochs; their own series have 240 and 256 steps.
LEVELS: dict[str, dict[str, Any]] = {
    "quick": {**PAPER, "seeds": 2, "epochs": 3, "n_steps": 100, "long_steps": 120, "washout": 20},
    "default": {**PAPER, "seeds": 5, "epochs": 20, "n_steps": 300, "long_steps": 500, "washout": 50},
    "full": {**PAPER, "seeds": 10, "epochs": 100, "n_steps": 300, "long_steps": 1000, "washout": 100},
}

DATA = (
    "a folder with santafe_laser.csv or sunspots_monthly.csv, or timeseries/ with them, in place of what packages hold"
)

_SHOWN = 200  # forecasts that are kept to be drawn


def task(case: Case) -> Task:
    """Return the windows of a task, or the whole series."""
    settings, name = case.settings, case.task.removesuffix(LONG)
    if name == case.task:
        return windows(_series(name, case.data)[: settings["n_steps"]], settings["window"], settings["train"])
    n_steps = settings["long_steps"]
    # A long NARMA is driven by noise, and the noise is what networks read.
    found = series.narma(10, n_steps, seed=0) if name == "narma10" else _series(name, case.data)[:n_steps]
    return stream(found, settings["train"])


@lru_cache(maxsize=1)  # rows of one task follow each other
def _series(name: str, data: Path | None) -> series.Series:
    return series.load(name, data if files(name, data) else None)


def files(name: str, data: Path | None) -> list[Path]:
    """Return the file that a task reads; none for a series that is computed, or that packages are asked for."""
    return [] if data is None else series.files(name.removesuffix(LONG), data)[:1]


def check(tasks: tuple[str, ...], settings: Mapping[str, Any], data: Path | None) -> None:
    """Raise ValueError or ImportError where a series or a package is missing, before anything is run."""
    echo_state.build(1).states(np.zeros((1, 1)))
    for name in tasks:
        task(Case(name, 0, settings, "statevector", data, lambda *_: None, None))


# --- rows ----------------------------------------------------------------------------------------------------------


def quantum(case: Case, build: Make, **options: Any) -> Outcome:
    """Train a network whose circuits run on the backend of the case."""
    return classical(case, build, **options, backend=case.make_backend())


def classical(case: Case, build: Make, **options: Any) -> Outcome:
    """Train a network."""
    found = task(case)
    X, y = training_set(found, case.settings["chunk"])
    fitted = _fit(case, lambda: _Batched(build(**options), y.shape[1]), X, y)
    model = fitted.net.module_.eval().model
    start = time.perf_counter()
    predicted = forecast(model, found)
    seconds = {"training": fitted.seconds, "prediction": time.perf_counter() - start}
    return _outcome(found, predicted, count_parameters(model), seconds, {"epochs": _settled(fitted.history)})


def by_gradient(case: Case, make: Callable[[Case], nn.Module]) -> Outcome:
    """Train the linear readout of a frozen system on its states, computed once."""
    found, start = task(case), time.perf_counter()
    reservoir = make(case)
    ((known, unknown),) = reservoirs.features(reservoir, found)
    skipped, between = _washout(case, found), time.perf_counter()
    head = partial(nn.Linear, known.shape[1], 1, dtype=torch.float64)
    fitted = _fit(case, head, known[skipped:], found.y[skipped:, None])
    with torch.no_grad():
        predicted = fitted.net.module_(torch.as_tensor(unknown))[:, 0].numpy()
    seconds = _shared(found, between - start, fitted.seconds)
    return _outcome(found, predicted, count(reservoir), seconds, {"epochs": _settled(fitted.history)})


def by_ridge(case: Case, make: Callable[[Case], nn.Module]) -> Outcome:
    """Solve for the linear readout of a frozen system."""
    found, start = task(case), time.perf_counter()
    settings = {"input_scale": 1.0, "ridge": case.settings["ridge"]}
    fitted = reservoirs.fit(partial(make, case), settings, found, case.settings["washout"])
    seconds = _shared(found, fitted.seconds, time.perf_counter() - start - fitted.seconds)
    return _outcome(found, fitted.predicted, count(fitted.reservoir), seconds)


def tuned(case: Case, make: Make, grid: reservoirs.Grid, scales: Sequence[float]) -> Outcome:
    """Search the settings of a frozen system on the end of the train part, and solve for its readout."""
    found, start = task(case), time.perf_counter()
    fitted = reservoirs.tune(partial(make, case), grid, scales, found, case.settings["washout"])
    seconds = _shared(found, fitted.seconds, time.perf_counter() - start - fitted.seconds)
    return _outcome(found, fitted.predicted, count(fitted.reservoir), seconds, {"tuned": fitted.settings})


def cell(case: Case, kind: str, entangled: bool = True, weight_scale: float | None = None) -> nn.Module:
    """Return a frozen quantum cell; its weights have the scale of the case's settings if none is given."""
    scale = case.settings["weight_scale"] if weight_scale is None else weight_scale
    backend = case.make_backend()
    return reservoirs.cell(kind, case.seed, weight_scale=scale, entangled=entangled, backend=backend)


def ising(case: Case, tau: float, field: float) -> nn.Module:
    """Return an Ising reservoir."""
    return reservoirs.ising(case.seed, tau=tau, field=field)


def frozen_classical(case: Case, kind: str, hidden_size: int) -> nn.Module:
    """Return a frozen recurrent network of torch, as torch draws it."""
    with training.alone(case.seed):
        return recurrent.classical(kind, hidden_size=hidden_size, frozen=True)


def echo(case: Case, units: int) -> Outcome:
    """Tune an echo state network."""
    found, start = task(case), time.perf_counter()
    network = echo_state.tune(units, found, seed=case.seed, washout=case.settings["washout"])
    between = time.perf_counter()
    predicted = network.predict(found)
    seconds = {"training": between - start, "prediction": time.perf_counter() - between}
    parameters = {"quantum": 0, "classical": network.n_parameters, "frozen": network.n_frozen}
    names = ("spectral_radius", "leak", "input_scale", "ridge")
    return _outcome(found, predicted, parameters, seconds, {"tuned": {name: getattr(network, name) for name in names}})


def linear(case: Case) -> Outcome:
    """Autoregression by least squares: on windows with all of their values, on a long series with the order of BIC."""
    return _plain(case, autoregression.build())


def persistence(case: Case) -> Outcome:
    """Forecast the last known value."""
    return _plain(case, Persistence())


def _plain(case: Case, model: Any) -> Outcome:
    found, start = task(case), time.perf_counter()
    model.fit(found)
    between = time.perf_counter()
    predicted = model.predict(found)
    seconds = {"training": between - start, "prediction": time.perf_counter() - between}
    parameters = {"quantum": 0, "classical": model.n_parameters, "frozen": 0}
    return _outcome(found, predicted, parameters, seconds)


# --- training ------------------------------------------------------------------------------------------------------


class _Batched(nn.Module):
    """A forecaster as a map of samples: (N, T, n_inputs) to the last n forecasts, (N, n, 1)."""

    def __init__(self, model: nn.Module, n: int) -> None:
        super().__init__()
        self.model, self.n = model, n

    def forward(self, x: Tensor) -> Tensor:
        u = x.transpose(0, 1)
        if self.n == 1:
            return self.model(u, last_only=True)[0][:, None]
        return self.model(u)[0][-self.n :].transpose(0, 1)


def training_set(found: Task, chunk: int) -> tuple[Array, Array]:
    """Return what networks are trained on: sequences (N, T, n_inputs), and targets of their last n steps (N, n, 1).

    Windows with one target each; or chunks of a long series, each half overlapping the next, with targets for the
    second half.
    """
    if isinstance(found, Windows):
        return found.X[..., None], found.y[:, None, None]
    half = chunk // 2
    starts = np.arange(0, found.n_train - 2 * half + 1, half)[:, None]
    X = found.inputs[starts + np.arange(2 * half)]
    return X, found.y[starts + np.arange(half, 2 * half)][..., None]


def forecast(model: nn.Module, found: Task) -> Array:
    """Return the forecasts of the test part, (n_test,), scaled; of a long series with the state of the train part."""
    inputs, n_train = reservoirs.sequences(found), len(found.y)
    with torch.no_grad():
        if isinstance(found, Windows):
            return model(inputs[:, n_train:], last_only=True)[0][:, 0].numpy()
        return model(inputs)[0][n_train:, 0, 0].numpy()


def _fit(case: Case, build: Callable[[], nn.Module], X: Array, y: Array) -> training.Fitted:
    settings = case.settings
    return training.fit(
        build,
        X,
        y,
        seed=case.seed,
        epochs=settings["epochs"],
        lr=settings["lr"],
        batch_size=settings["batch_size"],
        on_epoch=lambda epoch: case.tell(int(epoch["epoch"]), settings["epochs"]),
        checkpoint=case.checkpoint,
        loss="mse",
        optimizer=torch.optim.RMSprop,
        optimizer_options={"alpha": settings["alpha"], "eps": settings["eps"]},
    )


def count(reservoir: nn.Module) -> dict[str, int]:
    """Count the parameters of a reservoir: those of its readout are classical, all else is frozen."""
    counts = count_parameters(reservoir)
    couplings = getattr(reservoir, "couplings", torch.zeros(0, 0))
    return {**counts, "frozen": counts["frozen"] + int(couplings.triu(1).count_nonzero())}


def _outcome(
    found: Task,
    predicted: Array,
    parameters: Mapping[str, int],
    seconds: Mapping[str, float],
    extra: Mapping[str, Any] | None = None,
) -> Outcome:
    """Return what is kept: the error, and the first forecasts of the test part in the series' own units."""
    shown = {"target": found.y_test, "prediction": np.asarray(predicted)}
    traces = {
        name: [float(f"{v:.6g}") for v in found.scaler.restore(values[:_SHOWN])] for name, values in shown.items()
    }
    return Outcome(found.nrmse(predicted), parameters, seconds, {**traces, **(extra or {})})


def _shared(found: Task, states: float, training: float) -> dict[str, float]:
    """Divide the seconds that the states of both parts took by the parts' lengths."""
    share = len(found.y_test) / (len(found.y) + len(found.y_test))
    return {"training": training + (1 - share) * states, "prediction": share * states}


def _washout(case: Case, found: Task) -> int:
    return 0 if isinstance(found, Windows) else int(case.settings["washout"])


def _settled(history: Sequence[Mapping[str, float]]) -> int:
    """Return the first epoch whose training loss is within 10 % of the lowest."""
    losses = np.array([epoch["train_loss"] for epoch in history])
    return int(np.argmax(losses <= 1.1 * losses.min())) + 1
