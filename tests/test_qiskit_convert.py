import math

import dense
import numpy as np
import pytest
from dense import SIGMA, expectation, observable_matrix
from foreign import equal_up_to_phase, qiskit_unitary
from hypothesis import given
from hypothesis import strategies as st
from reference_states import NAMES
from strategies import QUICK, haar_unitary, random_circuits, values

from circuits import (
    CX,
    RX,
    RY,
    RZ,
    Circuit,
    H,
    Observable,
    P,
    PauliRot,
    amplitudes,
    inputs,
    pauli,
    unitary,
    weights,
)
from circuits.gates import TABLE

pytest.importorskip("qiskit")

import qiskit.circuit.library as ql
from qiskit import QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import AnnotatedOperation, ControlModifier, Gate, Parameter, ParameterVector
from qiskit.quantum_info import Clifford, Operator, Pauli, SparsePauliOp, Statevector

from backends import from_qiskit, to_qiskit
from backends.qiskit_convert import observable_to_qiskit, parametrised

X, W = inputs(3), weights(3)
WIRES = (2, 0, 1)
THETA = Parameter("θ")


def on_three_qubits(gate):
    """A Qiskit circuit with one gate, its qubits out of order so that a mistake in the order shows."""
    circuit = QuantumCircuit(3)
    circuit.append(gate, WIRES[: gate.num_qubits])
    return circuit


def same_unitary(ours, theirs, tolerance=1e-10):
    return equal_up_to_phase(dense.unitary(ours), qiskit_unitary(theirs), tolerance)


def state_of(quantum_circuit):
    return Statevector(quantum_circuit).reverse_qargs().data


def bound(quantum_circuit, x=(), w=(), inputs=None, weights=None):
    """A Qiskit circuit at the values of features and weights, by parameter or by the names x[i] and w[j]."""
    by_name = {p.name: p for p in quantum_circuit.parameters}
    inputs = [by_name.get(f"x[{i}]") for i in range(len(x))] if inputs is None else inputs
    weights = [by_name.get(f"w[{j}]") for j in range(len(w))] if weights is None else weights
    pairs = zip([*inputs, *weights], [*x, *w], strict=True)
    return quantum_circuit.assign_parameters({p: v for p, v in pairs if p is not None})


# To Qiskit


@pytest.mark.parametrize("name", TABLE)
def test_every_gate_has_its_matrix_in_qiskit(name):
    gate = TABLE[name]
    angles = [0.7] * gate.n_angles
    circuit = Circuit(3, [gate(*angles, *WIRES[: gate.n_qubits])])
    theirs = to_qiskit(circuit)
    assert theirs.data[0].operation.name == NAMES[name][1]
    assert np.allclose(qiskit_unitary(theirs), dense.unitary(circuit), rtol=0, atol=1e-14)


@pytest.mark.parametrize("op", [PauliRot(0.7, "XYZ", *WIRES), PauliRot(-1.1, "IY", 2, 0), PauliRot(2.0, "Z", 1)])
def test_pauli_rotations_have_their_matrix_in_qiskit(op):
    assert np.allclose(qiskit_unitary(to_qiskit(Circuit(3, [op]))), dense.unitary(Circuit(3, [op])), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_unitary_is_turned_round_for_qiskit(n):
    circuit = Circuit(3, [unitary(haar_unitary(n, seed=n), *WIRES[:n])])
    assert np.allclose(qiskit_unitary(to_qiskit(circuit)), dense.unitary(circuit), rtol=0, atol=1e-14)


@QUICK
@given(random_circuits(), st.integers(0, 99))
def test_states_of_random_circuits_agree_at_any_features_and_weights(circuit, seed):
    x, w = values(circuit, seed)
    theirs = bound(to_qiskit(circuit), x, w)
    assert np.allclose(state_of(theirs), dense.state(circuit, x, w), rtol=0, atol=1e-10)


def test_angles_may_be_given_as_numbers_or_parameters():
    circuit = Circuit(1, [RX(X[0], 0), RY(0.5, 0), RZ(W[0], 0)], 1, 1)
    numeric = to_qiskit(circuit, angles=[0.1, 0.2, 0.3])
    assert not numeric.parameters
    free, parameters = parametrised(circuit)
    assert [p.name for p in parameters] == ["angle[0]", "angle[1]", "angle[2]"]
    assert [i.operation.params for i in free.data] == [[p] for p in parameters]
    assert Operator(free.assign_parameters([0.1, 0.2, 0.3])) == Operator(numeric)


def test_tanh_stays_finite_far_out():
    theirs = to_qiskit(Circuit(1, [RX(np.tanh(X[0]), 0)], 1))
    for value, angle in ((800.0, 1.0), (-800.0, -1.0), (0.3, math.tanh(0.3)), (0.0, 0.0)):
        assert math.isclose(theirs.assign_parameters([value]).data[0].operation.params[0], angle, abs_tol=1e-15)


def test_to_qiskit_refuses_start_states():
    circuit = Circuit(1, [amplitudes([X[0], X[1]], 0)], 2)
    with pytest.raises(ValueError, match=r"got the operation 'amplitudes', which Qiskit cannot hold .* Statevector"):
        to_qiskit(circuit)
    assert [i.operation.name for i in to_qiskit(circuit, opaque=True).data] == ["amplitudes"]


def test_to_qiskit_refuses_the_wrong_number_of_angles():
    with pytest.raises(ValueError, match=r"got 1 angles, expected 2: one for each of circuit\.angles"):
        to_qiskit(Circuit(1, [RX(0.1, 0), RX(0.2, 0)]), angles=[0.3])


# There and back


@QUICK
@given(random_circuits())
def test_random_circuits_come_back_equal(circuit):
    assert from_qiskit(to_qiskit(circuit)) == circuit


@pytest.mark.parametrize(
    "angle",
    [
        (math.pi - X[0]) * (math.pi - X[1]),
        0.1 * X[0] + 0.2 * X[0] * W[1] - 0.3,
        X[0] ** 3 - X[0] * X[0] + 1 / 3,
        np.sin(-X[0]) * np.sin(X[0]) * 0.7,
        np.exp(np.log(X[0])) + np.arcsin(np.sin(W[2])),
        np.cos(np.tan(0.1 * X[0] + 1)) - np.arccos(X[1]) - np.arctan(W[0]),
        np.sqrt(X[0]) * np.sqrt(X[0]) + np.absolute(X[1] - 2),
        np.tanh(W[0] * X[1] - 0.1) * np.tanh(2 * X[0]) + np.sin(np.arctan(X[2])),
        np.tanh(np.tanh(np.exp(W[0]))),
        1e-9 * X[0] + 1e9 * X[1] + 1e-7,
        0.1 + 0.2 - 0.3,
    ],
    ids=str,
)
def test_expressions_come_back_to_the_last_bit(angle):
    circuit = Circuit(2, [CX(0, 1), P(angle, 1)], 3, 3)
    assert from_qiskit(to_qiskit(circuit)).ops == circuit.ops


@pytest.mark.parametrize("name", TABLE)
def test_every_gate_comes_back_as_its_row(name):
    gate = TABLE[name]
    theirs = QuantumCircuit(3)
    getattr(theirs, NAMES[name][1])(*[THETA] * gate.n_angles, *WIRES[: gate.n_qubits])
    (op,) = from_qiskit(theirs, weights=theirs.parameters).ops
    assert (op.gate, op.qubits, op.angles) == (gate, WIRES[: gate.n_qubits], (W[0],) * gate.n_angles)


def test_unused_features_and_weights_survive():
    circuit = Circuit(2, [RX(X[1], 0)], n_inputs=5, n_weights=2)
    assert from_qiskit(to_qiskit(circuit)) == circuit
    assert from_qiskit(to_qiskit(Circuit(1, [], 3, 4))) == Circuit(1, [], 3, 4)


def test_products_of_absolute_values_come_back_as_the_same_number():
    circuit = Circuit(1, [RX(np.absolute(X[0]) * np.absolute(X[1]), 0)], 2)
    (op,) = from_qiskit(to_qiskit(circuit)).ops
    x = np.array([-0.7, 0.4])
    assert op.angle.evaluate(x, ()) == pytest.approx(0.28, abs=1e-15)


def test_equal_content_however_it_is_stored():
    circuit = Circuit(2, [RX(X[0] * W[0], 0), PauliRot(W[1], "XZ", 1, 0)], 1, 2)
    assert from_qiskit(to_qiskit(circuit).copy()) == circuit
    wrapped = QuantumCircuit(2)
    wrapped.append(to_qiskit(circuit).to_gate(), [0, 1])
    assert from_qiskit(wrapped) == circuit


# From Qiskit: gates


class Opaque(Gate):
    """A user's gate that has only a matrix."""

    def __init__(self):
        super().__init__("mine", 2, [])

    def __array__(self, dtype=None, copy=None):
        return np.kron(np.diag([1, 1j]), SIGMA["X"])


def misnamed():
    """A user's gate with the name of another."""
    inner = QuantumCircuit(1, name="h")
    inner.rx(0.4, 0)
    return inner.to_gate()


OTHER_GATES = {
    "ecr": ql.ECRGate(),
    "dcx": ql.DCXGate(),
    "u": ql.UGate(0.3, 0.5, -0.7),
    "u2": ql.U2Gate(0.3, 0.5),
    "r": ql.RGate(0.3, 0.5),
    "rv": ql.RVGate(0.1, 0.2, 0.3),
    "cu": ql.CUGate(0.3, 0.5, -0.7, 0.2),
    "csx": ql.CSXGate(),
    "csdg": ql.CSdgGate(),
    "rccx": ql.RCCXGate(),
    "xx_plus_yy": ql.XXPlusYYGate(0.3, 0.5),
    "open control": ql.CXGate(ctrl_state=0),
    "open rotation": ql.CRYGate(0.3, ctrl_state=0),
    "half-open toffoli": ql.CCXGate(ctrl_state=1),
    "mcphase": ql.MCPhaseGate(0.3, 2),
    "mcx": ql.MCXGate(2),
    "permutation": ql.PermutationGate([2, 0, 1]),
    "pauli": ql.PauliGate("XYZ"),
    "diagonal": ql.DiagonalGate([1, 1j, -1, np.exp(0.3j)]),
    "ucrz": ql.UCRZGate([0.1, 0.2]),
    "qft": ql.QFTGate(3),
    "hamiltonian": ql.HamiltonianGate(np.kron(SIGMA["X"], SIGMA["Z"]) + np.kron(SIGMA["I"], SIGMA["Y"]), 0.4),
    "unitary": ql.UnitaryGate(haar_unitary(2, seed=1)),
    "clifford": Clifford(ql.ECRGate()),
    "annotated": AnnotatedOperation(ql.RXXGate(0.3), ControlModifier(1)),
    "only a matrix": Opaque(),
    "name of another": misnamed(),
    "evolution": ql.PauliEvolutionGate(SparsePauliOp(["XYZ"], [-0.7]), 0.3),
    "evolution of commuting words": ql.PauliEvolutionGate(SparsePauliOp(["XXI", "ZZI"], [0.2, 0.5]), 0.3),
    "product rotation": ql.PauliProductRotationGate(-Pauli("XY"), 0.3),
    "global phase": ql.GlobalPhaseGate(0.3),
    "phase of a word": ql.PauliEvolutionGate(Pauli("II"), 0.3),
    "preparation": ql.StatePreparation([0.6, 0.8j]),
}


@pytest.mark.filterwarnings("ignore:(splu|spsolve)")  # by Qiskit, for the matrix of a PauliEvolutionGate
@pytest.mark.parametrize("name", OTHER_GATES)
def test_other_gates_are_read_through_their_definitions(name):
    theirs = on_three_qubits(OTHER_GATES[name])
    assert same_unitary(from_qiskit(theirs), theirs)


def test_a_long_multi_controlled_gate():
    theirs = QuantumCircuit(5)
    theirs.mcx([3, 0, 4, 1], 2)
    assert same_unitary(from_qiskit(theirs), theirs)


def test_one_word_of_an_evolution_is_one_rotation():
    theirs = on_three_qubits(ql.PauliEvolutionGate(SparsePauliOp(["XYZ"], [0.25]), THETA))
    assert from_qiskit(theirs, weights=[THETA]).ops == (PauliRot(0.5 * W[0], "ZYX", *WIRES),)


@pytest.mark.parametrize(
    "theirs",
    [
        ql.zz_feature_map(3, reps=1, entanglement="full"),
        ql.efficient_su2(3, reps=1),
        ql.real_amplitudes(3, reps=1, entanglement="circular"),
        ql.n_local(3, ["ry", "crx"], "rzz", reps=1),
        ql.pauli_feature_map(3, reps=1, paulis=["Z", "YY", "ZXZ"]),
        ql.qaoa_ansatz(SparsePauliOp(["ZZI", "IZZ", "XII"]), reps=1),
        ql.excitation_preserving(3, reps=1),
        ql.quantum_volume(3, 1, seed=1),
        ql.iqp([[1, 2, 1], [2, 1, 3], [1, 3, 2]]),
        transpile(ql.efficient_su2(3, reps=1), basis_gates=["rz", "sx", "cx"], optimization_level=1),
    ],
    ids=lambda circuit: circuit.name,
)
def test_library_circuits(theirs):
    parameters = list(theirs.parameters)
    ours = from_qiskit(theirs, weights=parameters)
    w = np.random.default_rng(0).uniform(-2, 2, len(parameters))
    assert ours.n_weights == len(w)
    expected = state_of(theirs.assign_parameters(dict(zip(parameters, w, strict=True))))
    assert equal_up_to_phase(dense.state(ours, (), w), expected)


def test_left_out_are_barriers_delays_final_measurements_and_the_phase():
    theirs = QuantumCircuit(2, global_phase=0.3)
    theirs.reset(0)
    theirs.h(0)
    theirs.barrier()
    theirs.delay(100, 0)
    theirs.measure_all()
    assert from_qiskit(theirs) == Circuit(2, [H(0)])


def test_qubits_keep_their_numbers_across_registers():
    theirs = QuantumCircuit(QuantumRegister(1, "a"), QuantumRegister(2, "b"))
    theirs.cx(theirs.qregs[1][1], theirs.qregs[0][0])
    assert from_qiskit(theirs) == Circuit(3, [CX(2, 0)])


# From Qiskit: start states


@pytest.mark.parametrize("method", ["initialize", "prepare_state"])
def test_a_real_start_state_becomes_amplitudes(method):
    values = np.array([0.1, 0.5, -0.3, 0.7, 0.2, 0.0, 0.4, -0.6])
    theirs = QuantumCircuit(4)
    getattr(theirs, method)(values / np.linalg.norm(values), [3, 0, 2])
    theirs.h(1)
    ours = from_qiskit(theirs)
    assert [op.gate.name for op in ours.ops] == ["amplitudes", "H"]
    assert np.allclose(dense.state(ours), state_of(theirs), rtol=0, atol=1e-10)


@pytest.mark.parametrize("state", [[0.6, 0, 0, 0.8j], "+1", "r0", 2], ids=str)
def test_other_start_states_become_gates(state):
    theirs = QuantumCircuit(3)
    theirs.prepare_state(state, [2, 0])
    ours = from_qiskit(theirs)
    assert "amplitudes" not in {op.gate.name for op in ours.ops}
    assert equal_up_to_phase(dense.state(ours), state_of(theirs))


def test_a_late_preparation_becomes_gates():
    theirs = QuantumCircuit(1)
    theirs.h(0)
    theirs.prepare_state([0.6, 0.8], 0)
    theirs.append(ql.StatePreparation([0.8, 0.6], inverse=True), [0])
    assert same_unitary(from_qiskit(theirs), theirs)


# From Qiskit: parameters and angles


def test_parameters_are_numbered_as_listed():
    a, b, c, unused = map(Parameter, "abcu")
    theirs = QuantumCircuit(1)
    theirs.rx(a + 2 * b, 0)
    theirs.ry(b * c, 0)
    ours = from_qiskit(theirs, inputs=[b, a], weights=[unused, c])
    assert ours == Circuit(1, [RX(X[1] + 2 * X[0], 0), RY(X[0] * W[1], 0)], n_inputs=2, n_weights=2)


def test_names_are_recognised_without_lists():
    x, w = ParameterVector("x", 4), ParameterVector("w", 2)
    theirs = QuantumCircuit(1)
    theirs.rx(x[1] * w[0], 0)
    assert from_qiskit(theirs) == Circuit(1, [RX(X[1] * W[0], 0)], n_inputs=4, n_weights=2)
    named = QuantumCircuit(1)
    named.rx(Parameter("x[2]"), 0)
    assert from_qiskit(named) == Circuit(1, [RX(X[2], 0)], n_inputs=3)


def test_names_fill_the_list_that_is_not_given():
    ansatz = ql.real_amplitudes(2, reps=1)
    theirs = ql.zz_feature_map(2, reps=1).compose(ansatz)
    ours = from_qiskit(theirs, weights=ansatz.parameters)
    assert (ours.n_inputs, ours.n_weights) == (2, 4)
    x, w = np.array([0.3, -0.8]), np.array([0.1, 0.9, -1.2, 2.0])
    features = [p for p in theirs.parameters if p not in ansatz.parameters]
    expected = state_of(bound(theirs, x, w, features, ansatz.parameters))
    assert equal_up_to_phase(dense.state(ours, x, w), expected)


def test_a_list_goes_before_names():
    x = ParameterVector("x", 2)
    theirs = QuantumCircuit(1)
    theirs.rx(x[0] + x[1], 0)
    assert from_qiskit(theirs, weights=x) == Circuit(1, [RX(W[0] + W[1], 0)], n_weights=2)
    assert from_qiskit(theirs, inputs=[x[1], x[0]]) == Circuit(1, [RX(X[0] + X[1], 0)], n_inputs=2)


def test_a_composite_gate_keeps_its_parameters():
    a, b = Parameter("a"), Parameter("b")
    inner = QuantumCircuit(2, name="inner")
    inner.rx(2 * a, 1)
    inner.cx(1, 0)
    theirs = QuantumCircuit(3)
    theirs.append(inner.to_gate({a: b + 1}), [2, 0])
    assert from_qiskit(theirs, inputs=[b]) == Circuit(3, [RX(2 * X[0] + 2, 0), CX(0, 2)], n_inputs=1)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (lambda a, b: 2 - a / 4 + b * b, lambda a, b: 2 - a / 4 + b * b),
        (lambda a, b: (1 - a) * (a - b) ** 2, lambda a, b: (1 - a) * (a - b) ** 2),
        (lambda a, b: 2**a, lambda a, b: 2**a),
        (lambda a, b: (a * a + b) ** 0.5, lambda a, b: np.sqrt(a * a + b)),
        (lambda a, b: a.sin() - b.cos() * a.tan(), lambda a, b: np.sin(a) - np.cos(b) * np.tan(a)),
        (lambda a, b: a.arcsin() + b.arccos() - a.arctan(), lambda a, b: np.arcsin(a) + np.arccos(b) - np.arctan(a)),
        (lambda a, b: a.exp() + b.log() + abs(a - b), lambda a, b: np.exp(a) + np.log(b) + abs(a - b)),
        (lambda a, b: a.conjugate() - a.subs({a: b + 1}), lambda a, b: a - b - 1),
        (lambda a, b: a.sin().arctan().sin() + b, lambda a, b: np.sin(np.arctan(np.sin(a))) + b),
        (lambda a, b: (a * b + 1).gradient(a), lambda a, b: b),
        (lambda a, b: (0 * a + 0.25 * b).bind({b: 2.0}), lambda a, b: 0.5),
    ],
)
def test_expressions_of_qiskit_keep_their_value(expression, value):
    a, b = Parameter("a"), Parameter("b")
    theirs = QuantumCircuit(1)
    theirs.rx(expression(a, b), 0)
    (op,) = from_qiskit(theirs, inputs=[a, b]).ops
    x = np.array([0.3, 0.7])
    assert op.angle.evaluate(x, ()) == pytest.approx(value(*x), abs=1e-14)


@st.composite
def expressions(draw, leaves, depth=3):
    """A random expression of Qiskit's own arithmetic."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(leaves))
    left, right = draw(expressions(leaves, depth - 1)), draw(expressions(leaves, depth - 1))
    number = draw(st.integers(-40, 40)) / 8
    return draw(
        st.sampled_from(
            [
                lambda: left + right,
                lambda: left - right,
                lambda: left * right,
                lambda: number - left,
                lambda: number * left + right,
                lambda: (left / 3).sin(),
                lambda: right.cos() - number,
                lambda: left**2,
                lambda: -left,
                lambda: right.arctan().tan() * left,
            ]
        )
    )()


@QUICK
@given(st.data())
def test_random_expressions_of_qiskit_keep_their_value(data):
    a, b = Parameter("a"), Parameter("b")
    expression = data.draw(expressions([a, b]))
    theirs = QuantumCircuit(1)
    theirs.rx(expression, 0)
    (op,) = from_qiskit(theirs, inputs=[a, b]).ops
    angle = float(
        theirs.assign_parameters({p: {"a": 0.3, "b": -0.7}[p.name] for p in theirs.parameters}).data[0].params[0]
    )
    assert op.angle.evaluate(np.array([0.3, -0.7]), ()) == pytest.approx(angle, abs=1e-9, rel=1e-9)


@pytest.mark.parametrize(
    "expression",
    [
        lambda a: 1 / a,
        lambda a: a.sin() / a.cos(),
        lambda a: a**-1,
        lambda a: a**1.5,
        lambda a: a**a,
        lambda a: a.sign(),
        lambda a: (-2) ** a,
        lambda a: a * 1j,
    ],
)
def test_an_angle_without_counterpart_is_refused(expression):
    theirs = QuantumCircuit(1)
    theirs.rx(expression(THETA), 0)
    with pytest.raises(ValueError, match=r"got the angle .*θ.*, expected sums, products, .* give it as a feature"):
        from_qiskit(theirs, weights=[THETA])


# From Qiskit: refusals


def test_free_parameters_must_be_listed():
    theirs = ql.efficient_su2(3, reps=1)
    with pytest.raises(
        ValueError, match=r"got θ\[0\], θ\[1\], .*, \.\.\. as free parameters, expected each in inputs or"
    ):
        from_qiskit(theirs)
    with pytest.raises(ValueError, match=r"got θ\[11\] as free parameters"):
        from_qiskit(theirs, weights=list(theirs.parameters)[:-1])


def test_a_definition_must_not_hide_parameters():
    gate = Gate("hiding", 1, [])
    gate.definition = QuantumCircuit(1)
    gate.definition.rx(THETA, 0)
    with pytest.raises(ValueError, match="got θ as free parameters, expected each in inputs or weights"):
        from_qiskit(on_three_qubits(gate))


def test_a_parameter_has_one_place():
    theirs = on_three_qubits(ql.RXGate(THETA))
    with pytest.raises(ValueError, match="got θ in inputs and in weights, expected each parameter in one of them"):
        from_qiskit(theirs, inputs=[THETA], weights=[THETA])
    with pytest.raises(ValueError, match="got θ twice in weights, expected each parameter once"):
        from_qiskit(theirs, weights=[THETA, THETA])


def test_lists_hold_parameters():
    with pytest.raises(TypeError, match="got str 'θ' among inputs, expected Parameters of the circuit"):
        from_qiskit(on_three_qubits(ql.RXGate(THETA)), inputs=["θ"])


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="got str, expected a QuantumCircuit or a SparsePauliOp of Qiskit"):
        from_qiskit("h q[0];")


def mid_circuit_measurement(circuit):
    circuit.measure(0, 0)
    circuit.h(0)


def reset(circuit):
    circuit.h(0)
    circuit.reset(0)


def late_initialize(circuit):
    circuit.h(0)
    circuit.initialize([0.6, 0.8], 0)


def condition(circuit):
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)


def loop(circuit):
    with circuit.for_loop(range(2)):
        circuit.x(1)


def opaque(circuit):
    circuit.append(Gate("mystery", 1, []), [0])


def channel(circuit):
    from qiskit.quantum_info import Kraus

    circuit.append(Kraus([np.sqrt(0.9) * SIGMA["I"], np.sqrt(0.1) * SIGMA["X"]]).to_instruction(), [0])


def symbolic_hamiltonian(circuit):
    circuit.append(ql.HamiltonianGate(SIGMA["X"], Parameter("w[0]")), [0])


def classical_variable(circuit):
    circuit.add_var("flag", True)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (mid_circuit_measurement, "got 'h' on qubit 0 after its measurement, expected measurements at the end only"),
        (reset, r"got 'reset' \(or Initialize, .*\) on qubit 0 after other gates, expected gates: use a fresh qubit"),
        (late_initialize, r"got 'reset' \(or Initialize, .*\) on qubit 0 after other gates"),
        (condition, "got the control flow 'if_else', expected gates: use a controlled gate instead"),
        (loop, "got the control flow 'for_loop', expected gates: .* write loops and boxes out"),
        (opaque, "got the operation 'mystery', which has neither a definition nor a matrix .* UnitaryGate"),
        (channel, "got the operation 'kraus', which has neither a definition nor a matrix"),
        (symbolic_hamiltonian, "got the operation 'hamiltonian', which has neither a definition nor a matrix"),
        (classical_variable, "got the operation 'store', which has neither"),
    ],
)
def test_what_is_no_gate_is_refused_by_name(build, message):
    circuit = QuantumCircuit(2, 2)
    build(circuit)
    with pytest.raises(ValueError, match=message):
        from_qiskit(circuit)


# Observables


def test_observables_both_ways():
    ours = 0.5 * pauli("Z0 X2") - 2 * pauli("Y1") + 0.25 * pauli("")
    theirs = SparsePauliOp(["XIZ", "IYI", "III"], [0.5, -2, 0.25])
    assert from_qiskit(theirs) == ours
    assert observable_to_qiskit(ours, 3).equiv(theirs)
    assert np.allclose(
        Operator(observable_to_qiskit(ours, 4)).reverse_qargs().data, observable_matrix(ours, 4), rtol=0, atol=1e-15
    )


def test_words_add_up_and_zeros_go():
    assert from_qiskit(SparsePauliOp(["ZI", "ZI", "IX"], [0.5, 0.25, 0.0])) == 0.75 * pauli("Z1")
    assert from_qiskit(SparsePauliOp(["ZI"], [0.0])) == Observable(())
    assert from_qiskit(Pauli("-XZ")) == -1.0 * pauli("Z0 X1")
    assert observable_to_qiskit(Observable(()), 2).to_list() == [("II", 0)]


def test_an_expectation_value_is_the_same_on_both_sides():
    theirs = ql.efficient_su2(3, reps=1)
    w = np.random.default_rng(1).uniform(-2, 2, theirs.num_parameters)
    operator = SparsePauliOp(["XYZ", "IZX", "ZII"], [0.3, -1.2, 0.5])
    value = Statevector(theirs.assign_parameters(w)).expectation_value(operator).real
    ours = from_qiskit(theirs, weights=theirs.parameters)
    assert expectation(ours, (), w, [from_qiskit(operator)]) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "operator",
    [SparsePauliOp(["X", "Y"], [1, 0.5j]), SparsePauliOp(["X"], np.array([Parameter("a")])), Pauli("iX")],
    ids=["complex", "parameter", "phase"],
)
def test_coefficients_that_are_no_real_numbers_are_refused(operator):
    with pytest.raises(ValueError, match=r"got the coefficient .*, expected real numbers: bind parameters"):
        from_qiskit(operator)
