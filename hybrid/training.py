"""Training through skorch, to classes or to numbers: one schedule and one order of the data for every model.

The weights and the order of the data follow from the seed alone, and the order is the same for every model at the
same seed: the loader has a generator of its own, which no model can disturb.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from hybrid.batches import Batches, shuffled
from hybrid.checkpoints import Checkpoints, digest, is_numbered

Epoch = dict[str, float]

_TURN = threading.RLock()


@dataclass(frozen=True)
class Fitted:
    """A trained network, its history (one dict per epoch) and the seconds the training took, without the watching."""

    net: NeuralNet
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
    return NeuralNetClassifier(_seeded, **{**_defaults(module, seed), "criterion": nn.CrossEntropyLoss, **settings})


def regressor(module: nn.Module | Callable[..., nn.Module], *, seed: int = 0, **settings: Any) -> NeuralNetRegressor:
    """Wrap a torch module as a scikit-learn regressor trained on the mean squared error.

    Parameters
    ----------
    module, seed, **settings
        As for :func:`classifier`; the module's output must have the shape of the targets, such as ``(n, 1)``.

    Returns
    -------
    NeuralNetRegressor
        Configured and not yet fitted; features and targets must be of the dtype of the module.
    """
    return NeuralNetRegressor(_seeded, **{**_defaults(module, seed), "criterion": SquaredError, **settings})


class SquaredError(nn.MSELoss):
    """The mean squared error of predictions that have the shape of the targets; nothing is broadcast."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean over all numbers.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        if predicted.shape != target.shape:
            raise ValueError(
                f"got predictions of shape {tuple(predicted.shape)} for targets of shape {tuple(target.shape)}, "
                "expected the same shape: reshape the targets, as y[:, None]"
            )
        return super().forward(predicted, target)


def segmenter(module: nn.Module | Callable[..., nn.Module], *, seed: int = 0, **settings: Any) -> NeuralNetRegressor:
    """Wrap a torch module that segments images, trained on :class:`DiceAndCrossEntropy`.

    Parameters
    ----------
    module, seed, **settings
        As for :func:`regressor`; the module's output is logits in the shape of the masks, which are 0.0 and 1.0.
    """
    return regressor(module, seed=seed, **{"criterion": DiceAndCrossEntropy, **settings})


class DiceAndCrossEntropy(nn.Module):
    """Binary cross-entropy, plus 1 - (2 Σ p t + 1) / (Σ p + Σ t + 1) over all pixels of a batch, p = σ(logits)."""

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Return the loss."""
        p = logits.sigmoid()
        dice = (2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)
        return nn.functional.binary_cross_entropy_with_logits(logits, masks) + 1 - dice


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
    checkpoint: str | Path | None = None,
    every: int | None = None,
    loss: str = "cross_entropy",
    loss_options: Mapping[str, Any] | None = None,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    optimizer_options: Mapping[str, Any] | None = None,
    schedule: type[torch.optim.lr_scheduler.LRScheduler] | None = None,
    schedule_options: Mapping[str, Any] | None = None,
    clip: float | None = None,
    attack: Callable[..., Any] | None = None,
    class_weights: np.ndarray | None = None,
) -> Fitted:
    """Train a model on one thread, so that the numbers depend on the seed and not on the machine's load.

    With a checkpoint, the same call after a crash goes on at the step where it was, and ends with the same weights.

    Parameters
    ----------
    build
        Returns the module to train; called once, under the seed.
    X
        Training features, float32 ``(n, n_features)``, scaled; or whatever the module takes, samples first.
    y
        Training classes, int64 ``(n,)``; or, for ``loss="mse"``, numbers of the shape of the module's output, and for
        ``loss="dice"`` masks of that shape.
    seed
        Fixes the first weights, the order of the data and anything random during training.
    epochs, lr, batch_size
        Passes through the data, the optimiser's learning rate and the number of samples in a step.
    valid
        Features and classes (or numbers) to watch after every epoch; nothing is chosen with them.
    on_epoch
        Called after every epoch with that epoch's entry of the history.
    name
        What to call the model in an error.
    checkpoint
        A file to write checkpoints to, and to go on from if it is there. It stays at the end: remove it when the
        result is kept.
    every
        Steps between two checkpoints. If not given, every step where a backend submits jobs (has a ``position``), and
        elsewhere every epoch that ends a second or more after the last one.
    loss
        ``"cross_entropy"`` for classes, ``"mse"`` for numbers, ``"dice"`` for masks: :class:`DiceAndCrossEntropy`.
    loss_options
        What torch's loss takes, as ``{"label_smoothing": 0.1}``.
    optimizer, optimizer_options
        A class of :mod:`torch.optim`, and what it takes beside the learning rate, as ``{"alpha": 0.99}``.
    schedule, schedule_options
        A class of :mod:`torch.optim.lr_scheduler` that changes the learning rate, and what it takes beside the
        optimiser; ``"step_every"``, which is ``"epoch"`` or ``"batch"``, says when it makes its steps, after every
        epoch if it is not given.
    clip
        Largest norm of the gradient of all parameters; a longer one is shortened. None for any.
    attack
        Train against it: the loss of a batch is half that of its samples, half that of the adversarial samples which
        the model of that moment has (Goodfellow et al., arXiv:1412.6572). The features must be what it attacks, such as
        pixels from 0 to 1, with their scaling in the model, see :class:`hybrid.attacks.Normalised`. A
        :class:`hybrid.attacks.Attack`, or a :func:`functools.partial` of one, as with ``mask=``.
    class_weights
        What the loss of a sample of each class counts, ``(n_classes,)``, of the model's dtype; for
        ``loss="cross_entropy"``.

    Returns
    -------
    Fitted
        Its history has ``epoch``, ``train_loss`` and ``seconds`` (training, without the watching) for every epoch,
        and with `valid` also ``valid_loss`` and, for classes, ``valid_accuracy``.

    Raises
    ------
    ValueError
        If the loss is unknown, `y` has not the shape of the module's output, `clip` is not positive, the schedule is
        to make its steps at no known time, or there is nothing to attack or to weigh.
    FloatingPointError
        If the training loss is NaN or infinite.
    CheckpointError
        If the checkpoint is damaged, or is one of another model, seed, data set or other settings.
    KeyboardInterrupt
        On Ctrl-C.
    """
    wrap, criterion = _net(loss, attack), _criterion(loss, class_weights)
    watch, batches, clipping, kept = _Watch(name, on_epoch), Batches(), GradientNormClipping(_norm(clip)), None
    rate = None if schedule is None else LRScheduler(schedule, **_when(schedule_options), last_epoch=-1)
    if checkpoint is not None:
        settings: dict[str, Any] = {"seed": seed, "epochs": epochs, "learning rate": lr, "batch size": batch_size}
        settings |= _content(X, y, valid, loss, class_weights)
        settings |= {"loss options": _said(loss_options), "optimiser": _said(optimizer_options, optimizer)}
        settings |= {"schedule": _said(schedule_options, schedule), "clip": clip, "attack": _named(attack)}
        kept = Checkpoints(_file(checkpoint), settings, batches, watch, _steps(every), rate)
    with alone(seed):
        net = wrap(
            build,
            seed=seed,
            lr=lr,
            max_epochs=epochs,
            batch_size=batch_size,
            train_split=None if valid is None else predefined_split(Dataset(*valid)),
            iterator_train=batches,
            callbacks=[each for each in (watch, clipping, rate, kept) if each is not None],  # kept sees all of a step
            verbose=0,
            optimizer=optimizer,
            **criterion,
            **{f"optimizer__{name}": value for name, value in (optimizer_options or {}).items()},
            **{f"criterion__{name}": value for name, value in (loss_options or {}).items()},
        ).initialize()
        n_done = 0 if kept is None else kept.resume(net)
        net.partial_fit(X, y, epochs=epochs - n_done)
    if len(watch.history) < epochs:
        raise KeyboardInterrupt  # skorch has swallowed it
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
def alone(seed: int) -> Iterator[None]:
    """Run on one thread, with torch's generator seeded; it is as it was at the end."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _defaults(module: nn.Module | Callable[..., nn.Module], seed: int) -> dict[str, Any]:
    return {
        "module__build": partial(copy.deepcopy, module) if isinstance(module, nn.Module) else module,
        "module__seed": seed,
        "optimizer": torch.optim.Adam,
        "lr": 0.01,
        "max_epochs": 20,
        "batch_size": 32,
        "train_split": None,
        "iterator_train": shuffled,
        "iterator_train__seed": seed,
    }


def _net(loss: str, attack: Callable[..., Any] | None) -> Callable[..., NeuralNet]:
    nets = {"cross_entropy": classifier, "mse": regressor, "dice": segmenter}
    if loss not in nets:
        raise ValueError(f"got loss={loss!r}, expected one of {', '.join(map(repr, nets))}: loss='mse'")
    if attack is None:
        return nets[loss]
    if loss != "cross_entropy":
        raise ValueError(f"got an attack for loss={loss!r}, expected classes to attack: loss='cross_entropy'")
    return partial(_hardened, attack=attack)


def _criterion(loss: str, class_weights: np.ndarray | None) -> dict[str, Any]:
    if class_weights is None:
        return {}
    if loss != "cross_entropy":
        raise ValueError(f"got class_weights for loss={loss!r}, expected classes to weigh: loss='cross_entropy'")
    return {"criterion__weight": torch.as_tensor(class_weights)}


def _hardened(module: Callable[..., nn.Module], *, seed: int, **settings: Any) -> NeuralNetClassifier:
    return _Hardened(_seeded, **{**_defaults(module, seed), "criterion": nn.CrossEntropyLoss, **settings})


def _norm(clip: float | None) -> float | None:
    if clip is not None and not clip > 0:
        raise ValueError(f"got clip={clip!r}, expected a norm above 0, or None not to clip: clip=1.0")
    return clip


def _when(options: Mapping[str, Any] | None) -> dict[str, Any]:
    found = {"step_every": "epoch", **(options or {})}
    if found["step_every"] not in ("epoch", "batch"):
        raise ValueError(
            f"got step_every={found['step_every']!r} for the schedule, expected 'epoch' or 'batch': step_every='batch'"
        )
    return found


def _content(
    X: np.ndarray,
    y: np.ndarray,
    valid: tuple[np.ndarray, np.ndarray] | None,
    loss: str,
    class_weights: np.ndarray | None,
) -> dict[str, Any]:
    """Return what a checkpoint remembers of the task."""
    weights = None if class_weights is None else class_weights.tolist()
    validation = None if valid is None else digest(*valid)
    return {"data": digest(X, y), "validation data": validation, "loss": loss, "class weights": weights}


def _said(options: Mapping[str, Any] | None, of: type | None = None) -> str:
    """Name a class and what it takes, for a checkpoint."""
    return f"{'' if of is None else of.__qualname__} {sorted((options or {}).items())}".strip()


def _named(attack: Callable[..., Any] | None) -> str | None:
    return None if attack is None else str(attack)


class _Hardened(NeuralNetClassifier):
    """Trained on half the loss of the samples, half that of attacked ones; starts are drawn by torch, as all else."""

    def __init__(self, *arguments: Any, attack: Callable[..., Any], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.attack = attack

    def get_loss(self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False) -> Tensor:
        loss: Tensor = super().get_loss(y_pred, y_true, X, training)
        if not training:
            return loss
        attacked = self.attack(self.module_, X, y_true, seed=None)
        return (loss + super().get_loss(self.infer(attacked), y_true, attacked, training)) / 2


def _seeded(build: Callable[..., nn.Module], seed: int, **options: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(**options)


def _file(path: str | Path) -> Path:
    file = Path(path)
    if not file.parent.is_dir():
        raise FileNotFoundError(
            f"got checkpoint={str(path)!r}, expected a file in a folder that exists: make the folder"
        )
    return file


def _steps(every: int | None) -> int | None:
    if every is not None and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
        raise ValueError(f"got every={every!r}, expected a number of steps from 1: every=10")
    return every


def _warm_up(module: nn.Module, X: np.ndarray) -> None:
    """Run a copy of a module once: what a process does once, as compiling, is not counted as training.

    Not where it would submit a job.
    """
    if is_numbered(module):
        return
    with torch.random.fork_rng(devices=[]):
        copy.deepcopy(module)(torch.as_tensor(X[:2])).sum().backward()


class _Watch(Callback):
    """Keeps the history as plain numbers, reports each epoch, and stops a training whose loss is not finite."""

    def __init__(self, name: str, on_epoch: Callable[[Epoch], None] | None) -> None:
        self.name, self.on_epoch = name, on_epoch
        self.history: list[Epoch] = []
        self.seconds = 0.0  # of training, in the current epoch
        self.began = 0.0

    def on_train_begin(self, net: NeuralNet, X: Any = None, **kwargs: Any) -> None:
        _warm_up(net.module_, X)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.began = time.perf_counter() - self.seconds

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        if training:
            self.seconds = time.perf_counter() - self.began

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        row = net.history[-1]
        if not math.isfinite(row["train_loss"]):
            raise FloatingPointError(
                f"The training loss of {self.name} is {row['train_loss']} in epoch {row['epoch']}: "
                "expected a finite number; try a smaller learning rate, or look for extreme values in the data."
            )
        names = {"train_loss": "train_loss", "valid_loss": "valid_loss", "valid_acc": "valid_accuracy"}
        losses = {name: float(row[key]) for key, name in names.items() if key in row}
        self.history.append({"epoch": row["epoch"], **losses, "seconds": self.seconds})
        self.seconds = 0.0
        if self.on_epoch is not None:
            self.on_epoch(self.history[-1])
