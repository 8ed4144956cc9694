import copy
import pickle

import dense
import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from problems import PROBLEMS
from strategies import haar_unitary
from tolerances import ACROSS, close

from backends import FiniteDifference, ParameterShift, get
from circuits import (
    CRX,
    CRZ,
    CX,
    RX,
    RY,
    Circuit,
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
from circuits.gates import TABLE

pytest.importorskip("qiskit")

from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator, StatevectorSampler

from backends import QiskitEstimator

X, W = inputs(2), weights(3)
CIRCUIT = Circuit(
    2, [RY(X[0], 0), RX(X[0] * X[1], 1), CRX(W[0], 0, 1), CX(1, 0), RY(W[1] * X[1] + W[0], 0)], n_inputs=2, n_weights=3
)
OBSERVABLES = (pauli("Z0"), 0.5 * pauli("X0 Y1") - pauli("Z1") + 0.25 * pauli(""))


class Counting(BaseEstimatorV2):
    """Qiskit's exact estimator, keeping the PUBs of every run."""

    def __init__(self):
        self.runs = []

    def run(self, pubs, *, precision=None):
        self.runs.append(pubs)
        return StatevectorEstimator().run(pubs, precision=precision)


def sample(rows, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(-2, 2, (rows, 2))), torch.tensor(rng.uniform(-2, 2, 3))


def all_gates():
    """Every gate of the table, on turned qubits, between rotations that make all of them matter."""
    angle = iter(weights(3 * len(TABLE)))
    ops = [RY(0.4 + q, q) for q in range(3)]
    for gate in TABLE.values():
        ops += [gate(*[next(angle)] * gate.n_angles, *(2, 0, 1)[: gate.n_qubits]), RX(next(angle), 1)]
    ops += [PauliRot(next(angle), "XYZ", 1, 2, 0), unitary(haar_unitary(2, seed=3), 2, 0)]
    return Circuit(3, ops, n_weights=3 * len(TABLE))


def test_batches_agree_with_dense_matrices():
    x, w = sample(5)
    expected = np.stack([dense.expectation(CIRCUIT, row, w, OBSERVABLES) for row in x])
    assert close(QiskitEstimator().expectation(CIRCUIT, x, w, OBSERVABLES), expected, ACROSS)


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if "amplitudes" not in p.name], ids=lambda p: p.name)
def test_closed_forms(problem):
    x, w = problem.sample(1, 2)
    values = QiskitEstimator().expectation(problem.circuit, torch.tensor(x), torch.tensor(w), problem.readout)
    assert close(values, problem.answer(x, w), ACROSS)


def test_every_gate():
    circuit = all_gates()
    w = np.random.default_rng(2).uniform(-2, 2, circuit.n_weights)
    observables = (*z_each(3), pauli("X0 Y1 Z2"))
    values = QiskitEstimator().expectation(circuit, None, torch.tensor(w), observables)
    assert close(values, dense.expectation(circuit, (), w, observables), ACROSS)


@pytest.mark.parametrize("qubits", [(0,), (1, 0), (2, 0, 1)])
def test_probabilities(qubits):
    circuit = Circuit(3, [RY(X[0], 0), RX(X[1], 2), CX(0, 1), RY(W[0], 1)], 2, 3)
    x, w = sample(3)
    values = QiskitEstimator().expectation(circuit, x, w, Probabilities(qubits))
    expected = [dense.probabilities(circuit, row, w, qubits) for row in x.numpy()]
    assert close(values, expected, ACROSS)
    assert close(values.sum(-1), np.ones(3), ACROSS)


def test_numbers_need_no_measurement():
    estimator = Counting()
    values = QiskitEstimator(estimator).expectation(
        CIRCUIT, *sample(2), (0.5 * pauli(""), pauli("Z0") - pauli("Z0"), Observable(()))
    )
    assert close(values, [[0.5, 0.0, 0.0]] * 2, 0) and not estimator.runs


def test_a_circuit_without_angles_runs_for_every_row():
    values = QiskitEstimator().expectation(Circuit(2, [CX(0, 1)], 1, 0), torch.zeros(3, 1), torch.zeros(0), z_each(2))
    assert close(values, torch.ones(3, 2), 1e-6)


def test_first_derivative():
    x, w = (t.requires_grad_() for t in sample(2))
    backend = QiskitEstimator()
    assert torch.autograd.gradcheck(lambda x, w: backend.expectation(CIRCUIT, x, w, OBSERVABLES), (x, w))


def hessian(backend, x, w):
    """Second derivatives of the summed outputs, [[xx, xw], [wx, ww]] as one flat vector."""
    blocks = torch.autograd.functional.hessian(lambda *xw: backend.expectation(CIRCUIT, *xw, OBSERVABLES).sum(), (x, w))
    return torch.cat([block.flatten() for row in blocks for block in row])


def test_second_derivative_agrees_with_dense_matrices():
    assert close(hessian(QiskitEstimator(), *sample(1)), hessian(DenseBackend(), *sample(1)), ACROSS)


def test_second_derivative_of_a_closed_form():
    w = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    value = QiskitEstimator().expectation(Circuit(1, [RX(2 * W[0], 0)], 0, 1), None, w, z_each(1))
    (slope,) = torch.autograd.grad(value.sum(), w, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), w)
    assert close(curvature, -4 * np.cos(2 * w.detach().numpy()), ACROSS)


def test_a_call_is_one_pub_and_a_backward_pass_one_more():
    estimator = Counting()
    x, w = sample(4)
    loss = QiskitEstimator(estimator).expectation(CIRCUIT, x, w.requires_grad_(), OBSERVABLES).sum()
    assert [len(pubs) for pubs in estimator.runs] == [1]
    loss.backward()
    assert [len(pubs) for pubs in estimator.runs] == [1, 1]
    (bindings,) = (pubs[0][2] for pubs in estimator.runs[1:])
    (rows,) = bindings.values()
    assert rows.shape == (4 * (4 + 2), 4)  # a controlled rotation has four shifts, a rotation two


def test_no_gradient_runs_nothing_more():
    estimator = Counting()
    x, w = sample(4)
    with torch.no_grad():
        QiskitEstimator(estimator).expectation(CIRCUIT, x, w.requires_grad_(), OBSERVABLES)
    assert len(estimator.runs) == 1


def test_many_angles_keep_their_columns():
    """Qiskit sorts parameters; with names alone, number 10 would come before number 2."""
    circuit = Circuit(2, [RX(x, k % 2) for k, x in enumerate(inputs(12))] + [CX(0, 1)], n_inputs=12)
    x = np.random.default_rng(3).uniform(-2, 2, (2, 12))
    values = QiskitEstimator().expectation(circuit, torch.tensor(x), torch.zeros(0, dtype=torch.float64), OBSERVABLES)
    assert close(values, [dense.expectation(circuit, row, (), OBSERVABLES) for row in x], ACROSS)


def test_aer_as_the_estimator():
    aer = pytest.importorskip("qiskit_aer.primitives", reason="Aer's EstimatorV2 needs qiskit-aer")
    backend = QiskitEstimator(aer.EstimatorV2())
    circuit = all_gates()
    rng = np.random.default_rng(4)
    w = rng.uniform(-2, 2, (3, circuit.n_weights))  # several rows: where Aer binds some gates wrongly
    observables = (*z_each(3), pauli("X0 Y1 Z2") + 0.5 * pauli(""))
    values = backend.expectation(circuit, None, torch.tensor(w), observables)
    assert close(values, [dense.expectation(circuit, (), row, observables) for row in w], ACROSS)


def test_gradients_through_aer():
    aer = pytest.importorskip("qiskit_aer.primitives", reason="Aer's EstimatorV2 needs qiskit-aer")
    circuit = Circuit(2, [RY(X[0], 0), CRZ(W[0], 1, 0), CRX(W[1], 0, 1)], 2, 3)
    x, w = sample(1)
    backend = QiskitEstimator(aer.EstimatorV2())
    w.requires_grad_()
    assert torch.autograd.gradcheck(lambda w: backend.expectation(circuit, x, w, OBSERVABLES), (w,))


def test_precision_reaches_the_estimator():
    x, w = sample(200)
    x, observable = x[:1].expand(200, 2), (pauli("Z0"),)
    exact = QiskitEstimator().expectation(CIRCUIT, x[:1], w, observable)
    noisy = QiskitEstimator(StatevectorEstimator(seed=np.random.default_rng(1)), precision=0.05)
    values = noisy.expectation(CIRCUIT, x, w, observable)
    assert 0.03 < values.std() < 0.07
    assert abs(values.mean() - exact) < 5 * 0.05 / np.sqrt(200)


@pytest.mark.parametrize(
    ("backend", "exact"),
    [
        (QiskitEstimator(), True),
        (QiskitEstimator(precision=0.1), False),
        (QiskitEstimator(StatevectorEstimator()), False),
    ],
    ids=repr,
)
def test_capabilities(backend, exact):
    capabilities = backend.capabilities
    assert (capabilities.exact, capabilities.gradient, capabilities.devices) == (exact, "parameter-shift", ("cpu",))
    assert not capabilities.simulator_kinds
    assert QiskitEstimator(gradient=FiniteDifference()).capabilities.gradient == "finite-diff"


def test_too_many_qubits_are_refused():
    with pytest.raises(ValueError, match="got a circuit of 25 qubits, expected at most 24 on QiskitEstimator"):
        QiskitEstimator().expectation(Circuit(25, []), None, torch.zeros(0), z_each(1))


def test_start_states_are_refused_before_anything_runs():
    estimator = Counting()
    circuit = Circuit(1, [amplitudes([X[0], X[1]], 0)], 2)
    with pytest.raises(ValueError, match="got the operation 'amplitudes', which QiskitEstimator cannot run"):
        QiskitEstimator(estimator).expectation(circuit, torch.ones(1, 2), torch.zeros(0), z_each(1))
    assert not estimator.runs


@pytest.mark.parametrize(
    ("estimator", "name"),
    [(StatevectorSampler(), "StatevectorSampler"), (StatevectorEstimator, "StatevectorEstimator")],
)
def test_something_else_than_an_estimator_is_refused(estimator, name):
    with pytest.raises(TypeError, match=f"got {name} as an estimator, expected an object with Qiskit's EstimatorV2"):
        QiskitEstimator(estimator)


@pytest.mark.parametrize("precision", [0, -0.1, float("nan")])
def test_precision_is_positive(precision):
    with pytest.raises(ValueError, match=f"got precision={precision}, expected a number > 0, or None"):
        QiskitEstimator(precision=precision)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deepcopy", "pickle"])
def test_copies_give_the_same_values(copied):
    backend = QiskitEstimator(gradient=ParameterShift())
    x, w = sample(2)
    before = backend.expectation(CIRCUIT, x, w, OBSERVABLES)
    assert torch.equal(copied(backend).expectation(CIRCUIT, x, w, OBSERVABLES), before)
    assert repr(copied(backend)) == repr(backend)


def test_it_has_a_name_on_the_command_line():
    backend = get("qiskit:precision=0.01")
    assert repr(backend) == "QiskitEstimator(precision=0.01, gradient='parameter-shift')"
    assert repr(QiskitEstimator(Counting())) == "QiskitEstimator(Counting, gradient='parameter-shift')"
