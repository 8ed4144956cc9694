"""Observables: real sums of Pauli words, and the other readout, probabilities.

``pauli("Z0 X2")`` is Z on qubit 0 times X on qubit 2; sums and real multiples are written as such::

    energy = 0.5 * pauli("Z0 Z1") - pauli("X0") - pauli("X1")

Qubits are named by number, so no bit order is to be guessed.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Word = tuple[tuple[int, str], ...]  # ((qubit, letter), ...) by rising qubit; () is the identity


@dataclass(frozen=True)
class Observable:
    """A real sum of Pauli words; a number added to it counts for the identity: ``(1 - pauli("Z0")) * 0.5``.

    Parameters
    ----------
    terms : tuple of (word, coefficient)
        Build observables with :func:`pauli` and arithmetic, not with this constructor.
    """

    terms: tuple[tuple[Word, float], ...]

    def __add__(self, other: Observable | float) -> Observable:
        if isinstance(other, numbers.Real):
            other = Observable((((), float(other)),))
        if not isinstance(other, Observable):
            return NotImplemented
        return _collect((*self.terms, *other.terms))

    __radd__ = __add__

    def __mul__(self, factor: float) -> Observable:
        if not isinstance(factor, numbers.Real):
            return NotImplemented
        if not math.isfinite(factor):
            raise ValueError(f"got the coefficient {factor} of an observable, expected a finite number")
        return _collect((word, float(factor) * c) for word, c in self.terms)

    __rmul__ = __mul__

    def __neg__(self) -> Observable:
        return self * -1.0

    def __sub__(self, other: Observable | float) -> Observable:
        return self + -other

    def __rsub__(self, other: float) -> Observable:
        return -self + other

    @property
    def n_qubits(self) -> int:
        """The least number of qubits the observable fits on."""
        return max((qubit + 1 for word, _ in self.terms for qubit, _ in word), default=0)

    def __repr__(self) -> str:
        return " + ".join(f"{c:.6g} {' '.join(f'{p}{q}' for q, p in word) or 'I'}" for word, c in self.terms) or "0"


@dataclass(frozen=True)
class Probabilities:
    """Readout of the 2**k outcome probabilities of k qubits; outcome b has the first qubit as its leading bit.

    Parameters
    ----------
    qubits : tuple of int
        The measured qubits, all different.
    """

    qubits: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "qubits", tuple(map(int, self.qubits)))
        if len(set(self.qubits)) != len(self.qubits) or min(self.qubits, default=-1) < 0:
            raise ValueError(f"got qubits {self.qubits} to read out, expected at least one, all different, from 0 up")

    def __len__(self) -> int:
        return int(2 ** len(self.qubits))

    @property
    def n_qubits(self) -> int:
        """The least number of qubits the readout fits on."""
        return max(self.qubits) + 1


Readout = tuple[Observable, ...] | Probabilities


def pauli(word: str) -> Observable:
    """Return the Pauli word written as letters with qubit numbers, for example ``"Z0 X2"``; ``""`` is the identity.

    Raises
    ------
    ValueError
        If a part is not a letter I, X, Y, Z followed by a qubit number, or a qubit occurs twice.
    """
    parts = word.split()
    if not all(re.fullmatch(r"[IXYZ]\d+", part) for part in parts):
        raise ValueError(f"got the Pauli word {word!r}, expected letters with qubit numbers: pauli('Z0 X2')")
    letters = sorted((int(part[1:]), part[0]) for part in parts)
    if len({qubit for qubit, _ in letters}) != len(letters):
        raise ValueError(f"got a qubit twice in {word!r}, expected each once: multiply the letters by hand")
    return Observable(((tuple((q, p) for q, p in letters if p != "I"), 1.0),))


def z_each(n: int) -> tuple[Observable, ...]:
    """Return Z on each of the qubits 0 … n-1: one output column per qubit."""
    return tuple(pauli(f"Z{qubit}") for qubit in range(n))


def as_readout(readout: Any) -> Readout:
    """Return an observable, a Pauli string, a sequence of them, or probabilities as a readout.

    Raises
    ------
    TypeError
        If it is something else, for example an operator of another library.
    ValueError
        If it is empty.
    """
    if isinstance(readout, Probabilities):
        return readout
    single = isinstance(readout, Observable | str)
    items: Sequence[Any] = [readout] if single else list(readout) if isinstance(readout, Iterable) else [readout]
    if not items:
        raise ValueError("got no observables, expected at least one: z_each(n_qubits)")
    return tuple(_as_observable(item) for item in items)


def _as_observable(item: Any) -> Observable:
    if isinstance(item, str):
        return pauli(item)
    if not isinstance(item, Observable):
        raise TypeError(
            f"got {type(item).__name__} as an observable, expected pauli('Z0 X2'), such a string or a sum: "
            "convert operators of other libraries with backends.from_qiskit or backends.from_pennylane"
        )
    return item


def _collect(terms: Iterable[tuple[Word, float]]) -> Observable:
    total: dict[Word, float] = {}
    for word, coefficient in terms:
        total[word] = total.get(word, 0.0) + coefficient
    return Observable(tuple(sorted((w, c) for w, c in total.items() if c != 0.0)))
