"""Train the model of one unit (model × data × seed) and describe the outcome as one record."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

import backends
from hybrid import progress, records, running, training
from hybrid.data import Dataset, Split, split
from hybrid.progress import Tell
from hybrid.records import Record, Unit
from qml import HamiltonianReuploading, QuantumLayer, QuantumTensorNetwork, SpecialUnitary

Build = Callable[..., Any]

#: Modules whose parameters count as quantum.
QUANTUM = (QuantumLayer, SpecialUnitary, HamiltonianReuploading, QuantumTensorNetwork)

#: Samples of the test part that are predicted after every epoch, to watch.
N_WATCHED = 1000


def attempt(
    unit: Unit, build: Build, dataset: Dataset, folder: Path, checkpoint: Path | None = None
) -> tuple[Unit, Record | Exception]:
    """Train one unit in whatever process this is; an error is returned, not raised, with its traceback as a note."""
    name = f"{records.label(*unit.row)}, seed {unit.seed}"
    return running.attempt(unit, name, folder, lambda: train(unit, build, dataset, folder, checkpoint))


def train(unit: Unit, build: Build, dataset: Dataset, folder: Path, checkpoint: Path | None = None) -> Record:
    """Train the model of one unit on one thread and return its record.

    Parameters
    ----------
    unit
        What to train; with the data and the build it determines all of the record but the seconds and versions.
    build
        The function that builds the model of the unit's row.
    dataset
        The data whose fingerprint the unit names.
    folder
        Where to tell the epoch.
    checkpoint
        A file to write checkpoints to and to go on from; none where its folder is out of reach.

    Returns
    -------
    dict
        See :mod:`hybrid.records`.

    Raises
    ------
    FloatingPointError
        If the training loss is not finite.
    CheckpointError
        If the checkpoint is damaged.
    """
    parts = scaled(split(dataset, unit.seed, unit.test_size, unit.n_train))
    make = partial(model, unit, build, dataset.n_features, dataset.n_classes)
    tell = progress.teller(folder, unit.key)
    tell(0, unit.epochs)
    with training.one_thread():
        if unit.variant == "baseline":
            outcome = _fit_sklearn(make, parts)
        else:
            outcome = _fit_torch(unit, make, parts, tell, checkpoint)
    predictions = outcome.pop("predictions")
    return {
        "schema": records.SCHEMA,
        "key": unit.key,
        "unit": asdict(unit),
        "data": dataset.name,
        "n_train": len(parts.y),
        "n_pool": len(dataset.y) - parts.resampled * len(parts.y_test),
        "n_test": len(parts.y_test),
        "resampled": parts.resampled,
        "test_accuracy": float((predictions == parts.y_test).mean()),
        **outcome,
        "predictions": predictions.tolist(),
        "versions": versions(),
    }


def model(unit: Unit, build: Build, n_features: int, n_classes: int) -> Any:
    """Build the model of a unit's row: the hybrid or one of its controls, an MLP of its size, or a plain baseline."""
    if unit.variant == "baseline":
        return build(n_features, n_classes)
    if unit.variant == "mlp":
        return build(n_features, n_classes, n_parameters=unit.n_parameters)
    control = None if unit.variant == "hybrid" else unit.variant
    return build(n_features, n_classes, control=control, backend=backends.get(unit.backend, unit.seed))


def n_trainable(unit: Unit, build: Build, n_features: int, n_classes: int) -> int:
    """Count the trainable parameters of a unit's model, without touching torch's generator."""
    with torch.random.fork_rng(devices=[]):
        counts = count_parameters(model(unit, build, n_features, n_classes))
    return counts["quantum"] + counts["classical"]


def count_parameters(model: Any) -> dict[str, int]:
    """Count a model's parameters: trainable quantum, trainable classical, and frozen ones of either kind.

    Quantum parameters are those of circuits, and of unitaries that only a simulator has. Of a fitted scikit-learn
    model the coefficients and intercepts count as classical.
    """
    if not isinstance(model, nn.Module):
        return {"quantum": 0, "classical": int(model.coef_.size + model.intercept_.size), "frozen": 0}
    layers = [layer for layer in model.modules() if isinstance(layer, QUANTUM)]
    quantum = {id(parameter) for layer in layers for parameter in layer.parameters()}
    counts = {"quantum": 0, "classical": 0, "frozen": 0}
    for parameter in model.parameters():
        kind = "quantum" if id(parameter) in quantum else "classical"
        counts[kind if parameter.requires_grad else "frozen"] += parameter.numel()
    return counts


def _fit_torch(
    unit: Unit, make: Callable[[], nn.Module], parts: Split, tell: Tell, checkpoint: Path | None
) -> dict[str, Any]:
    watched = np.random.default_rng(0).permutation(len(parts.y_test))[:N_WATCHED]
    fitted = training.fit(
        make,
        parts.X,
        parts.y,
        seed=unit.seed,
        epochs=unit.epochs,
        lr=unit.lr,
        batch_size=unit.batch_size,
        valid=(parts.X_test[watched], parts.y_test[watched]),
        on_epoch=lambda epoch: tell(int(epoch["epoch"]), unit.epochs),
        name=f"{records.label(*unit.row)} (seed {unit.seed})",
        checkpoint=checkpoint if checkpoint is not None and checkpoint.parent.is_dir() else None,
    )
    return {
        "parameters": count_parameters(fitted.net.module_),
        "seconds": fitted.seconds,
        "history": fitted.history,
        "predictions": fitted.net.predict(parts.X_test),
    }


def _fit_sklearn(make: Callable[[], Any], parts: Split) -> dict[str, Any]:
    start = time.perf_counter()
    fitted = make().fit(parts.X, parts.y)
    seconds = time.perf_counter() - start
    return {
        "parameters": count_parameters(fitted),
        "seconds": seconds,
        "history": [],
        "predictions": fitted.predict(parts.X_test),
    }


def scaled(parts: Split) -> Split:
    """Scale to mean 0 and variance 1 as the train part alone says; a constant feature becomes 0, unscaled."""
    scaler = StandardScaler().fit(parts.X)
    X, X_test = scaler.transform(parts.X), scaler.transform(parts.X_test)
    return parts._replace(X=X, X_test=X_test, y=np.array(parts.y), y_test=np.array(parts.y_test))


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the packages that all units need and of others, and what machine this is."""
    packages = ("hybridqml", "torch", "numpy", "scikit-learn", "skorch", *more)
    found = {"python": platform.python_version(), **{package: _version(package) for package in packages}}
    return found | {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
