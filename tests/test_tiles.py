"""Tiles and their tables against brute force over all addresses."""

import itertools
from collections import Counter, defaultdict
from unittest import mock

import masks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK, haar_unitary, random_circuits

from backends.statevector import halves, kinds, tiles
from backends.statevector.fusion import commute, fuse
from backends.statevector.tiles import KINDS, fits, grouped, split, whole
from circuits import CCZ, CX, RX, RY, RZ, RZZ, Circuit, H, Probabilities, pauli, unitary, z_each
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


def coordinates(flips, live):
    """The coordinates of every live local index, by trying all: flips of the lower half, then of the upper one."""
    low = live // 2
    assert len(flips) == live
    changed = [*flips[:low][::-1], *flips[low:][::-1]]
    reached = {span_of(changed, number): number for number in range(2**live)}
    assert sorted(reached) == list(range(2**live))
    return np.array([reached[i] for i in range(2**live)])


def span_of(vectors, number):
    """The sum of the vectors whose bits a number has."""
    return int(np.bitwise_xor.reduce([v for k, v in enumerate(vectors) if number >> k & 1] or [0]))


def facts(segment, row):
    """What an operation of a table does: kind, number, and per mask its flip and parities (local, lanes, outer)."""
    kind, first, count, index, live, _ = row
    lanes, outer = np.arange(len(segment.lanes)), np.arange(len(segment.outer))
    halves, local = kind in (kinds.PHASES, kinds.Z_WORDS), np.arange(2**live)
    if halves:
        local = coordinates(segment.masks[first + count : first + count + live, 0].tolist(), live)
    found = []
    for column, select, of_lanes, of_outer, far, _ in segment.masks[first : first + count].tolist():
        parts = masks.parity(select & local)[:, None, None] ^ (of_lanes >> lanes & 1)[:, None]
        parities = parts ^ masks.parity(of_outer & outer)
        if halves:
            assert select >> (live // 2) == 0 or select % 2 ** (live // 2) == 0
            found.append((column, 0, parities))
        else:
            assert select < 2**live and column < 2**live and (far == 0 or kind in (kinds.ACROSS, kinds.WORD))
            found.append((index, int(segment.local[column] ^ segment.lanes[far]), parities))
    if kind == kinds.PHASES:
        return [(kinds.PHASE_Z, number, [(flip, parities)]) for number, flip, parities in found]
    if kind == kinds.Z_WORDS:
        return [(kind, number, [(flip, parities)]) for number, flip, parities in found]
    return [(kind, index, [(flip, parities) for _, flip, parities in found])]


def decoded(segment, program):
    """The operations of a table, found among those of the program by brute force over the addresses that are live."""
    known, words = Counter(map(key, program.ops)), {}
    for row in segment.ops.tolist():
        addresses = addresses_of(segment)[: 2 ** row[4]]
        for kind, number, of_masks in facts(segment, row):
            if kind == kinds.ACROSS:
                (op,) = (op for op in program.ops if op.kind == "turns" and op.index == number)
                (flip, parities), (far, select) = of_masks[0], op.masks[0]
                assert flip == far and np.array_equal(parities, masks.parity(select & addresses))
                yield key(op)
            elif kind == kinds.Z_WORDS:
                words[number] = of_masks[0][1]
                (op,) = (op for op in program.ops if op.kind == "diagonal")
                assert np.array_equal(words[number], masks.parity(op.masks[number][1] & addresses))
                if len(words) == len(op.masks):
                    yield key(op)
            else:
                yield found_among(known, kind, number, of_masks, addresses)


def found_among(known, kind, number, of_masks, addresses):
    """The operation that does what a table says."""
    for op in known:
        same = op[:2] == (kind, number) and [f for f, _ in op[2]] == [f for f, _ in of_masks]
        pairs = zip(of_masks, op[2], strict=False)
        if same and all(np.array_equal(p, masks.parity(s & addresses)) for (_, p), (_, s) in pairs):
            return op
    raise AssertionError(f"an operation of kind {kind} that the program has not")


def tables(make, program, *shape, shared):
    """Segments; small ones run together what otherwise only large ones do, if that is to be shared."""
    if not shared:
        return make(program, *shape)
    with mock.patch.object(tiles, "PAIR_BITS", 1), mock.patch.multiple(halves, TABLE_BITS=1, FEW_GROUPS=9):
        return make(program, *shape)


sharing = st.booleans()


def start_of(program):
    """Indices of the amplitudes that the start state has."""
    return [k << (program.n_qubits - program.n_start) for k in range(2**program.n_start)]


@QUICK
@given(programs(), st.sampled_from(SHAPES), sharing)
def test_amplitudes_that_are_left_alone_are_zero(program, shape, shared):
    """What is reached: the span of the start and of all flips so far, and what a tile has beside them."""
    written = set(start_of(program))
    for number, segment in enumerate(tables(split, program, *shape, shared=shared)):
        reached = set(addresses_of(segment)[: 2**segment.entry].ravel().tolist())
        assert written <= reached or (number == 0 and min(written) == 0)
        assert segment.zeros == (number > 0 and not reached <= written)
        for row in segment.ops.tolist():
            flips, live = [flip for *_, of_masks in facts(segment, row) for flip, _ in of_masks], row[4]
            now = addresses_of(segment)[: 2**live].ravel()
            assert reached <= set(now.tolist()) and all(
                set((now ^ flip).tolist()) == set(now.tolist()) for flip in flips
            )
            reached = set(now.tolist())
        written = set(addresses_of(segment).ravel().tolist())


@QUICK
@given(programs())
def test_groups_are_qubits_of_their_own_and_pass_only_what_they_commute_with(program):
    together = grouped(program.ops, 99)
    flat = [op for ops in together for op in ops]
    assert Counter(map(id, flat)) == Counter(map(id, program.ops)) and grouped(program.ops, 7) == [
        (op,) for op in program.ops
    ]
    for ops in together:
        letters = {op.letters if op.letters in ("X", "Y", "Z") else "XYZ" for op in ops}
        assert len(ops) == 1 or (letters in ({"Y"}, {"Z"}, {"XYZ"}) and {op.kind for op in ops} == {"turns"})
        assert len(ops) <= {"Y": 3, "Z": 99, "XYZ": 2}.get(max(letters, default=""), 1)
        for one, other in itertools.permutations(ops if letters != {"Z"} else (), 2):
            (flip, select), (far, chosen) = one.masks[0], other.masks[0]
            assert flip != far and not masks.parity(flip & chosen) and masks.parity(flip & select)
    places = {id(op): place for place, op in enumerate(flat)}
    for first, second in itertools.combinations(program.ops, 2):
        assert places[id(first)] < places[id(second)] or commute(first.words, second.words)


def test_layers_run_in_pairs_in_threes_and_about_z_all_at_once():
    layer = Circuit(8, [[RX(0.1, q), RY(0.2, q)] for q in range(8)])
    assert [len(ops) for ops in grouped(fuse(layer, z_each(8)).ops, 8)] == [2, 2, 2, 2, 1]
    chain = [CX(q, q + 1) for q in range(7)]
    layers = Circuit(8, [[[RY(0.3, q), RZ(0.4, q)] for q in range(8)], chain, [RY(0.5, q) for q in range(8)]])
    found = [(ops[0].letters, len(ops)) for ops in grouped(fuse(layers, z_each(8)).ops, 8)]
    assert found == [("Y", 3), ("Y", 3), ("Y", 2), ("Z", 8), ("Y", 3), ("Y", 3), ("Y", 2), ("", 1)]


@pytest.mark.parametrize("n_words, n_ops", [(8, 1), (1, 1), (0, 0)])
def test_a_layer_about_z_is_one_table(n_words, n_ops):
    ring = [CX(q, (q + 1) % 8) for q in range(8)]
    ops = [[RX(0.1, q) for q in range(8)], [RZ(0.2, q) for q in range(n_words)], ring, [RX(0.3, q) for q in range(8)]]
    program = fuse(Circuit(8, ops), z_each(8))
    about_z = [row for row in whole(program).ops.tolist() if row[0] in (kinds.PHASES, kinds.PHASE_Z)]
    assert len(about_z) == n_ops and sum(row[2] for row in about_z) == n_words


def test_words_that_no_half_has_go_to_another_table():
    pairs = [RZZ(0.1, a, b) for a, b in itertools.combinations(range(8), 2)]
    program = fuse(Circuit(8, [[H(q) for q in range(8)], pairs, [H(q) for q in range(8)]]), z_each(8))
    found = [row[:3] for row in whole(program).ops.tolist() if row[0] in (kinds.PHASES, kinds.PHASE_Z)]
    assert sum(count for *_, count in found) >= len(pairs) > len(found) > 1
    assert Counter(decoded(whole(program), program)) == Counter(map(key, program.ops))


def test_readouts_of_all_pairs_are_one_transform():
    program = fuse(
        Circuit(8, [H(q) for q in range(8)]), (*z_each(8), *(pauli(f"Z{a} Z{b}") for a in range(8) for b in range(a)))
    )
    *_, read = whole(program).ops.tolist()
    assert read[0] == kinds.DIAGONAL
    *_, read = whole(fuse(Circuit(8, [H(q) for q in range(8)]), z_each(8))).ops.tolist()
    assert read[0] == kinds.Z_WORDS and read[2] == 8


def test_first_rotations_of_the_lowest_bits_run_across_lanes():
    """Where every lane is reached by one of them: else the lowest bits are local."""
    ring = [CX(q, (q + 1) % 8) for q in range(8)]
    for n_first, expected in ((8, 2), (7, 0)):
        ops = [[RY(0.1, q) for q in range(n_first)], ring, [RY(0.2, q) for q in range(8)]]
        first, *_ = split(fuse(Circuit(8, ops), z_each(8)), 4, 5)
        assert [row[0] for row in first.ops.tolist()].count(kinds.ACROSS) == expected


def test_words_that_flip_lanes_need_no_segment_of_their_own():
    words = [pauli(" ".join(f"{p}{q}" for q, p in enumerate(word))) for word in ("XYZXYZ", "ZZYXXY", "XXXXXX")]
    layer = Circuit(6, [RY(0.1, q) for q in range(6)])
    assert len(split(fuse(layer, tuple(words)), 4, 4)) == len(split(fuse(layer, z_each(6)), 4, 4))


@QUICK
@given(programs(), st.sampled_from(SHAPES), sharing)
def test_every_operation_is_in_one_segment_with_all_its_masks(program, shape, shared):
    found = [decoded(segment, program) for segment in tables(split, program, *shape, shared=shared)]
    assert Counter(itertools.chain(*found)) == Counter(map(key, program.ops))


@QUICK
@given(programs(), sharing)
def test_a_tile_of_samples_holds_the_whole_state(program, shared):
    segment = tables(whole, program, shared=shared)
    found, wanted = list(decoded(segment, program)), list(map(key, program.ops))
    assert Counter(found) == Counter(wanted) and (shared or found == wanted)  # else too few qubits for groups
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
@given(programs(), st.sampled_from(SHAPES), sharing)
def test_operations_that_change_places_commute(program, shape, shared):
    segments = tables(split, program, *shape, shared=shared)
    taus = np.random.default_rng(0).uniform(0.3, 1.2, len(program.slots))

    def matrices(op):
        if masks.is_gate(op):
            return [masks.op_matrix(op, program.matrices, taus, program.n_qubits)]
        return [masks.word(flip, select, program.n_qubits) for flip, select in op.masks]

    places = defaultdict(list)
    for place, found in enumerate(itertools.chain(*(decoded(s, program) for s in segments))):
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
    assert segment.ops.shape == (0, 6) and segment.masks.shape == (0, 6) and segment.layout == 0


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
