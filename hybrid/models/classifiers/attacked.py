"""Rows of experiments on images whose networks are attacked too, all on equal terms.

Images are pixels in [0, 1], and what brings them to mean 0 and variance 1 is part of every network, so that an attack
and its bounds are those of pixels. To clip what is scaled so to [0, 1] cuts all that is darker or brighter away: such
images, not attacked at all, are classified as well, to say how much of an "attack" that does it is this cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybrid.attacks import Attack, Normalised, as_module, fgsm, pgd
from hybrid.baselines import logistic_regression
from hybrid.data import Split
from hybrid.experiment import Case, Outcome
from hybrid.models.classifiers import rows
from hybrid.models.classifiers.rows import Build
from hybrid.units import count_parameters

#: What :func:`hybrid.training.fit` takes beside the data, for so many steps.
Terms = Callable[[int], dict[str, Any]]

ATTACKS: dict[str, Attack] = {"pgd": pgd(0.1, n_steps=10, restarts=1), "fgsm": fgsm(0.1)}

#: Headings of the figures that the rows give beside their accuracy, for :class:`hybrid.experiment.Experiment`.
ALSO = {"under PGD (ε = 0.1)": "pgd", "under FGSM (ε = 0.1)": "fgsm", "only clipped": "clipped"}


def trained(case: Case, build: Build, terms: Terms, **options: Any) -> Outcome:
    """Train a network on its own terms, and attack it; its circuits, if it has some, run on the backend of the case.

    The settings of the task name ``epochs``, ``batch_size``, ``loss_options`` and ``n_attacked``, how many test images
    are attacked, all if it is None.
    """
    found, settings = rows.images(case), case.settings[case.task]
    n_steps = settings["epochs"] * math.ceil(len(found.y) / settings["batch_size"])
    n_classes = int(found.y.max()) + 1
    make = partial(build, found.X.shape[1:], n_classes, settings, case.make_backend(), **options)
    fitted = rows.fit(case, lambda: _normalised(make(), found.X), found.X, found.y, **terms(n_steps))
    extra = {"train_loss": fitted.history[-1]["train_loss"]}
    return _outcome(case, found, fitted.net.module_, fitted.seconds, extra)


def logistic(case: Case) -> Outcome:
    """Logistic regression on pixels with the scaling of all rows."""
    found, start = rows.images(case), time.perf_counter()
    X = (found.X - found.X.mean()) / found.X.std()
    fitted = logistic_regression.build(X[0].size, int(found.y.max()) + 1).fit(X.reshape(len(X), -1), found.y)
    seconds = time.perf_counter() - start
    model = _normalised(nn.Sequential(nn.Flatten(), as_module(fitted)), found.X)
    return _outcome(case, found, model, seconds, {})


def left(model: Normalised, X: Tensor, y: np.ndarray, seed: int) -> dict[str, Any]:
    """Return what is left of the accuracy under each attack, and on images that are only clipped.

    Parameters
    ----------
    model : Normalised
        Classifies images in pixels.
    X : Tensor, shape (n, …)
        In [0, 1].
    y : ndarray, shape (n,)
        True classes.
    seed : int
        Of the random starts.

    Returns
    -------
    dict
        For each attack the share of the images that are classified right before and after it, as ``"clipped"`` the
        share of clipped ones that are; and as ``"constant"`` the names of those under which every image is said to be
        of one class: these figures are the share of that class, and no robustness.
    """
    clean = rows.predict(model, X) == y
    under = {name: rows.predict(model, attack(model, X, y, seed=seed)) for name, attack in ATTACKS.items()}
    under["clipped"] = rows.predict(model.module, ((X - model.mean) / model.std).clamp(0, 1))
    shares = {name: float(((clean | (name == "clipped")) & (found == y)).mean()) for name, found in under.items()}
    constant = [name for name, found in under.items() if len(set(found)) == 1 < len(set(y))]
    return {**shares, "constant": constant}


def _normalised(module: nn.Module, X: np.ndarray) -> Normalised:
    return Normalised(module, X.mean(), X.std())


def _outcome(case: Case, found: Split, model: Normalised, training: float, extra: dict[str, Any]) -> Outcome:
    X, y, start = torch.as_tensor(found.X_test), found.y_test, time.perf_counter()
    correct = float((rows.predict(model, X) == y).mean())
    seconds = {"training": training, "prediction": time.perf_counter() - start}
    n = case.settings[case.task]["n_attacked"]
    return Outcome(correct, count_parameters(model), seconds, {**extra, **left(model, X[:n], y[:n], case.seed)})
