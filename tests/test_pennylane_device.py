"""PennyLane devices as a backend, against the dense oracle."""

import copy
import multiprocessing
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

qp = pytest.importorskip("pennylane")

import dense  # noqa: E402
from strategies import haar_unitary  # noqa: E402
from tolerances import ACROSS, close  # noqa: E402

from backends import FiniteDifference, ParameterShift, PennyLane, Spsa, get  # noqa: E402
from backends import pennylane_device as module  # noqa: E402
from circuits import (  # noqa: E402
    CRX,
    CX,
    RX,
    RY,
    Circuit,
    H,
    Observable,
    P,
    PauliRot,
    Probabilities,
    Sdg,
    SXdg,
    amplitudes,
    inputs,
    pauli,
    unitary,
    weights,
    z_each,
)

DEVICES = ["default.qubit", "default.mixed", "lightning.qubit", "reference.qubit"]
X, W = inputs(3), weights(4)
OPS = [
    *(RX(X[0], 0), RY(X[1] * W[0], 1), CRX(W[1], 0, 1), PauliRot(W[2] * np.sin(X[2]), "XIZ", 0, 1, 2), P(W[3], 1)),
    *(H(1), unitary(haar_unitary(2, 3), 2, 0), Sdg(1), SXdg(0), CX(1, 2)),
]
CIRCUIT = Circuit(3, OPS, 3, 4)
READ = (pauli("Z0"), 0.5 * pauli("X0 Y1") - pauli("Z2") + 2.0, pauli(""), Observable(()))
READOUTS = {"sums": READ, "one": (pauli("Z1"),), "probabilities": Probabilities((2, 0))}
TWO = Circuit(2, [RX(X[0] * W[0], 0), CRX(W[1] + X[1], 0, 1), RY(W[0], 1)], 2, 2)


def sample(circuit, rows, seed=0):
    """Features (rows, n_inputs) and weights (n_weights,), float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(rows, circuit.n_inputs), (circuit.n_weights,)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def oracle(circuit, x, w, readout):
    """The dense oracle, row by row."""
    if isinstance(readout, Probabilities):
        return np.array([dense.probabilities(circuit, row, w, readout.qubits) for row in x.numpy()])
    return np.array([dense.expectation(circuit, row, w, readout) for row in x.numpy()])


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree_with_the_oracle(device, readout):
    """A batch, one row, and one sample without a batch."""
    x, w = sample(CIRCUIT, 5)
    read, backend = READOUTS[readout], PennyLane(device)
    expected = oracle(CIRCUIT, x, w.numpy(), read)
    assert close(backend.expectation(CIRCUIT, x, w, read), expected, ACROSS)
    assert close(backend.expectation(CIRCUIT, x[:1], w, read), expected[:1], ACROSS)
    assert close(backend.expectation(CIRCUIT, x[0], w, read), expected[0], ACROSS)


@pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "lightning.qubit"])
def test_start_states(device):
    """Two in one circuit, of features and constants; a row of zeros gives NaN, and no warning."""
    circuit = Circuit(3, [H(1), amplitudes([X[0], 0.5], 2), amplitudes([X[1], X[2]], 0), CX(0, 1)], 3)
    x, w = sample(circuit, 4)
    assert close(PennyLane(device).expectation(circuit, x, w, z_each(3)), oracle(circuit, x, (), z_each(3)))
    x[1, 1:] = 0
    values = PennyLane(device).expectation(circuit, x, w, z_each(3)[:1])
    assert values.isnan().flatten().tolist() == [False, True, False, False]


def test_circuits_without_angles_and_equal_rows():
    """Rows that do not differ are still rows."""
    bell = Circuit(2, [H(0), CX(0, 1)], 1)
    x = torch.zeros(4, 1, dtype=torch.float64)
    values = PennyLane().expectation(bell, x, x.new_zeros(0), (pauli("X0 X1"), pauli("Z0")))
    assert close(values, np.tile([1.0, 0.0], (4, 1)))
    equal = Circuit(1, [RX(X[0], 0)], 1)
    assert close(PennyLane().expectation(equal, x + 0.3, x.new_zeros(0), z_each(1)), np.full((4, 1), np.cos(0.3)))


@pytest.mark.parametrize("device", ["default.qubit", "default.mixed"])
def test_rows_are_split_where_states_would_be_large(device, monkeypatch):
    """Pieces of the batch give the same numbers."""
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", 8 * 3)
    x, w = sample(CIRCUIT, 7)
    assert close(PennyLane(device).expectation(CIRCUIT, x, w, READ), oracle(CIRCUIT, x, w.numpy(), READ))


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit"])
def test_one_execution_per_call(name):
    """All samples go to the device in one call, and so do all shifted samples of a backward pass."""
    device = qp.device(name, wires=2)
    backend = PennyLane(device)
    x, w = sample(TWO, 3)
    with qp.Tracker(device) as tracker:
        values = backend.expectation(TWO, x, w.requires_grad_(), z_each(2))
        assert tracker.totals["batches"] == 1
        values.sum().backward()
    assert tracker.totals["batches"] == 2
    rows = 3 * (1 + 2 + 4 + 2)  # the samples; two shifts of a rotation, four of a controlled one
    assert tracker.totals["executions"] == rows


# Gradients


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_gradcheck(device):
    """Exact in features and weights."""
    x, w = (t.requires_grad_() for t in sample(TWO, 2 if device == "default.qubit" else 1))
    backend = PennyLane(device)
    assert torch.autograd.gradcheck(lambda x, w: backend.expectation(TWO, x, w, z_each(2)), (x, w))


def test_second_derivative():
    """d²<Z>/dx² of RX(x) is -cos x, and a gradient penalty is differentiated right."""
    circuit, backend = Circuit(1, [RX(X[0], 0)], 1), PennyLane()
    x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    y = backend.expectation(circuit, x, x.new_zeros(0), z_each(1)).sum()
    (slope,) = torch.autograd.grad(y, x, create_graph=True)
    (total,) = torch.autograd.grad(y + (slope**2).sum(), x)
    assert close(total, [-np.sin(0.3) + 2 * np.sin(0.3) * np.cos(0.3)])
    x, w = (t.requires_grad_() for t in sample(TWO, 1))
    assert torch.autograd.gradgradcheck(lambda x, w: backend.expectation(TWO, x, w, (pauli("Z1"),)), (x, w))


def test_diff_methods():
    """PennyLane's names stand for the gradient objects; an object is taken as it is."""
    assert PennyLane().gradient == PennyLane(diff_method="best").gradient == ParameterShift()
    assert PennyLane(diff_method="finite-diff").gradient == FiniteDifference()
    assert PennyLane(diff_method="spsa", seed=3).gradient == Spsa(seed=3)
    assert PennyLane(diff_method=FiniteDifference(0.01)).capabilities.gradient == "finite-diff"


# Shots


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("readout", READOUTS)
def test_shots_scatter_about_the_exact_value(device, readout):
    """Within five standard errors, and not exact; a batch, one row, one sample without a batch."""
    shots, (x, w), backend = 4000, sample(CIRCUIT, 3), PennyLane(device, shots=4000, seed=1)
    exact = oracle(CIRCUIT, x, w.numpy(), READOUTS[readout])
    for rows in (slice(None), slice(1), 0):
        values = backend.expectation(CIRCUIT, x[rows], w, READOUTS[readout]).numpy()
        stderr = backend.last_stderr.numpy()
        assert values.shape == stderr.shape == exact[rows].shape
        assert (abs(values - exact[rows]) < 5 * stderr + 1e-9).all() and not np.allclose(values, exact[rows], atol=1e-8)
        if readout != "sums":
            variance = exact * (1 - exact) if readout == "probabilities" else 1 - exact**2
            assert np.allclose(stderr, np.sqrt(variance / shots)[rows], rtol=0.2)


def test_words_that_agree_share_their_shots():
    """The parity of two qubits is the product of their signs in every shot, so one shot tells."""
    x, w = sample(CIRCUIT, 20)
    read = (pauli("Z0"), pauli("Z1"), pauli("Z0 Z1"))
    values = PennyLane("default.qubit", shots=1, seed=1).expectation(CIRCUIT, x, w, read)
    assert torch.equal(values[:, 0] * values[:, 1], values[:, 2]) and len(values.unique()) == 2


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_samples_are_taken_in_pieces_where_they_would_be_many(device, monkeypatch):
    """Pieces of the batch have shots of their own."""
    monkeypatch.setattr(module, "BITS_AT_ONCE", 400 * 3 * 2)
    x, w = sample(CIRCUIT, 7)
    backend = PennyLane(device, shots=400, seed=1)
    values = backend.expectation(CIRCUIT, x, w, READ).numpy()
    assert (abs(values - oracle(CIRCUIT, x, w.numpy(), READ)) < 5 * backend.last_stderr.numpy() + 1e-9).all()
    equal = backend.expectation(CIRCUIT, x[:1].expand(7, 3), w, READ)
    assert len(equal[:, 1].unique()) > 4


def test_standard_errors_of_sums_on_a_device():
    """The deviations of many calls are as wide as the standard errors say, for correlated terms."""
    bell = Circuit(2, [RY(X[0], 0), CX(0, 1)], 1)
    read = (pauli("Z0") + pauli("Z1"), pauli("Z0") - pauli("Z1"), pauli("X0 X1") + 0.5 * pauli("Z1"))
    x = torch.full((2000, 1), 1.1, dtype=torch.float64)
    backend = PennyLane(shots=200, seed=3)
    values = backend.expectation(bell, x, x.new_zeros(0), read).numpy()
    stderr, exact = backend.last_stderr.numpy(), oracle(bell, x[:1], (), read)
    assert np.allclose(((values - exact)[:, [0, 2]] ** 2).mean(0) / (stderr[:, [0, 2]] ** 2).mean(0), 1, atol=0.1)
    assert not stderr[:, 1].any() and not (values - exact)[:, 1].any()


def test_exact_values_have_no_standard_error():
    backend, (x, w) = PennyLane(), sample(CIRCUIT, 2)
    backend.expectation(CIRCUIT, x, w, READ)
    assert backend.last_stderr is None


@pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "lightning.qubit"])
def test_seeds(device):
    """Equal seeds give equal calls; calls, equal rows and other seeds differ; copies start anew."""
    circuit = Circuit(1, [RX(X[0], 0)], 1)
    x, w = torch.full((3, 1), 1.2, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)

    def calls(backend):
        return [backend.expectation(circuit, x, w, z_each(1)) for _ in range(2)]

    backend = PennyLane(device, shots=1000, seed=5)
    first, again = calls(backend), calls(PennyLane(device, shots=1000, seed=5))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(*first)
    assert len(first[0].unique()) > 1
    assert not torch.equal(first[0], calls(PennyLane(device, shots=1000, seed=6))[0])
    assert torch.equal(first[0], calls(copy.deepcopy(backend))[0])


def test_shots_of_a_device_object():
    """A device made with shots of its own is not exact, unless shots say otherwise."""
    with pytest.warns(qp.exceptions.PennyLaneDeprecationWarning, match="shots"):
        device = qp.device("default.qubit", wires=1, shots=50)
    assert PennyLane(device).shots == 50
    assert PennyLane(device, shots=60).shots == 60


# Contract


def test_capabilities():
    """Exactness, the number of qubits and what it runs."""
    assert PennyLane().capabilities.exact
    assert not PennyLane(shots=10).capabilities.exact
    assert PennyLane().capabilities.max_qubits == 30
    assert PennyLane("default.mixed").capabilities.max_qubits == 14
    assert PennyLane(wires=4).capabilities.max_qubits == 4
    assert PennyLane(qp.device("default.qubit", wires=3)).capabilities.max_qubits == 3
    assert PennyLane(qp.device("default.qubit")).capabilities.max_qubits == 30
    x, w = sample(CIRCUIT, 1)
    with pytest.raises(ValueError, match="got a circuit of 3 qubits, expected at most 2 on PennyLane"):
        PennyLane(wires=2).expectation(CIRCUIT, x, w, READ)


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize(
    "device",
    ["lightning.qubit", "default.mixed", qp.device("default.qubit", wires=3)],
    ids=["lightning.qubit", "default.mixed", "a device"],
)
def test_copies(device, copier):
    """The configuration is kept; no live device goes along."""
    x, w = sample(CIRCUIT, 2)
    backend = PennyLane(device, diff_method="finite-diff")
    expected = backend.expectation(CIRCUIT, x, w, READ)
    twin = copier(backend)
    assert (vars(twin._live), twin.capabilities, repr(twin)) == ({}, backend.capabilities, repr(backend))
    assert close(twin.expectation(CIRCUIT, x, w, READ), expected)


@pytest.mark.parametrize("given", [False, True], ids=["by name", "a device"])
def test_threads_do_not_meet_in_one_device(given, monkeypatch):
    """Devices keep their state in themselves, so no two calls may be in one of them at the same time."""
    busy, met, execute = [], [], qp.execute

    def watched(tapes, device, **options):
        met.append(device in busy)
        busy.append(device)
        time.sleep(0.02)
        results = execute(tapes, device, **options)
        busy.remove(device)
        return results

    monkeypatch.setattr(module.qp, "execute", watched)
    backend = PennyLane(qp.device("lightning.qubit", wires=3) if given else "lightning.qubit")
    calls = [sample(CIRCUIT, 2, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda call: backend.expectation(CIRCUIT, *call, READ), calls))
    assert len(met) == 12 and not any(met)
    assert all(
        close(values, backend.expectation(CIRCUIT, *call, READ)) for values, call in zip(found, calls, strict=True)
    )


def _in_child(backend, x, w, queue):
    queue.put(backend.expectation(CIRCUIT, x, w, READ).numpy())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the platform does not fork")
@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_a_forked_process_does_not_hang(device):
    """As a DataLoader's workers are, after the parent used the device with its threads."""
    x, w = sample(CIRCUIT, 2)
    backend = PennyLane(device)
    expected = backend.expectation(CIRCUIT, x, w, READ)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(backend, x, w, queue))
    child.start()
    try:
        assert close(queue.get(timeout=600), expected)
        child.join(600)
        assert child.exitcode == 0
    finally:
        child.kill()


def test_a_noise_model_on_the_device():
    """A device with noise is a device: depolarising after RX shrinks <Z> by 1 - 4p/3."""
    model = qp.NoiseModel({qp.noise.op_eq(qp.RX): qp.noise.partial_wires(qp.DepolarizingChannel, 0.3)})
    noisy = qp.add_noise(qp.device("default.mixed", wires=1), model)
    circuit = Circuit(1, [RX(X[0], 0)], 1)
    x = torch.tensor([[0.3], [1.1]], dtype=torch.float64)
    values = PennyLane(noisy).expectation(circuit, x, x.new_zeros(0), z_each(1))
    assert close(values, np.cos(x.numpy()) * (1 - 0.4))


def test_by_name():
    """The command line's names reach it."""
    backend = get("pennylane:lightning.qubit,shots=100,seed=2")
    assert repr(backend) == "PennyLane('lightning.qubit', shots=100, gradient='parameter-shift')"


# Errors


@pytest.mark.parametrize("shots", [0, -5, 1.5, True, "100"])
def test_error_of_shots(shots):
    """Only positive integers."""
    with pytest.raises(ValueError, match=rf"got shots={shots!r}, expected a positive integer, or None"):
        PennyLane(shots=shots)


@pytest.mark.parametrize("method", ["backprop", "adjoint", "nonsense", 3])
def test_error_of_diff_method(method):
    """What PennyLane has on some devices only is named where it is to be had."""
    with pytest.raises(ValueError, match=rf"got diff_method={method!r}, expected 'parameter-shift'.*Statevector"):
        PennyLane(diff_method=method)


def test_errors_of_devices():
    """An unknown name, a wrong option, something else, named wires, a device with options."""
    with pytest.raises(ValueError, match=r"got the device 'default.qbit', expected one of .*default.qubit.*: install"):
        PennyLane("default.qbit")
    with pytest.raises(ValueError, match=r"'default.qubit' with options {'colour': 1}, which it refuses: .*'colour'"):
        PennyLane(colour=1)
    with pytest.raises(TypeError, match=r"got int as a device, expected a name or what qp.device\(...\) returns"):
        PennyLane(3)
    with pytest.raises(ValueError, match=r"got a device with the wires \['a'\], expected 0, 1"):
        PennyLane(wires=["a"])
    with pytest.raises(TypeError, match=r"got a device together with {'seed': 1}, expected it alone"):
        PennyLane(qp.device("default.qubit", wires=1), seed=1)
