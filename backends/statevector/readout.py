"""Observables to vectors over basis states, compiled once.

A Pauli word maps basis state c to b = c xor flip with a phase: for Z-words flip is 0, and the expectation is a
weighted sum of probabilities; words with equal flip share one vector m, and

    <O> = sum_b p_b d_b + sum_flips Re sum_b conj(psi_b) m_b psi_(b xor flip)
"""

from __future__ import annotations

import itertools

import numpy as np

from backends.statevector.program import Axes
from circuits import Observable
from circuits.observables import Word

LETTERS_OF_FLIP, LETTERS_OF_SIGN = "XY", "YZ"


def diagonals(observables: tuple[Observable, ...], order: Axes) -> np.ndarray:
    """Return d, one column per observable: real (2**n, n_observables); ``order`` is the qubit of every axis."""
    terms = [[(w, c) for w, c in o.terms if not _mask(w, LETTERS_OF_FLIP, order)] for o in observables]
    columns = [sum((c * _signs(w, order) for w, c in ts), np.zeros(2 ** len(order))) for ts in terms]
    return np.stack(columns, 1)


def off_diagonals(observables: tuple[Observable, ...], order: Axes) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return (observable, b xor flip for every b, m) for every observable and flip other than 0."""
    found = []
    for column, observable in enumerate(observables):
        terms = sorted((_mask(w, LETTERS_OF_FLIP, order), w, c) for w, c in observable.terms)
        for flip, group in itertools.groupby(terms, key=lambda term: term[0]):
            if flip:
                partner = np.arange(2 ** len(order)) ^ flip
                found.append((column, partner, sum(c * _phases(w, order)[partner] for _, w, c in group)))
    return found


def _phases(word: Word, order: Axes) -> np.ndarray:
    return 1j ** sum(letter == "Y" for _, letter in word) * _signs(word, order)


def _signs(word: Word, order: Axes) -> np.ndarray:
    """Return (-1)**(number of ones on the qubits of Y and Z) for every basis state."""
    bits = np.arange(2 ** len(order)) & _mask(word, LETTERS_OF_SIGN, order)
    return 1.0 - 2.0 * (np.bitwise_count(bits) % 2)


def _mask(word: Word, letters: str, order: Axes) -> int:
    return sum(1 << (len(order) - 1 - order.index(q)) for q, letter in word if letter in letters)
