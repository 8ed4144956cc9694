import copy
import pickle

import dense
import numpy as np
import pytest
import torch
from tolerances import close

pytest.importorskip("qiskit_ibm_runtime")

from ibm_folders import own_folders  # noqa: F401
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

import backends
from backends import IBM, FiniteDifference, ParameterShift, Spsa, Statevector
from backends.ibm_transpile import transpiled
from backends.planning import OverBudget
from circuits import CRX, CX, RX, RY, Circuit, Observable, Probabilities, amplitudes, inputs, pauli, weights, z_each
from qml import QuantumLayer

pytestmark = pytest.mark.usefixtures("own_folders")

X, W = inputs(2), weights(3)
CIRCUIT = Circuit(
    2, [RY(X[0], 0), RX(X[0] * X[1], 1), CRX(W[0], 0, 1), CX(1, 0), RY(W[1] * X[1] + W[0], 0)], n_inputs=2, n_weights=3
)
OBSERVABLES = (pauli("Z0"), 0.5 * pauli("X0 Y1") - pauli("Z1") + 0.25 * pauli(""))


def sample(rows, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(-2, 2, (rows, 2))), torch.tensor(rng.uniform(-2, 2, 3))


def noiseless(**options):
    """A perfect device: what differs from the exact values is shot noise."""
    return IBM(AerSimulator(), **{"shots": 2000, "seed": 1} | options)


def counted(backend, monkeypatch):
    calls, evaluate = [], backend.evaluate
    monkeypatch.setattr(backend, "evaluate", lambda *given: calls.append(len(given[1])) or evaluate(*given))
    return calls


# Values.


def test_values_and_errors_of_a_perfect_device():
    x, w = sample(40)
    backend = noiseless()
    expected = np.stack([dense.expectation(CIRCUIT, row, w, OBSERVABLES) for row in x])
    found = backend.expectation(CIRCUIT, x, w, OBSERVABLES)
    deviations = (found - torch.tensor(expected)) / backend.last_stderr
    assert backend.last_stderr.shape == (40, 2) and 0.001 < backend.last_stderr.mean() < 0.05
    assert deviations.abs().max() < 5 and 0.8 < deviations[:, 0].std() < 1.25


def test_values_of_a_fake_device_are_those_of_its_noise():
    x, w = sample(5)
    found = IBM("manila", shots=20_000, seed=1).expectation(CIRCUIT, x, w, z_each(2))
    laid = transpiled(CIRCUIT, FakeManilaV2())
    angles = [[a, a * b, w[0], w[1] * b + w[0]] for a, b in x.tolist()]
    measured = laid.circuit.copy()
    measured.measure_all()
    bound = np.array(angles)[:, list(laid.columns)]
    bits = SamplerV2.from_backend(FakeManilaV2(), seed=3).run([(measured, bound, 20_000)]).result()[0].data.meas
    expected = np.stack([bits.expectation_values(op) for (op,) in laid.operators(z_each(2), 2)], axis=1)
    assert np.abs(found.numpy() - expected).max() < 5 * np.sqrt(2 / 20_000)
    exact = Statevector().expectation(CIRCUIT, x, w, z_each(2))
    assert (found - exact).abs().max() > 8 / np.sqrt(20_000)  # the noise is seen


@pytest.mark.parametrize("qubits", [(0,), (1, 0)])
def test_probabilities(qubits):
    x, w = sample(20)
    backend = noiseless()
    found = backend.expectation(CIRCUIT, x, w, Probabilities(qubits))
    expected = torch.tensor(np.array([dense.probabilities(CIRCUIT, row, w, qubits) for row in x.numpy()]))
    assert close(found.sum(-1), np.ones(20), 1e-9)
    assert ((found - expected).abs() <= 5 * backend.last_stderr + 0.005).all()
    assert close(backend.last_stderr, (expected * (1 - expected) / 2000).sqrt(), 0.004)


def test_mitigated_readout_comes_nearer_to_the_truth():
    x, w = sample(6)
    exact = Statevector().expectation(CIRCUIT, x, w, z_each(2))
    plain, mitigated = (
        IBM("manila", shots=4000, resilience_level=level, seed=2).expectation(CIRCUIT, x, w, z_each(2))
        for level in (0, 1)
    )
    assert (mitigated - exact).square().mean() < (plain - exact).square().mean()


def test_numbers_need_no_measurement():
    backend = IBM("manila", shots=100)
    values = backend.expectation(CIRCUIT, *sample(2), (0.5 * pauli(""), pauli("Z0") - pauli("Z0"), Observable(())))
    assert close(values, [[0.5, 0.0, 0.0]] * 2, 0) and close(backend.last_stderr, np.zeros((2, 3)), 0)
    assert backend.transpiles == 0


def test_a_circuit_without_angles_is_measured_once_for_all_rows():
    backend = noiseless()
    circuit = Circuit(2, [CX(0, 1)], 1, 0)
    assert close(backend.expectation(circuit, torch.zeros(3, 1), torch.zeros(0), z_each(2)), torch.ones(3, 2), 1e-6)
    assert backend.cost(circuit, z_each(2), 3).circuits == 1


def test_many_angles_keep_their_columns():
    circuit = Circuit(2, [RX(x, k % 2) for k, x in enumerate(inputs(12))] + [CX(0, 1)], n_inputs=12)
    x = torch.tensor(np.random.default_rng(3).uniform(-2, 2, (3, 12)))
    found = noiseless(shots=20_000).expectation(circuit, x, torch.zeros(0, dtype=torch.float64), OBSERVABLES)
    assert close(found, [dense.expectation(circuit, row, (), OBSERVABLES) for row in x.numpy()], 0.06)


# Gradients.


def test_one_call_brings_readouts_and_gradients(monkeypatch):
    backend = noiseless(shots=10_000)
    calls = counted(backend, monkeypatch)
    x, w = sample(3)
    w.requires_grad_()
    backend.expectation(CIRCUIT, x, w, OBSERVABLES).sum().backward()
    exact = w.detach().clone().requires_grad_()
    Statevector().expectation(CIRCUIT, x, exact, OBSERVABLES).sum().backward()
    assert calls == [3 * (1 + 4 + 2)] and backend.position == 1
    assert close(w.grad, exact.grad, 0.15)


def test_what_only_predicts_asks_for_no_gradient(monkeypatch):
    backend = IBM("manila", shots=50, seed=1)
    calls = counted(backend, monkeypatch)
    layer = QuantumLayer(CIRCUIT, OBSERVABLES, backend)
    layer.eval()(torch.zeros(3, 2))
    with torch.no_grad():
        layer.train()(torch.zeros(4, 2))
    assert calls == [3, 4]


def test_estimators_of_gradients_need_fewer_circuits(monkeypatch):
    backend = IBM("manila", shots=50, seed=1, gradient=Spsa(0.3, seed=1))
    calls = counted(backend, monkeypatch)
    QuantumLayer(CIRCUIT, OBSERVABLES, backend)(torch.zeros(4, 2)).sum().backward()
    assert calls == [4 * 3] and backend.capabilities.gradient == "spsa"


def test_a_model_around_it_trains():
    torch.manual_seed(0)
    layer = QuantumLayer(CIRCUIT, OBSERVABLES, IBM("manila", shots=200, seed=1))
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), layer, torch.nn.Linear(2, 1))
    x, y = torch.randn(6, 3), torch.tensor([[1.0], [-1.0]] * 3)
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.1), []
    for _ in range(4):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad.abs().max() > 0 for p in model[0].parameters())


# Seeds.


def test_the_same_seed_gives_the_same_numbers_call_by_call_and_fresh_ones_each_call():
    x, w = sample(2)
    first, second, other = (IBM("manila", shots=500, seed=seed) for seed in (0, 0, 1))
    a, b = (first.expectation(CIRCUIT, x, w, OBSERVABLES) for _ in range(2))
    assert not torch.equal(a, b)
    assert torch.equal(second.expectation(CIRCUIT, x, w, OBSERVABLES), a)
    assert torch.equal(second.expectation(CIRCUIT, x, w, OBSERVABLES), b)
    assert not torch.equal(other.expectation(CIRCUIT, x, w, OBSERVABLES), a)


def test_without_a_seed_chance_decides():
    x, w = sample(2)
    a, b = (IBM("manila", shots=500).expectation(CIRCUIT, x, w, OBSERVABLES) for _ in range(2))
    assert not torch.equal(a, b)


def test_a_position_that_was_kept_gives_the_numbers_from_there():
    x, w = sample(2)
    first, second = IBM("manila", shots=500, seed=4), IBM("manila", shots=500, seed=4)
    first.expectation(CIRCUIT, x, w, OBSERVABLES)
    second.position = first.position
    assert torch.equal(second.expectation(CIRCUIT, x, w, OBSERVABLES), first.expectation(CIRCUIT, x, w, OBSERVABLES))


COPIES = pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deep", "pickle"]
)


@COPIES
@pytest.mark.parametrize("device", ["manila", FakeManilaV2()], ids=["name", "object"])
def test_copies_start_anew(copied, device):
    x, w = sample(2)
    backend = IBM(device, shots=500, seed=4)
    first = backend.expectation(CIRCUIT, x, w, OBSERVABLES)
    other = copied(backend)
    assert repr(other) == repr(backend) and other.position == 0
    assert torch.equal(other.expectation(CIRCUIT, x, w, OBSERVABLES), first)
    chance = copied(IBM(device, shots=500)), copied(IBM(device, shots=500))
    assert not torch.equal(*(backend.expectation(CIRCUIT, x, w, OBSERVABLES) for backend in chance))


@COPIES
def test_copies_of_a_run_that_is_kept_go_on_where_its_jobs_are(copied, own_folders):  # noqa: F811
    x, w = sample(2)
    backend = IBM("manila", shots=500, store=own_folders / "jobs.sqlite", label="a")
    backend.expectation(CIRCUIT, x, w, OBSERVABLES)
    other = copied(backend)
    assert other.position == 1
    assert torch.equal(other.expectation(CIRCUIT, x, w, OBSERVABLES), backend.expectation(CIRCUIT, x, w, OBSERVABLES))


# The journal.


def test_with_a_label_a_run_that_starts_again_measures_nothing_twice(monkeypatch, own_folders):  # noqa: F811
    from backends.ibm_jobs import Part

    measured, measure = [], Part.measure
    monkeypatch.setattr(Part, "measure", lambda part: measured.append(len(part.rows)) or measure(part))
    x, w = sample(2)

    def run(label="a run"):
        backend = IBM("manila", shots=100, label=label, store=own_folders / "jobs.sqlite")
        return [backend.expectation(CIRCUIT, x, w, OBSERVABLES) for _ in range(2)]

    first, again = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)) and measured == [2, 2]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(run("another run")[0], first[0]) and measured == [2, 2, 2, 2]


def test_the_journal_is_in_the_data_folder_unless_it_is_given(own_folders):  # noqa: F811
    x, w = sample(1)
    IBM("manila", shots=10).expectation(CIRCUIT, x, w, OBSERVABLES)
    assert not (own_folders / "XDG_DATA_HOME").exists()  # nothing to keep of an unnamed run that costs nothing
    IBM("manila", shots=10, label="kept").expectation(CIRCUIT, x, w, OBSERVABLES)
    assert list((own_folders / "XDG_DATA_HOME").rglob("jobs.sqlite"))


# Budget.


@pytest.mark.parametrize("store", [None, "jobs.sqlite"])
def test_over_budget_nothing_is_measured(store, own_folders):  # noqa: F811
    x, w = sample(10)
    step = IBM("manila", shots=1000).cost(CIRCUIT, OBSERVABLES, 10).seconds
    backend = IBM("manila", shots=1000, seed=1, budget_seconds=1.5 * step, store=store and own_folders / store)
    backend.expectation(CIRCUIT, x, w, OBSERVABLES)
    assert backend.spent() == pytest.approx(step)
    text = (
        rf"got a step of about {step:.4g} s of QPU time with {step:.4g} of {1.5 * step:.4g} s used, expected at most "
        rf".* s: nothing was sent; use shots=(499|500), which fits once, give fewer samples, or raise budget_seconds to"
    )
    with pytest.raises(OverBudget, match=text):
        backend.expectation(CIRCUIT, x, w, OBSERVABLES)
    assert backend.spent() == pytest.approx(step) and backend.position == 1
    backend.expectation(CIRCUIT, x[:4], w, OBSERVABLES)  # fits


def test_without_a_label_a_budget_is_of_this_backend_alone(own_folders):  # noqa: F811
    x, w = sample(4)
    step = IBM("manila", shots=100).cost(CIRCUIT, OBSERVABLES, 4).seconds
    for seed in range(3):
        options = {"shots": 100, "store": own_folders / "jobs.sqlite", "budget_seconds": 1.5 * step}
        backend = IBM("manila", **options, seed=seed)
        backend.expectation(CIRCUIT, x, w, OBSERVABLES)
        assert backend.spent() == pytest.approx(step)
        with pytest.raises(OverBudget):
            backend.expectation(CIRCUIT, x, w, OBSERVABLES)


def test_what_was_measured_before_fits_any_budget(own_folders):  # noqa: F811
    x, w = sample(4)
    options = {"shots": 100, "label": "a", "store": own_folders / "jobs.sqlite"}
    first = IBM("manila", **options)
    values = first.expectation(CIRCUIT, x, w, OBSERVABLES)
    again = IBM("manila", **options, budget_seconds=first.spent())
    assert torch.equal(again.expectation(CIRCUIT, x, w, OBSERVABLES), values)
    with pytest.raises(OverBudget):
        again.expectation(CIRCUIT, x, w, OBSERVABLES)


# Costs.


def test_the_cost_is_rows_times_bases_times_factors_times_shots():
    backend = IBM("manila", shots=1000)
    readout = (pauli("Z0"), pauli("X0"), pauli("Z1"))
    one, many = backend.cost(CIRCUIT, readout, 1), backend.cost(CIRCUIT, readout, 7)
    assert (many.rows, many.circuits, many.shots, many.jobs) == (7, 14, 14_000, 1)
    assert many.seconds == pytest.approx(7 * one.seconds) and 2000 * 250e-6 < one.seconds < 2000 * 270e-6
    factors = IBM("manila", shots=1000, zne=(1, 2, 3)).cost(CIRCUIT, readout, 7)
    assert factors.circuits == 3 * many.circuits and factors.seconds == pytest.approx(6 * many.seconds)
    assert backend.cost(CIRCUIT, Probabilities((0, 1)), 7).circuits == 7
    assert backend.cost(CIRCUIT, (pauli(""),), 7).jobs == 0


def test_transpiled_once_and_not_again_by_the_next_process():
    x, w = sample(2)
    backend = IBM("manila", shots=10)
    for readout in (OBSERVABLES, z_each(2), OBSERVABLES):
        backend.expectation(CIRCUIT, x, w, readout)
    again = IBM("manila", shots=10)
    again.expectation(CIRCUIT, x, w, OBSERVABLES)
    assert (backend.transpiles, again.transpiles) == (1, 0)


# Borders.


def test_capabilities():
    known = IBM("manila").capabilities
    assert (known.exact, known.max_qubits, known.gradient, known.simulator_kinds) == (
        False,
        5,
        "parameter-shift",
        frozenset(),
    )
    assert IBM("manila", gradient=FiniteDifference()).capabilities.gradient == "finite-diff"
    assert IBM("manila").gradient == ParameterShift()


def test_what_the_device_cannot_run_is_refused_before_anything_is_measured():
    with pytest.raises(ValueError, match="got a circuit of 6 qubits, expected at most 5 on IBM"):
        QuantumLayer(Circuit(6, []), "Z0", IBM("manila"))
    with pytest.raises(ValueError, match="got the operation 'amplitudes', which IBM cannot run"):
        QuantumLayer(Circuit(1, [amplitudes([X[0], X[1]], 0)], 2), "Z0", IBM("manila"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "serial"}, "got mode='serial', expected 'job', 'batch' or 'session'"),
        ({"budget_seconds": 0}, "got budget_seconds=0, expected a number > 0, or None for no limit"),
        ({"budget_seconds": "1h"}, "got budget_seconds='1h', expected a number > 0"),
        ({"seed": -1}, "got seed=-1, expected an integer >= 0, or None"),
        ({"seed": 1.5}, "got seed=1.5, expected an integer >= 0, or None"),
        ({"shots": 0}, "got shots=0, expected a positive integer"),
    ],
)
def test_wrong_options(options, text):
    with pytest.raises(ValueError, match=text):
        IBM("manila", **options)


def test_probabilities_of_too_many_qubits():
    text = "got the probabilities of 11 qubits, expected of at most 10 on IBM: read fewer of them"
    with pytest.raises(ValueError, match=text):
        noiseless().cost(Circuit(11, []), Probabilities(tuple(range(11))), 1)


def test_one_row_that_no_job_can_hold():
    text = "got shots=9000000 of 1 circuits a row, expected at most 5,000,000 executions in one job: use shots=5000000"
    with pytest.raises(ValueError, match=text):
        IBM("manila", shots=9_000_000).cost(CIRCUIT, z_each(2), 1)


def test_it_has_a_name_on_the_command_line():
    backend = backends.get("ibm:manila,shots=256,seed=3,resilience_level=1,label=night")
    assert repr(backend) == "IBM('fake_manila', shots=256, gradient='parameter-shift')"
    assert (backend.seed, backend.options.resilience_level, backend.label) == (3, 1, "night")
