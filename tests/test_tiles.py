"""Tiles and their tables against brute force over all addresses."""

import itertools
from collections import Counter

import masks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK, haar_unitary, random_circuits

from backends.statevector import tiles
from backends.statevector.fusion import fuse
from backends.statevector.tiles import KINDS, _extend, _solver, _take, fits, reduced, split, whole
from circuits import CCZ, CX, RX, RY, RZ, Circuit, H, Probabilities, pauli, unitary, z_each
from circuits.templates import strongly_entangling

SHAPES = [(2, 3), (4, 3), (2, 4), (8, 3), (1, 3)]


def readout_of(circuit, seed):
    """Words of every kind, or probabilities."""
    rng, n = np.random.default_rng(seed), circuit.n_qubits
    if seed % 3 == 0:
        return Probabilities((n - 1, 0))
    words = [" ".join(f"{p}{q}" for q, p in enumerate(row)) for row in rng.choice(list("IXYZ"), (3, n))]
    return (*map(pauli, words), *z_each(n))


@st.composite
def programs(draw):
    circuit = draw(random_circuits(n_qubits=(6, 7), max_ops=14, with_amplitudes=True))
    return fuse(circuit, readout_of(circuit, draw(st.integers(0, 99))))


def taken(program, n_lanes, n_local):
    """The operations of every segment, in the order they run."""
    rest, size = list(program.ops), min(n_local, program.n_qubits - n_lanes.bit_length() + 1)
    while rest:
        ops, rest, _ = _take(rest, size)
        yield ops


def span(vectors):
    """Every sum of bit vectors."""
    found = {0}
    for vector in vectors:
        found |= {vector ^ other for other in found}
    return found


# Vectors of bits.

VECTORS = st.lists(st.integers(0, 63), max_size=8)


@QUICK
@given(VECTORS)
def test_reduced_basis(vectors):
    basis = reduced(vectors)
    assert span(basis) == span(vectors) and len(span(basis)) == 2 ** len(basis)
    leading = [1 << (vector.bit_length() - 1) for vector in basis]
    assert all((vector & bit != 0) == (i == j) for i, vector in enumerate(basis) for j, bit in enumerate(leading))
    assert basis == reduced(vectors[::-1]) == sorted(basis)


@QUICK
@given(VECTORS, st.randoms(use_true_random=False))
def test_solve_says_which_vectors_add_up(vectors, random):
    basis = reduced(vectors)
    random.shuffle(basis)
    if len(basis) > 1:
        basis[0] ^= basis[1]  # a basis that is not reduced
    solve = _solver(basis)
    for subset in range(2 ** len(basis)):
        total = 0
        for j, vector in enumerate(basis):
            total ^= vector * (subset >> j & 1)
        assert solve(total) == subset


@QUICK
@given(VECTORS, st.permutations(range(6)), st.integers(0, 6))
def test_extend_adds_unit_vectors_in_the_order_of_the_bits(vectors, bits, count):
    basis = reduced(vectors)
    count = min(count, 6 - len(basis))
    wanted = []
    for bit in bits:
        if len(wanted) < count and 1 << bit not in span(basis + wanted):
            wanted.append(1 << bit)
    assert _extend(basis, bits, count) == wanted and len(wanted) == count


# Segments.


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_every_operation_is_in_one_segment(program, shape):
    segments = list(taken(program, *shape))
    assert Counter(map(id, itertools.chain(*segments))) == Counter(map(id, program.ops))
    kinds = [
        KINDS[op.kind if op.kind != "turns" else op.letters if len(op.letters) == 1 else "XYZ"] for op in program.ops
    ]
    rows = Counter((kind, len(op.masks), op.index) for kind, op in zip(kinds, program.ops, strict=True))
    tables = [segment.ops for segment in split(program, *shape)]
    assert Counter((row[0], row[2], row[3]) for row in np.concatenate(tables).tolist()) == rows
    assert [len(table) for table in tables] == [len(ops) for ops in segments] or not segments


def test_a_long_program_is_searched_only_so_far(monkeypatch):
    program = fuse(strongly_entangling(8, n_layers=3), z_each(8))
    far = list(taken(program, 4, 2))
    monkeypatch.setattr(tiles, "_LOOK_AHEAD", 3)
    near = list(taken(program, 4, 2))
    assert Counter(map(id, itertools.chain(*near))) == Counter(map(id, program.ops)) and len(near) > len(far)


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_operations_that_change_places_commute(program, shape):
    rng = np.random.default_rng(0)
    taus = rng.uniform(0.3, 1.2, len(program.slots))

    def matrices(op):
        if masks.is_gate(op):
            return [masks.op_matrix(op, program.matrices, taus, program.n_qubits)]
        return [masks.word(flip, select, program.n_qubits) for flip, select in op.masks]

    place = {id(op): k for k, op in enumerate(itertools.chain(*taken(program, *shape)))}
    for first, second in itertools.combinations(program.ops, 2):
        if place[id(first)] > place[id(second)]:
            for a, b in itertools.product(matrices(first), matrices(second)):
                assert np.allclose(a @ b, b @ a, atol=1e-12)


def layout(addresses):
    """0 if the lanes of all (local, lanes, outer) addresses are neighbours in memory, 1 if as many local ones are."""
    n = addresses.shape[1]
    groups = addresses.transpose(0, 2, 1).reshape(-1, n), addresses.transpose(1, 2, 0).reshape(-1, n)
    together = [not (g[:, :1] % n).any() and np.array_equal(g, g[:, :1] + np.arange(n)) for g in groups]
    return together.index(True) if True in together else 2


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_offsets_are_all_addresses(program, shape):
    for segment in (*split(program, *shape), whole(program)):
        addresses = segment.local[:, None, None] ^ segment.lanes[:, None] ^ segment.outer
        assert np.array_equal(np.sort(addresses.ravel()), np.arange(2**program.n_qubits))
        assert segment.layout == layout(addresses)


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_coordinates(program, shape):
    for ops, segment in zip(taken(program, *shape), split(program, *shape), strict=False):
        local, lanes, outer = (np.arange(len(v)) for v in (segment.local, segment.lanes, segment.outer))
        addresses = segment.local[:, None, None] ^ segment.lanes[:, None] ^ segment.outer
        for op, (_, first, count, _) in zip(ops, segment.ops, strict=True):
            assert count == len(op.masks)
            for (flip, select), row in zip(op.masks, segment.masks[first : first + count], strict=True):
                assert segment.local[row[0]] == (0 if op.letters == "Z" else flip)  # it stays inside the tile
                if op.letters == "X" and op.proper:
                    select = 0  # the sign that X does not have
                parts = masks.parity(row[1] & local)[:, None, None] ^ (row[2] >> lanes & 1)[:, None]
                assert np.array_equal(parts ^ masks.parity(row[3] & outer), masks.parity(select & addresses))


@QUICK
@given(programs())
def test_a_tile_of_samples_holds_the_whole_state(program):
    segment = whole(program)
    assert np.array_equal(segment.local, np.arange(2**program.n_qubits))
    assert segment.lanes.tolist() == segment.outer.tolist() == [0]
    for op, (_, first, _, index) in zip(program.ops, segment.ops, strict=True):
        assert index == op.index
        for (flip, select), row in zip(op.masks, segment.masks[first:], strict=False):
            assert row[0] == (0 if op.letters == "Z" else flip) and not row[2:].any()
            assert row[1] == (0 if op.letters == "X" and op.proper else select)


def test_a_large_circuit_has_few_segments():
    program = fuse(strongly_entangling(12, n_layers=2), z_each(12))
    assert len(split(program, 16, 8)) <= 3 < len(split(program, 16, 3))


def test_a_program_of_nothing_has_one_empty_segment():
    (segment,) = split(fuse(Circuit(5, []), Probabilities((0,))), 4, 2)
    assert segment.ops.shape == segment.masks.shape == (0, 4) and segment.layout == 0


@pytest.mark.parametrize("qubits, n_local, expected", [((0,), 3, 0), ((5,), 3, 1), ((5, 0), 3, 1), ((5, 0), 2, 2)])
def test_neighbours_in_memory_stay_together(qubits, n_local, expected):
    program = fuse(Circuit(6, [RX(0.1, q) for q in qubits]), Probabilities((0,)))
    assert [segment.layout for segment in split(program, 4, n_local)] == [expected]


def test_signs_need_no_room_and_diagonal_rotations_neither():
    ring = [[RZ(0.1, q), CX(q, (q + 1) % 6)] for q in range(6)]
    assert len(split(fuse(Circuit(6, [ring, CCZ(0, 1, 2), ring]), Probabilities((0,))), 2, 1)) == 1


def test_what_comes_after_waits_for_what_it_does_not_commute_with():
    ops = [RY(0.1, 0), RY(0.2, 1), H(2), CCZ(0, 1, 2), RY(0.3, 0)]
    (first, *_) = taken(fuse(Circuit(3, ops), Probabilities((0,))), 1, 2)
    assert [op.masks[0][0] for op in first] == [4, 2]  # neither the sign nor what follows it


@pytest.mark.parametrize("n_local, n_lanes, expected", [(3, 8, True), (2, 8, False), (3, 16, False), (2, 16, False)])
def test_fits_asks_for_room_for_the_widest_operation(n_local, n_lanes, expected):
    program = fuse(Circuit(6, [H(0), unitary(haar_unitary(3, 0), 0, 2, 4)]), z_each(6))
    assert fits(program, n_lanes, n_local) == expected


def test_nothing_fits_where_the_lanes_are_the_whole_state():
    program = fuse(Circuit(3, []), z_each(3))
    assert fits(program, 4, 3) and not fits(program, 8, 3)
