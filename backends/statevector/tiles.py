"""Fused operations to tiles: which part of the state is worked on at a time, and the tables that kernels read.

A tile is a block of 2**k amplitudes in each of as many lanes as a vector register has. Lanes are samples where there
are many of them and few qubits; else they are amplitudes of one sample, and a program becomes a few segments. In a
segment the index space (a vector space over GF(2)) has the basis

    local (k vectors, spanning every flip of the segment) | lanes | outer (one tile each)

so every operation stays inside its tile, and a large state is read and written once per segment, not once per gate.

Amplitudes that are still 0 are left alone: after flips f1, f2, ... of |0...0> only their span is reached, so local
vectors come in the order in which flips need them, and an operation works on the first 2**live of a tile. Rotations on
two qubits go through a tile together where they can: what is loaded and stored is then half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from backends.statevector import kinds
from backends.statevector.fusion import Fused, FusedProgram, Mask, commute, odd

#: Kinds of operations in a table; turns are split by their letters.
KINDS = {
    "XYZ": kinds.GENERAL,
    "X": kinds.FLIP_X,
    "Y": kinds.REAL_Y,
    "Z": kinds.PHASE_Z,
    "sign": kinds.SIGN,
    "controlled": kinds.CONTROLLED,
    "dense": kinds.DENSE,
    "word": kinds.WORD,
    "diagonal": kinds.DIAGONAL,
}

_LOOK_AHEAD = 512

#: Bits of a tile from which on rotations run in pairs (smaller ones are in the first cache, where loads cost nothing),
#: and how far ahead a partner is looked for.
PAIR_BITS, _NEAR = 8, 16


@dataclass(frozen=True, eq=False)
class Segment:
    """Operations that run on one load of a tile.

    Parameters
    ----------
    ops : ndarray of int64, shape (n_ops, 6)
        Kind; first row of its masks; number of masks; the operation's own index; how many local vectors are live, that
        is, span the amplitudes that can be other than 0 when it is done; 1 if it runs together with the next one.
    masks : ndarray of int64, shape (n_masks, 4)
        Flip and select in local coordinates; lanes that the mask selects, as bits; select in outer coordinates.
    local, lanes, outer : ndarray of int64
        Offsets into the state, to be combined by xor: 2**k, one per lane, one per tile that is not 0.
    entry : int
        How many local vectors are live at the start.
    layout : int
        0 if the lanes of a local offset are neighbours in memory, in order; 1 if as many local offsets are; 2 if none.
    zeros : bool
        Whether amplitudes are read that no segment before it wrote.
    """

    ops: np.ndarray
    masks: np.ndarray
    local: np.ndarray
    lanes: np.ndarray
    outer: np.ndarray
    entry: int
    layout: int
    zeros: bool


@dataclass(frozen=True)
class _Basis:
    """Basis vectors of a segment; the first ``entry`` local ones are live at the start."""

    local: list[int]
    lanes: list[int]
    outer: list[int]
    entry: int


def whole(program: FusedProgram) -> Segment:
    """Return the one segment of tiles that hold the states of several samples, one per lane."""
    start = _start(program)
    together = pairs(program.ops, program.n_qubits)
    local = independent([*start, *(flip for ops in together for flip in _flips(ops))])
    return _segment(together, _Basis(local, [], [], len(start)), False)


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
    n_lane_bits = n_lanes.bit_length() - 1
    low = [1 << b for b in range(n_lane_bits)]
    size = min(n_local, program.n_qubits - n_lane_bits)
    segments: list[Segment] = []
    written = _start(program)
    rest = list(program.ops)
    while rest or not segments:
        taken, rest, span = _take(rest, size, low)
        together = pairs(taken, size)
        basis = _basis(program.n_qubits, [op for ops in together for op in ops], span, written, size, low)
        unwritten = bool(segments) and not all(_inside(v, written) for v in basis.local[: basis.entry] + basis.lanes)
        segments.append(_segment(together, basis, unwritten))
        written = reduced([*basis.local, *basis.lanes, *basis.outer])
    return tuple(segments)


def _start(program: FusedProgram) -> list[int]:
    """Return a basis of the indices that the start state has."""
    return [1 << b for b in range(program.n_qubits - program.n_start, program.n_qubits)]


def _flips(ops: Sequence[Fused]) -> Iterator[int]:
    return (flip for op in ops for flip in op.flips)


def _basis(n_qubits: int, ops: list[Fused], span: list[int], written: list[int], size: int, low: list[int]) -> _Basis:
    """Return the basis of a segment: what was written first, then every flip where it is needed."""
    units = [1 << b for b in range(n_qubits)]
    known = [unit for unit in units if _inside(unit, written)]
    local, lanes = _local_and_lanes(span, size, low)
    local = local + _extend(local + lanes, known[::-1], size - len(local))
    lanes = lanes + _extend(local + lanes, low + known + units, len(low) - len(lanes))
    neighbours = low if all(_inside(unit, reduced(local)) for unit in low) else []
    first = independent([*neighbours, *_without(neighbours, common(local, written + lanes))])
    local = independent([*first, *_without(neighbours, _flips(ops))])
    outer = _extend(local + lanes, known + written, n_qubits)
    return _Basis(local, lanes, _without(low, outer), len(first))


def _without(low: list[int], vectors: Iterable[int]) -> list[int]:
    """Return vectors without the lowest bits, which the basis has anyway."""
    return [vector & ~sum(low) for vector in vectors]


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
        grown = span if all(_inside(flip, span) for flip in flips) else reduced(flips + together, span)
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
    return _extend([], vectors, 64)


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


def _extend(span: list[int], vectors: Iterable[int], count: int) -> list[int]:
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


def _segment(ops: list[tuple[Fused, ...]], basis: _Basis, zeros: bool) -> Segment:
    solve = _solver(basis.local)
    table: list[tuple[int, ...]] = []
    masks: list[tuple[int, ...]] = []
    live = basis.entry
    for together in ops:
        live = max(live, *(solve(flip).bit_length() for flip in _flips(together)))
        for op in together:
            table.append((_kind(op), len(masks), len(op.masks), op.index, live, op is not together[-1]))
            masks += [
                _mask(solve(flip), select, basis, live) for flip, select in zip(op.flips, _selects(op), strict=True)
            ]
    offsets = _combinations(basis.local), _combinations(basis.lanes), _combinations(basis.outer)
    return Segment(_table(table, 6), _table(masks, 4), *offsets, basis.entry, _layout(basis), zeros)


def _mask(flip: int, select: int, basis: _Basis, live: int) -> tuple[int, ...]:
    of_lanes = _lanes_of(_dual(select, basis.lanes), 2 ** len(basis.lanes))
    return flip, _dual(select, basis.local) & ((1 << live) - 1), of_lanes, _dual(select, basis.outer)


def _selects(op: Fused) -> list[int]:
    """Return what its masks select; for an X on a qubit of its own that would be a sign, and there is none."""
    plain_x = op.kind == "turns" and op.proper and op.letters == "X"
    return [0 if plain_x else select for _, select in op.masks]


def pairs(ops: Sequence[Fused], n_local: int) -> list[tuple[Fused, ...]]:
    """Return operations one by one or two together: rotations on two qubits, the second past what it commutes with."""
    found: list[tuple[Fused, ...]] = []
    rest = list(ops)
    while rest:
        op = rest.pop(0)
        other = _partner(op, rest) if n_local >= PAIR_BITS else None
        found.append((op, rest.pop(other)) if other is not None else (op,))
    return found


def _partner(op: Fused, rest: list[Fused]) -> int | None:
    """Return the place of the next operation that can run together with one."""
    between: list[Mask] = []
    for place, other in enumerate(rest[:_NEAR]):
        if _go_together(op, other) and commute(other.words, between):
            return place
        between += other.words
    return None


def _go_together(op: Fused, other: Fused) -> bool:
    """Whether two rotations are both general or both real, and on qubits of their own."""
    (f, s), (g, t) = op.masks[0], other.masks[0]
    alike = _kind(op) == _kind(other) in (kinds.GENERAL, kinds.REAL_Y)
    return alike and f != g and not odd(f & t) and not odd(g & s)


def _layout(basis: _Basis) -> int:
    local, lanes, outer = basis.local, basis.lanes, basis.outer
    units, low = [1 << b for b in range(len(lanes))], 2 ** len(lanes) - 1
    if lanes == units and not any(vector & low for vector in (*local, *outer)):
        return 0
    high = (*local[len(lanes) :], *lanes, *outer)
    is_square = basis.entry >= len(lanes) and local[: len(lanes)] == units
    return 1 if is_square and not any(vector & low for vector in high) else 2


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
