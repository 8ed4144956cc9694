"""Which pairs of qubits an entangling layer couples, in order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Pairs = Sequence[tuple[int, int]]


def linear(n_qubits: int) -> list[tuple[int, int]]:
    """Return (0, 1), (1, 2), …: nearest neighbours in a chain."""
    return list(itertools.pairwise(range(n_qubits)))


def ring(n_qubits: int) -> list[tuple[int, int]]:
    """Return the chain closed by (n-1, 0) last; two qubits are coupled once."""
    return linear(n_qubits) + [(n_qubits - 1, 0)] * (n_qubits > 2)


def brick(n_qubits: int) -> list[tuple[int, int]]:
    """Return (0, 1), (2, 3), …, then (1, 2), (3, 4), …: two layers of parallel pairs."""
    return linear(n_qubits)[::2] + linear(n_qubits)[1::2]


def full(n_qubits: int) -> list[tuple[int, int]]:
    """Return every pair i < j in lexicographic order."""
    return list(itertools.combinations(range(n_qubits), 2))


PATTERNS: dict[str, Callable[[int], list[tuple[int, int]]]] = {f.__name__: f for f in (linear, ring, brick, full)}


def entangled_pairs(name: str, entanglement: str | Pairs, n_qubits: int) -> list[tuple[int, int]]:
    """Return the pairs of a named pattern, or the pairs given.

    Raises
    ------
    ValueError
        If the argument called ``name`` is neither a pattern nor pairs of different qubits in range.
    """
    if isinstance(entanglement, str) and entanglement in PATTERNS:
        return PATTERNS[entanglement](n_qubits)
    if isinstance(entanglement, str) or not isinstance(entanglement, Iterable):
        raise ValueError(
            f"got {name}={entanglement!r}, expected one of {', '.join(map(repr, PATTERNS))}: "
            "or list the pairs, [(0, 1), (1, 2)]"
        )
    return [_pair(name, pair, n_qubits) for pair in entanglement]


def _pair(name: str, pair: Any, n_qubits: int) -> tuple[int, int]:
    qubits = tuple(pair) if isinstance(pair, Iterable) else (pair,)
    if len(qubits) != 2 or len(set(qubits)) != 2 or not set(qubits) <= set(range(n_qubits)):
        raise ValueError(
            f"got {pair!r} in {name}, expected two different qubits from 0 to {n_qubits - 1}: "
            "list pairs such as [(0, 1), (1, 2)]"
        )
    return qubits
