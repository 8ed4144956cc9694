"""Training through skorch: Adam on the cross-entropy, one schedule and one order of the data for every model.

The weights and the order of the data follow from the seed alone, and the order is the same for every model at the
same seed: the loader has a generator of its own, which no model can disturb.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.data import DataLoader

from backends.planning import is_priced

Epoch = dict[str, float]

_TURN = threading.RLock()


@dataclass(frozen=True)
class Fitted:
    """A trained network, its history (one dict per epoch) and the seconds the training took, without the watching."""

    net: NeuralNetClassifier
    history: list[Epoch]
    seconds: float


def classifier(module: nn.Module | Callable[..., nn.Module], *, seed: int = 0, **settings: Any) -> NeuralNetClassifier:
    """Wrap a torch module as a scikit-learn classifier: a skorch net, configured and not yet fitted.

    Parameters
    ----------
    module
        A module class or function that returns a module (float32 ``(*, n_features)`` to logits ``(*, n_classes)``),
        whose arguments are given as ``module__name=value``; or a module, of which each fit trains a fresh copy.
    seed
        Fixes the first weights (unless a module is given: it has its own) and the order of the data.
    **settings
        Anything that :class:`skorch.NeuralNetClassifier` takes, such as ``max_epochs``, ``lr``, ``batch_size``,
        ``verbose`` or ``train_split``. By default all data are trained on, with Adam at ``lr=0.01``.

    Returns
    -------
    NeuralNetClassifier
        Works in a scikit-learn ``Pipeline``, ``GridSearchCV`` and ``clone``; features must be float32.
    """
    defaults = {
        "module__build": partial(copy.deepcopy, module) if isinstance(module, nn.Module) else module,
        "module__seed": seed,
        "criterion": nn.CrossEntropyLoss,
        "optimizer": torch.optim.Adam,
        "lr": 0.01,
        "max_epochs": 20,
        "batch_size": 32,
        "train_split": None,
        "iterator_train": _shuffled,
        "iterator_train__seed": seed,
    }
    return NeuralNetClassifier(_seeded, **{**defaults, **settings})


def fit(
    build: Callable[[], nn.Module],
    X: np.ndarray,
    y: np.ndarray,
    *,
    seed: int = 0,
    epochs: int = 20,
    lr: float = 0.01,
    batch_size: int = 32,
    valid: tuple[np.ndarray, np.ndarray] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    name: str = "the model",
) -> Fitted:
    """Train a model on one thread, so that the numbers depend on the seed and not on the machine's load.

    Parameters
    ----------
    build
        Returns the module to train; called once, under the seed.
    X
        Training features, float32 ``(n, n_features)``, scaled.
    y
        Training classes, int64 ``(n,)``.
    seed
        Fixes the first weights, the order of the data and anything random during training.
    epochs, lr, batch_size
        Passes through the data, Adam's learning rate and the number of samples in a step.
    valid
        Features and classes to watch after every epoch; nothing is chosen with them.
    on_epoch
        Called after every epoch with that epoch's entry of the history.
    name
        What to call the model in an error.

    Returns
    -------
    Fitted
        Its history has ``epoch``, ``train_loss`` and ``seconds`` (training, without the watching) for every epoch,
        and with `valid` also ``valid_loss`` and ``valid_accuracy``.

    Raises
    ------
    FloatingPointError
        If the training loss is NaN or infinite.
    """
    watch = _Watch(name, on_epoch)
    with _alone(seed):
        net = classifier(
            build,
            seed=seed,
            lr=lr,
            max_epochs=epochs,
            batch_size=batch_size,
            train_split=None if valid is None else predefined_split(Dataset(*valid)),
            callbacks=[watch],
            verbose=0,
        )
        net.fit(X, y)
    return Fitted(net, watch.history, sum(epoch["seconds"] for epoch in watch.history))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and the linear algebra libraries on one thread, and put the numbers of threads back at the end.

    Callers in one process take turns: the numbers of threads, as torch's generator, belong to the process.
    """
    with _TURN:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                yield
        finally:
            torch.set_num_threads(n_threads)


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _seeded(build: Callable[..., nn.Module], seed: int, **options: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(**options)


def _shuffled(dataset: Dataset, seed: int, **settings: Any) -> DataLoader[Any]:
    return DataLoader(dataset, shuffle=True, generator=torch.Generator().manual_seed(seed), **settings)


def _warm_up(module: nn.Module, X: np.ndarray) -> None:
    """Run a copy of a module once: what a process does once, as compiling, is not counted as training.

    Not on a device, where it would be a job.
    """
    if any(is_priced(getattr(layer, "backend", None)) for layer in module.modules()):
        return
    with torch.random.fork_rng(devices=[]):
        copy.deepcopy(module)(torch.as_tensor(X[:2])).sum().backward()


class _Watch(Callback):
    """Keeps the history as plain numbers, reports each epoch, and stops a training whose loss is not finite."""

    def __init__(self, name: str, on_epoch: Callable[[Epoch], None] | None) -> None:
        self.name, self.on_epoch = name, on_epoch
        self.history: list[Epoch] = []
        self.began = self.trained = 0.0

    def on_train_begin(self, net: NeuralNetClassifier, X: Any = None, **kwargs: Any) -> None:
        _warm_up(net.module_, X)

    def on_epoch_begin(self, net: NeuralNetClassifier, **kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_batch_end(self, net: NeuralNetClassifier, training: bool = False, **kwargs: Any) -> None:
        if training:
            self.trained = time.perf_counter()

    def on_epoch_end(self, net: NeuralNetClassifier, **kwargs: Any) -> None:
        row = net.history[-1]
        if not math.isfinite(row["train_loss"]):
            raise FloatingPointError(
                f"The training loss of {self.name} is {row['train_loss']} in epoch {row['epoch']}: "
                "expected a finite number; try a smaller learning rate, or look for extreme values in the data."
            )
        names = {"train_loss": "train_loss", "valid_loss": "valid_loss", "valid_acc": "valid_accuracy"}
        losses = {name: float(row[key]) for key, name in names.items() if key in row}
        self.history.append({"epoch": row["epoch"], **losses, "seconds": self.trained - self.began})
        if self.on_epoch is not None:
            self.on_epoch(self.history[-1])
