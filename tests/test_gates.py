import math

import dense
import numpy as np
import pennylane as qp
import pytest
import qiskit.circuit.library as ql
from dense import FIXED, ROTATION, SIGMA
from foreign import pennylane_unitary, qiskit_unitary
from qiskit import QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp
from strategies import haar_unitary

import circuits
from circuits import (
    CRX,
    CX,
    ISWAP,
    RX,
    RZ,
    U3,
    Circuit,
    Gate,
    H,
    PauliRot,
    Rot,
    S,
    Sdg,
    X,
    amplitudes,
    inputs,
    unitary,
    weights,
)
from circuits.gates import TABLE, pauli_matrix, pauli_rotation_gate, unitary_gate

FIXED_GATES = [gate for gate in TABLE.values() if gate.kind == "fixed"]
ROTATIONS = [gate for gate in TABLE.values() if gate.kind == "rotation"]
MORE_ROTATIONS = [*ROTATIONS, *map(pauli_rotation_gate, ("Y", "XZ", "IYI", "XYZ"))]
ANGLES = (0.0, 0.7, -2.3, math.pi, 5.1)

PENNYLANE = {
    **{name: getattr(qp, name) for name in ("H", "S", "T", "SX", "CY", "CZ", "CH", "SWAP", "ISWAP", "CCZ", "CSWAP")},
    **{name: getattr(qp, name) for name in ("I", "X", "Y", "Z", "RX", "RY", "RZ", "CRX", "CRY", "CRZ")},
    **{name + "dg": qp.adjoint(getattr(qp, name)) for name in ("S", "T", "SX")},
    **{"CX": qp.CNOT, "CCX": qp.Toffoli, "P": qp.PhaseShift, "CP": qp.ControlledPhaseShift},
    **{"RXX": qp.IsingXX, "RYY": qp.IsingYY, "RZZ": qp.IsingZZ},
    "RZX": lambda t, wires: qp.PauliRot(t, "ZX", wires),
}
QISKIT = {name: getattr(ql, f"{name}Gate") for name in TABLE if hasattr(ql, f"{name}Gate")} | {
    **{
        "I": ql.IGate,
        "P": ql.PhaseGate,
        "CP": ql.CPhaseGate,
        "ISWAP": ql.iSwapGate,
        "SWAP": ql.SwapGate,
        "CSWAP": ql.CSwapGate,
    },
}


def near(a, b, tolerance=1e-14):
    return np.allclose(a, b, rtol=0, atol=tolerance)


def wires_of(gate):
    """Out of order, so that a mistake in the order of qubits shows."""
    return (2, 0, 1)[: gate.n_qubits]


def matrix_on_three_qubits(gate, *angles):
    return dense.unitary(Circuit(3, [gate(*angles, *wires_of(gate))]))


def test_every_gate_has_an_independent_matrix():
    assert set(TABLE) == set(FIXED) | set(ROTATION) == set(PENNYLANE) == set(QISKIT)
    assert all(getattr(circuits, name) is gate for name, gate in TABLE.items())
    assert all(gate.name == name for name, gate in TABLE.items())


@pytest.mark.parametrize("gate", FIXED_GATES, ids=repr)
def test_fixed_gates_have_the_textbook_matrix(gate):
    assert near(gate.matrix(), FIXED[gate.name])
    assert near(matrix_on_three_qubits(gate), pennylane_unitary(lambda: PENNYLANE[gate.name](wires=wires_of(gate)), 3))
    circuit = QuantumCircuit(3)
    circuit.append(QISKIT[gate.name](), wires_of(gate))
    assert near(matrix_on_three_qubits(gate), qiskit_unitary(circuit))


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("gate", ROTATIONS, ids=repr)
def test_rotations_have_the_textbook_matrix(gate, angle):
    assert near(gate.matrix(angle), ROTATION[gate.name](angle))
    ours = matrix_on_three_qubits(gate, angle)
    assert near(ours, pennylane_unitary(lambda: PENNYLANE[gate.name](angle, wires=wires_of(gate)), 3))
    circuit = QuantumCircuit(3)
    circuit.append(QISKIT[gate.name](angle), wires_of(gate))
    assert near(ours, qiskit_unitary(circuit))


@pytest.mark.parametrize("word", ["X", "YZ", "XIZ", "IYI", "ZZY"])
def test_pauli_rotations_of_any_word(word):
    op, qubits = PauliRot(0.7, word, *range(len(word))), range(len(word))
    assert near(op.gate.matrix(0.7), dense.op_matrix(op, [0.7]))
    assert near(op.gate.matrix(0.7), pennylane_unitary(lambda: qp.PauliRot(0.7, word, qubits), len(word)))
    evolution = PauliEvolutionGate(SparsePauliOp(word[::-1]), time=0.35)
    assert near(op.gate.matrix(0.7), qiskit_unitary(evolution.definition))


@pytest.mark.parametrize("word", ["X", "YI", "ZXY"])
def test_pauli_matrix_has_the_first_letter_leftmost(word):
    assert near(pauli_matrix(word), dense.word(word))


def test_rot_is_pennylanes():
    ours = dense.unitary(Circuit(1, Rot(0.3, 1.2, -0.8, 0)))
    assert near(ours, pennylane_unitary(lambda: qp.Rot(0.3, 1.2, -0.8, wires=0), 1))


def test_u3_is_qiskits_u_with_its_phase():
    ours = dense.unitary(Circuit(1, U3(0.3, 1.2, -0.8, 0)))
    assert near(ours, qiskit_unitary(ql.UGate(0.3, 1.2, -0.8)))
    assert near(ours, pennylane_unitary(lambda: qp.U3(0.3, 1.2, -0.8, wires=0), 1))


def test_general_unitaries_keep_their_matrix():
    matrix = haar_unitary(2, seed=3)
    op = unitary(matrix, 2, 0)
    assert near(op.gate.matrix(), matrix)
    expected = pennylane_unitary(lambda: qp.QubitUnitary(matrix, wires=(2, 0)), 3)
    assert near(dense.unitary(Circuit(3, [op])), expected)


# Calculus: derivative, shift rule and frequencies against numbers that know nothing of generators.


def expectation_of(gate):
    """t -> <psi| U(t)† O U(t) |psi> for a random state and a random Hermitian O."""
    rng = np.random.default_rng(5)
    dim = 2**gate.n_qubits
    psi = haar_unitary(gate.n_qubits, seed=1)[0]
    observable = rng.normal(size=(dim, dim)) + 1j * rng.normal(size=(dim, dim))
    observable = observable + observable.conj().T
    matrix = ROTATION.get(gate.name) or (lambda t: dense.op_matrix(gate(t, *range(gate.n_qubits)), [t]))

    def f(t):
        phi = matrix(t) @ psi
        return (phi.conj() @ observable @ phi).real

    return f


@pytest.mark.parametrize("gate", MORE_ROTATIONS, ids=lambda g: f"{g.name}-{g.generator[-1][1]}")
def test_shift_rule_gives_the_derivative(gate):
    f, t, h = expectation_of(gate), 0.4, 1e-3
    shifted = sum(c * f(t + s) for c, s in gate.shift_rule)
    difference = (8 * (f(t + h) - f(t - h)) - (f(t + 2 * h) - f(t - 2 * h))) / (12 * h)
    assert abs(shifted - difference) < 1e-10
    assert len(gate.shift_rule) == 2 * len(gate.frequencies)


@pytest.mark.parametrize("gate", MORE_ROTATIONS, ids=lambda g: f"{g.name}-{g.generator[-1][1]}")
def test_frequencies_are_exactly_those_of_the_expectation_value(gate):
    f, t = expectation_of(gate), np.linspace(0, 4 * np.pi, 41)
    waves = [wave(omega * t) for omega in gate.frequencies for wave in (np.cos, np.sin)]
    basis = np.stack([np.ones_like(t), *waves], axis=1)
    target = np.array([f(a) for a in t])
    coefficients = np.linalg.lstsq(basis, target, rcond=None)[0]
    assert near(basis @ coefficients, target, 1e-12)
    assert all(np.abs(coefficients[1:].reshape(-1, 2)).max(axis=1) > 1e-3)


@pytest.mark.parametrize("gate", MORE_ROTATIONS, ids=lambda g: f"{g.name}-{g.generator[-1][1]}")
def test_the_derivative_of_the_matrix_is_minus_i_g_u(gate):
    t, h = 0.9, 1e-3
    matrices = {k: gate.matrix(t + k * h) for k in (-2, -1, 1, 2)}
    difference = (8 * (matrices[1] - matrices[-1]) - (matrices[2] - matrices[-2])) / (12 * h)
    generator = sum(c * dense.word(word) for c, word in gate.generator)
    assert near(difference, -1j * generator @ gate.matrix(t), 1e-11)


def test_known_shift_rules():
    assert RX.frequencies == (1.0,)
    assert np.allclose(RX.shift_rule, [(0.5, np.pi / 2), (-0.5, -np.pi / 2)], rtol=0, atol=1e-15)
    assert CRX.frequencies == (0.5, 1.0)
    root = np.sqrt(2)  # the four-term rule of arXiv:2104.05695, coefficients (sqrt 2 ± 1)/(4 sqrt 2)
    assert np.allclose(
        CRX.shift_rule,
        [
            ((root + 1) / (4 * root), np.pi / 2),
            (-(root + 1) / (4 * root), -np.pi / 2),
            (-(root - 1) / (4 * root), 3 * np.pi / 2),
            ((root - 1) / (4 * root), -3 * np.pi / 2),
        ],
        rtol=0,
        atol=1e-15,
    )


# Inverses


@pytest.mark.parametrize("gate", FIXED_GATES, ids=repr)
def test_inverse_of_a_fixed_gate(gate):
    assert near(gate.inverse().matrix() @ FIXED[gate.name], np.eye(2**gate.n_qubits))
    assert gate.inverse().inverse() == gate


def test_an_inverse_in_the_table_is_found():
    assert S.inverse() is Sdg
    assert X.inverse() is X
    assert ISWAP.inverse().name == "unitary"
    assert unitary_gate(FIXED["S"]).inverse() is Sdg


@pytest.mark.parametrize("gate", MORE_ROTATIONS, ids=lambda g: f"{g.name}-{g.generator[-1][1]}")
def test_inverse_of_a_rotation_turns_back(gate):
    op = gate(inputs(1)[0], *range(gate.n_qubits))
    assert op.inverse().gate is gate
    assert op.inverse().angle == -op.angle


def test_a_start_state_has_no_inverse():
    with pytest.raises(ValueError, match="got the inverse of a start state"):
        amplitudes([1, 0], 0).inverse()


# Calling gates


def test_operations_hold_gate_qubits_and_angles():
    x, w = inputs(1), weights(1)
    op = CRX(x[0] * w[0], np.int64(3), 1)
    assert (op.gate, op.qubits, op.angle) == (CRX, (3, 1), x[0] * w[0])
    assert type(op.qubits[0]) is int
    assert repr(op) == "CRX(w[0]*x[0], 3, 1)"
    assert repr(CX(0, 1)) == "CX(0, 1)"
    assert op == CRX(w[0] * x[0], 3, 1)
    assert hash(op) == hash(CRX(w[0] * x[0], 3, 1))


def test_start_states_take_one_value_per_basis_state():
    x = inputs(2)
    op = amplitudes([x[0], 0, x[1], 1.5], 1, 0)
    assert op.gate.n_angles == 4
    assert op.angles[2] == x[1]
    assert op.angles[3].constant == 1.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RX(0), r"got 1 arguments for RX, expected RX\(angle, qubit0\)"),
        (lambda: H(0.1, 0), r"got 2 arguments for H, expected H\(qubit0\)"),
        (lambda: CX(0), r"expected CX\(qubit0, qubit1\)"),
        (lambda: amplitudes([1, 2, 3], 0, 1), r"got 5 arguments for amplitudes, expected amplitudes\(4 values, qubit0"),
        (lambda: RX("x", 0), "got str 'x' as an angle, expected a finite real number"),
        (lambda: RX(0, 0.5), r"got 0.5 as a qubit of RX, expected an integer: angles come first, RX\(angle, qubit0\)"),
        (lambda: H(True), "got True as a qubit of H, expected an integer"),
        (lambda: PauliRot(0.1, "XX", 0), "got 2 arguments for PauliRot"),
    ],
)
def test_wrong_calls_say_the_right_one(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("word", ["", "II", "XA", "x"])
def test_pauli_rotations_need_a_pauli_word(word):
    with pytest.raises(ValueError, match="expected letters IXYZ, not only I: PauliRot"):
        PauliRot(0.1, word, *range(len(word)))


def test_a_gate_needs_different_qubits():
    with pytest.raises(ValueError, match=r"got qubits \(1, 1\) for CX, expected different ones"):
        CX(1, 1)


@pytest.mark.parametrize("matrix", [np.eye(3), np.ones((2, 4)), np.ones(4), [[1]], 1.0])
def test_unitaries_need_a_power_of_two(matrix):
    with pytest.raises(ValueError, match=r"expected \(2\*\*k, 2\*\*k\): pad it to a power of two"):
        unitary(matrix, 0)


@pytest.mark.parametrize("matrix", [[[1, 0], [0, 2]], [[1, 1], [1, 1]], [[np.nan, 0], [0, 1]]])
def test_unitaries_must_be_unitary(matrix):
    with pytest.raises(ValueError, match="expected a unitary: orthonormalise it first"):
        unitary(matrix, 0)


def test_unitaries_need_as_many_qubits_as_the_matrix():
    with pytest.raises(TypeError, match="got 1 arguments for unitary"):
        unitary(np.eye(4), 0)


def test_gates_compare_by_content():
    assert unitary_gate(np.eye(2)) == unitary_gate(np.diag([1, 1]))
    assert unitary_gate(-1.0 * np.eye(2)) == unitary_gate(-np.eye(2) + 0.0)
    assert hash(pauli_rotation_gate("XZ")) == hash(pauli_rotation_gate("XZ"))
    assert pauli_rotation_gate("XZ") != pauli_rotation_gate("ZX")
    assert Gate("RZ", 1, "rotation", (), ((0.5, "Z"),)) == RZ


def test_paulis_multiply_as_they_should():
    assert near(FIXED["X"] @ FIXED["Y"], 1j * SIGMA["Z"])
    assert near(TABLE["X"].matrix() @ TABLE["Y"].matrix(), 1j * TABLE["Z"].matrix())
