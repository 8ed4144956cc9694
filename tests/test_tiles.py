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
from backends.statevector.fusion import commute, fuse
from backends.statevector.tiles import KINDS, _extend, _solver, common, fits, independent, pairs, reduced, split, whole
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


def addresses_of(segment):
    """All addresses that a segment reaches, (local, lanes, outer)."""
    return segment.local[:, None, None] ^ segment.lanes[:, None] ^ segment.outer


def decoded(segment, program):
    """The operations of a table, found among those of the program by brute force over the addresses that are live."""
    lanes, outer, known = np.arange(len(segment.lanes)), np.arange(len(segment.outer)), Counter(map(key, program.ops))
    for kind, first, count, index, live, _ in segment.ops.tolist():
        local = np.arange(2**live)
        addresses, flips, parities = addresses_of(segment)[: 2**live], [], []
        for flip, select, of_lanes, of_outer in segment.masks[first : first + count]:
            parts = masks.parity(select & local)[:, None, None] ^ (of_lanes >> lanes & 1)[:, None]
            parities.append(parts ^ masks.parity(of_outer & outer))
            flips.append(int(segment.local[flip]))
            assert flip < 2**live and select < 2**live
        for op in known:
            same = op[:2] == (kind, index) and [flip for flip, _ in op[2]] == flips
            if same and all(
                np.array_equal(p, masks.parity(s & addresses)) for p, (_, s) in zip(parities, op[2], strict=True)
            ):
                yield op
                break
        else:
            raise AssertionError(f"an operation of kind {kind} that the program has not")


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
@given(VECTORS, VECTORS, st.integers(0, 6))
def test_extend_adds_vectors_in_their_order(vectors, others, count):
    basis, wanted = reduced(vectors), []
    for vector in others:
        if len(wanted) < count and vector not in span(basis + wanted):
            wanted.append(vector)
    assert _extend(basis, others, count) == wanted


@QUICK
@given(VECTORS, VECTORS)
def test_common_spans_what_two_bases_both_span(ours, theirs):
    found = common(independent(ours), theirs)
    assert span(found) == span(ours) & span(theirs) and len(span(found)) == 2 ** len(found)


# Segments.


def start_of(program):
    """Indices of the amplitudes that the start state has."""
    return [k << (program.n_qubits - program.n_start) for k in range(2**program.n_start)]


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_amplitudes_that_are_left_alone_are_zero(program, shape):
    """What is reached: the span of the start and of all flips so far, and what a tile has beside them."""
    written = set(start_of(program))
    for number, segment in enumerate(split(program, *shape)):
        reached = set(addresses_of(segment)[: 2**segment.entry].ravel().tolist())
        assert written <= reached or (number == 0 and min(written) == 0)
        assert segment.zeros == (number > 0 and not reached <= written)
        for _, first, count, _, live, _ in segment.ops.tolist():
            flips = [int(segment.local[flip]) for flip in segment.masks[first : first + count, 0]]
            now = addresses_of(segment)[: 2**live].ravel()
            assert reached <= set(now.tolist()) and all(
                set((now ^ flip).tolist()) == set(now.tolist()) for flip in flips
            )
            reached = set(now.tolist())
        written = set(addresses_of(segment).ravel().tolist())


@QUICK
@given(programs())
def test_pairs_are_qubits_of_their_own_and_pass_only_what_they_commute_with(program):
    together = pairs(program.ops, 99)
    flat = [op for ops in together for op in ops]
    assert Counter(map(id, flat)) == Counter(map(id, program.ops)) and pairs(program.ops, 7) == [
        (op,) for op in program.ops
    ]
    for one, other in (ops for ops in together if len(ops) == 2):
        assert one.kind == other.kind == "turns" and (one.letters == "Y") == (other.letters == "Y")
        for (flip, select), (far, chosen) in ((one.masks[0], other.masks[0]), (other.masks[0], one.masks[0])):
            assert flip != far and not masks.parity(flip & chosen) and masks.parity(flip & select)
    places = {id(op): place for place, op in enumerate(flat)}
    for first, second in itertools.combinations(program.ops, 2):
        assert places[id(first)] < places[id(second)] or commute(first.words, second.words)


def test_a_layer_runs_in_pairs():
    layer = Circuit(8, [[RX(0.1, q), RY(0.2, q)] for q in range(8)])
    assert [len(ops) for ops in pairs(fuse(layer, z_each(8)).ops, 8)] == [2, 2, 2, 2, 1]


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_every_operation_is_in_one_segment_with_all_its_masks(program, shape):
    tables = [decoded(segment, program) for segment in split(program, *shape)]
    assert Counter(itertools.chain(*tables)) == Counter(map(key, program.ops))


@QUICK
@given(programs())
def test_a_tile_of_samples_holds_the_whole_state(program):
    segment = whole(program)
    assert list(decoded(segment, program)) == list(map(key, program.ops))  # too few qubits for pairs
    assert segment.lanes.tolist() == segment.outer.tolist() == [0] and segment.entry == program.n_start
    assert segment.local[: 2**program.n_start].tolist() == start_of(program)


def test_a_long_program_is_searched_only_so_far(monkeypatch):
    program = fuse(strongly_entangling(7, n_layers=3), z_each(7))
    far = split(program, 4, 2)
    monkeypatch.setattr(tiles, "_LOOK_AHEAD", 3)
    near = split(program, 4, 2)
    found = itertools.chain(*(decoded(segment, program) for segment in near))
    assert Counter(found) == Counter(map(key, program.ops)) and len(near) > len(far)


@QUICK
@given(programs(), st.sampled_from(SHAPES))
def test_operations_that_change_places_commute(program, shape):
    taus = np.random.default_rng(0).uniform(0.3, 1.2, len(program.slots))

    def matrices(op):
        if masks.is_gate(op):
            return [masks.op_matrix(op, program.matrices, taus, program.n_qubits)]
        return [masks.word(flip, select, program.n_qubits) for flip, select in op.masks]

    places = defaultdict(list)
    for place, found in enumerate(itertools.chain(*(decoded(s, program) for s in split(program, *shape)))):
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
def test_addresses_are_all_different(program, shape):
    for segment in (*split(program, *shape), whole(program)):
        addresses = addresses_of(segment)
        assert len(set(addresses.ravel().tolist())) == addresses.size
        squares = 2**segment.entry % segment.lanes.size == 0
        assert segment.layout == layout(addresses) or (layout(addresses) == 1 and not squares and segment.layout == 2)


def test_a_large_circuit_has_few_segments():
    program = fuse(strongly_entangling(12, n_layers=2), z_each(12))
    assert len(split(program, 16, 8)) <= 3 < len(split(program, 16, 3))


def test_a_program_of_nothing_has_one_empty_segment():
    (segment,) = split(fuse(Circuit(5, []), Probabilities((0,))), 4, 2)
    assert segment.ops.shape == (0, 6) and segment.masks.shape == (0, 4) and segment.layout == 0


@pytest.mark.parametrize("qubits, n_local, expected", [((0,), 3, 0), ((5,), 3, 1), ((5, 0), 3, 1), ((5, 0), 2, 2)])
def test_neighbours_in_memory_stay_together(qubits, n_local, expected):
    program = fuse(Circuit(6, [RX(0.1, q) for q in qubits]), Probabilities(tuple(range(6))))
    assert [segment.layout for segment in split(program, 4, n_local)] == [expected]


def test_signs_need_no_room_and_diagonal_rotations_neither():
    ring = [[RZ(0.1, q), CX(q, (q + 1) % 6)] for q in range(6)]
    program = fuse(Circuit(6, [ring, CCZ(0, 1, 2), ring]), (pauli("X0"),))
    assert len(program.ops) > 4 and len(split(program, 2, 1)) == 1


def test_what_comes_after_waits_for_what_it_does_not_commute_with():
    ops = [RY(0.1, 0), RY(0.2, 1), H(2), CCZ(0, 1, 2), RY(0.3, 0)]
    program = fuse(Circuit(3, ops), (pauli("X0"), pauli("X1"), pauli("X2")))
    first, *_ = split(program, 1, 2)
    assert [flip for _, _, ((flip, _),) in decoded(first, program)] == [4, 2]  # neither the sign nor what follows it


@pytest.mark.parametrize("n_local, n_lanes, expected", [(3, 8, True), (2, 8, False), (3, 16, False), (2, 16, False)])
def test_fits_asks_for_room_for_the_widest_operation(n_local, n_lanes, expected):
    program = fuse(Circuit(6, [H(0), unitary(haar_unitary(3, 0), 0, 2, 4)]), z_each(6))
    assert fits(program, n_lanes, n_local) == expected


def test_nothing_fits_where_the_lanes_are_the_whole_state():
    program = fuse(Circuit(3, []), z_each(3))
    assert fits(program, 4, 3) and not fits(program, 8, 3)
