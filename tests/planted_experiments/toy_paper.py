"""Toy waves: two tasks, rows of all kinds, done in a blink."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from circuits import CX, RX, RY, Circuit, inputs, weights
from hybrid import training
from hybrid.claims import Claim
from hybrid.experiment import Case, Experiment, Outcome, Row
from hybrid.units import count_parameters
from qml import QuantumLayer

WINDOW = 2


def experiment() -> Experiment:
    rows = (
        Row("circuit", "quantum", partial(trained, build=circuit)),
        Row("frozen circuit", "quantum", partial(trained, build=frozen)),
        Row("no circuit", "control", partial(trained, build=linear)),
        Row("MLP", "classical", partial(trained, build=mlp), tasks=("sine",)),
        Row("persistence", "trivial", persistence, seeded=False),
    )
    return Experiment(
        name="toy-paper",
        title="Waves on Toys",
        arxiv="arXiv:0000.00000",
        claim="Toys of <two> qubits learn waves.",
        metric="test RMSE",
        lower_is_better=True,
        tasks=("sine", "beat"),
        rows=rows,
        levels={
            "quick": {"seeds": 2, "epochs": 2, "n_points": 40},
            "default": {"seeds": 3, "epochs": 5, "n_points": 80},
            "full": {"seeds": 5, "epochs": 20, "n_points": 200},
        },
        published={"circuit": {"sine": "0.123"}, "their LSTM": {"beat": "0.456"}},
        claims=(
            Claim("the circuit is better than persistence", "circuit", "persistence"),
            Claim("frozen is comparable to trained", "frozen circuit", "circuit", within=0.5),
        ),
        data="a file with a number to add",
        packages=("statsmodels",),
        least=0.0,
    )


def series(case: Case) -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, 12, case.settings["n_points"])
    values = np.sin(t) if case.task == "sine" else 0.5 * np.sin(t) * np.sin(0.3 * t)
    values = values + (0.0 if case.data is None else float(Path(case.data).read_text()))
    X = np.stack([values[i : i - WINDOW] for i in range(WINDOW)], axis=1)
    return X.astype(np.float32), values[WINDOW:, None].astype(np.float32)


def trained(case: Case, build) -> Outcome:
    X, y = series(case)
    cut, epochs = 2 * len(X) // 3, case.settings["epochs"]
    fitted = training.fit(
        partial(build, case), X[:cut], y[:cut], seed=case.seed, epochs=epochs, lr=0.05, loss="mse",
        on_epoch=lambda epoch: case.tell(epoch["epoch"], epochs), name=case.task, checkpoint=case.checkpoint,
    )  # fmt: skip
    start = time.perf_counter()
    found = fitted.net.predict(X[cut:])
    seconds = {"training": fitted.seconds, "prediction": time.perf_counter() - start}
    return Outcome(
        rmse(found, y[cut:]),
        count_parameters(fitted.net.module_),
        seconds,
        {"target": y[cut:, 0].tolist(), "prediction": found[:, 0].tolist()},
    )


def persistence(case: Case) -> Outcome:
    X, y = series(case)
    cut = 2 * len(X) // 3
    none = {"quantum": 0, "classical": 0, "frozen": 0}
    return Outcome(rmse(X[cut:, -1:], y[cut:]), none, {"training": 0.0, "prediction": 0.0})


def rmse(found: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - y) ** 2)))


def circuit(case: Case) -> nn.Module:
    x, w = inputs(2), weights(2)
    ops = [RX(x[0], 0), RX(x[1], 1), CX(0, 1), RY(w[0], 0), RY(w[1], 1)]
    layer = QuantumLayer(Circuit(2, ops, n_inputs=2, n_weights=2), backend=case.make_backend())
    return nn.Sequential(layer, nn.Linear(2, 1))


def frozen(case: Case) -> nn.Module:
    model = circuit(case)
    model[0].requires_grad_(False)
    return model


def linear(case: Case) -> nn.Module:
    return nn.Linear(2, 1)


def mlp(case: Case) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), torch.nn.Tanh(), nn.Linear(2, 1))
