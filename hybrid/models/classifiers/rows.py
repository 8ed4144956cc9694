"""The rows of experiments on images, all on equal terms.

Every row of a task sees the same images, divided once whatever the seed, and scaled to [0, 1] by the train part alone.
A task is a set of images by its name: scikit-learn's digits, or one of :mod:`hybrid.catalogue` under ``--data``.
All that is trained has one optimiser, one schedule and one order of the data; a seed is one of weights and order.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from hybrid import catalogue, data, training
from hybrid.baselines import logistic_regression
from hybrid.data import Dataset, Split
from hybrid.experiment import Case, Experiment, Outcome
from hybrid.models.classifiers.adam import DecayingAdam
from hybrid.units import count_parameters

Settings = Mapping[str, Any]
Build = Callable[..., nn.Module]
Prepare = Callable[[Tensor, Settings], Tensor]  # images (N, C, H, W) to what a network takes
Load = Callable[[Case], Split]

TASKS = ("digits", "mnist")  # digits are part of scikit-learn

DATA = (
    "a folder with mnist/, fashion-mnist/, cifar10/, mednist/, …, such as 'qml data' fetches, "
    "or with MNIST-type IDX files of 28 × 28 pixels (train-images-idx3-ubyte, …, .gz or not)"
)

_TEST_SHARE = 0.2  # of the digits, which have no official test part, unless settings say another
_AT_ONCE = 500  # test images that are classified at once


def on_images(tasks: tuple[str, ...] = TASKS, **fields: Any) -> Experiment:
    """Return an experiment on images: all tasks but digits need data, and scores are shares of what is right.

    Parameters
    ----------
    tasks
        Names of image sets.
    **fields
        The other ones of :class:`hybrid.experiment.Experiment`, and those that are not as said here.
    """
    usual: dict[str, Any] = {
        "metric": "test accuracy",
        "lower_is_better": False,
        "needs_data": tuple(task for task in tasks if task != "digits"),
        "data": DATA,
        "files": files,
        "check": check,
        "least": 0.0,
        "most": 1.0,
    }
    return Experiment(tasks=tasks, **usual | fields)


def images(case: Case) -> Split:
    """Return train and test part of a task, images float32 (n, C, H, W) in [0, 1], classes int64 (n,).

    The settings of the task may name ``n_train`` and ``n_test``, how many are kept, ``test_share``, where there is no
    official test part, and ``classes``: the first so many.
    """
    chosen = case.settings[case.task]
    found = _first_classes(loaded(case.task, case.data), chosen.get("classes"))
    parts = data.split(found, 0, chosen.get("test_share", _TEST_SHARE), chosen.get("n_train"))
    kept = np.random.default_rng(0).permutation(len(parts.y_test))[: chosen.get("n_test")]
    # One factor for all pixels: it is the brightest pixel of the train part that is 1.
    shape = (-1, *(1,) * (3 - len(found.image_shape or ())), *(found.image_shape or ()))
    top = parts.X.max()
    X, X_test = (np.clip(part.reshape(shape) / top, 0, 1) for part in (parts.X, parts.X_test[kept]))
    return parts._replace(X=X, y=np.array(parts.y), X_test=X_test, y_test=parts.y_test[kept])


@lru_cache(maxsize=1)  # rows of one task follow each other
def loaded(task: str, folder: Path | None) -> Dataset:
    """Return the images of a task as they are."""
    if task == "digits":
        return data.load("digits")
    if not files(task, folder):
        raise ValueError(f"got the task {task} without data, expected {DATA}: name it with --data")
    return data.load(task, folder)


def files(task: str, folder: Path | None) -> list[Path]:
    """Return the files of a task in a data folder; none where it needs none, or there are none."""
    if task not in catalogue.KNOWN or folder is None or (found := catalogue.find(task, folder)) is None:
        return []
    return list(catalogue.files(found))


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
    """Raise ValueError where the images of a task are missing or too few, before anything is run.

    It says on stderr in which way a set is not the official one.
    """
    for task in tasks:
        images(Case(task, 0, settings, "statevector", folder, lambda *_: None, None))
        if note := loaded(task, folder).note:
            print(f"Note on {task}: {note}", file=sys.stderr)


# --- rows ----------------------------------------------------------------------------------------------------------


def doubled(images: Tensor, settings: Settings) -> Tensor:
    """Return the images in double precision, for networks that compute in it."""
    return images.double()


def as_they_are(images: Tensor, settings: Settings) -> Tensor:
    """Return the images."""
    return images


def pooled(images: Tensor, settings: Settings) -> Tensor:
    """Return images averaged over squares of ``settings["pool"]`` pixels a side."""
    return nn.functional.avg_pool2d(images, settings["pool"])


def trained(case: Case, build: Build, prepare: Prepare = as_they_are, load: Load = images, **options: Any) -> Outcome:
    """Train a network; its circuits, if it has some, run on the backend of the case.

    Where the settings of the task are ``balanced``, every class counts as much as the others, in loss and score.
    """
    found, settings, start = load(case), case.settings[case.task], time.perf_counter()
    X = prepare(torch.as_tensor(found.X), settings)
    prepared = time.perf_counter() - start
    backend = case.make_backend()
    n_classes = int(found.y.max()) + 1
    make = partial(build, X.shape[1:], n_classes, settings, backend, **options)
    fitted = fit(case, make, X.numpy(), found.y, **_terms(settings))
    start = time.perf_counter()
    predicted = predict(fitted.net.module_, prepare(torch.as_tensor(found.X_test), settings))
    seconds = {"training": prepared + fitted.seconds, "prediction": time.perf_counter() - start}
    losses = [epoch["train_loss"] for epoch in fitted.history]
    extra = {"train_loss": losses[-1], "train_losses": losses}
    return Outcome(score(settings, predicted, found.y_test), count_parameters(fitted.net.module_), seconds, extra)


def logistic(case: Case, prepare: Prepare = as_they_are, load: Load = images) -> Outcome:
    """Logistic regression on the pixels, of mean 0 and variance 1 in the train part; balanced as :func:`trained`."""
    found, settings, start = load(case), case.settings[case.task], time.perf_counter()
    X, X_test = (prepare(torch.as_tensor(part), settings).flatten(1).numpy() for part in (found.X, found.X_test))
    scaler = StandardScaler().fit(X)
    options = {"class_weight": "balanced"} if settings.get("balanced") else {}
    model = logistic_regression.build(X.shape[1], int(found.y.max()) + 1, **options).fit(scaler.transform(X), found.y)
    between = time.perf_counter()
    correct = score(settings, model.predict(scaler.transform(X_test)), found.y_test)
    seconds = {"training": between - start, "prediction": time.perf_counter() - between}
    return Outcome(correct, count_parameters(model), seconds)


def fit(case: Case, build: Callable[[], nn.Module], X: np.ndarray, y: np.ndarray, **terms: Any) -> training.Fitted:
    """Train for the epochs, with the batches and the loss that the settings name; the terms are how, as ``lr``."""
    settings = case.settings[case.task]
    return training.fit(
        build,
        X,
        y,
        seed=case.seed,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        loss_options=settings.get("loss_options"),
        on_epoch=lambda epoch: case.tell(int(epoch["epoch"]), settings["epochs"]),
        checkpoint=case.checkpoint,
        class_weights=_class_weights(X, y) if settings.get("balanced") else None,
        **terms,
    )


def predict(model: nn.Module, X: Tensor) -> np.ndarray:
    """Return the classes that a network gives images, int64 (n,)."""
    model.eval()
    with torch.no_grad():
        found: np.ndarray = torch.cat([model(part).argmax(-1) for part in X.split(_AT_ONCE)]).numpy()
    return found


def score(settings: Settings, predicted: np.ndarray, y: np.ndarray) -> float:
    """Return the share of samples that are right; where the settings are balanced, the mean share of all classes."""
    return float((balanced_accuracy_score if settings.get("balanced") else accuracy_score)(y, predicted))


def _terms(settings: Settings) -> dict[str, Any]:
    options = settings.get("optimizer_options", {})
    optimizer = DecayingAdam if "decay" in options else torch.optim.Adam
    return {"lr": settings["lr"], "optimizer": optimizer, "optimizer_options": options}


def _class_weights(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return weights with which all classes count alike, of the samples' dtype; float32 where these are integers."""
    dtype = X.dtype if X.dtype.kind == "f" else np.float32
    return compute_class_weight("balanced", classes=np.unique(y), y=y).astype(dtype)
