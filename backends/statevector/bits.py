"""Linear algebra over bits: a vector is an integer, sums are ``xor``, and a basis is a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np


def inside(vector: int, basis: list[int]) -> bool:
    """Whether a vector is in the span of a reduced basis."""
    for known in basis:
        vector = min(vector, vector ^ known)
    return not vector


def reduced(vectors: Iterable[int], basis: Sequence[int] = ()) -> list[int]:
    """Return the reduced echelon basis of the span of bit vectors, and of such a basis."""
    basis = list(basis)
    for vector in vectors:
        for known in basis:
            vector = min(vector, vector ^ known)
        if vector:
            basis = [min(known, known ^ vector) if known >> (vector.bit_length() - 1) & 1 else known for known in basis]
            basis = sorted([*basis, vector])
    return basis


def independent(vectors: Iterable[int]) -> list[int]:
    """Return the vectors that those before them do not span."""
    return extended([], vectors, 64)


def common(ours: list[int], theirs: list[int]) -> list[int]:
    """Return a basis of the vectors that two bases span both."""
    rows = [(vector, 0) for vector in reversed(reduced(theirs))]
    found = []
    for vector in ours:
        rest, sum_of_ours = _eliminate((vector, vector), rows)
        if rest:
            rows = sorted([*rows, (rest, sum_of_ours)], reverse=True)
        else:
            found.append(sum_of_ours)
    return found


def extended(span: list[int], vectors: Iterable[int], count: int) -> list[int]:
    """Return the first so many vectors, or fewer, that are independent of a span and of each other."""
    found: list[int] = []
    basis = reduced(span)
    for vector in vectors:
        if len(found) == count:
            break
        grown = reduced([vector], basis)
        if len(grown) > len(basis):
            basis = grown
            found.append(vector)
    return found


def dual(select: int, basis: list[int]) -> int:
    """Return the parities of what a vector selects of every basis vector, the first one as the lowest bit."""
    return sum(1 << j for j, vector in enumerate(basis) if (select & vector).bit_count() % 2)


def combinations(basis: list[int]) -> np.ndarray:
    """Return every sum of basis vectors; the first vector is in every second one."""
    offsets = np.zeros(1, np.int64)
    for vector in basis:
        offsets = np.concatenate([offsets, offsets ^ vector])
    return offsets


def solver(basis: list[int]) -> Callable[[int], int]:
    """Return the function that finds which basis vectors add up to a vector of their span."""
    rows: list[tuple[int, int]] = []
    for j, member in enumerate(basis):
        rows = sorted([*rows, _eliminate((member, 1 << j), rows)], reverse=True)
    return lambda vector: _eliminate((vector, 0), rows)[1]


def pivots(vectors: Iterable[int]) -> list[int]:
    """Return, rising, one bit for each of independent vectors, such that they are independent in these bits alone."""
    rows: list[int] = []
    for vector in vectors:
        for row in rows:
            vector = vector ^ row if vector & row & -row else vector
        rows.append(vector)
    return sorted(row & -row for row in rows)


def _eliminate(row: tuple[int, int], rows: list[tuple[int, int]]) -> tuple[int, int]:
    """Reduce a vector by rows of falling leading bits, and its tag with it."""
    vector, tag = row
    for known, known_tag in rows:
        if vector ^ known < vector:
            vector, tag = vector ^ known, tag ^ known_tag
    return vector, tag
