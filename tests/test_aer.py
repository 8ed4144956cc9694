"""Aer as a backend: exact and with shots, its traps, methods and runs; noise has its own tests."""

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import dense
import numpy as np
import pytest
import torch
from problems import PROBLEMS
from scipy.stats import chi2_contingency
from strategies import haar_unitary
from tolerances import ACROSS, close

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

from backends import Aer, FiniteDifference, ParameterShift, Spsa, get
from backends import aer as module
from backends import aer_circuits as sent
from backends.noise import as_noise
from backends.qiskit_convert import observable_to_qiskit
from circuits import (
    CP,
    CRX,
    CRY,
    CRZ,
    CX,
    RX,
    RY,
    RZ,
    Circuit,
    H,
    Observable,
    P,
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
from qml import QuantumLayer

X, W = inputs(2), weights(3)
CIRCUIT = Circuit(
    3,
    [RY(X[0], 0), RX(X[0] * X[1], 1), CRX(W[0], 0, 1), CX(1, 2), RY(W[1] * X[1] + W[0], 0), RZ(W[2], 2), H(2)],
    n_inputs=2,
    n_weights=3,
)
READ = (
    pauli("Z0"),
    0.5 * pauli("X0 Y1") - pauli("Z1") + 0.25 * pauli(""),
    pauli("X2") + pauli("Y2 Z0"),
    Observable(()),
)
READOUTS = {"sums": READ, "one": (pauli("Z1"),), "probabilities": Probabilities((2, 0))}


def sample(rows, seed=0):
    """Features (rows, 2) and weights (3,), float64."""
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(-2, 2, (rows, 2))), torch.tensor(rng.uniform(-2, 2, 3))


def oracle(circuit, x, w, readout):
    """Dense matrices, row by row."""
    if isinstance(readout, Probabilities):
        return np.array([dense.probabilities(circuit, row, w, readout.qubits) for row in np.asarray(x)])
    return np.array([dense.expectation(circuit, row, w, readout) for row in np.asarray(x)])


def all_gates():
    """Every gate of the table, on turned qubits, between rotations that make all of them matter."""
    angle = iter(weights(3 * len(TABLE)))
    ops = [RY(0.4 + q, q) for q in range(3)]
    for gate in TABLE.values():
        ops += [gate(*[next(angle)] * gate.n_angles, *(2, 0, 1)[: gate.n_qubits]), RX(next(angle), 1)]
    ops += [PauliRot(next(angle), "XYZ", 1, 2, 0), unitary(haar_unitary(2, seed=3), 2, 0)]
    return Circuit(3, ops, n_weights=3 * len(TABLE))


# Exact values.


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("method", module.MOST_QUBITS)
def test_every_method_agrees_with_dense_matrices(method, readout):
    x, w = sample(5)
    backend, read = Aer(method), READOUTS[readout]
    assert close(backend.expectation(CIRCUIT, x, w, read), oracle(CIRCUIT, x, w, read), 1e-9)
    assert backend.last_stderr is None and backend.capabilities.exact


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if "amplitudes" not in p.name], ids=lambda p: p.name)
def test_closed_forms(problem):
    """Through the state, and through the outcomes in every basis, as where there is noise."""
    x, w = problem.sample(1, 2)
    for backend in (Aer(), Aer(noise={"readout": 0})):
        values = backend.expectation(problem.circuit, torch.tensor(x), torch.tensor(w), problem.readout)
        assert close(values, problem.answer(x, w), ACROSS)


@pytest.mark.parametrize("backend", [Aer(), Aer("density_matrix"), Aer(noise={"readout": 0})], ids=repr)
def test_every_gate(backend):
    circuit = all_gates()
    w = torch.tensor(np.random.default_rng(2).uniform(-2, 2, (3, circuit.n_weights)))
    observables = (*z_each(3), pauli("X0 Y1 Z2"))
    expected = [dense.expectation(circuit, (), row, observables) for row in w.numpy()]
    assert close(backend.expectation(circuit, None, w, observables), expected, ACROSS)


def test_shots_scatter_about_the_exact_value():
    x, w = sample(4)
    for readout in READOUTS.values():
        backend = Aer(shots=5000, seed=1)
        values = backend.expectation(CIRCUIT, x, w, readout)
        stderr, exact = backend.last_stderr.numpy(), oracle(CIRCUIT, x, w, readout)
        assert values.shape == stderr.shape == exact.shape
        assert (abs(values.numpy() - exact) < 5 * stderr + 1e-9).all() and not close(values, exact, 1e-6)


def test_a_batch_without_angles_and_numbers_without_measurement():
    bell, none = Circuit(2, [H(0), CX(0, 1)], 1), torch.zeros(0, dtype=torch.float64)
    x = torch.zeros(4, 1, dtype=torch.float64)
    for backend in (Aer(), Aer(noise={"readout": 0}), Aer(shots=100, seed=1)):
        values = backend.expectation(bell, x, none, (pauli("X0 X1"), 0.5 * pauli(""), Observable(())))
        assert close(values, np.tile([1.0, 0.5, 0.0], (4, 1)), 1e-12)
        values = backend.expectation(bell, x, none, (0.5 * pauli(""),))
        assert close(values, np.full((4, 1), 0.5), 0)


def test_many_angles_keep_their_columns():
    """Qiskit sorts parameters; with names alone, number 10 would come before number 2."""
    circuit = Circuit(2, [RX(x, k % 2) for k, x in enumerate(inputs(12))] + [CX(0, 1)], n_inputs=12)
    x = torch.tensor(np.random.default_rng(3).uniform(-2, 2, (2, 12)))
    for backend in (Aer(), Aer(noise={"readout": 0})):
        values = backend.expectation(circuit, x, torch.zeros(0).double(), (pauli("Z0 Y1"),))
        assert close(values, oracle(circuit, x, (), (pauli("Z0 Y1"),)))


def test_second_derivative_of_a_closed_form():
    w = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    value = Aer().expectation(Circuit(1, [RX(2 * W[0], 0)], 0, 1), None, w, z_each(1))
    (slope,) = torch.autograd.grad(value.sum(), w, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), w)
    assert close(curvature, -4 * np.cos(2 * w.detach().numpy()), ACROSS)


# The silent traps of Aer: wrong values and no error. Each test shows the right value, and the wrong one uncured.


@pytest.fixture
def without(monkeypatch):
    """Return a function that switches a cure off."""

    def off(name, value):
        monkeypatch.setattr(sent, name, value)
        forget()

    def forget():
        for prepare in (sent.saving_words, sent.saving_probabilities, sent.measuring, sent._turned):
            prepare.cache_clear()

    forget()
    yield off
    forget()


@pytest.mark.parametrize("gate", [CRX, CRY, CRZ, CP], ids=lambda gate: gate.name)
def test_trap_rows_of_controlled_rotations(gate, without):
    circuit = Circuit(2, [H(0), RY(0.7, 1), gate(X[0], 0, 1), H(0), RX(0.4, 1)], 1)
    x, none = torch.tensor([[0.4], [1.9], [-2.2]]).double(), torch.zeros(0).double()
    expected = oracle(circuit, x, (), z_each(2))
    assert close(Aer().expectation(circuit, x, none, z_each(2)), expected)
    without("defined", lambda circuit: circuit)
    assert not close(Aer("statevector").expectation(circuit, x, none, z_each(2)), expected, 0.01)


def test_trap_idle_qubits_before_others(without):
    circuit = Circuit(3, [RY(X[0], 1), CX(1, 2), RY(0.5, 2)], 1)
    x, none = torch.tensor([[0.4], [1.9]]).double(), torch.zeros(0).double()
    expected = oracle(circuit, x, (), (pauli("Z1"),))
    assert close(Aer().expectation(circuit, x, none, (pauli("Z1"),)), expected)

    def on_its_qubits(circuit, word, label):
        operator = Observable((((tuple((k, letter) for k, (_, letter) in enumerate(word))), 1.0),))
        operator = observable_to_qiskit(operator, len(word))
        circuit.save_expectation_value(operator, [qubit for qubit, _ in word], label)

    without("_save_word", on_its_qubits)
    assert not close(Aer().expectation(circuit, x, none, (pauli("Z1"),)), expected, 0.01)


def test_idle_qubits_are_no_trap_for_probabilities_and_shots():
    circuit = Circuit(4, [RY(X[0], 1), CX(1, 3), RY(0.5, 3)], 1)
    x, none = torch.tensor([[0.4], [1.9]]).double(), torch.zeros(0).double()
    for method in module.MOST_QUBITS:
        values = Aer(method).expectation(circuit, x, none, Probabilities((3, 0, 1)))
        assert close(values, oracle(circuit, x, (), Probabilities((3, 0, 1))), 1e-9)
    backend = Aer(shots=5000, seed=1)
    values = backend.expectation(circuit, x, none, (pauli("Z1"), pauli("Z3")))
    off = values.numpy() - oracle(circuit, x, (), (pauli("Z1"), pauli("Z3")))
    assert (abs(off) < 5 * backend.last_stderr.numpy()).all()


def amplitudes_of(circuit, parameters, rows):
    """The state of every row, by Aer's rows of parameters and with parameters bound one by one."""
    saved = circuit.copy()
    saved.data = [i for i in saved.data if i.name != "measure"]
    saved.save_statevector()
    binds = [{p: rows[:, k].tolist() for k, p in enumerate(parameters) if p in saved.parameters}]
    simulator = AerSimulator(method="statevector")
    bound = [saved.assign_parameters({p: row[k] for p, k in zip(binds[0], range(9), strict=False)}) for row in rows]
    runs = simulator.run(saved, parameter_binds=binds), simulator.run(bound)
    return [np.array([data.data.statevector for data in run.result().results]) for run in runs]


def test_trap_phases_that_depend_on_parameters(without):
    """What is sent to Aer has no phase that it would not bind, or that would stop it where rows are a batch."""
    model = NoiseModel()  # of rz, sx and cx, in which a phase gate is a rotation and a global phase
    circuit = Circuit(1, [H(0), P(W[0], 0)], n_weights=1)
    rows = np.array([[0.4], [1.9]])

    def prepared():
        found = sent.measuring(circuit, (((0, "Z"),),), as_noise(model))
        return found.circuits[0], found.parameters

    def values():
        return Aer(noise=model).expectation(circuit, None, torch.tensor(rows), (pauli("X0"),))

    assert close(*amplitudes_of(*prepared(), rows), 1e-12) and close(values(), np.cos(rows))
    without("_without_phase", lambda circuit: circuit)
    assert not close(*amplitudes_of(*prepared(), rows), 0.1)
    with pytest.raises(RuntimeError, match="Aer could not run the circuit: ERROR: Failed to load circuits: Invalid"):
        values()


# Runs.


@pytest.fixture
def runs(monkeypatch):
    """What every run of Aer was given, and the method."""
    calls, run = [], AerSimulator.run

    def watched(self, circuits, parameter_binds=None, **options):
        calls.append(SimpleNamespace(circuits=circuits, binds=parameter_binds, **dict(self.options), given=options))
        return run(self, circuits, parameter_binds=parameter_binds, **options)

    monkeypatch.setattr(AerSimulator, "run", watched)
    return calls


@pytest.mark.parametrize(
    "options, n_circuits", [({}, 1), ({"shots": 50}, 3), ({"noise": "readout:0.1"}, 3)], ids=["exact", "shots", "noisy"]
)
def test_all_rows_and_bases_of_a_call_are_one_run(options, n_circuits, runs):
    """A circuit for each basis, a list of values for each angle; a backward pass is one run more."""
    x, w = sample(4)
    read = (pauli("Z0"), pauli("Z1 Z2"), pauli("X0 Y1"), pauli("Y0 X2") + pauli("Y0"))
    value = Aer(**options).expectation(CIRCUIT, x, w.requires_grad_(), read).sum()
    assert [len(run.circuits) for run in runs] == [n_circuits]
    value.backward()
    assert [len(run.circuits) for run in runs] == [n_circuits] * 2
    lengths = [{len(values) for bind in run.binds for values in bind.values()} for run in runs]
    assert lengths == [{4}, {4 * (4 + 2 + 2)}]  # a controlled rotation has four shifts, a rotation two


def test_parallel_experiments_are_the_threads_of_this_process(runs):
    before, (x, w) = torch.get_num_threads(), sample(6)
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(Aer(shots=100, seed=4).expectation(CIRCUIT, x, w, READ))
    finally:
        torch.set_num_threads(before)
    assert [run.max_parallel_experiments for run in runs] == [1, 2]
    assert torch.equal(*results)


def test_threads_do_not_meet():
    calls = [sample(3, seed) for seed in range(12)]
    for backend in (Aer(), Aer(noise="depolarizing:0.1")):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda call, b=backend: b.expectation(CIRCUIT, *call, READ), calls))
        for values, call in zip(found, calls, strict=True):
            assert close(values, backend.expectation(CIRCUIT, *call, READ), 1e-12)


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "matrix_product_state"}, {"method": "statevector", "noise": {"depolarizing": 0.01}}],
    ids=["drawn at once", "by Aer", "trajectories"],
)
def test_equal_rows_bases_and_calls_have_their_own_shots(options):
    circuit, read = Circuit(2, [RY(1.2, 0), RY(X[0], 1)], 1), (pauli("Z0"), pauli("X0"))
    x, none = torch.ones(100, 1).double(), torch.zeros(0).double()
    backend = Aer(shots=100, seed=4, **options)
    first, second = (backend.expectation(circuit, x, none, read).numpy() for _ in range(2))
    assert len(np.unique(first[:, 0])) > 5
    for a, b in [(first[:, 0], second[:, 0]), (first[1:, 0], first[:-1, 0]), (first[:, 0], first[:, 1])]:
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.3


def test_words_that_agree_share_their_shots():
    """The parity of two qubits is the product of their signs in every shot, so one shot tells."""
    x, w = sample(20)
    read = (pauli("Z0"), pauli("Z1"), pauli("Z0 Z1"))
    values = Aer(shots=1, seed=1).expectation(CIRCUIT, x, w, read)
    assert torch.equal(values[:, 0] * values[:, 1], values[:, 2]) and len(values.unique()) == 2


def test_standard_errors_are_as_wide_as_the_scatter():
    """Of 1500 estimates by 200 shots, for single words and for sums of correlated words in one and in two bases."""
    circuit = Circuit(2, [RY(X[0], 0), CX(0, 1), RX(0.3, 1)], 1)
    read = (pauli("Z0"), pauli("Z0") + pauli("Z1"), pauli("Z0") - pauli("Z1"), pauli("X0 X1") + 0.5 * pauli("Z1"))
    x, none = torch.full((1500, 1), 1.1).double(), torch.zeros(0).double()
    for noise in (None, "readout:0.05"):
        exact = Aer(noise=noise).expectation(circuit, x[:1], none, read)
        backend = Aer(shots=200, noise=noise, seed=3)
        off = (backend.expectation(circuit, x, none, read) - exact).numpy()
        stderr = backend.last_stderr.numpy()
        assert np.allclose((off**2).mean(0) / (stderr**2).mean(0), 1, atol=0.12)
        assert np.allclose((abs(off) < 2 * stderr).mean(0), 0.954, atol=0.03)


@pytest.mark.parametrize("options", [{}, {"noise": "depolarizing:0.05+readout:0.1"}], ids=str)
def test_shots_are_drawn_as_aer_draws_them(options, monkeypatch, runs):
    """From all outcomes at once, or one by one: the same frequencies, by a test of chi squared."""
    x, w = sample(1)
    counts = []
    for most in (1024, 0):
        monkeypatch.setattr(module, "MOST_OUTCOMES", most)
        monkeypatch.setattr(Aer, "_has_all_outcomes", lambda *_, most=most: most > 0)
        found = Aer(shots=20_000, seed=1, **options).expectation(CIRCUIT, x, w, Probabilities((0, 2, 1)))
        counts.append(20_000 * found[0].numpy())
    assert [run.circuits[0].count_ops().get("measure", 0) for run in runs] == [0, 3]
    assert chi2_contingency(counts).pvalue > 0.01 and not close(*counts, 0.5)


def test_few_outcomes_are_drawn_at_once(runs):
    """Where a method has their probabilities; the last has noise by trajectories."""
    x, w = sample(2)
    for options in ({}, {"noise": "readout:0.1"}, {"method": "matrix_product_state"}, {"method": "density_matrix"}):
        Aer(shots=50, **options).expectation(CIRCUIT, x, w, READ)
    Aer("statevector", shots=50, noise="readout:0.1").expectation(CIRCUIT, x, w, READ)
    Aer(shots=50).expectation(chain(11, 1), None, torch.zeros(0), z_each(11))
    Aer(shots=2048).expectation(chain(11, 1), None, torch.zeros(0), z_each(11))
    by_aer = [run.circuits[0].count_ops().get("measure", 0) > 0 for run in runs]
    assert by_aer == [False, False, True, False, True, True, False]


def test_the_layer_has_the_standard_errors():
    layer = QuantumLayer(CIRCUIT, READ, Aer(shots=400, seed=1))
    values = layer(torch.zeros(5, 2))
    assert layer.last_stderr.shape == values.shape == (5, 4) and layer.last_stderr.dtype == torch.float32
    layer.to_backend(Aer())(torch.zeros(5, 2))
    assert layer.last_stderr is None


# Methods.


def chain(n_qubits, n_layers, gate=CX):
    """Turns and a line of gates between neighbours, again and again."""
    layers = [
        [*(RY(0.1 + q, q) for q in range(n_qubits)), *(gate(q, q + 1) for q in range(n_qubits - 1))]
        for _ in range(n_layers)
    ]
    return Circuit(n_qubits, layers)


@pytest.mark.parametrize(
    "circuit, options, method",
    [
        (CIRCUIT, {}, "statevector"),
        (chain(11, 1), {}, "statevector"),
        (chain(12, 1), {}, "matrix_product_state"),
        (chain(12, 5), {}, "statevector"),
        (chain(16, 3), {}, "matrix_product_state"),
        (chain(16, 3), {"shots": 1000}, "statevector"),
        (chain(18, 1), {"shots": 50}, "matrix_product_state"),
        (CIRCUIT, {"noise": "readout:0.1"}, "density_matrix"),
        (CIRCUIT, {"noise": "readout:0.1", "shots": 100}, "density_matrix"),
        (chain(7, 1), {"noise": "readout:0.1", "shots": 2}, "density_matrix"),
        (chain(8, 1), {"noise": "readout:0.1", "shots": 20}, "statevector"),
        (chain(8, 1), {"noise": "readout:0.1", "shots": 256}, "density_matrix"),
        (CIRCUIT, {"method": "density_matrix"}, "density_matrix"),
        (CIRCUIT, {"method": "matrix_product_state", "shots": 10}, "matrix_product_state"),
    ],
)
def test_methods(circuit, options, method, runs):
    x, w = torch.zeros(circuit.n_inputs).double(), torch.zeros(circuit.n_weights).double()
    Aer(**options).expectation(circuit, x if circuit.n_inputs else None, w, (pauli("Z0"),))
    assert [run.method for run in runs] == [method]


def test_gates_that_make_more_bonds():
    """A swap moves two qubits' worth across a cut, and a gate between distant qubits crosses every cut on its way."""

    def circuit(*pairs, gate="cx"):
        made = QuantumCircuit(12)
        made.ry(Parameter("t"), 0)
        for pair in pairs:
            getattr(made, gate)(*pair)
        return made

    assert sent.favours_product_state(circuit(*[(5, 6)] * 3))
    assert not sent.favours_product_state(circuit(*[(q, q + 1) for q in range(11)] * 4, gate="swap"))
    assert sent.favours_product_state(circuit(*[(0, 1)] * 4)) and not sent.favours_product_state(
        circuit(*[(0, 11)] * 4)
    )


def test_a_wide_circuit_by_matrix_product_states():
    """Forty qubits: after a line of CX, Z on qubit k is the product of the first cosines."""
    x = inputs(40)
    circuit = Circuit(40, [*(RX(x[q], q) for q in range(40)), *(CX(q, q + 1) for q in range(39))], 40)
    values = torch.tensor(np.random.default_rng(0).uniform(0.4, 0.6, (2, 40)))
    expected = values.cos().cumprod(1)
    assert close(Aer().expectation(circuit, values, torch.zeros(0).double(), z_each(40)), expected, 1e-9)
    backend = Aer("matrix_product_state", shots=500, seed=1)
    off = backend.expectation(circuit, values, torch.zeros(0).double(), z_each(40)) - expected
    assert (abs(off) < 5 * backend.last_stderr).all()


# What it says of itself, copies, names.


def test_diff_methods():
    assert Aer().gradient == Aer(diff_method="best").gradient == ParameterShift()
    assert Aer(diff_method="finite-diff").capabilities.gradient == "finite-diff"
    assert Aer(diff_method="spsa", seed=3).gradient == Spsa(seed=3)
    assert Aer(diff_method=FiniteDifference(0.01)).gradient == FiniteDifference(0.01)


def some_model():
    model = NoiseModel(["rx", "ry", "rz", "cx"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), ["cx"])
    return model


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("noise", [None, "depolarizing:0.1", "manila", some_model()], ids=lambda n: str(n)[:12])
def test_copies(noise, copied):
    """They keep all settings and start the run anew."""
    if noise == "manila":
        pytest.importorskip("qiskit_ibm_runtime")
    x, w = sample(2)
    backend = Aer(shots=100, noise=noise, seed=1, diff_method="finite-diff")
    first, second = (backend.expectation(CIRCUIT, x, w, READ) for _ in range(2))
    twin = copied(backend)
    assert (repr(twin), twin.capabilities) == (repr(backend), backend.capabilities)
    assert torch.equal(twin.expectation(CIRCUIT, x, w, READ), first) and not torch.equal(first, second)


def test_copies_without_a_seed_are_not_alike():
    x, w = sample(20)
    backend = Aer(shots=1000)
    twin = copy.deepcopy(backend)
    assert not torch.equal(*(b.expectation(CIRCUIT, x, w, READ) for b in (backend, twin)))


def test_names_on_the_command_line():
    assert repr(get("aer")) == "Aer('automatic', shots=None, noise=None, gradient='parameter-shift')"
    backend = get("aer:density_matrix,shots=4096,noise=depolarizing:0.01+readout:0.02,seed=3,diff_method=spsa")
    noise = "'depolarizing:0.01+readout:0.02'"
    assert repr(backend) == f"Aer('density_matrix', shots=4096, noise={noise}, gradient='spsa')"
    assert repr(Aer(noise=some_model())).startswith("Aer('automatic', shots=None, noise=NoiseModel, ")


def test_a_device_on_the_command_line():
    pytest.importorskip("qiskit_ibm_runtime")
    assert get("aer:shots=4096,noise=manila").noise == "manila"


# Errors.


@pytest.mark.parametrize("method", ["stabilizer", "mps", 3, None])
def test_error_of_method(method):
    with pytest.raises(ValueError, match=f"got method={method!r}, expected one of 'automatic', 'statevector'"):
        Aer(method)


@pytest.mark.parametrize("method", ["statevector", "matrix_product_state"])
def test_error_of_exact_values_with_noise(method):
    with pytest.raises(ValueError, match=f"got method={method!r} with noise and without shots, expected 'density_mat"):
        Aer(method, noise="readout:0.1")
    assert Aer(method, noise="readout:0.1", shots=3).method == method


@pytest.mark.parametrize(
    "options, text",
    [
        ({"shots": 0}, "got shots=0, expected a positive integer, or None for exact values"),
        ({"shots": 1.5}, r"got shots=1.5, expected a positive integer"),
        ({"seed": -1}, "got seed=-1, expected an integer >= 0, or None"),
        ({"diff_method": "adjoint"}, "got diff_method='adjoint', expected 'parameter-shift', .*Statevector"),
        ({"noise": "x"}, "got noise='x', expected a NoiseModel, a device such as 'manila'"),
    ],
    ids=str,
)
def test_errors_of_options(options, text):
    if "noise" in options:
        pytest.importorskip("qiskit_ibm_runtime")
    with pytest.raises(ValueError, match=text):
        Aer(**options)


@pytest.mark.parametrize(
    "options, most, why",
    [
        ({"method": "statevector"}, 28, r" \(a state vector takes 16 \* 2\*\*n bytes, 4.3 GB for 28 qubits\)"),
        ({"noise": "readout:0.1"}, 14, r" \(a density matrix takes 16 \* 4\*\*n bytes, 4.3 GB for 14 qubits\)"),
        ({"method": "density_matrix"}, 14, r" \(a density matrix takes .*\)"),
        ({"noise": "manila"}, 5, r" \(the device 'manila' has no more\)"),
        ({"method": "matrix_product_state"}, 100, ""),
    ],
    ids=str,
)
def test_errors_of_size(options, most, why):
    """Said when a layer is made, with the bytes."""
    if options.get("noise") == "manila":
        pytest.importorskip("qiskit_ibm_runtime")
    text = f"got a circuit of {most + 1} qubits, expected at most {most} on Aer{why}: use fewer qubits or another"
    with pytest.raises(ValueError, match=text):
        QuantumLayer(Circuit(most + 1, []), backend=Aer(**options))


def test_error_of_a_wide_circuit_that_is_too_entangled():
    pairs = itertools.combinations(range(0, 40, 2), 2)
    circuit = Circuit(40, [*(RY(0.3, q) for q in range(40)), *(CX(*pair) for pair in [*pairs] * 2)])
    text = r"got a circuit that needs 40 qubits, expected at most 28 with the method 'statevector' \(a state vector"
    with pytest.raises(ValueError, match=text):
        Aer().expectation(circuit, None, torch.zeros(0), z_each(40))


def test_error_of_start_states():
    circuit = Circuit(1, [amplitudes([X[0], X[1]], 0)], 2)
    with pytest.raises(ValueError, match="got the operation 'amplitudes', which Aer cannot run"):
        QuantumLayer(circuit, backend=Aer())


def test_what_aer_says_is_passed_on_in_one_line():
    with pytest.raises(RuntimeError, match=r"^Aer could not run the circuit: ERROR: \[Experiment 0\] no memory$"):
        module._read(SimpleNamespace(success=False, status="ERROR:  [Experiment 0]\n no memory"), 1)
