"""Conversions from and to PennyLane, against PennyLane's own states and the dense oracle."""

import math

import numpy as np
import pytest
import torch

qp = pytest.importorskip("pennylane")

import dense  # noqa: E402
from foreign import equal_up_to_phase, pennylane_unitary  # noqa: E402
from hypothesis import assume, given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from strategies import QUICK, haar_unitary, random_circuits, values  # noqa: E402

from backends import from_pennylane, to_pennylane  # noqa: E402
from circuits import (  # noqa: E402
    CX,
    RX,
    RY,
    RZX,
    Circuit,
    H,
    Observable,
    PauliRot,
    Probabilities,
    amplitudes,
    inputs,
    pauli,
    unitary,
    weights,
    z_each,
)
from circuits.angles import FUNCTIONS  # noqa: E402
from circuits.gates import TABLE  # noqa: E402

T = 0.37


def tilt(n):
    """A start without symmetry, so that every gate and every phase shows."""
    for q in range(n):
        qp.RX(0.3 + 0.4 * q, q)
        qp.RY(0.7 - 0.2 * q, q)


def gates(function):
    """The function without its return value, so that a lambda may make a gate."""

    def silent(*arguments, **keywords):
        function(*arguments, **keywords)

    return silent


def assert_same_state(function, n_inputs=0, shape=None, seed=0):
    """Convert, then compare with PennyLane's state at random features and weights."""
    circuit, readout = from_pennylane(gates(function), n_inputs, shape)
    assert readout == z_each(circuit.n_qubits)
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=circuit.n_inputs), rng.normal(size=circuit.n_weights)

    @qp.qnode(qp.device("default.qubit", wires=circuit.n_qubits))
    def state():
        function(*[x] if shape is None else [x, w.reshape(shape)])
        return qp.state()

    assert equal_up_to_phase(dense.state(circuit, x, w), state())
    return circuit


# Gates, both ways


@pytest.mark.parametrize("gate", TABLE.values(), ids=str)
def test_every_gate_of_the_table_both_ways(gate):
    """Each gate has PennyLane's matrix, and comes back as itself, on qubits in falling order."""
    qubits = range(gate.n_qubits)[::-1]
    circuit = Circuit(3, [gate(*weights(gate.n_angles), *qubits)], 0, gate.n_angles)
    function = to_pennylane(circuit)
    values = [T] * gate.n_angles
    assert np.allclose(
        pennylane_unitary(lambda: function((), values), 3), dense.unitary(circuit, (), values), atol=1e-12
    )
    assert from_pennylane(function, 0, gate.n_angles, n_qubits=3)[0] == circuit


@pytest.mark.parametrize(
    "op", [PauliRot(0.4, "XIZ", 2, 0, 1), PauliRot(0.4, "Y", 1), unitary(haar_unitary(2, 5), 2, 0)], ids=str
)
def test_general_gates_both_ways(op):
    """Pauli rotations keep their word, unitaries every bit of their matrix."""
    circuit = Circuit(3, [op])
    assert np.allclose(pennylane_unitary(to_pennylane(circuit), 3), dense.unitary(circuit), atol=1e-12)
    assert from_pennylane(to_pennylane(circuit), 0, 0, n_qubits=3)[0] == circuit


@QUICK
@given(random_circuits(with_amplitudes=True))
def test_there_and_back_is_the_same_circuit(circuit):
    """Angles come back as they were; PauliRot "ZX" under the table's name, a start state of numbers normalised."""
    assume(
        not any(op.gate.kind == "amplitudes" and not set().union(*(a.slots for a in op.angles)) for op in circuit.ops)
    )
    named = [RZX(op.angle, *op.qubits) if _is_zx(op) else op for op in circuit.ops]
    expected = Circuit(circuit.n_qubits, named, circuit.n_inputs, circuit.n_weights)
    back, _ = from_pennylane(to_pennylane(circuit), circuit.n_inputs, circuit.n_weights, n_qubits=circuit.n_qubits)
    assert back == expected


def _is_zx(op):
    return op.gate.name == "PauliRot" and op.gate.generator[0][1] == "ZX"


@QUICK
@given(random_circuits(n_qubits=(1, 3), with_amplitudes=True), st.integers(0, 99))
def test_random_circuits_have_the_oracles_state_in_pennylane(circuit, seed):
    """The numeric function makes the state that the matrices make."""
    x, w = values(circuit, seed)

    @qp.qnode(qp.device("default.qubit", wires=circuit.n_qubits))
    def state():
        to_pennylane(circuit)(x, w)
        return qp.state()

    assert np.allclose(state(), dense.state(circuit, x, w), atol=1e-10)


# Templates and operations of PennyLane


def two_design(x, w):
    qp.SimplifiedTwoDesign(w[:4], w[4:].reshape(2, 3, 2), wires=range(4))


def block(weights, wires):
    qp.RX(weights[0], wires[0])
    qp.RY(weights[1], wires[1])
    qp.CNOT(wires)


TEMPLATES = {
    "StronglyEntanglingLayers": (lambda x, w: qp.StronglyEntanglingLayers(w, wires=range(4)), 0, (2, 4, 3)),
    "BasicEntanglerLayers": (lambda x, w: qp.BasicEntanglerLayers(w, wires=range(4), rotation=qp.RY), 0, (2, 4)),
    "SimplifiedTwoDesign": (two_design, 0, (16,)),
    "QAOAEmbedding": (lambda x, w: qp.QAOAEmbedding(x, w, wires=range(4)), 4, (2, 8)),
    "RandomLayers": (lambda x, w: qp.RandomLayers(w, wires=range(4), seed=1), 0, (2, 3)),
    "ArbitraryUnitary": (lambda x, w: qp.ArbitraryUnitary(w, wires=range(2)), 0, (15,)),
    "ArbitraryStatePreparation": (lambda x, w: qp.ArbitraryStatePreparation(w, wires=range(2)), 0, (6,)),
    "GateFabric": (lambda x, w: qp.GateFabric(w, range(4), np.array([1, 1, 0, 0])), 0, (1, 1, 2)),
    "ParticleConservingU1": (lambda x, w: qp.ParticleConservingU1(w, range(4), np.array([1, 1, 0, 0])), 0, (1, 3, 2)),
    "TTN": (lambda x, w: qp.TTN(range(4), 2, block, 2, w), 0, (3, 2)),
    "MERA": (lambda x, w: qp.MERA(range(4), 2, block, 2, w), 0, (5, 2)),
    "AngleEmbedding X": (lambda x: qp.AngleEmbedding(x, wires=range(4)), 4, None),
    "AngleEmbedding Y": (lambda x: qp.AngleEmbedding(x, wires=range(4), rotation="Y"), 4, None),
    "AngleEmbedding Z": (lambda x: qp.AngleEmbedding(x, wires=range(4), rotation="Z"), 4, None),
    "IQPEmbedding": (lambda x: qp.IQPEmbedding(x, wires=range(4), n_repeats=2), 4, None),
    "CommutingEvolution": (lambda x: qp.CommutingEvolution(qp.X(0) @ qp.Z(1) + 0.3 * qp.Y(0) @ qp.Y(1), x[0]), 1, None),
    "ApproxTimeEvolution": (lambda x: qp.ApproxTimeEvolution(qp.X(0) @ qp.Z(1) + qp.Y(0), x[0], 2), 1, None),
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates(template):
    """PennyLane's templates, with symbols for features and weights."""
    function, n_inputs, shape = TEMPLATES[template]

    def tilted(*arguments):
        tilt(4)
        function(*arguments)

    assert_same_state(tilted, n_inputs, shape)


OPERATIONS = {
    "Rot": (lambda x: qp.Rot(*x, 0), 3),
    "U1": (lambda x: qp.U1(x[0], 0), 1),
    "U2": (lambda x: qp.U2(*x, 0), 2),
    "U3": (lambda x: qp.U3(*x, 0), 3),
    "CRot": (lambda x: qp.CRot(*x, [1, 0]), 3),
    "MultiRZ": (lambda x: qp.MultiRZ(x[0], [2, 0, 1]), 1),
    "IsingXY": (lambda x: qp.IsingXY(x[0], [1, 0]), 1),
    "PSWAP": (lambda x: qp.PSWAP(x[0], [1, 0]), 1),
    "PCPhase": (lambda x: qp.PCPhase(x[0], 3, wires=[0, 1]), 1),
    "CPhaseShift10": (lambda x: qp.CPhaseShift10(x[0], [0, 1]), 1),
    "SingleExcitationPlus": (lambda x: qp.SingleExcitationPlus(x[0], [1, 0]), 1),
    "DoubleExcitation": (lambda x: qp.DoubleExcitation(x[0], [3, 1, 0, 2]), 1),
    "DoubleExcitationMinus": (lambda x: qp.DoubleExcitationMinus(x[0], [0, 1, 2, 3]), 1),
    "OrbitalRotation": (lambda x: qp.OrbitalRotation(x[0], [0, 1, 2, 3]), 1),
    "GlobalPhase": (lambda x: qp.GlobalPhase(x[0]), 1),
    "controlled GlobalPhase": (lambda x: qp.ctrl(qp.GlobalPhase(x[0]), [1, 2]), 1),
    "PauliRot of identities": (lambda x: qp.PauliRot(x[0], "II", [0, 1]), 1),
    "controlled RX, mixed control values": (lambda x: qp.ctrl(qp.RX(x[0], 0), [1, 2], control_values=[0, 1]), 1),
    "controlled Rot": (lambda x: qp.ctrl(qp.Rot(*x, 0), [1, 2], control_values=[0, 1]), 3),
    "controlled U3": (lambda x: qp.ctrl(qp.U3(*x, 0), 1), 3),
    "controlled template": (lambda x: qp.ctrl(qp.AngleEmbedding, control=3)(x, wires=range(3), rotation="Y"), 3),
    "adjoint Rot": (lambda x: qp.adjoint(qp.Rot(*x, 0)), 3),
    "adjoint template": (lambda x: qp.adjoint(qp.IQPEmbedding)(x, wires=range(3)), 3),
    "adjoint ISWAP": (lambda x: qp.adjoint(qp.ISWAP([0, 1])), 0),
    "RX to a power": (lambda x: qp.pow(qp.RX(x[0], 0), 0.5), 1),
    "X to a power": (lambda x: qp.pow(qp.X(0), 0.3), 0),
    "MultiControlledX": (lambda x: qp.MultiControlledX(wires=range(4), control_values=[1, 0, 1]), 0),
    "QFT": (lambda x: qp.QFT(wires=range(4)), 0),
    "ECR": (lambda x: qp.ECR([1, 0]), 0),
    "DiagonalQubitUnitary": (lambda x: qp.DiagonalQubitUnitary(np.exp(1j * np.arange(8)), wires=range(3)), 0),
    "ControlledQubitUnitary": (lambda x: qp.ControlledQubitUnitary(haar_unitary(1, 1), wires=[2, 0, 1]), 0),
    "BlockEncode": (lambda x: qp.BlockEncode(np.array([[0.3, 0.2], [0.1, 0.4]]), wires=[0, 1]), 0),
    "product of operators": (lambda x: qp.prod(qp.X(0), qp.Z(1)), 0),
    "evolution of numbers": (lambda x: qp.evolve(qp.X(0) @ qp.Z(1) + qp.Y(0), 0.4), 0),
    "exponential of numbers": (lambda x: qp.exp(qp.X(0) @ qp.Z(1), 0.4j), 0),
    "Barrier and Snapshot": (lambda x: (qp.Barrier([0, 1]), qp.Snapshot()), 0),
    "deferred measurement": (qp.defer_measurements(lambda x: _measure_and_rotate(x)), 1),
}


def _measure_and_rotate(x):
    qp.RY(x[0], 0)
    qp.cond(qp.measure(0), qp.RX)(T, 1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_beyond_the_table(operation):
    """By their generator, their decomposition or their matrix, up to a global phase."""
    function, n_inputs = OPERATIONS[operation]

    def tilted(x):
        if operation != "deferred measurement":
            tilt(4)
        function(x)

    assert_same_state(tilted, n_inputs)


def test_a_gate_with_commuting_generator_becomes_few_rotations():
    """IsingXY is two rotations, not a decomposition with six gates."""
    circuit, _ = from_pennylane(gates(lambda x: qp.IsingXY(x[0], [0, 1])), 1)
    assert [op.gate.name for op in circuit.ops] == ["RXX", "RYY"]
    assert {op.angle for op in circuit.ops} == {-0.5 * inputs(1)[0]}


# Angles


def test_angles_are_expressions_of_features_and_weights():
    """Products, sums, slices, NumPy's, PennyLane's own NumPy's and qp.math's functions, constants of torch."""

    def function(x, w):
        qp.RX(w[0, 0] * x[..., 0] + np.pi, 0)
        qp.RY(qp.math.sin(x[1]) - np.dot(w[0], w[1]), 1)
        qp.RZ(qp.numpy.array(0.5) * x[0] ** 2, 0)
        qp.RX(np.sum(x[..., :2]) / 2, 1)
        qp.RY(torch.tensor(0.25), 0)

    x, w = inputs(2), weights(2, 2)
    circuit, _ = from_pennylane(function, 2, (2, 2))
    expected = (
        w[0, 0] * x[0] + np.pi,
        np.sin(x[1]) - w[0, 0] * w[1, 0] - w[0, 1] * w[1, 1],
        0.5 * x[0] * x[0],
        0.5 * x[0] + 0.5 * x[1],
    )
    assert circuit.angles[:4] == expected
    assert circuit.angles[4].constant == 0.25


def test_weights_by_name_are_numbered_in_order():
    """A dict is TorchLayer's weight_shapes: keyword arguments."""

    def function(inputs, first, second):
        qp.RX(first[1, 0], 0)
        qp.RY(second[2] * inputs[0], 0)

    circuit, _ = from_pennylane(function, 1, {"first": (2, 2), "second": 3})
    w = weights(7)
    assert circuit.n_weights == 7 and circuit.angles == (w[2], w[6] * inputs(1)[0])


@pytest.mark.parametrize("shape", [1, (1,), (), {"w": 1}])
def test_a_single_weight_needs_no_index(shape):
    """As in TorchLayer, an array of one weight is an angle."""
    circuit, _ = from_pennylane(gates(lambda x, w: qp.RX(w, 0)), 0, shape)
    assert circuit == Circuit(1, [RX(weights(1)[0], 0)], 0, 1)


def test_sizes_are_stated_not_inferred():
    """Unused features, weights and qubits stay."""
    circuit, readout = from_pennylane(gates(lambda x, w: qp.RX(x[0], 0)), 3, 4, n_qubits=2)
    assert (circuit.n_qubits, circuit.n_inputs, circuit.n_weights, len(readout)) == (2, 3, 4, 2)


def test_start_states():
    """AmplitudeEmbedding and StatePrep, padded or of constants, in the given wire order."""
    assert_same_state(lambda x: qp.AmplitudeEmbedding(x, wires=range(2), normalize=True), 4)
    assert_same_state(lambda x: qp.AmplitudeEmbedding(x, wires=range(2), pad_with=0.3), 3)
    assert_same_state(lambda x: qp.StatePrep(x, wires=[1, 0], normalize=True), 4)
    assert_same_state(lambda x: qp.StatePrep(np.array([0.6, -0.8]), wires=[0]))
    assert_same_state(lambda x: qp.BasisState(np.array([1, 0, 1]), wires=range(3)))
    circuit, _ = from_pennylane(gates(lambda x: qp.AmplitudeEmbedding(x, [1, 0], normalize=True)), 4)
    assert circuit == Circuit(2, [amplitudes(inputs(4), 1, 0)], 4)


def test_pennylane_checks_start_states_as_before():
    """What stands in for PennyLane's check while a function is traced is gone afterwards, also after an error."""
    with pytest.raises(ValueError, match="index"):
        from_pennylane(lambda x: qp.RX(x[:, 0], 0), 1)
    with pytest.raises(ValueError, match="norm"):
        qp.AmplitudeEmbedding(np.array([1.0, 1.0]), wires=0)


# Readout


def test_readouts():
    """Expectation values in their order, a single one, probabilities, and nothing."""
    energy = qp.Hamiltonian([0.5, -1.0], [qp.Z(0) @ qp.Z(1), qp.X(2)])

    def several(x):
        tilt(3)
        return qp.expval(qp.Z(2)), qp.expval(energy), qp.expval(qp.Y(0) @ qp.X(1) - 2 * qp.Identity(0))

    expected = pauli("Z2"), 0.5 * pauli("Z0 Z1") - pauli("X2"), pauli("Y0 X1") - 2 * pauli("")
    assert from_pennylane(several, 0)[1] == expected

    def read(make):
        return from_pennylane(lambda x: (tilt(3), make())[1], 0)[1]

    assert read(lambda: qp.expval(qp.X(1))) == (pauli("X1"),)
    assert read(lambda: qp.probs(wires=[2, 0])) == Probabilities((2, 0))
    assert read(qp.probs) == Probabilities((0, 1, 2))
    assert read(lambda: [qp.probs(wires=0)]) == Probabilities((0,))
    assert read(lambda: None) == z_each(3)


@pytest.mark.parametrize(
    "operator",
    [
        qp.Hadamard(1),
        qp.Hermitian(np.array([[1, 2 - 1j], [2 + 1j, -0.5]]), 1),
        qp.Projector([1, 0], [0, 1]),
        qp.Hermitian(np.diag([1.0, 2, 3, 4]), [1, 0]),
        qp.sum(qp.X(0), qp.s_prod(0.5, qp.prod(qp.Y(0), qp.Z(1)))),
        qp.X(0) @ qp.Y(0) * 1j,
    ],
    ids=str,
)
def test_operators_become_observables(operator):
    """Any Hermitian operator, alone or measured, has its matrix."""
    observable = from_pennylane(operator)
    assert np.allclose(dense.observable_matrix(observable, 2), qp.matrix(operator, wire_order=[0, 1]), atol=1e-12)
    assert from_pennylane(lambda x: (qp.RX(T, 0), qp.expval(operator))[1], 0, n_qubits=2)[1] == (observable,)


def test_qnode_gives_its_function_and_its_wires():
    """The QNode's device has the number of qubits; its own shots and gradient stay behind."""
    dev = qp.device("default.qubit", wires=3)

    @qp.qnode(dev, diff_method="parameter-shift")
    def qnode(inputs, weights):
        qp.RX(inputs[0] * weights[1], 0)
        return qp.probs()

    circuit, readout = from_pennylane(qnode, 1, 2)
    x, w = [0.3], [0.2, 1.1]
    assert circuit.n_qubits == 3
    assert np.allclose(dense.probabilities(circuit, x, w, readout.qubits), qnode(np.array(x), np.array(w)), atol=1e-12)


# To PennyLane: numbers of every library, batches, gradients

X, W = inputs(2), weights(3)
SMALL = Circuit(2, [RX(X[0] * W[0], 0), H(1), CX(0, 1), RY(np.sin(X[1]) + W[1], 1), RX(W[2], 0)], 2, 3)
READ = (pauli("Z0"), 0.5 * pauli("X0 Y1") - pauli("Z1") + 0.3, pauli(""), Observable(()))


def small_qnode(device="default.qubit", **options):
    return qp.QNode(to_pennylane(SMALL, READ), qp.device(device, wires=2), **options)


@pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "lightning.qubit"])
def test_to_pennylane_runs_on_devices(device):
    """One sample and a batch, lists and arrays."""
    x, w = np.array([[0.3, -1.2], [0.8, 0.1], [2.0, 0.4]]), np.array([0.5, -0.7, 1.3])
    expected = np.array([dense.expectation(SMALL, row, w, READ) for row in x])
    assert np.allclose(small_qnode(device)(x[0], w), expected[0], atol=1e-10)
    assert np.allclose(small_qnode(device)(list(x[0]), tuple(w)), expected[0], atol=1e-10)
    values = [np.broadcast_to(column, 3) for column in small_qnode(device)(x, w)]
    assert np.allclose(np.stack(values, 1), expected, atol=1e-10)


def test_to_pennylane_is_differentiable_in_torch():
    """gradcheck through PennyLane's backprop, batched."""
    x = torch.tensor([[0.3, -1.2], [0.8, 0.1]], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([0.5, -0.7, 1.3], dtype=torch.float64, requires_grad=True)
    qnode = small_qnode(interface="torch", diff_method="backprop")
    assert torch.autograd.gradcheck(lambda x, w: torch.stack(qnode(x, w)[:2]), (x, w))


def test_to_pennylane_is_differentiable_in_autograd():
    """PennyLane's own gradient function, by its parameter shift, against a central difference of the oracle."""
    x, w = np.array([0.3, -1.2]), qp.numpy.array([0.5, -0.7, 1.3], requires_grad=True)
    qnode = qp.QNode(to_pennylane(SMALL, READ[1]), qp.device("default.qubit", wires=2), diff_method="parameter-shift")
    gradient = qp.jacobian(lambda w: qp.math.stack(qnode(x, w)))(w)

    def oracle(w):
        return dense.expectation(SMALL, x, w, READ[1:2])

    slopes = [(oracle(w + h) - oracle(w - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    assert np.allclose(gradient, np.transpose(slopes), atol=1e-8)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_angles_in_every_library(name):
    """Each function an angle may contain, evaluated by NumPy, torch and as a symbol again."""
    circuit = Circuit(1, [RX(inputs(1)[0].apply(name), 0)], 1)
    function, value = to_pennylane(circuit), 0.37
    for x in (np.array([value]), torch.tensor([value], dtype=torch.float64)):
        with qp.queuing.AnnotatedQueue() as queue:
            function(x)
        (op,) = qp.tape.QuantumScript.from_queue(queue).operations
        assert math.isclose(float(op.data[0]), getattr(np, name)(value), rel_tol=1e-15)
    assert from_pennylane(function, 1, 0)[0] == circuit


def test_probabilities_and_no_readout():
    """qp.probs of the named qubits; without observables only the gates."""
    function = to_pennylane(SMALL, Probabilities((1, 0)))
    qnode = qp.QNode(function, qp.device("default.qubit", wires=2))
    x, w = np.array([0.3, -1.2]), np.array([0.5, -0.7, 1.3])
    assert np.allclose(qnode(x, w), dense.probabilities(SMALL, x, w, (1, 0)), atol=1e-12)
    assert to_pennylane(SMALL)(x, w) is None


def test_two_start_states_of_a_batch():
    """They reach the device as one product state, constants beside features, also after other gates."""
    x = inputs(3)
    circuit = Circuit(4, [H(1), amplitudes([x[0], 0.5], 3), amplitudes([x[1], x[2], 1, -0.4], 2, 0), CX(0, 1)], 3)
    rows = np.random.default_rng(2).normal(size=(4, 3))
    expected = [dense.expectation(circuit, row, (), z_each(4)) for row in rows]
    for device in ("default.qubit", "lightning.qubit"):
        qnode = qp.QNode(to_pennylane(circuit, z_each(4)), qp.device(device, wires=4))
        assert np.allclose(np.stack(qnode(rows), 1), expected, atol=1e-10)


def test_torch_layer():
    """The function drops into PennyLane's TorchLayer, named arguments and all."""
    layer = qp.qnn.TorchLayer(small_qnode(interface="torch", diff_method="backprop"), {"weights": 3})
    assert layer(torch.zeros(5, 2)).shape == (5, 4)


# Errors


def raises(kind, match, function, n_inputs=2, shape=None, **options):
    with pytest.raises(kind, match=match):
        from_pennylane(function, n_inputs, shape, **options)


def measured(make):
    return lambda x: (qp.RX(x[0], 0), make())[1]


def test_errors_of_functions_that_need_values():
    """Each names the line, says what failed and what to write instead."""
    raises(ValueError, r"inputs\[..., i\] instead of inputs\[:, i\]", lambda x: qp.RX(x[:, 0], 0))
    raises(TypeError, r"qp.math.sin\(inputs\[..., i\]\) instead of torch.sin", lambda x: qp.RX(torch.sin(x[0]), 0))
    raises(TypeError, "plain numbers for tensors", lambda x: qp.RX(torch.tensor(0.3) * x[0], 0))
    raises(TypeError, "cannot branch", lambda x: qp.RX(x[0], 0) if x[0] > 0 else None)
    raises(TypeError, "cannot branch", lambda x: qp.RX(x[0], 0) if x[0] == 1 else None)
    raises(TypeError, "cannot branch", lambda x: qp.RX(x[0], 0) if x[0] else None)
    raises(TypeError, "cannot branch", lambda x: qp.RX(max(x[0], x[1]), 0))
    raises(TypeError, "functions sin, cos, .* of np or qp.math", lambda x: qp.RX(np.cosh(x[0]), 0))
    raises(TypeError, r"PauliRot\(2 \* t, word, wires\)", lambda x: qp.evolve(qp.X(0), x[0]))
    raises(TypeError, "divide by numbers only", lambda x: qp.RX(x[0] / x[1], 0))
    raises(ValueError, r"AngleEmbedding\(np.pi \* inputs, wires\)", lambda x: qp.BasisEmbedding(x, wires=range(2)))
    raises(ValueError, "which divides the features by their norm", lambda x: qp.StatePrep(x, wires=[0]))
    raises(ValueError, "which divides the features by their norm", lambda x: qp.AmplitudeEmbedding(x, wires=[0]))
    raises(ValueError, "has 2 amplitudes, got", lambda x: qp.AmplitudeEmbedding(x, 0), 3)


def test_inputs_are_found_by_their_name():
    def weights_first(weights, inputs):
        qp.RX(inputs[0], wires=0)
        qp.RY(weights[0], wires=0)

    x, w = inputs(1), weights(1)
    for shape in (1, {"weights": 1}):
        circuit, _ = from_pennylane(weights_first, 1, shape)
        assert circuit == Circuit(1, [RX(x[0], 0), RY(w[0], 0)], 1, 1)


def test_the_error_names_the_line():
    """The user's line, the function's name and the cause."""

    def bad_line(inputs):
        qp.RX(inputs[0], 0)
        qp.RY(torch.tanh(inputs[1]), 0)

    with pytest.raises(TypeError, match=r"got 'qp.RY\(torch.tanh\(inputs\[1\]\), 0\)' in bad_line") as caught:
        from_pennylane(bad_line, 2)
    assert isinstance(caught.value.__cause__, TypeError)


def test_errors_of_operations():
    """Each names the operation and what to write instead."""
    raises(ValueError, "MidMeasure.*control gates by the qubit", lambda x: qp.cond(qp.measure(0), qp.X)(1))
    raises(ValueError, "DepolarizingChannel.*give the noise to the backend", lambda x: qp.DepolarizingChannel(0.1, 0))
    raises(ValueError, r"RX with parameters of shape \(2,\).*inputs\[..., 0\]", lambda x: qp.RX(x, 0))
    raises(ValueError, "StatePrep with the complex", lambda x: qp.StatePrep(np.array([1, 1j]) / 2**0.5, wires=[0]))
    raises(ValueError, "TrotterProduct.*write it with rotations", lambda x: qp.TrotterProduct(qp.X(0) + qp.Z(0), x[0]))
    matrix = [[0, 1], [1, 0]]
    raises(ValueError, "QubitUnitary, expected a unitary", lambda x: qp.QubitUnitary(np.array(matrix) * (1 + x[0]), 0))
    raises(ValueError, r"RX\*\*x\[0\], expected a unitary", lambda x: qp.pow(qp.RX(T, 0), x[0]))
    raises(ValueError, "SProd, expected a unitary", lambda x: qp.s_prod(2.0, qp.X(0)))
    raises(ValueError, "Exp, expected a unitary", lambda x: qp.exp(qp.X(0), T))
    raises(ValueError, "start state .* after other gates", lambda x: (qp.X(0), qp.StatePrep(x, 0, normalize=True)))


def test_errors_of_wires():
    """Names and negative numbers."""
    raises(ValueError, r"wires \['a'\].*qp.map_wires", lambda x: qp.RX(x[0], "a"))
    raises(ValueError, r"wires \[-1\]", lambda x: qp.RX(x[0], -1))
    raises(ValueError, "qubits 0 to 0", lambda x: qp.RX(x[0], 1), n_qubits=1)
    raises(ValueError, "n_qubits=0", lambda x: None)
    renamed = qp.map_wires(gates(lambda x: qp.RX(x[0], "a")), {"a": 0})
    assert from_pennylane(renamed, 1)[0] == Circuit(1, [RX(inputs(1)[0], 0)], 1)


def test_errors_of_measurements():
    """States, samples, mixtures, products of measurements, and unreturned ones."""
    for make in (
        qp.state,
        qp.sample,
        qp.counts,
        lambda: qp.density_matrix(0),
        lambda: qp.var(qp.Z(0)),
        lambda: qp.Z(0),
    ):
        raises(ValueError, r"expected \[qp.expval", measured(make))
    raises(ValueError, r"expected \[qp.expval", measured(lambda: [qp.expval(qp.Z(0)), qp.probs(wires=0)]))
    raises(ValueError, r"expected \[qp.expval", measured(lambda: []))
    raises(ValueError, r"return value None", measured(lambda: (qp.expval(qp.Z(0)), None)[1]))
    raises(ValueError, "Hermitian", measured(lambda: qp.expval(1j * qp.X(0))))
    raises(ValueError, "scale the outputs", lambda x: (qp.RX(T, 0), qp.expval(qp.Hamiltonian([x[0]], [qp.X(0)])))[1])
    with pytest.raises(ValueError, match="Hermitian"):
        from_pennylane(qp.S(0))


def test_errors_of_other_things():
    """No function, transforms on the QNode, wrong lengths going back."""
    raises(TypeError, "got int, expected a quantum function", 3)
    qnode = qp.QNode(lambda x: (qp.RX(x[0], 0), qp.expval(qp.Z(0)))[1], qp.device("default.qubit", wires=1))
    raises(ValueError, "pass qnode.func", qp.transforms.cancel_inverses(qnode), 1)
    with pytest.raises(ValueError, match=r"inputs of shape \(5, 3\), expected \(..., 2\)"):
        to_pennylane(SMALL)(np.zeros((5, 3)), np.zeros(3))
    with pytest.raises(ValueError, match=r"weights of shape \(\), expected \(..., 3\)"):
        to_pennylane(SMALL)(np.zeros(2), 1.0)
    with pytest.raises(TypeError, match="from_pennylane"):
        to_pennylane(SMALL, qp.Z(0))
