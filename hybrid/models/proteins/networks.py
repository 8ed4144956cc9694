"""Quantum tensor networks that tell two classes of sequences apart (arXiv:2403.06890), and what stands beside them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backends import Backend
from circuits import Circuit
from circuits.templates import sim14
from hybrid.baselines import recurrent
from hybrid.experiment import Case, Outcome
from hybrid.models.classifiers import rows
from hybrid.models.classifiers.near_term import Logits
from hybrid.models.classifiers.rows import Settings
from hybrid.models.proteins import letters
from hybrid.models.proteins.letters import N_LETTERS
from qml import QuantumTensorNetwork
from qml.init import uniform_
from qml.tensor_network import n_levels, tree

#: Numbers that describe a letter in a classical network: as many as a qubit has angles.
WIDTH = 3
KERNEL = 5


class Logarithms(nn.Module):
    """``log p``: the cross-entropy of these logits is the negative log-likelihood."""

    def forward(self, p: Tensor) -> Tensor:
        """Return the logarithms of probabilities, from 1e-6 on."""
        return p.clamp_min(1e-6).log()


class Root(nn.Module):
    """The expectation values at the root of a network, without the identity's."""

    def __init__(self, network: QuantumTensorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        """Return them, (N, 4**n_qubits - 1)."""
        return self.network.root(tokens)[..., 1:]


class HiddenMarkovTree(nn.Module):
    """The same tree of probabilities: ``p_i = sum_jk P(i | j, k) p_j p_k``, one P per level.

    A letter is a distribution over states, and a box draws one state from two: of two states it has bits where the
    network has qubits. Like boxes of small angles, a box begins near one that keeps what is on its left.

    Parameters
    ----------
    length : int
    n_states : int
        Even; the logit of the first is 0.
    """

    def __init__(self, length: int, n_states: int) -> None:
        super().__init__()
        self.letters = nn.Parameter(torch.randn(N_LETTERS, n_states - 1))
        left = torch.eye(n_states)[:, :, None].expand(-1, -1, n_states)
        noise = 0.1 * torch.randn(n_levels(length), n_states - 1, n_states, n_states)
        self.boxes = nn.Parameter(left[1:] - left[:1] + noise)
        self.n_states = n_states

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the probabilities of two classes, (N, 2): of the first states and of the others."""
        states, boxes = (_distributions(logits) for logits in (self.letters, self.boxes))
        return tree(tokens, states, boxes).unflatten(-1, (2, self.n_states // 2)).sum(-1)


class ChannelsFirst(nn.Module):
    """Letters along the last dimension, as convolutions have it."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, width, length) of (N, length, width)."""
        return x.mT


def separable(n_qubits: int) -> Circuit:
    """Return Sim-14 without entangling gates."""
    return sim14(n_qubits).separable()


def build(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, frozen: bool = False, **options: Any
) -> nn.Module:
    """Return a quantum tensor network; the options are those of :class:`qml.QuantumTensorNetwork`.

    Frozen angles are random ones, evenly drawn, and a linear layer of what is at the root is trained in their place.
    """
    if not frozen:
        return nn.Sequential(QuantumTensorNetwork(N_LETTERS, shape[0], **options), Logarithms())
    network = QuantumTensorNetwork(N_LETTERS, shape[0], init=uniform_, **options).requires_grad_(False)
    return nn.Sequential(Root(network), nn.Linear(4**network.n_qubits - 1, n_classes))


def markov(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, n_states: int) -> nn.Module:
    """Return a hidden Markov tree."""
    return nn.Sequential(HiddenMarkovTree(shape[0], n_states), Logarithms())


def gru(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, layout: str) -> nn.Module:
    """Return a GRU with about as many parameters as the hierarchical network of a layout."""
    left = n_parameters(shape[0], layout) - N_LETTERS * WIDTH
    network = recurrent.build("GRU", n_parameters=left, input_size=WIDTH)
    return nn.Sequential(nn.Embedding(N_LETTERS, WIDTH), network, Logits())


def cnn(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, layout: str) -> nn.Module:
    """Return one convolution, its maximum over all places and a linear layer, of about as many parameters."""
    left = n_parameters(shape[0], layout) - N_LETTERS * WIDTH - n_classes
    channels = max(1, round(left / (WIDTH * KERNEL + 1 + n_classes)))
    convolution = nn.Conv1d(WIDTH, channels, KERNEL), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten()
    return nn.Sequential(nn.Embedding(N_LETTERS, WIDTH), ChannelsFirst(), *convolution, nn.Linear(channels, n_classes))


def n_parameters(length: int, layout: str) -> int:
    """Return how many the hierarchical network of a layout has: 3 a letter, 8 a box."""
    n_boxes = n_levels(length) if layout == "tree" else length - 1
    return 3 * N_LETTERS + 8 * n_boxes


def majority(case: Case) -> Outcome:
    """Say the more frequent class of the train part of everything."""
    found, start = letters.load(case), time.perf_counter()
    said = np.full_like(found.y_test, np.bincount(found.y).argmax())
    seconds = {"training": time.perf_counter() - start, "prediction": 0.0}
    score = rows.score(case.settings[case.task], said, found.y_test)
    return Outcome(score, {"quantum": 0, "classical": 0, "frozen": 0}, seconds)


def _distributions(logits: Tensor) -> Tensor:
    """Return probabilities along the dimension after the first, of which the first logit is 0."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1).softmax(1)
