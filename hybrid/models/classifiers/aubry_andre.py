r"""States of an Aubry–André chain long after a quench, thermal or localized, as Ren et al. (arXiv:2204.01738) classify.

    H = J Σ_i (X_i X_{i+1} + Y_i Y_{i+1}) / 2 + V Σ_i cos(2π α i + φ) Z_i / 2,    |ψ> = exp(-i H t) |0101…>

with α = (√5 - 1)/2. Below V = 2 J an excitation spreads over the chain, above it stays where it was. The paper's own
parameters are not known to us: V = J or 8 J, J t = 10, and one random φ for each state are choices.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from circuits.gates import pauli_matrix

ALPHA = (math.sqrt(5) - 1) / 2

#: V / J of the classes 0, thermal, and 1, localized; and J t.
STRENGTHS, TIME = (1.0, 8.0), 10.0


@lru_cache(maxsize=1)  # rows of one task follow each other
def states(n_qubits: int, n_samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return states of both classes in random order.

    Parameters
    ----------
    n_qubits : int
        Length of the chain, whose ends are open.
    n_samples : int
    seed : int
        Of the classes and of φ.

    Returns
    -------
    states : complex128, shape (n_samples, 2**n_qubits)
        Qubit 0 is the leading bit of an index.
    classes : int64, shape (n_samples,)
    """
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_samples) % 2)
    phases = rng.uniform(0, 2 * np.pi, n_samples)
    hopping = sum(_word(n_qubits, i, letter, letter) for i in range(n_qubits - 1) for letter in "XY") / 2
    fields = np.stack([_word(n_qubits, i, "Z").diagonal().real for i in range(n_qubits)]) / 2
    start = np.zeros(2**n_qubits)
    start[int(("01" * n_qubits)[:n_qubits], 2)] = 1
    cosines = np.cos(2 * np.pi * ALPHA * np.arange(n_qubits) + phases[:, None])
    diagonals = (np.array(STRENGTHS)[y, None] * cosines) @ fields
    return np.stack([_evolved(hopping.real + np.diag(each), start) for each in diagonals]), y


def _evolved(hamiltonian: np.ndarray, start: np.ndarray) -> np.ndarray:
    energies, vectors = np.linalg.eigh(hamiltonian)
    found: np.ndarray = vectors @ (np.exp(-1j * TIME * energies) * (vectors.T @ start))
    return found


def _word(n_qubits: int, place: int, *letters: str) -> np.ndarray:
    """Return the matrix of letters from a place on."""
    return pauli_matrix("I" * place + "".join(letters) + "I" * (n_qubits - place - len(letters)))
