"""Tiles and their tables against brute force over all addresses."""

import itertools
from collections import Counter, defaultdict

import masks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK, haar_unitary, random_circuits

from backends.statevector import tiles
from backends.statevector.fusion import fuse
from backends.statevector.tiles import KINDS, _extend, _solver, fits, reduced, split, whole
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


def key(op):
    """An operation as its table has it: kind, index and masks; an X on a qubit of its own has no sign."""
    kind = op.kind if op.kind != "turns" else op.letters if op.letters in KINDS else "XYZ"
    proper_x = kind == "X" and masks.parity(op.masks[0][0] & op.masks[0][1])
    return KINDS[kind], op.index, tuple((0 if kind == "Z" else f, 0 if proper_x else s) for f, s in op.masks)


def decoded(segment):
    """The operations of a table by brute force over all addresses."""
    local, lanes, outer = (np.arange(len(v)) for v in (segment.local, segment.lanes, segment.outer))
    addresses = segment.local[:, None, None] ^ segment.lanes[:, None] ^ segment.outer
    bits = [1 << b for b in range((addresses.size - 1).bit_length())]
    for kind, first, count, index in segment.ops.tolist():
        found = []
        for flip, select, of_lanes, of_outer in segment.masks[first : first + count]:
            parts = masks.parity(select & local)[:, None, None] ^ (of_lanes >> lanes & 1)[:, None]
            parities = parts ^ masks.parity(of_outer & outer)
            mask = sum(bit * int(parities[addresses == bit][0]) for bit in bits)
            assert np.array_equal(parities, masks.parity(mask & addresses))  # linear in the address
            found.append((int(segment.local[flip]), mask))
        yield kind, index, tuple(found)


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
def test_every_operation_is_in_one_segment_with_all_its_masks(program, shape):
    tables = [decoded(segment) for segment in split(program, *shape)]
    assert Counter(itertools.chain(*tables)) == Counter(map(key, program.ops))


@QUICK
@given(programs())
def test_a_tile_of_samples_holds_the_whole_state(program):
    segment = whole(program)
    assert list(decoded(segment)) == list(map(key, program.ops))
    assert np.array_equal(segment.local, np.arange(2**program.n_qubits))
    assert segment.lanes.tolist() == segment.outer.tolist() == [0]


def test_a_long_program_is_searched_only_so_far(monkeypatch):
    program = fuse(strongly_entangling(7, n_layers=3), z_each(7))
    far = split(program, 4, 2)
    monkeypatch.setattr(tiles, "_LOOK_AHEAD", 3)
    near = split(program, 4, 2)
    assert Counter(itertools.chain(*map(decoded, near))) == Counter(map(key, program.ops)) and len(near) > len(far)


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_operations_that_change_places_commute(program, shape):
    taus = np.random.default_rng(0).uniform(0.3, 1.2, len(program.slots))

    def matrices(op):
        if masks.is_gate(op):
            return [masks.op_matrix(op, program.matrices, taus, program.n_qubits)]
        return [masks.word(flip, select, program.n_qubits) for flip, select in op.masks]

    places = defaultdict(list)
    for place, found in enumerate(itertools.chain(*map(decoded, split(program, *shape)))):
        places[found].append(place)
    moved = [(places[key(op)].pop(0), op) for op in program.ops]
    for (first, a), (second, b) in itertools.combinations(moved, 2):
        if first > second:
            for left, right in itertools.product(matrices(a), matrices(b)):
                assert np.allclose(left @ right, right @ left, atol=1e-12)


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
    first, *_ = split(fuse(Circuit(3, ops), Probabilities((0,))), 1, 2)
    assert [flip for _, _, ((flip, _),) in decoded(first)] == [4, 2]  # neither the sign nor what follows it


@pytest.mark.parametrize("n_local, n_lanes, expected", [(3, 8, True), (2, 8, False), (3, 16, False), (2, 16, False)])
def test_fits_asks_for_room_for_the_widest_operation(n_local, n_lanes, expected):
    program = fuse(Circuit(6, [H(0), unitary(haar_unitary(3, 0), 0, 2, 4)]), z_each(6))
    assert fits(program, n_lanes, n_local) == expected


def test_nothing_fits_where_the_lanes_are_the_whole_state():
    program = fuse(Circuit(3, []), z_each(3))
    assert fits(program, 4, 3) and not fits(program, 8, 3)
