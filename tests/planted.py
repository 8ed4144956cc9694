"""Comparisons with planted accuracies: as if they had been trained, but with a known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybrid.compare import CONTROLS, Comparison
from hybrid.records import SCHEMA, Unit

FIELDS = {"source": "0" * 64, "n_parameters": None, "data": "f" * 64, "epochs": 4, "lr": 0.01}
FIELDS |= {"batch_size": 32, "test_size": 0.2, "n_train": None, "backend": "statevector"}


def comparison(accuracies, *, resampled=False, n_train=800, n_pool=800, n_test=200, out="."):
    """Return a comparison with ``accuracies[model, variant]``, one number per seed."""
    units = [Unit(*row, seed=seed, **FIELDS) for row, values in accuracies.items() for seed in range(len(values))]
    values = [value for row in accuracies.values() for value in row]
    sizes = {"n_train": n_train, "n_pool": n_pool, "n_test": n_test}
    records = [_record(unit, value, resampled, sizes) for unit, value in zip(units, values, strict=True)]
    return Comparison(Path(out), "qml compare planted", tuple(units), tuple(records))


def one_hybrid(hybrid, *, model="planted", **others):
    """Return the accuracies of one hybrid with all its rows; a row that is not named has its own plus noise."""
    random = np.random.default_rng(0)
    rows = {(model, "hybrid"): np.asarray(hybrid, float)}
    for variant in (*CONTROLS, "mlp", "baseline"):
        row = ("logistic_regression", variant) if variant == "baseline" else (model, variant)
        noise = 0.01 * random.standard_normal(len(hybrid))
        rows[row] = np.asarray(others[variant], float) if variant in others else np.asarray(hybrid) + noise
    return rows


def _record(unit, accuracy, resampled, sizes):
    curve = accuracy * (1 - np.exp(-np.arange(1, unit.epochs + 1)))
    history = [
        {"epoch": i + 1, "train_loss": 1.5 - a, "valid_loss": 1.6 - a, "valid_accuracy": a, "seconds": 0.5}
        for i, a in enumerate(curve.tolist())
    ]
    return {
        "schema": SCHEMA,
        "key": unit.key,
        "unit": {},
        "data": "planted",
        "test_accuracy": float(accuracy),
        **sizes,
        "resampled": resampled,
        "parameters": {"quantum": 12 * (unit.variant == "hybrid"), "classical": 610, "frozen": 0},
        "seconds": 2.0,
        "history": [] if unit.variant == "baseline" else history,
        "predictions": [],
        "versions": {"python": "3.11", "torch": "2.13.0"},
    }
