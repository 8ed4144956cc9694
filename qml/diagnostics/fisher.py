"""How many directions of the weights change the output: the rank of the Fisher matrix (arXiv:2011.00027)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from circuits import Circuit
from circuits.observables import Readout
from qml.diagnostics import draws
from qml.diagnostics.draws import Array

N_DRAWS = 3  # of weights; rank and dead weights are those of almost all weights
SMALLEST = 1e-8  # relative to the largest: a smaller singular value is rounding


@dataclass(frozen=True, eq=False)
class Fisher:
    """Rank and spectrum of the Fisher matrix.

    Attributes
    ----------
    rank : int
    eigenvalues : ndarray, shape (n_weights,), falling
    dead : tuple of int
        Weights that no readout depends on.
    n_rows : int
        Samples times readouts: the rank is at most that.
    """

    rank: int
    eigenvalues: Array
    dead: tuple[int, ...]
    n_rows: int


def fisher(circuit: Circuit, readout: Readout, x: Tensor, seed: int = 0) -> Fisher:
    """Return the rank of ``F = mean_x J(x)^T J(x)``, J the derivative of the readouts by the weights.

    F is the Fisher information of outputs with Gaussian errors, whose rank Abbas et al. (arXiv:2011.00027) relate to
    capacity; theirs is of outcome probabilities. Weights are drawn evenly from [0, 2π), three times; the rank is the
    largest, and a weight is dead if its derivative is zero each time. A weight whose effect others have too is not
    dead, but lowers the rank.

    Parameters
    ----------
    circuit : Circuit
    readout : tuple of Observable, or Probabilities
    x : Tensor, shape (n, n_inputs), float64
    seed : int
    """
    each = draws.weights(circuit, N_DRAWS, seed)
    found = [draws.jacobian(circuit, readout, x, w.expand(len(x), -1)).flatten(0, 1) for w in each]
    spectra = torch.stack([_singular(rows) for rows in found])
    ranks = (spectra > SMALLEST * spectra[:, :1].clamp(min=SMALLEST)).sum(1)
    dead = torch.stack([rows.abs().amax(0) for rows in found]).amax(0) < SMALLEST
    eigenvalues = spectra[ranks.argmax()].square() / len(x)
    indices = tuple(np.flatnonzero(dead.numpy()).tolist())
    return Fisher(int(ranks.max()), eigenvalues.numpy(), indices, len(found[0]))


def _singular(rows: Tensor) -> Tensor:
    """All singular values, one per weight, falling."""
    found = torch.linalg.svdvals(rows)
    return torch.cat([found, found.new_zeros(rows.shape[1] - len(found))])
