"""Fused operations to tiles: which part of the state is worked on at a time, and the tables that kernels read.

A tile is a block of 2**k amplitudes in each of as many lanes as a vector register has. Lanes are samples where there
are many of them and few qubits; else they are amplitudes of one sample, and a program becomes a few segments. In a
segment the index space (a vector space over GF(2)) has the basis

    local (k vectors, spanning every flip of the segment) | lanes | outer (one tile each)

so every operation stays inside its tile, and a large state is read and written once per segment, not once per gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from backends.statevector.fusion import Fused, FusedProgram, Mask, commute, odd

#: Numbers of the kinds of operations in a table; turns are split by their letters.
KINDS = {"XYZ": 0, "X": 1, "Y": 2, "Z": 3, "sign": 4, "controlled": 5, "dense": 6, "word": 7, "diagonal": 8}

_LOOK_AHEAD = 512


@dataclass(frozen=True, eq=False)
class Segment:
    """Operations that run on one load of a tile.

    Parameters
    ----------
    ops : ndarray of int64, shape (n_ops, 4)
        Kind; first row of its masks; number of masks; the operation's own index.
    masks : ndarray of int64, shape (n_masks, 4)
        Flip and select in local coordinates; lanes that the mask selects, as bits; select in outer coordinates.
    local, lanes, outer : ndarray of int64
        Offsets into the state, to be combined by xor: 2**k, one per lane, one per tile.
    layout : int
        0 if the lanes of a local offset are neighbours in memory, in order; 1 if as many local offsets are; 2 if none.
    """

    ops: np.ndarray
    masks: np.ndarray
    local: np.ndarray
    lanes: np.ndarray
    outer: np.ndarray
    layout: int


def whole(program: FusedProgram) -> Segment:
    """Return the one segment of tiles that hold the states of several samples, one per lane."""
    basis = [1 << b for b in range(program.n_qubits)]
    return _segment(program.ops, basis, [], [])


def split(program: FusedProgram, n_lanes: int, n_local: int) -> tuple[Segment, ...]:
    """Return the segments of tiles whose lanes are ``n_lanes`` amplitudes of one sample.

    Parameters
    ----------
    program : FusedProgram
    n_lanes : int
        A power of two.
    n_local : int
        The most dimensions of a tile; at least as many as any operation flips.
    """
    n_lane_bits, bits = n_lanes.bit_length() - 1, range(program.n_qubits)
    low = [1 << b for b in range(n_lane_bits)]
    size = min(n_local, program.n_qubits - n_lane_bits)
    segments: list[Segment] = []
    rest = list(program.ops)
    while rest or not segments:
        taken, rest, span = _take(rest, size, low)
        local, lanes = _local_and_lanes(span, size, low)
        local += _extend(local + lanes, reversed(bits), size - len(local))
        lanes += _extend(local + lanes, bits, n_lane_bits - len(lanes))
        outer = _extend(local + lanes, bits, program.n_qubits - size - n_lane_bits)
        segments.append(_segment(taken, local, lanes, outer))
    return tuple(segments)


def _local_and_lanes(span: list[int], size: int, low: list[int]) -> tuple[list[int], list[int]]:
    """Keep the lowest bits, neighbours in memory, together: as lanes if no flip needs them, else as local ones."""
    if not any(vector & sum(low) for vector in span):
        return span, list(low)
    wider = reduced(span + low)
    return (wider, []) if len(wider) <= size else (span, [])


def fits(program: FusedProgram, n_lanes: int, n_local: int) -> bool:
    """Whether every operation can be local to a tile of :func:`split`."""
    n_lane_bits = n_lanes.bit_length() - 1
    size = min(n_local, program.n_qubits - n_lane_bits)
    least = max((len(op.masks) for op in program.ops if op.kind != "diagonal"), default=1)
    return size >= least + (n_lane_bits if _is_roomy(size, n_lane_bits) else 0)


def _is_roomy(size: int, n_low: int) -> bool:
    """Whether a tile has room for the lowest bits and for as many others again, and more."""
    return size > 2 * n_low


def _take(ops: list[Fused], size: int, low: list[int]) -> tuple[list[Fused], list[Fused], list[int]]:
    """Take every operation that may come next and whose flips fit; return taken, rest and the span of the flips.

    Flips that touch the lowest bits take all of them along, if there is room for that: see :func:`_local_and_lanes`.
    """
    taken: list[Fused] = []
    rest: list[Fused] = []
    late: list[Mask] = []
    span: list[int] = []
    roomy = _is_roomy(size, len(low))
    for number, op in enumerate(ops):
        if len(rest) > _LOOK_AHEAD:
            return taken, rest + ops[number:], span
        words, flips = op.words, op.flips
        together = low if roomy and any(flip & sum(low) for flip in flips) else []
        grown = span if all(_inside(flip, span) for flip in flips) else reduced(span + flips + together)
        if len(grown) > size or not commute(words, late):
            rest.append(op)
            late += words
        else:
            taken.append(op)
            span = grown
    return taken, rest, span


def _inside(vector: int, basis: list[int]) -> bool:
    for known in basis:
        vector = min(vector, vector ^ known)
    return not vector


def reduced(vectors: Iterable[int]) -> list[int]:
    """Return the reduced echelon basis of the span of bit vectors."""
    basis: list[int] = []
    for vector in vectors:
        for known in basis:
            vector = min(vector, vector ^ known)
        if vector:
            basis = [min(known, known ^ vector) if known >> (vector.bit_length() - 1) & 1 else known for known in basis]
            basis = sorted([*basis, vector])
    return basis


def _extend(span: list[int], bits: Iterable[int], count: int) -> list[int]:
    """Return so many unit vectors, tried in the order of ``bits``, that are independent of a span and each other."""
    found: list[int] = []
    basis = reduced(span)
    for bit in bits:
        if len(found) == count:
            break
        grown = reduced([*basis, 1 << bit])
        if len(grown) > len(basis):
            basis = grown
            found.append(1 << bit)
    return found


def _segment(ops: Sequence[Fused], local: list[int], lanes: list[int], outer: list[int]) -> Segment:
    table: list[tuple[int, ...]] = []
    masks: list[tuple[int, ...]] = []
    solve = _solver(local)
    for op in ops:
        table.append((_kind(op), len(masks), len(op.masks), op.index))
        for flip, (_, select) in zip(op.flips, op.masks, strict=True):
            # What follows the flip of an X on a qubit of its own would be a sign, and there is none.
            chosen = 0 if op.kind == "turns" and op.proper and op.letters == "X" else select
            halves = _dual(chosen, local), _lanes_of(_dual(chosen, lanes), 2 ** len(lanes)), _dual(chosen, outer)
            masks.append((solve(flip), *halves))
    offsets = _combinations(local), _combinations(lanes), _combinations(outer)
    return Segment(_table(table, 4), _table(masks, 4), *offsets, _layout(local, lanes, outer))


def _layout(local: list[int], lanes: list[int], outer: list[int]) -> int:
    units, low = [1 << b for b in range(len(lanes))], 2 ** len(lanes) - 1
    if lanes == units and not any(vector & low for vector in (*local, *outer)):
        return 0
    high = (*local[len(lanes) :], *lanes, *outer)
    return 1 if local[: len(lanes)] == units and not any(vector & low for vector in high) else 2


def _dual(select: int, basis: list[int]) -> int:
    return sum(1 << j for j, vector in enumerate(basis) if (select & vector).bit_count() % 2)


@cache
def _lanes_of(lane_mask: int, n_lanes: int) -> int:
    return sum(odd(lane & lane_mask) << lane for lane in range(n_lanes))


def _solver(basis: list[int]) -> Callable[[int], int]:
    """Return the function that finds which basis vectors add up to a vector of their span."""
    rows: list[tuple[int, int]] = []
    for j, member in enumerate(basis):
        rows = sorted([*rows, _eliminate((member, 1 << j), rows)], reverse=True)
    return lambda vector: _eliminate((vector, 0), rows)[1]


def _eliminate(row: tuple[int, int], rows: list[tuple[int, int]]) -> tuple[int, int]:
    """Reduce a vector by rows of falling leading bits, and its tag with it."""
    vector, tag = row
    for known, known_tag in rows:
        if vector ^ known < vector:
            vector, tag = vector ^ known, tag ^ known_tag
    return vector, tag


def _combinations(basis: list[int]) -> np.ndarray:
    offsets = np.zeros(1, np.int64)
    for vector in basis:
        offsets = np.concatenate([offsets, offsets ^ vector])
    return offsets


def _table(rows: list[tuple[int, ...]], width: int) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, width)


def _kind(op: Fused) -> int:
    if op.kind != "turns":
        return KINDS[op.kind]
    return KINDS.get(op.letters, KINDS["XYZ"])
