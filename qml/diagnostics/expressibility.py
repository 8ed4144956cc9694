"""How evenly a circuit's states cover the space of states (Sim, Johnson and Aspuru-Guzik, arXiv:1905.10876)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from circuits import Circuit
from qml.diagnostics import draws
from qml.diagnostics.draws import Array


@dataclass(frozen=True, eq=False)
class Expressibility:
    """The distance from Haar-random states, and what it is computed from.

    Attributes
    ----------
    kl : float
        In nats; 0 for states as even as Haar's.
    chance : float
        About what as many pairs of Haar-random states would show.
    edges, found, haar : ndarray, shapes (n_bins + 1,), (n_bins,), (n_bins,)
        Bins of the fidelity, and the shares of the pairs in them.
    """

    kl: float
    chance: float
    edges: Array
    found: Array
    haar: Array


def expressibility(
    circuit: Circuit, x: Tensor | None = None, n_pairs: int = 2000, n_bins: int = 75, seed: int = 0
) -> Expressibility:
    """Return ``KL(P(F) || (N-1)(1-F)^(N-2))``, F the fidelity of two states (Sim et al., arXiv:1905.10876).

    The two states of a pair have the same sample and weights drawn evenly from [0, 2π). A histogram of 75 even bins, as
    in the paper; from 8 qubits on nearly all pairs of random states are in the first, and it tells little.

    Parameters
    ----------
    circuit : Circuit
    x : Tensor, shape (n, n_inputs), float64, optional
        Samples to draw from; even in [-π, π) if not given.
    n_pairs, n_bins, seed : int
    """
    rows, w = draws.samples(circuit, x, n_pairs, seed), draws.weights(circuit, 2 * n_pairs, seed)
    one, other = (draws.states(circuit, rows, half) for half in w.split(n_pairs))
    fidelities = (one.conj() * other).sum(-1).abs().square().clamp(0, 1).numpy()
    found, edges = np.histogram(fidelities, n_bins, (0.0, 1.0))
    share, log_haar = found / n_pairs, _log_haar(edges, 2**circuit.n_qubits)
    full = share > 0
    kl = float(np.sum(share[full] * (np.log(share[full]) - log_haar[full])))
    haar = np.exp(log_haar)
    return Expressibility(kl, float((haar * n_pairs >= 1).sum() / (2 * n_pairs)), edges, share, haar)


def _log_haar(edges: Array, dim: int) -> Array:
    """Logarithm of the share of Haar-random pairs in each bin: (1-low)^(N-1) - (1-high)^(N-1), which may underflow."""
    ahead, behind = 1 - edges[:-1], 1 - edges[1:]
    found: Array = (dim - 1) * np.log(ahead) + np.log1p(-((behind / ahead) ** (dim - 1)))
    return found
