"""Fused operations to tiles: which part of the state is worked on at a time, and the tables that kernels read.

A tile is a block of 2**k amplitudes in each of as many lanes as a vector register has. Lanes are samples where there
are many of them and few qubits; else they are amplitudes of one sample, and a program becomes a few segments. In a
segment the index space (a vector space over GF(2)) has the basis

    local (k vectors, spanning every flip of the segment) | lanes | outer (one tile each)

so every operation stays inside its tile, and a large state is read and written once per segment, not once per gate.

Amplitudes that are still 0 are left alone: after flips f1, f2, ... of |0...0> only their span is reached, so local
vectors come in the order in which flips need them, and an operation works on the first 2**live of a tile. The first
rotations of the lowest bits run across lanes. Rotations on two or three qubits go through a tile together where they
can: what is loaded and stored is then a half or a third. Those about Z run by tables (:mod:`~.halves`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from backends.statevector import kinds
from backends.statevector.bits import combinations, common, dual, extended, independent, inside, pivots, reduced, solver
from backends.statevector.fusion import Fused, FusedProgram, Mask, brought_forward, commute, odd
from backends.statevector.halves import Row, phases, z_words

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

#: The most rotations of a kind that run together.
MOST = {kinds.GENERAL: 2, kinds.REAL_Y: 3, kinds.PHASE_Z: 99}


@dataclass(frozen=True, eq=False)
class Segment:
    """Operations that run on one load of a tile.

    Parameters
    ----------
    ops : ndarray of int64, shape (n_ops, 6)
        Kind; first row of its masks; number of masks; the operation's own index; how many local vectors are live, that
        is, span the amplitudes that can be other than 0 when it is done; 1 if it runs together with the next one. Many
        Z words at once have rows of masks of their own: see :mod:`~.halves`.
    masks : ndarray of int64, shape (n_masks, 6)
        Flip and select in local coordinates; lanes that the mask selects, as bits; select in outer coordinates; flip of
        lanes, which rotations across lanes and words of observables have; where flips make groups of amplitudes, a bit
        of a local index for each, rising, such that one member of every group has none of these bits.
    local, lanes, outer : ndarray of int64
        Offsets into the state, to be combined by xor: 2**k, one per lane, one per tile that is not 0.
    entry : int
        How many local vectors are live at the start.
    layout : int
        How a tile lies in memory: see :mod:`~.kinds`.
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
    groups = grouped(program.ops, program.n_qubits)
    local = independent([*start, *(flip for ops in groups for flip in _flips(ops, []))])
    return _segment(groups, _Basis(local, [], [], len(start)), False, [])


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
    across, rest = _across(program, low)
    while rest or not segments:
        taken, rest, span = _take(rest, size, low, closed=bool(across))
        groups = grouped(taken, size)
        basis = _basis(program.n_qubits, [op for ops in groups for op in ops], span, written, size, low)
        unwritten = bool(segments) and not all(inside(v, written) for v in basis.local[: basis.entry] + basis.lanes)
        segments.append(_segment(groups, basis, unwritten, across))
        across = []
        written = reduced([*basis.local, *basis.lanes, *basis.outer])
    return tuple(segments)


def _start(program: FusedProgram) -> list[int]:
    """Return a basis of the indices that the start state has."""
    return [1 << b for b in range(program.n_qubits - program.n_start, program.n_qubits)]


def _flips(ops: Iterable[Fused], low: list[int]) -> list[int]:
    """Return what must be local: of a word's flips not the lowest bits, which can be lanes as well."""
    return [flip & ~sum(low) if op.kind == "word" else flip for op in ops for flip in op.flips]


def _basis(n_qubits: int, ops: list[Fused], span: list[int], written: list[int], size: int, low: list[int]) -> _Basis:
    """Return the basis of a segment: what was written first, then every flip where it is needed."""
    units = [1 << b for b in range(n_qubits)]
    known = [unit for unit in units if inside(unit, written)]
    local, lanes = _local_and_lanes(span, size, low)
    local = local + extended(local + lanes, known[::-1], size - len(local))
    lanes = lanes + extended(local + lanes, low + known + units, len(low) - len(lanes))
    neighbours = low if all(inside(unit, reduced(local)) for unit in low) else []
    first = independent([*neighbours, *_without(neighbours, common(local, written + lanes))])
    local = independent([*first, *_without(neighbours, _flips(ops, low))])
    outer = extended(local + lanes, known + written, n_qubits)
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


def _across(program: FusedProgram, low: list[int]) -> tuple[list[Fused], list[Fused]]:
    """Take what may come first of the rotations of the lowest bits alone, where every bit is reached; and the rest.

    At the start all lanes of a tile but one would hold nothing but 0 otherwise.
    """

    def alone(op: Fused) -> bool:
        return op.kind == "turns" and op.proper and not op.masks[0][0] & ~sum(low)

    first, rest = brought_forward(program.ops, alone, _LOOK_AHEAD)
    reached = not program.n_start and len(independent(_flips(first, []))) == len(low) > 0
    return (first, rest) if reached else ([], list(program.ops))


def _take(ops: list[Fused], size: int, low: list[int], closed: bool) -> tuple[list[Fused], list[Fused], list[int]]:
    """Take every operation that may come next and whose flips fit; return taken, rest and the span of the flips.

    Flips that touch the lowest bits take all of them along, if there is room for that: see :func:`_local_and_lanes`.
    None is taken where these are ``closed``.
    """
    taken: list[Fused] = []
    rest: list[Fused] = []
    late: list[Mask] = []
    span: list[int] = []
    roomy = _is_roomy(size, len(low))
    for number, op in enumerate(ops):
        if len(rest) > _LOOK_AHEAD:
            return taken, rest + ops[number:], span
        words, flips = op.words, _flips([op], low)
        touches = any(flip & sum(low) for flip in flips)
        together = low if roomy and touches else []
        grown = span if all(inside(flip, span) for flip in flips) else reduced(flips + together, span)
        if len(grown) > size or (closed and touches) or not commute(words, late):
            rest.append(op)
            late += words
        else:
            taken.append(op)
            span = grown
    return taken, rest, span


def _segment(ops: list[tuple[Fused, ...]], basis: _Basis, zeros: bool, across: list[Fused]) -> Segment:
    solve, live = solver([*basis.local, *basis.lanes]), basis.entry
    table: list[Row] = [(kinds.ACROSS, row, 1, op.index, live, 0) for row, op in enumerate(across)]
    masks: list[Row] = [_mask(solve(flip), select, basis, live) for op in across for flip, select in op.masks]
    for together in ops:
        flips = [solve(flip) & ((1 << len(basis.local)) - 1) for op in together for flip in op.flips]
        live = max(live, *(flip.bit_length() for flip in flips))
        for rows, of_masks in _rows(together, [_masks(op, solve, basis, live) for op in together], live):
            table += [(kind, len(masks) + first, *rest) for kind, first, *rest in rows]
            masks += of_masks
    offsets = combinations(basis.local), combinations(basis.lanes), combinations(basis.outer)
    return Segment(_table(table, 6), _table(masks, 6), *offsets, basis.entry, _layout(basis), zeros)


def _rows(together: tuple[Fused, ...], masks: list[list[Row]], live: int) -> Iterator[tuple[list[Row], list[Row]]]:
    """Return rows for operations that run together, and the rows of masks that theirs count from."""
    op, flat = together[0], [mask for of_op in masks for mask in of_op]
    if op.letters == "Z":
        yield from phases([(op.index, *mask[1:]) for op, mask in zip(together, flat, strict=True)], live)
    elif op.kind == "diagonal":
        yield from z_words(flat, live)
    else:
        firsts = np.cumsum([0, *map(len, masks)])
        places = zip(together, firsts.tolist(), strict=False)
        rows: list[Row] = [(_kind(op), at, len(op.masks), op.index, live, op is not together[-1]) for op, at in places]
        yield rows, _with_pivots(flat) if len(together) > 1 or op.kind == "dense" else flat


def _with_pivots(masks: list[Row]) -> list[Row]:
    return [(*mask[:-1], pivot) for mask, pivot in zip(masks, pivots([flip for flip, *_ in masks]), strict=True)]


def _masks(op: Fused, solve: Callable[[int], int], basis: _Basis, live: int) -> list[Row]:
    return [_mask(solve(flip), select, basis, live) for flip, select in zip(op.flips, _selects(op), strict=True)]


def _mask(flip: int, select: int, basis: _Basis, live: int) -> Row:
    size = len(basis.local)
    of_lanes = _lanes_of(dual(select, basis.lanes), 2 ** len(basis.lanes))
    local, outer = dual(select, basis.local) & ((1 << live) - 1), dual(select, basis.outer)
    return flip & ((1 << size) - 1), local, of_lanes, outer, flip >> size, 0


def _selects(op: Fused) -> list[int]:
    """Return what its masks select; for an X on a qubit of its own that would be a sign, and there is none."""
    plain_x = op.kind == "turns" and op.proper and op.letters == "X"
    return [0 if plain_x else select for _, select in op.masks]


def grouped(ops: Sequence[Fused], n_local: int) -> list[tuple[Fused, ...]]:
    """Return operations one by one or some together: rotations on two or three qubits, all next ones about Z.

    The others of a group come past what they commute with.
    """
    found: list[tuple[Fused, ...]] = []
    rest = list(ops)
    while rest:
        group = [rest.pop(0)]
        while n_local >= PAIR_BITS and (other := _partner(group, rest)) is not None:
            group.append(rest.pop(other))
        found.append(tuple(group))
    return found


def _partner(group: list[Fused], rest: list[Fused]) -> int | None:
    """Return the place of the next operation that can run together with a group."""
    between: list[Mask] = []
    if len(group) == MOST.get(_kind(group[0]), 1):
        return None
    for place, other in enumerate(rest[:_NEAR]):
        if all(_go_together(op, other) for op in group) and commute(other.words, between):
            return place
        between += other.words
    return None


def _go_together(op: Fused, other: Fused) -> bool:
    """Whether two rotations are of one kind and, but for those about Z, on qubits of their own."""
    (f, s), (g, t) = op.masks[0], other.masks[0]
    alike = _kind(op) == _kind(other)
    return alike and (_kind(op) == kinds.PHASE_Z or (f != g and not odd(f & t) and not odd(g & s)))


def _layout(basis: _Basis) -> int:
    local, lanes, outer = basis.local, basis.lanes, basis.outer
    units, low = [1 << b for b in range(len(lanes))], 2 ** len(lanes) - 1
    if lanes == units and not any(vector & low for vector in (*local, *outer)):
        return kinds.NEIGHBOURS
    high = (*local[len(lanes) :], *lanes, *outer)
    is_square = basis.entry >= len(lanes) and local[: len(lanes)] == units
    return kinds.SQUARES if is_square and not any(vector & low for vector in high) else kinds.SCATTERED


@cache
def _lanes_of(lane_mask: int, n_lanes: int) -> int:
    return sum(odd(lane & lane_mask) << lane for lane in range(n_lanes))


def _table(rows: list[Row], width: int) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, width)


def _kind(op: Fused) -> int:
    if op.kind != "turns":
        return KINDS[op.kind]
    return KINDS.get(op.letters, KINDS["XYZ"])
