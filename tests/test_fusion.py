"""Fused programs against the dense oracle, their operations rebuilt from the bit masks alone."""

import dense
import masks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK, haar_unitary, random_circuits, values
from tolerances import close

import circuits
from backends.statevector.fusion import Word, apart, commute, euler, fuse, odd
from benchmarks.workloads import WORKLOADS
from circuits import (
    CCX,
    CCZ,
    CH,
    CP,
    CRX,
    CX,
    CZ,
    ISWAP,
    RX,
    RXX,
    RY,
    RZ,
    RZZ,
    SWAP,
    Circuit,
    H,
    P,
    PauliRot,
    Probabilities,
    Rot,
    S,
    T,
    X,
    amplitudes,
    inputs,
    pauli,
    unitary,
    weights,
    z_each,
)
from circuits.gates import TABLE

x, w = inputs(6), weights(6)


def words_of(n_qubits, seed, n_terms=3):
    """A random sum of Pauli words, and one word."""
    letters = np.random.default_rng(seed).choice(list("IXYZ"), (n_terms + 1, n_qubits))
    found = [pauli(" ".join(f"{p}{q}" for q, p in enumerate(row))) for row in letters]
    return sum((k - 0.7) * word for k, word in enumerate(found[1:])), found[0]


def check(circuit, readout, seed=0):
    """Readouts of the fused program are those of the circuit."""
    x, w = values(circuit, seed)
    found = masks.readouts(fuse(circuit, readout), circuit, x, w)
    if isinstance(readout, Probabilities):
        assert close(found, dense.probabilities(circuit, x, w, readout.qubits), 1e-12)
    else:
        assert close(found, dense.expectation(circuit, x, w, readout), 1e-12)


def everything(n_qubits):
    """A readout that sees every gate."""
    return tuple(pauli(f"{letter}{q}") for letter in "XYZ" for q in range(n_qubits))


def gates(circuit, readout=None):
    """The fused operations that change the state."""
    readout = everything(circuit.n_qubits) if readout is None else readout
    return [op for op in fuse(circuit, readout).ops if masks.is_gate(op)]


# What is computed.


@QUICK
@given(random_circuits(max_ops=12, with_amplitudes=True), st.integers(0, 99))
def test_expectations_of_random_circuits(circuit, seed):
    check(circuit, (*words_of(circuit.n_qubits, seed), *z_each(circuit.n_qubits), 0.5 * pauli("") - pauli("Z0")), seed)


@QUICK
@given(random_circuits(max_ops=12, with_amplitudes=True), st.integers(0, 99))
def test_probabilities_of_random_circuits(circuit, seed):
    qubits = np.random.default_rng(seed).permutation(circuit.n_qubits)[: 1 + seed % circuit.n_qubits]
    check(circuit, Probabilities(tuple(qubits)), seed)


def scramble(seed):
    """Rotations that leave no amplitude zero, and CNOTs that mix the masks."""
    turns = np.random.default_rng(seed).uniform(0.3, 2.8, (4, 2))
    return [[RY(a, q), RZ(b, q)] for q, (a, b) in enumerate(turns)] + [CX(3, 0), CX(0, 2), SWAP(1, 2), CX(2, 3)]


WORDS = ("Y", "XY", "ZIX", "YXZY", "YYYI")

OPS = {
    **{name: gate(*[w[0]] * gate.n_angles, *(2, 0, 3)[: gate.n_qubits]) for name, gate in TABLE.items()},
    **{f"PauliRot {word}": PauliRot(w[0], word, *(3, 2, 0, 1)[: len(word)]) for word in WORDS},
    **{f"unitary on {n}": unitary(haar_unitary(n, 0), *(3, 0, 2)[:n]) for n in (1, 2, 3)},
}


@pytest.mark.parametrize("name", OPS)
def test_every_gate_between_changed_masks(name):
    circuit = Circuit(4, [scramble(1), OPS[name], scramble(2), OPS[name]], n_weights=1)
    check(circuit, (*words_of(4, 1), *z_each(4)))
    check(circuit, Probabilities((2, 0, 1)))


def test_masks_after_cx_and_swap():
    program = fuse(Circuit(3, [CX(0, 1), SWAP(1, 2)]), tuple(map(pauli, ("Z0", "Z1", "Z2", "X0", "Y2"))))
    wanted = Word(0, 0b100, 1.0), Word(0, 0b001, 1.0), Word(0, 0b110, 1.0), Word(0b110, 0, 1.0), Word(0b010, 0b110, 1.0)
    assert program.words == wanted


@pytest.mark.parametrize("kept", [np.ones((2, 2)), np.eye(2), 1 - np.eye(2)], ids=["full", "diagonal", "off-diagonal"])
def test_euler_gives_the_matrix_up_to_its_phase(kept):
    for seed in range(20):
        matrix, product = kept * haar_unitary(1, seed), np.eye(2)
        matrix = matrix / np.linalg.norm(matrix, axis=0)
        for letter, tau in euler(matrix):
            product = (np.cos(tau) * np.eye(2) - 1j * np.sin(tau) * dense.SIGMA[letter]) @ product
        assert close(matrix, np.trace(matrix @ product.conj().T) / 2 * product, 1e-14)


@pytest.mark.parametrize(
    "name, letters",
    [*zip(["I", "X", "Y", "Z", "S", "T", "SX", "SXdg", "H"], ["", *"XYZZZXX", "ZYZ"], strict=True)],
)
def test_one_turn_where_one_is_enough(name, letters):
    assert "".join(letter for letter, _ in euler(TABLE[name].matrix())) == letters


def test_commuting_is_that_of_the_matrices():
    for f, s, g, t in np.ndindex(4, 4, 4, 4):
        a, b = masks.word(f, s, 2), masks.word(g, t, 2)
        assert commute([(f, s)], [(g, t)]) == np.allclose(a @ b, b @ a)


def test_odd():
    assert [odd(i) for i in range(8)] == [bin(i).count("1") % 2 == 1 for i in range(8)]


# What is merged.


def circuit_of(workload):
    slots = {"x": inputs(workload.n_qubits), "w": weights(workload.n_weights)}
    named = [
        ({"CNOT": "CX"}.get(name, name), [slots[slot[0]][slot[1]]] if slot else [], qubits)
        for name, qubits, slot in workload.gates
    ]
    ops = [getattr(circuits, name)(*angles, *qubits) for name, angles, qubits in named]
    return Circuit(workload.n_qubits, ops, workload.n_qubits, workload.n_weights)


def test_gates_of_the_benchmarks():
    """Turns about Z apart, which run together, they are at most as many as runs of one-qubit gates."""
    found = [
        sum(op.letters != "Z" for op in gates(circuit_of(w), tuple(pauli(f"Z{q}") for q in w.readout)))
        for w in WORKLOADS
    ]
    assert all(0 < n <= most for n, most in zip(found, (24, 74, 48, 64, 40), strict=True)), found


RING = [CX(q, (q + 1) % 4) for q in range(4)]

N_GATES = {
    "CX and SWAP are none": (Circuit(4, [RING, SWAP(0, 3), RING, SWAP(1, 2)]), 0),
    "identities and phases are none": (Circuit(2, [TABLE["I"](0), unitary(1j * np.eye(2), 1)]), 0),
    "one qubit, sixty gates": (Circuit(1, [[RX(x[0], 0), P(w[0], 0), H(0)] * 20], 1, 1), 1),
    "separate qubits": (Circuit(4, [[Rot(0.1, 0.2, 0.3, q), T(q)] for q in range(4)]), 4),
    "past rotations of other qubits": (Circuit(3, [[RX(x[q], q), RY(w[q], q)] for q in (0, 1, 2, 0, 1)], 3, 3), 3),
    "past commuting words": (Circuit(2, [RZ(x[0], 0), RZZ(x[1], 0, 1), RZ(x[2], 0), RZZ(w[0], 0, 1)], 3, 1), 2),
    "past CZ": (Circuit(2, [RZ(x[0], 0), CZ(0, 1), RZ(x[1], 0)], 2), 2),
    "not past words that do not commute": (Circuit(2, [RX(x[0], 0), RZZ(x[1], 0, 1), RX(x[2], 0)], 3), 3),
    "not past CZ": (Circuit(2, [RX(x[0], 0), CZ(0, 1), RX(x[1], 0)], 2), 3),
    "not past a unitary": (Circuit(3, [RZ(0.1, 0), unitary(haar_unitary(2, 0), 0, 1), RZ(x[0], 0)], 1), 3),
    "past a unitary elsewhere": (Circuit(3, [RZ(0.1, 2), unitary(haar_unitary(2, 0), 0, 1), RX(x[0], 2)], 1), 2),
    "CX there and back": (Circuit(2, [RZ(x[0], 1), CX(0, 1), CX(0, 1), RY(x[1], 1)], 2), 1),
    "RZZ is RZ between two CX": (Circuit(2, [RZZ(x[0], 0, 1), CX(0, 1), RZ(x[1], 1)], 2), 1),
    "RXX twice, past RZZ": (Circuit(2, [RXX(x[0], 0, 1), RZZ(w[0], 0, 1), RXX(x[1], 0, 1)], 2, 1), 2),
    "a rotation follows its qubit through SWAP": (Circuit(2, [RX(x[0], 0), SWAP(0, 1), RY(x[1], 1)], 2), 1),
    "ISWAP is one rotation": (Circuit(2, [ISWAP(0, 1)]), 1),
    "controlled rotations are two": (Circuit(2, [CRX(w[0], 0, 1)], 0, 1), 2),
    "CP is three": (Circuit(2, [CP(w[0], 0, 1)], 0, 1), 3),
    "CCX and CH are one": (Circuit(3, [CCX(0, 1, 2), CH(2, 0)]), 2),
    "CCZ is one": (Circuit(3, [CCZ(0, 1, 2)]), 1),
    "past the target of CCX": (Circuit(3, [RX(x[0], 2), CCX(0, 1, 2), RX(x[1], 2)], 2), 2),
    "past a control of CCX": (Circuit(3, [RZ(x[0], 0), CCX(0, 1, 2), RZ(x[1], 0)], 2), 2),
    "not past what CCX changes": (
        Circuit(3, [RX(x[0], 0), RY(x[1], 2), CCX(0, 1, 2), RX(w[0], 0), RY(w[1], 2)], 2, 2),
        5,
    ),
}


@pytest.mark.parametrize("name", N_GATES)
def test_number_of_gates(name):
    circuit, expected = N_GATES[name]
    assert len(gates(circuit)) == expected


def test_equal_angles_share_a_slot():
    circuit = Circuit(3, [[RX(2 * x[0], q), RZ(w[0] * x[0], q), RZZ(w[0] * x[0], 0, 2)] for q in (0, 1)], 1, 1)
    program = fuse(circuit, everything(3))
    assert len(program.slots) == 2 and sum(len(op.turns) for op in program.ops) == 6


def test_opposite_signs_are_other_slots():
    assert len(fuse(Circuit(1, [RX(x[0], 0), RZ(-x[0], 0)], 1), z_each(1)).slots) == 2


# What is left out.

Z0 = (pauli("Z0"),)

UNSEEN = {
    "diagonal gates before Z": ([RZ(x[0], 0), CZ(0, 1), RZZ(x[1], 0, 1), T(0)], Z0, 0),
    "other qubits": ([RX(x[0], 1), RY(w[0], 2)], Z0, 0),
    "after the last gate that reaches the readout": ([RX(x[0], 0), RXX(w[0], 1, 2), RY(x[1], 1)], Z0, 1),
    "X before X": ([RX(x[0], 0), X(0)], (pauli("X0"),), 0),
    "not what reaches the readout through CX": ([RX(x[0], 2), CX(2, 1), CX(1, 0)], Z0, 1),
    "not what a control reaches": ([RX(x[0], 1), CZ(1, 0)], (pauli("X0"),), 2),
    "not what another observable reads": ([RZ(x[0], 0)], (pauli("Z0"), pauli("X0")), 1),
    "all, where the identity is read": ([RX(x[0], 0)], (pauli(""),), 0),
    "diagonal gates before probabilities": ([RX(x[0], 0), RZ(x[1], 0), CZ(0, 1)], Probabilities((0, 1)), 1),
    "other qubits than those of the outcomes": ([RX(x[0], 1), RY(x[1], 0)], Probabilities((0,)), 1),
    "the last turns of a rotation": ([RX(x[0], 0), RZ(x[1], 0), RZ(w[0], 0)], Z0, 1),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_gates_that_no_readout_sees(name):
    ops, readout, expected = UNSEEN[name]
    circuit = Circuit(3, ops, 2, 1)
    assert len(gates(circuit, readout)) == expected
    check(circuit, readout)


def test_turns_that_no_readout_sees():
    ops = [RX(x[0], 0), RY(w[0], 0), RZ(x[1], 0), RZ(w[0], 0)]
    circuit = Circuit(1, ops, 2, 1)
    for readout, letters in ((Z0, "XY"), ((pauli("X0"),), "XYZZ"), (Probabilities((0,)), "XY")):
        (op,) = gates(circuit, readout)
        assert "".join(turn.letter for turn in op.turns) == letters
        check(circuit, readout)


def sequence(op):
    """The letters of the turns of an operation, in order of time."""
    return "".join(turn.letter for turn in op.turns)


def product(ops, taus, n_qubits):
    out = np.eye(2**n_qubits, dtype=complex)
    for op in ops:
        out = masks.op_matrix(op, [], taus, n_qubits) @ out
    return out


@QUICK
@given(random_circuits(n_qubits=(2, 4), max_ops=16), st.integers(0, 99))
def test_turns_about_z_apart_are_the_same_unitary(circuit, seed):
    program = fuse(circuit, everything(circuit.n_qubits))
    ops = [op for op in program.ops if op.kind in ("turns", "sign")]
    taus = np.random.default_rng(seed).uniform(-2, 2, len(program.slots))
    found = apart(ops)
    assert np.allclose(*(product(o, taus, circuit.n_qubits) for o in (ops, found)), atol=1e-12)
    assert sum(len(op.turns) for op in found) == sum(len(op.turns) for op in ops)
    assert all(len(op.letters) < 2 or len(set(sequence(op).strip("Z"))) > 1 for op in found)


def test_turns_about_z_come_together():
    """Those of a layer, whatever stands between them; what mixes X and Y stays whole."""
    layer = [[RX(x[q], q), RY(w[0], q), RZ(w[1], q)] for q in range(3)]
    ring = [CX(q, (q + 1) % 3) for q in range(3)]
    rot = [[RZ(w[2], q), RY(w[3], q), RZ(w[4], q)] for q in range(3)]
    ops = gates(Circuit(3, [layer, ring, rot], 3, 5))
    assert [sequence(op) for op in ops] == ["XYZ"] * 3 + ["ZYZ"] * 3
    assert [sequence(op) for op in apart(ops)] == ["XYZ"] * 3 + ["Z"] * 3 + ["Y"] * 3 + ["Z"] * 3


def test_gates_that_turn_are_numbered_in_order():
    program = fuse(Circuit(3, [RX(0.1, 2), H(0), CZ(0, 1), S(1), RY(x[0], 0)], 1), (pauli("X0"), pauli("Y1")))
    turning = [op.index for op in program.ops if op.kind == "turns"]
    assert len(turning) > 1 and turning == list(range(len(turning)))


# What is read.


def test_a_word_of_several_observables_is_read_once():
    program = fuse(Circuit(2, [H(0)]), (pauli("Z0 Z1") + pauli("X0"), 2 * pauli("Z0 Z1"), pauli("") - pauli("X0")))
    assert len(program.words) == 2 and program.constants == (0, 0, 1)
    assert [sorted(c for _, c in column) for column in program.columns] == [[1, 1], [2], [-1]]


def test_words_that_a_cx_makes_equal_are_one():
    assert len(fuse(Circuit(2, [CX(0, 1)]), (pauli("Z0"), pauli("Z0 Z1"), pauli("Z1"))).words) == 3
    assert len(fuse(Circuit(2, [RZZ(x[0], 0, 1)], 1), (pauli("Y0 Y1"), -1 * pauli("Y0 Y1"))).words) == 1


@pytest.mark.parametrize("n, kinds", [(1, ["word"]), (2, ["word"] * 2), (3, ["diagonal"]), (5, ["diagonal"])])
def test_several_words_of_z_are_read_together(n, kinds):
    assert [op.kind for op in fuse(Circuit(n, []), z_each(n)).ops] == kinds


def test_start_registers_lead_the_index():
    circuit = Circuit(4, [RX(0.1, 0), amplitudes(x[:4], 3, 1)], 4)
    assert fuse(circuit, z_each(4)).order == (3, 1, 0, 2)
