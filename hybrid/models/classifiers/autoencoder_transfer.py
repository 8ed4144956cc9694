"""Autoencoder, PCA, a map of 5 qubits and a dense head (Sarkar, arXiv:2408.03351v2); what stands in place of each.

Images go through an autoencoder, its latents through a PCA to 5 scores, the scores as angles into a circuit without
weights, and the 32 probabilities of its outcomes into a dense network. Autoencoder, PCA and the scale of the angles are
fitted to the train images alone, and so is what the head normalises its inputs with, whatever they are. The paper names
these parts; widths, angles and training are not known to us.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from backends import Backend, Statevector
from backends.shots import Seeds, drawn, estimate
from circuits import Circuit, Probabilities
from circuits.templates import hadamard_cascade, strongly_entangling
from hybrid import controls, training
from hybrid.experiment import Case, Outcome
from hybrid.models.classifiers import rows
from hybrid.models.classifiers.rows import Prepare, Settings
from qml import QuantumLayer

N_QUBITS = 5

#: Where the angles begin; they go up by π.
LOW = -math.pi / 2

_READOUT = Probabilities(tuple(range(N_QUBITS)))


# --- before the head -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reduction:
    """What makes features of images, fitted to the train images of one task.

    Attributes
    ----------
    encoder : Module
        First half of the autoencoder.
    pca : PCA
        Of its latents.
    largest : array, shape (5,)
        Largest modulus of each score.
    seconds : float
        That the autoencoder was trained.
    """

    encoder: nn.Module
    pca: PCA
    largest: np.ndarray
    seconds: float

    def latents(self, images: Tensor, settings: Settings) -> Tensor:
        """Return the latents, (N, n_latents)."""
        return _encoded(self.encoder, images)

    def scores(self, images: Tensor, settings: Settings) -> Tensor:
        """Return the scores of the latents, (N, 5), each divided by its largest modulus: in [-1, 1]."""
        found = self.pca.transform(self.latents(images, settings).numpy()) / self.largest
        return torch.as_tensor(found.clip(-1, 1), dtype=torch.float32)

    def angles(self, images: Tensor, settings: Settings, low: float = LOW) -> Tensor:
        """Return the scores as angles, (N, 5), from `low` to `low` + π."""
        return low + math.pi / 2 * (1 + self.scores(images, settings))


def reduction(case: Case) -> Reduction:
    """Return the reduction of a task and a seed, which is fitted once in a process."""
    return _fitted(case.task, case.data, case.seed, json.dumps(case.settings[case.task], sort_keys=True))


@cache  # a small network each, and every row needs it
def _fitted(task: str, folder: Path | None, seed: int, settings: str) -> Reduction:
    case = Case(task, seed, {task: json.loads(settings)}, "statevector", folder, lambda *_: None, None)
    return fit(rows.images(case).X, seed, **case.settings[task]["autoencoder"])


def fit(images: np.ndarray, seed: int, widths: Sequence[int], **schedule: Any) -> Reduction:
    """Fit autoencoder, PCA and scale to images, float32 (n, 1, H, W) in [0, 1].

    Parameters
    ----------
    images : array
    seed : int
        Of the autoencoder.
    widths : sequence of int
        Of its encoder's layers; the last one is the number of latents.
    **schedule
        ``epochs``, ``lr`` and ``batch_size`` of its training with Adam.
    """
    X = images.reshape(len(images), -1)
    build = partial(autoencoder, X.shape[1], widths)
    trained = training.fit(build, X, X, seed=seed, loss="mse", name="the autoencoder", **schedule)
    encoder = trained.net.module_[0].eval()
    pca = PCA(N_QUBITS, svd_solver="full")
    scores = pca.fit_transform(_encoded(encoder, torch.as_tensor(X)).numpy())
    return Reduction(encoder, pca, np.abs(scores).max(0), trained.seconds)


def autoencoder(n_pixels: int, widths: Sequence[int]) -> nn.Sequential:
    """Return encoder and decoder, layers with ReLU between them: latents are linear, pixels a sigmoid."""
    sizes = [n_pixels, *widths]
    return nn.Sequential(_layers(sizes), _layers(sizes[::-1]), nn.Sigmoid())


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    found = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*found[:-1])


def _encoded(encoder: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return encoder(images.flatten(1))


# --- features of a head ----------------------------------------------------------------------------------------------


def latents(case: Case) -> Prepare:
    """Return what makes all latents of images."""
    return reduction(case).latents


def scores(case: Case) -> Prepare:
    """Return what makes the 5 scores of images."""
    return reduction(case).scores


def angles(case: Case) -> Prepare:
    """Return what makes the angles of the published map of images."""
    return reduction(case).angles


def probabilities(
    case: Case, shots: int | None = None, low: float = LOW, hadamard: str = "first", entangled: bool = True
) -> Prepare:
    """Return what makes the 32 probabilities of images, once for each of them.

    Parameters
    ----------
    case : Case
    shots : int, optional
        Frequencies of so many outcomes, drawn for each image from the exact probabilities, whatever the backend; what
        the backend gives if not given.
    low : float
        Where the angles begin.
    hadamard : {"first", "all"}
        Which qubits have a Hadamard.
    entangled : bool
        Whether the circuit has its CX.
    """
    circuit, found, seeds = _map(hadamard, entangled), reduction(case), Seeds(case.seed)
    layer = QuantumLayer(circuit, _READOUT, case.make_backend() if shots is None else Statevector()).eval()

    def prepare(images: Tensor, settings: Settings) -> Tensor:
        with torch.no_grad():
            exact = layer(found.angles(images, settings, low))
        return exact if shots is None else frequencies(exact, shots, seeds.next())

    return prepare


def frequencies(exact: Tensor, shots: int, seed: int) -> Tensor:
    """Return the frequencies of outcomes, (N, 32), drawn from their probabilities as backends with shots draw them."""
    sample = drawn(exact.double().numpy(), shots, np.random.default_rng(seed))
    values, _ = estimate(_READOUT, [sample], len(exact), shots)
    return torch.as_tensor(values, dtype=exact.dtype)


def _map(hadamard: str, entangled: bool) -> Circuit:
    circuit = hadamard_cascade(N_QUBITS, hadamard)
    return circuit if entangled else circuit.separable()


# --- rows ------------------------------------------------------------------------------------------------------------


def reduced(
    case: Case, features: Callable[[Case], Prepare], build: Callable[..., nn.Module] | None = None, **options: Any
) -> Outcome:
    """Train a network, the head if no other is named, on features of the images."""
    return _with_encoder(case, rows.trained(case, build or head, features(case), **options))


def logistic(case: Case, features: Callable[[Case], Prepare]) -> Outcome:
    """Logistic regression on features of the images."""
    return _with_encoder(case, rows.logistic(case, features(case)))


def _with_encoder(case: Case, outcome: Outcome) -> Outcome:
    """Count the encoder, which is frozen, and the training of the autoencoder."""
    found, parameters, seconds = reduction(case), dict(outcome.parameters), dict(outcome.seconds)
    parameters["frozen"] += sum(parameter.numel() for parameter in found.encoder.parameters())
    seconds["training"] += found.seconds
    return replace(outcome, parameters=parameters, seconds=seconds)


# --- networks --------------------------------------------------------------------------------------------------------


def head(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend) -> nn.Module:
    """Return the dense head: normalised inputs, then twice [linear, batch norm, ReLU, dropout of 0.3], then linear.

    Parameters
    ----------
    shape : (n,) or (1, H, W)
        Of the features, or of an image.
    n_classes : int
    settings : mapping
        With ``head``, two widths.
    backend : Backend
        Not used: what needs it is done before.
    """
    n = math.prod(shape)
    sizes = [n, *settings["head"]]
    hidden = [layer for pair in pairwise(sizes) for layer in _block(*pair)]
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(n, affine=False), *hidden, nn.Linear(sizes[-1], n_classes))


def circuit_and_head(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, control: str | None = None
) -> nn.Module:
    """Return the map with trained layers of gates after it and the head, or one of its controls.

    Parameters
    ----------
    shape : (5,)
        Of the angles of an image.
    n_classes : int
    settings : mapping
        With ``n_layers``, strongly entangling ones, and what the head needs.
    backend : Backend
        Where the circuit runs.
    control : {"separable", "frozen", "linear", "removed"}, optional
        As in :mod:`hybrid.controls`; the head starts from the same weights in all.

    Raises
    ------
    ValueError
        If the control has another name.
    """

    def build() -> nn.Module:
        after = head((2**N_QUBITS,), n_classes, settings, backend)  # drawn first
        return nn.Sequential(QuantumLayer(trained_circuit(settings["n_layers"]), _READOUT, backend), after)

    return controls.model(build, control)


def trained_circuit(n_layers: int) -> Circuit:
    """Return the map and so many layers after it."""
    return hadamard_cascade(N_QUBITS) + strongly_entangling(N_QUBITS, n_layers)


def _block(before: int, after: int) -> Iterator[nn.Module]:
    yield from (nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(0.3))
