import dense
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK, haar_unitary, random_circuits, values
from tolerances import close

from backends.statevector.program import arrange, compile_circuit, factors, merge
from backends.statevector.torch_kernels import apply, gather, retreat, scatter
from circuits import (
    CCX,
    CRX,
    CSWAP,
    CX,
    RX,
    RXX,
    RY,
    RZ,
    RZZ,
    SWAP,
    Circuit,
    H,
    PauliRot,
    Rot,
    T,
    amplitudes,
    inputs,
    unitary,
    weights,
)
from circuits.templates import hardware_efficient, qcnn, strongly_entangling, zz_feature_map


def blocks(circuit):
    return merge(factors(circuit))


def n_steps(circuit):
    return len(compile_circuit(circuit).steps)


def factor_matrix(factor, angles):
    """cos(c t) A + sin(c t) B + C on the factor's own qubits."""
    turn = factor.scale * angles[factor.column] if factor.column is not None else 0.0
    a, b, c = factor.terms
    return np.cos(turn) * a + np.sin(turn) * b + c


def whole_matrix(circuit, x, w):
    """Product of all factors, block by block, on the whole space."""
    angles, out = [a.evaluate(x, w) for a in circuit.angles], np.eye(2**circuit.n_qubits)
    for factor in (factor for block in blocks(circuit) for factor in block.factors):
        out = dense.embed(factor_matrix(factor, angles), factor.qubits, circuit.n_qubits) @ out
    return out


# What is merged.


@QUICK
@given(random_circuits(max_ops=12), st.integers(0, 99))
def test_blocks_in_order_are_the_circuit(circuit, seed):
    x, w = values(circuit, seed)
    assert close(whole_matrix(circuit, x, w), dense.unitary(circuit, x, w))


@QUICK
@given(random_circuits(max_ops=12))
def test_blocks_are_small_and_hold_their_factors(circuit):
    for block in blocks(circuit):
        assert all(set(factor.qubits) <= set(block.qubits) for factor in block.factors)
        assert len(block.qubits) <= 2 or len(block.factors) == 1


@QUICK
@given(random_circuits(max_ops=12))
def test_no_factor_is_lost_or_doubled(circuit):
    merged = [id(f.terms) for block in blocks(circuit) for f in block.factors]
    assert len(set(merged)) == len(merged) == len(list(factors(circuit)))


x, w = inputs(9), weights(9)

STAIR = [CX(q, q + 1) for q in range(5)]

STEPS = {
    "nothing": (Circuit(3, []), 0),
    "one qubit, fifty gates": (Circuit(1, [[RX(x[0], 0), RZ(w[0], 0)] * 25], 1, 1), 1),
    "separate qubits": (Circuit(4, [[Rot(0.1, 0.2, 0.3, q), T(q)] for q in range(4)]), 4),
    "chain of CX": (Circuit(6, [CX(q, q + 1) for q in range(5)]), 5),
    "ring of CX": (Circuit(6, [CX(q, (q + 1) % 6) for q in range(6)]), 6),
    "rotations join the chain after them": (Circuit(6, [[RY(x[q], q) for q in range(6)], *STAIR], 6), 5),
    "rotations join the chain before them": (Circuit(6, [*STAIR, [RY(x[q], q) for q in range(6)]], 6), 5),
    "same pair, both ways round": (Circuit(2, [CX(0, 1), RZ(x[0], 1), CX(1, 0), H(0), RXX(0.3, 1, 0)], 1), 1),
    "a pair taken up again after a gate on one of its qubits": (Circuit(3, [CX(0, 1), CX(1, 2), CX(0, 1)]), 3),
    "a gate elsewhere does not separate": (Circuit(4, [CX(0, 1), CX(2, 3), RY(w[0], 0), CX(0, 1)], 0, 1), 2),
    "three-qubit gates stand alone": (Circuit(3, [[H(q) for q in range(3)], CCX(0, 1, 2), CSWAP(0, 1, 2), T(0)]), 6),
    "word of two letters": (Circuit(4, [PauliRot(w[0], "XIIZ", 0, 1, 2, 3)], 0, 1), 1),
    "word of four letters: down the ladder and up": (Circuit(4, [PauliRot(w[0], "XYZX", 0, 1, 2, 3)], 0, 1), 5),
    "strongly entangling; at range 2 the ring meets every pair twice": (strongly_entangling(4, n_layers=3), 4 + 2 + 4),
    "hardware efficient": (hardware_efficient(5, n_layers=2, entanglement="linear"), 8),
    "feature map": (zz_feature_map(3, n_layers=2), 6),
    "convolutions 4 + 3, poolings 4; 2 + 1, 2; the last pair is one": (qcnn(8), 17),
}


@pytest.mark.parametrize("name", STEPS)
def test_number_of_steps(name):
    circuit, expected = STEPS[name]
    assert n_steps(circuit) == expected


def test_a_wide_unitary_does_not_widen_its_neighbours():
    ring = [RY(x[0], q) for q in range(6)]
    program = compile_circuit(Circuit(6, [ring, unitary(haar_unitary(6, 0), *range(6)), ring], 1))
    assert len(program.steps) == 13
    assert [g.terms.shape[-1] * g.terms.shape[2] for g in program.groups] == [2, 64]


def test_long_words_are_exact_with_their_phase():
    words = ["XYZ", "ZZZZ", "YIXY", "XIIX", "YYYY", "IZXI"]
    circuit = Circuit(4, [PauliRot(w[k], word, *range(4)[: len(word)]) for k, word in enumerate(words)], 0, 6)
    angles = np.random.default_rng(0).uniform(-3, 3, 6)
    assert close(whole_matrix(circuit, [], angles), dense.unitary(circuit, [], angles))


# What is shared by the samples.


@pytest.mark.parametrize("shared, per_sample", [(True, [False, True, False]), (False, [False, True, True])])
def test_one_matrix_for_gates_of_shared_weights(shared, per_sample):
    circuit = Circuit(3, [H(0), RX(x[0] * w[0], 1), RY(w[1], 2)], 1, 2)
    program = compile_circuit(circuit, shared)
    assert [program.groups[step.group].per_sample for step in program.steps] == per_sample


def test_blocks_of_one_kind_are_computed_together():
    circuit = Circuit(6, [RZZ(x[q] * w[q], q, (q + 1) % 6) for q in range(6)], 6, 6)
    program = compile_circuit(circuit)
    assert len(program.groups) == 1
    assert [step.index for step in program.steps] == list(range(6))


def test_chains_are_padded_to_a_power_of_two_with_identities():
    (group,) = compile_circuit(Circuit(1, [RX(x[0], 0), RY(x[1], 0), RZ(x[2], 0)], 3)).groups
    assert group.columns.shape == group.scales.shape == (1, 4)
    assert np.array_equal(group.terms[2, 0, 3], np.eye(2)) and not group.terms[:2, 0, 3].any()


def test_compiled_once_per_circuit():
    circuit, same = (Circuit(2, [RX(x[0], 0), CX(0, 1)], 1) for _ in range(2))
    assert compile_circuit(circuit) is compile_circuit(same)
    assert compile_circuit(circuit, False) is not compile_circuit(circuit, True)


def test_start_registers_come_first_in_the_order_of_the_state():
    circuit = Circuit(5, [RX(x[8], 0), amplitudes(x[:4], 3, 1), amplitudes(x[4:6], 4), RY(x[6], 2)], 9)
    program = compile_circuit(Circuit(5, circuit.ops[1:3], 9))
    assert program.order == (3, 1, 4, 0, 2) and program.registers == ((0, 1, 2, 3), (4, 5))
    assert compile_circuit(circuit).registers == ((1, 2, 3, 4), (5, 6))


def test_every_swap_is_run():
    assert n_steps(Circuit(3, [SWAP(0, 1), SWAP(1, 2)])) == 2


# Axes.


@st.composite
def orders(draw):
    order = draw(st.integers(1, 6).flatmap(lambda n: st.permutations(range(n))))
    return tuple(order), tuple(draw(st.permutations(order)))[: draw(st.integers(1, len(order)))]


def random_states(n, rows=2, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(size=(rows, 2**n)) + 1j * rng.normal(size=(rows, 2**n)))


@QUICK
@given(orders())
def test_gather_brings_the_qubits_last_in_the_given_order(case):
    order, qubits = case
    state = random_states(len(order))
    layout, after = arrange(order, qubits)
    axes = state.numpy().reshape(2, *(2,) * len(order)).transpose(0, *(1 + order.index(q) for q in after))
    assert after == (*(q for q in order if q not in qubits), *qubits)
    assert close(gather(state, layout), axes.reshape(2, -1, 2 ** len(qubits)), 0)


@QUICK
@given(orders())
def test_scatter_undoes_gather(case):
    state, (layout, _) = random_states(len(case[0])), arrange(*case)
    assert close(scatter(gather(state, layout), layout), state, 0)


def test_neighbouring_axes_move_as_one():
    layout, _ = arrange((0, 1, 2, 3, 4, 5, 6), (3,))
    assert layout.split == (8, 2, 8) and layout.permute == (0, 1, 3, 2)


@pytest.mark.parametrize("per_sample", [False, True])
def test_kernels_apply_a_matrix_and_take_it_back(per_sample):
    order, qubits = (2, 0, 3, 1), (3, 2)
    state, layout = random_states(4), arrange(order, qubits)[0]
    matrices = torch.tensor(np.stack([haar_unitary(2, seed) for seed in (0, 1)]))
    matrix = matrices if per_sample else matrices[0]
    each = matrices.numpy() if per_sample else matrices[[0, 0]].numpy()
    place = [order.index(q) for q in qubits]
    want = np.stack([dense.embed(m, place, 4) @ psi for m, psi in zip(each, state.numpy(), strict=True)])
    after = apply(state, matrix, layout)
    assert close(scatter(after, layout), want)
    cotangent = random_states(4, seed=1)
    (before, back), slope = retreat(torch.stack([after, cotangent]), matrix, layout)
    assert close(before, state)
    state.requires_grad_(), matrix.requires_grad_()
    found = torch.autograd.grad(apply(state, matrix, layout), (state, matrix), cotangent)
    assert close(back, found[0]) and close(slope, found[1])


def test_controlled_rotations_are_two_commuting_factors():
    parts = list(factors(Circuit(2, [CRX(w[0], 0, 1)], 0, 1)))
    assert [f.qubits for f in parts] == [(1,), (0, 1)] and {f.column for f in parts} == {0}
    assert n_steps(Circuit(2, [CRX(w[0], 0, 1)], 0, 1)) == 1
