"""The rows of experiments on images, all on equal terms.

Every row of a task sees the same images, divided once whatever the seed, and scaled to [0, 1] by the train part alone.
All that is trained has one optimiser, one schedule and one order of the data; a seed is one of weights and order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import backends
from hybrid import data, training
from hybrid.baselines import logistic_regression
from hybrid.classifiers.adam import DecayingAdam
from hybrid.data import Dataset, Split
from hybrid.experiment import Case, Outcome
from hybrid.units import count_parameters

Settings = Mapping[str, Any]
Build = Callable[..., nn.Module]
Prepare = Callable[[Tensor, Settings], Tensor]  # images (N, 1, H, W) to what a network takes
Load = Callable[[Case], Split]

TASKS = ("digits", "mnist")
NEEDS_DATA = ("mnist",)  # digits are part of scikit-learn

DATA = "a folder with MNIST-type IDX files of 28 × 28 pixels (train-images-idx3-ubyte, …, .gz or not)"

_TEST_SHARE = 0.2  # of the digits, which have no official test part, unless settings say another
_AT_ONCE = 500  # test images that are classified at once


def images(case: Case) -> Split:
    """Return train and test part of a task, images float32 (n, 1, H, W) in [0, 1], classes int64 (n,).

    The settings of the task may name ``n_train`` and ``n_test``, how many are kept, ``test_share``, where there is no
    official test part, and ``classes``: the first so many.
    """
    chosen = case.settings[case.task]
    found = _first_classes(loaded(case.task, case.data), chosen.get("classes"))
    parts = data.split(found, 0, chosen.get("test_share", _TEST_SHARE), chosen.get("n_train"))
    kept = np.random.default_rng(0).permutation(len(parts.y_test))[: chosen.get("n_test")]
    # One factor for all pixels: it is the brightest pixel of the train part that is 1.
    top, shape = parts.X.max(), (-1, 1, *(found.image_shape or ()))
    X, X_test = (np.clip(part.reshape(shape) / top, 0, 1) for part in (parts.X, parts.X_test[kept]))
    return parts._replace(X=X, y=np.array(parts.y), X_test=X_test, y_test=parts.y_test[kept])


@lru_cache(maxsize=1)  # rows of one task follow each other
def loaded(task: str, folder: Path | None) -> Dataset:
    """Return the images of a task as they are."""
    if task == "digits":
        return data.load("digits")
    if folder is None:
        raise ValueError(f"got the task {task} without data, expected {DATA}: name it with --data")
    found = data.load(folder)
    if found.image_shape != (28, 28):
        raise ValueError(f"got data of shape {found.image_shape or found.X.shape[1:]} in {folder}, expected {DATA}")
    return found


def _first_classes(found: Dataset, n: int | None) -> Dataset:
    if n is None or n >= found.n_classes:
        return found
    kept, official = found.y < n, found.X_test is not None and found.y_test is not None
    found = replace(found, X=found.X[kept], y=found.y[kept], class_names=found.class_names[:n])
    if official:
        known = found.y_test < n  # type: ignore[operator]
        found = replace(found, X_test=found.X_test[known], y_test=found.y_test[known])  # type: ignore[index]
    return found


def check(tasks: tuple[str, ...], settings: Settings, folder: Path | None) -> None:
    """Raise ValueError where the images of a task are missing or too few, before anything is run."""
    for task in tasks:
        images(Case(task, 0, settings, "statevector", folder, lambda *_: None, None))


# --- rows ----------------------------------------------------------------------------------------------------------


def as_they_are(images: Tensor, settings: Settings) -> Tensor:
    """Return the images."""
    return images


def trained(case: Case, build: Build, prepare: Prepare = as_they_are, load: Load = images, **options: Any) -> Outcome:
    """Train a network; its circuits, if it has some, run on the backend of the case."""
    found, settings, start = load(case), case.settings[case.task], time.perf_counter()
    X = prepare(torch.as_tensor(found.X), settings)
    prepared = time.perf_counter() - start
    backend = backends.get(case.backend, case.seed)
    n_classes = int(found.y.max()) + 1
    fitted = _fit(case, partial(build, X.shape[1:], n_classes, settings, backend, **options), X.numpy(), found.y)
    start = time.perf_counter()
    correct = _accuracy(fitted.net.module_, prepare(torch.as_tensor(found.X_test), settings), found.y_test)
    seconds = {"training": prepared + fitted.seconds, "prediction": time.perf_counter() - start}
    extra = {"train_loss": fitted.history[-1]["train_loss"]}
    return Outcome(correct, count_parameters(fitted.net.module_), seconds, extra)


def logistic(case: Case, prepare: Prepare = as_they_are, load: Load = images) -> Outcome:
    """Logistic regression on the pixels, of mean 0 and variance 1 in the train part."""
    found, settings, start = load(case), case.settings[case.task], time.perf_counter()
    X, X_test = (prepare(torch.as_tensor(part), settings).flatten(1).numpy() for part in (found.X, found.X_test))
    scaler = StandardScaler().fit(X)
    model = logistic_regression.build(X.shape[1], int(found.y.max()) + 1).fit(scaler.transform(X), found.y)
    between = time.perf_counter()
    correct = float((model.predict(scaler.transform(X_test)) == found.y_test).mean())
    seconds = {"training": between - start, "prediction": time.perf_counter() - between}
    return Outcome(correct, count_parameters(model), seconds)


def _fit(case: Case, build: Callable[[], nn.Module], X: np.ndarray, y: np.ndarray) -> training.Fitted:
    settings = case.settings[case.task]
    options = settings.get("optimizer_options", {})
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
        optimizer=DecayingAdam if "decay" in options else torch.optim.Adam,
        optimizer_options=options,
    )


def _accuracy(model: nn.Module, X: Tensor, y: np.ndarray) -> float:
    model.eval()
    with torch.no_grad():
        predicted = torch.cat([model(part).argmax(-1) for part in X.split(_AT_ONCE)])
    return float((predicted.numpy() == y).mean())
