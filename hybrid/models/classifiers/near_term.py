"""Quantum neural networks with a readout qubit (Farhi and Neven, arXiv:1802.06002), and what stands beside them.

The label is the sign of <Y> of the readout. The paper's loss is 1 - l<Y>, one sample at a time; here all rows have the
cross-entropy of the logits ±<Y>, close to it and as far from saturation, in batches.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backends import Backend
from circuits import Circuit
from circuits.gates import PAULIS
from circuits.templates import amplitude_encoding, readout_qubit
from hybrid.baselines import mlp
from hybrid.experiment import Case, Outcome
from hybrid.models.classifiers import bits, rows
from hybrid.models.classifiers.rows import Settings
from qml import QuantumLayer
from qml.init import uniform_


class Logits(nn.Module):
    """``(y, -y)``: class 0 where the label ``y`` is positive."""

    def forward(self, y: Tensor) -> Tensor:
        """Return logits (*, 2) of labels (*, 1)."""
        return torch.cat([y, -y], -1)


class Product(nn.Module):
    """``<Y> = Im exp(-2iθ_0) prod_j <z_j|V_j|z_j>``: what the circuit computes where every gate has X on the readout.

    All gates then commute with X of the readout: ``V_j = prod_l exp(-iθ_lj P_l) prod_l exp(-iθ_lj P_l)`` in one order
    and in the other, two by two matrices. With ZX alone it is ``-sin 2(θ_0 + sum_j θ_j (1 - 2 z_j))``.

    Parameters
    ----------
    n_bits : int
    settings : mapping
        As for :func:`circuit`; angles are numbered as there.
    """

    def __init__(self, n_bits: int, settings: Settings) -> None:
        super().__init__()
        self.letters = [word[0] for word in settings["words"]]
        self.bias = bool(settings["bias"])
        self.angles = nn.Parameter(uniform_(torch.empty(circuit(n_bits, settings).n_weights)))

    def forward(self, z: Tensor) -> Tensor:
        """Return labels (*, 1) of bits (*, n_bits)."""
        first = self.angles[0] if self.bias else self.angles.new_zeros(())
        values = self._values(self.angles[int(self.bias) :].reshape(-1, z.shape[-1]))
        product = torch.where(z > 0.5, values[:, 1], values[:, 0]).prod(-1)
        return (torch.exp(-2j * first) * product).imag[..., None]

    def _values(self, layers: Tensor) -> Tensor:
        """Return <z|V_j|z>, (n_bits, 2)."""
        ahead = behind = torch.eye(2, dtype=torch.complex64)
        for angles, letter in zip(layers, itertools.cycle(self.letters), strict=False):
            turn = torch.matrix_exp(1j * angles[:, None, None] * torch.as_tensor(PAULIS[letter], dtype=torch.complex64))
            ahead, behind = turn @ ahead, turn.mH @ behind
        return (ahead.mH @ behind).diagonal(dim1=-2, dim2=-1)


def circuit(n_bits: int, settings: Settings, first_only: bool = False, amplitudes: bool = False) -> Circuit:
    """Return the circuit of a task, whose settings name ``n_layers``, ``words`` and ``bias``."""
    n_layers = 1 if first_only else settings["n_layers"]
    ansatz = readout_qubit(n_bits + 1, n_layers, settings["words"], settings["bias"], encode=not amplitudes)
    return amplitude_encoding(n_bits).shift(n_qubits=n_bits + 1) + ansatz if amplitudes else ansatz


def build(
    shape: Sequence[int],
    n_classes: int,
    settings: Settings,
    backend: Backend,
    first_only: bool = False,
    frozen: bool = False,
    superposed: bool = False,
) -> nn.Module:
    """Return the quantum neural network.

    Parameters
    ----------
    shape : (width,)
        Number of bits, or of amplitudes where samples are states.
    n_classes : int
        2.
    settings : mapping
        Of the task.
    backend : Backend
        Where the circuit runs; a simulator for states.
    first_only : bool
        Whether to leave all layers but the first out.
    frozen : bool
        Whether angles stay as they are drawn, and a line through <Y> is trained in their place.
    superposed : bool
        Whether samples are states in a task of bits.
    """
    amplitudes = superposed or settings["kind"] == "states"
    n_bits = shape[0].bit_length() - 1 if amplitudes else shape[0]
    layer = QuantumLayer(circuit(n_bits, settings, first_only, amplitudes), f"Y{n_bits}", backend)
    layer.weights.requires_grad_(not frozen)
    return nn.Sequential(layer, nn.Linear(1, 2) if frozen else Logits())


def product(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend) -> nn.Module:
    """Return what the circuit computes, of as many angles and trained alike, without a circuit."""
    return nn.Sequential(Product(shape[0], settings), Logits())


def dense(
    shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend, width: int | None = None
) -> nn.Module:
    """Return a network with one hidden layer: of so many units, or with about as many parameters as the circuit."""
    n_bits = shape[0].bit_length() - 1 if settings["kind"] == "states" else shape[0]
    matched = circuit(n_bits, settings).n_weights
    n_parameters = matched if width is None else width * (shape[0] + n_classes + 1) + n_classes
    return mlp.build(shape[0], n_classes, n_parameters=n_parameters)


def products(states: Tensor, settings: Settings) -> Tensor:
    """Return all products of two amplitudes: of which every energy is a linear function."""
    i, j = torch.triu_indices(states.shape[1], states.shape[1])
    return states[:, i] * states[:, j]


def trained(case: Case, build: rows.Build, load: rows.Load = bits.load, **options: Any) -> Outcome:
    """Train for as many steps as the settings of the task say, however few samples there are."""
    chosen = case.settings[case.task]
    n_batches = -(-len(load(case).y) // chosen["batch_size"])
    settings = {**case.settings, case.task: {**chosen, "epochs": -(-chosen["steps"] // n_batches)}}
    return rows.trained(replace(case, settings=settings), build, load=load, **options)


def equations(case: Case) -> Outcome:
    """Solve the train strings as linear equations of the label modulo 2, by Gauss's elimination."""
    found, start = bits.load(case), time.perf_counter()
    solution = solved(_with_one(found.X), found.y)
    between = time.perf_counter()
    correct = float(((_with_one(found.X_test) @ solution % 2) == found.y_test).mean())
    seconds = {"training": between - start, "prediction": time.perf_counter() - between}
    return Outcome(correct, {"quantum": 0, "classical": len(solution), "frozen": 0}, seconds)


def solved(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a solution of ``A x = b`` modulo 2 with free unknowns 0; equations that contradict earlier ones are left.

    Parameters
    ----------
    A : ndarray of 0 and 1, shape (n, m)
    b : ndarray of 0 and 1, shape (n,)
    """
    left, solution, row = np.column_stack([A, b]).astype(int), np.zeros(A.shape[1], int), 0
    for column in range(A.shape[1]):
        below = row + np.flatnonzero(left[row:, column])
        if not len(below):
            continue
        left[[row, below[0]]] = left[[below[0], row]]
        others = np.flatnonzero(left[:, column])
        left[others[others != row]] ^= left[row]
        row += 1
    for equation in left[:row]:
        solution[np.flatnonzero(equation[:-1])[0]] = equation[-1]
    return solution


def _with_one(strings: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(strings), int), strings.astype(int)])
