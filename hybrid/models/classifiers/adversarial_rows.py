"""The rows of the experiment on attacks: two classes, trained plainly or against attacks, then attacked.

All rows of a task see the same samples, images as x̂ or quantum states (:mod:`~.adversarial_states`), have one
optimiser, schedule and order of the data, and meet the same attacks, each computed on the row itself as it is tested:
noise and adversarial training included. Only transferred samples are made on another model.
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
from torch import Tensor, nn

from hybrid import data, training
from hybrid.attacks import Attack, fgsm, pgd, robust_accuracy
from hybrid.data import Dataset, Split
from hybrid.experiment import Case, Outcome
from hybrid.models.classifiers import adversarial_qnn, adversarial_states, aubry_andre, rows
from hybrid.models.classifiers.depolarized import Depolarized
from hybrid.units import count_parameters

Build = Callable[..., nn.Module]

#: Headings of the figures that the rows give beside their accuracy, for :class:`hybrid.experiment.Experiment`.
ALSO = {
    "random signs": "random",
    "FGSM": "fgsm",
    "PGD": "pgd",
    "masked ascent": "masked",
    "PGD on the plain model": "from_plain",
}

#: What the settings of a task name as data where samples are quantum states.
STATES = "states"

_TEST_SHARE = 0.3  # where there is no official test part


def samples(case: Case) -> Split:
    """Return train and test part of a task: x̂ float32 (n, side²) of unit length, classes 0 and 1, int64 (n,).

    The settings of the task name the ``data``, the ``classes`` by their numbers, the ``side`` in pixels, and
    ``n_train`` and ``n_test``, how many are kept; None for all. Where the data are states, they name ``n_qubits``.
    """
    chosen = case.settings[case.task]
    if chosen["data"] == STATES:
        return _states(chosen["n_qubits"], chosen["n_train"], chosen["n_test"])
    parts = data.split(_two_classes(chosen["data"], tuple(chosen["classes"]), case.data), 0, _TEST_SHARE)
    kept = [_some(len(y), chosen[n]) for y, n in ((parts.y, "n_train"), (parts.y_test, "n_test"))]
    X, X_test = (_unit(X[some], chosen["side"]) for X, some in zip((parts.X, parts.X_test), kept, strict=True))
    return parts._replace(X=X, y=parts.y[kept[0]], X_test=X_test, y_test=parts.y_test[kept[1]])


def _states(n_qubits: int, n_train: int, n_test: int) -> Split:
    states, y = aubry_andre.states(n_qubits, n_train + n_test)
    X = adversarial_states.samples(states, n_qubits)
    return Split(X[:n_train], y[:n_train], X[n_train:], y[n_train:], resampled=False)


def check(tasks: tuple[str, ...], settings: Mapping[str, Any], folder: Path | None) -> None:
    """Raise ValueError where the images of a task are missing, before anything is run."""
    for task in tasks:
        samples(Case(task, 0, settings, "statevector", folder, lambda *_: None, None))


def _some(n: int, kept: int | None) -> np.ndarray:
    return np.random.default_rng(0).permutation(n)[:kept]


def _unit(X: np.ndarray, side: int) -> np.ndarray:
    width = round(X.shape[1] ** 0.5)
    return adversarial_qnn.unit(torch.as_tensor(X).reshape(-1, width, width), side).numpy()


@lru_cache(maxsize=1)  # rows of one task follow each other
def _two_classes(name: str, classes: tuple[int, int], folder: Path | None) -> Dataset:
    found = rows.loaded(name, folder)
    train, test = (_of(classes, X, y) for X, y in ((found.X, found.y), (found.X_test, found.y_test)))
    names = tuple(found.class_names[each] for each in classes)
    return replace(found, X=train[0], y=train[1], X_test=test[0], y_test=test[1], class_names=names)


def _of(classes: tuple[int, ...], X: Any, y: Any) -> tuple[Any, Any]:
    if X is None:
        return None, None
    kept = np.isin(y, classes)
    return X[kept], np.searchsorted(classes, y[kept])


# --- rows ----------------------------------------------------------------------------------------------------------


def trained(case: Case, build: Build, hardened: bool = False, noise: float | None = None) -> Outcome:
    """Train a model, against attacks or not, and attack it; noise is that of gates, in attack and test."""
    found, settings = samples(case), case.settings[case.task]
    fitted, beside = _fit(case, build, found, hardened), replace(case, checkpoint=None, tell=_untold)
    linear = _fit(beside, adversarial_qnn.linear, found).net.module_
    plain = _fit(beside, build, found).net.module_ if hardened else None
    model, x, y = fitted.net.module_, torch.as_tensor(found.X_test), torch.as_tensor(found.y_test)
    if noise is not None:
        model[0].to_backend(Depolarized(noise))
    start = time.perf_counter()
    correct = _accuracy(model, x, y)
    seconds = {"training": fitted.seconds, "prediction": time.perf_counter() - start}  # not what attacks take
    extra = {"train_loss": fitted.history[-1]["train_loss"], "eps": [0, *settings["eps"]]}
    extra |= _attacked(model, plain, linear, x, y, settings)
    return Outcome(correct, count_parameters(model), seconds, extra)


def _fit(case: Case, build: Build, found: Split, hardened: bool = False) -> training.Fitted:
    settings = case.settings[case.task]
    return training.fit(
        partial(build, found.X.shape[1], settings["n_qubits"], case.make_backend(), _kind(settings)),
        found.X,
        found.y,
        seed=case.seed,
        epochs=settings["epochs"],
        lr=settings["lr"],
        batch_size=settings["batch_size"],
        on_epoch=lambda epoch: case.tell(int(epoch["epoch"]), settings["epochs"]),
        checkpoint=case.checkpoint,
        attack=_trained_against(settings) if hardened else None,
    )


def _kind(settings: Mapping[str, Any]) -> adversarial_qnn.Samples:
    return adversarial_states.STATES if settings["data"] == STATES else adversarial_qnn.PIXELS


def _mask(settings: Mapping[str, Any]) -> Tensor | None:
    """Return which values of a sample an attack may change; None for all."""
    return torch.as_tensor(adversarial_states.changeable(settings["n_qubits"])) if settings["data"] == STATES else None


def _trained_against(settings: Mapping[str, Any]) -> Callable[..., Any]:
    attack, mask = Attack(settings["harden"], n_steps=settings["n_steps"], bounds=None), _mask(settings)
    return attack if mask is None else partial(attack, mask=mask)


def _untold(*_: Any) -> None:
    """Tell nobody."""


def _attacked(
    model: nn.Module, plain: nn.Module | None, linear: nn.Module, x: Tensor, y: Tensor, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return accuracies: of PGD and FGSM at 0 and every radius, and of every attack at the radius trained against."""
    radius, n_steps, mask = settings["harden"], settings["n_steps"], _mask(settings)
    strongest = partial(pgd(radius, n_steps=n_steps, bounds=None), mask=mask)
    made = strongest(model, x, y)
    curves = {
        "pgd": robust_accuracy(model, x, y, settings["eps"], pgd, mask=mask, n_steps=n_steps, bounds=None),
        "fgsm": robust_accuracy(model, x, y, settings["eps"], fgsm, mask=mask, bounds=None),
    }
    return {
        **{name: curve.accuracy[curve.eps.index(radius)] for name, curve in curves.items()},
        "random": _accuracy(model, x + radius * _signs(x, mask), y),
        "masked": _accuracy(model, _ascended(model, x, y, mask), y),
        "from_plain": _accuracy(model, made if plain is None else strongest(plain, x, y), y),
        "from_linear": _accuracy(model, strongest(linear, x, y), y),
        "to_linear": _accuracy(linear, made, y),
        "curves": {name: list(curve.accuracy) for name, curve in curves.items()},
        "constant": curves["pgd"].constant is not None,
    }


def _signs(x: Tensor, mask: Tensor | None) -> Tensor:
    signs = torch.randint(2, x.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return signs if mask is None else signs * mask


def _ascended(model: nn.Module, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """Return what the paper attacks with; the angles that turn a state have no background."""
    if mask is None:
        return adversarial_qnn.masked_ascent(model, x, y)
    return adversarial_qnn.masked_ascent(model, x, y, scale=1.0, mask=mask)


def _accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())
