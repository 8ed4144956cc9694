"""The contract of a quantum layer as a torch module, the same for every backend."""

import copy
import io
import itertools
import pickle

import dense
import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import ACROSS, atol, close
from torch import nn
from torch.utils.data import DataLoader, Dataset

import backends
from backends import ZNE, Backend, EvaluatingBackend, Statevector
from circuits import CRY, CX, RX, RY, RZ, Circuit, H, Probabilities, amplitudes, inputs, pauli, weights, z_each
from qml import QuantumLayer

x, w = inputs(2), weights(3)
CIRCUIT = Circuit(2, [RX(x[0], 0), RY(x[1] * w[2], 1), CX(0, 1), RY(w[0], 0), CRY(w[1], 0, 1)], 2, 3)
READOUT = (pauli("Z0"), 0.5 * pauli("Z0 X1") - pauli("X0") + 0.25 * pauli(""), pauli("Y0 Y1"))
FRESH = itertools.count()
COSINE = Circuit(1, [RX(x[0], 0)], n_inputs=1)


def bridge(name, library, *arguments, **options):
    pytest.importorskip(library)
    return getattr(backends, name)(*arguments, **options)


MAKE = {
    "adjoint": Statevector,
    "backprop": lambda: Statevector("backprop"),
    "dense": DenseBackend,
    "default.qubit": lambda: bridge("PennyLane", "pennylane", "default.qubit"),
    "lightning.qubit": lambda: bridge("PennyLane", "pennylane_lightning", "lightning.qubit"),
    "qiskit": lambda: bridge("QiskitEstimator", "qiskit"),
    "aer": lambda: bridge("Aer", "qiskit_aer"),
    "cut": lambda: bridge("Cut", "qiskit_addon_cutting", Statevector()),
    # Every step of a noisy simulation, with noise too small to be seen: so the exact values are those of the oracle.
    "aer noisy": lambda: bridge("Aer", "qiskit_aer", "automatic", None, {"depolarizing": 1e-13, "readout": 1e-13}),
    "zne": lambda: ZNE(MAKE["aer noisy"]()),
}

# Backends that draw shots; without noise that could be seen, so the exact values are near.
SHOTS, SEED = 400, 3
SAMPLED = {
    "aer": lambda: bridge("Aer", "qiskit_aer", "automatic", SHOTS, None, SEED),
    "aer noisy": lambda: bridge("Aer", "qiskit_aer", "automatic", SHOTS, {"depolarizing": 1e-13, "readout": 0}, SEED),
    "default.qubit": lambda: bridge("PennyLane", "pennylane", "default.qubit", SHOTS, None, SEED),
    "lightning.qubit": lambda: bridge("PennyLane", "pennylane_lightning", "lightning.qubit", SHOTS, None, SEED),
    "ibm": lambda: bridge("IBM", "qiskit_ibm_runtime", "manila", SHOTS, seed=SEED),
    "zne": lambda: ZNE(SAMPLED["aer noisy"]()),
}


@pytest.fixture(params=MAKE)
def backend(request):
    return MAKE[request.param]()


@pytest.fixture(params=SAMPLED)
def sampled(request, tmp_path, monkeypatch):
    """A layer on a backend that draws shots, made anew: its first call is the first of the run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.manual_seed(0)
    return QuantumLayer(CIRCUIT, READOUT, SAMPLED[request.param](), dtype=torch.float64)


@pytest.fixture
def layer(backend):
    torch.manual_seed(0)
    return QuantumLayer(CIRCUIT, READOUT, backend, dtype=torch.float64)


def features(*batch, seed=0, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(seed).uniform(-2, 2, (*batch, 2)), dtype=dtype)


def wanted(x, w, circuit=CIRCUIT, readout=READOUT):
    """Readouts by whole-space matrices, sample by sample."""
    x, w = (np.asarray(t.detach(), float) for t in (x, w))
    rows = [dense.expectation(circuit, row, w, readout) for row in x.reshape(-1, circuit.n_inputs)]
    return np.array(rows).reshape(*x.shape[:-1], len(readout))


def reloaded(module):
    buffer = io.BytesIO()
    torch.save(module, buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)


@pytest.fixture
def rows(backend, monkeypatch):
    """Rows of every evaluation, as they come; None for a backend that does not evaluate row by row."""
    return counting(backend, monkeypatch) if isinstance(backend, EvaluatingBackend) else None


def counting(backend, monkeypatch):
    calls, evaluate = [], backend.evaluate

    def counted(circuit, angles, observables):
        calls.append(len(angles))
        return evaluate(circuit, angles, observables)

    monkeypatch.setattr(backend, "evaluate", counted)
    return calls


# Values and shapes.


@pytest.mark.parametrize("batch", [(), (1,), (5,), (0,), (2, 3), (1, 1, 1), (2, 0, 3)], ids=str)
def test_any_leading_dimensions(layer, batch):
    found = layer(features(*batch))
    assert found.shape == (*batch, 3)
    assert close(found, wanted(features(*batch), layer.weights))


def test_batch_equals_loop(layer):
    samples = features(4)
    assert close(layer(samples), torch.stack([layer(sample) for sample in samples]), 1e-12)


@pytest.mark.parametrize("batch", [(), (1,), (4,)], ids=str)
def test_one_observable_keeps_the_last_dimension(backend, batch):
    assert QuantumLayer(CIRCUIT, "Z0", backend)(torch.zeros(*batch, 2)).shape == (*batch, 1)


def test_a_circuit_without_inputs(backend):
    layer = QuantumLayer(Circuit(1, [RX(w[0], 0)], n_weights=1), backend=backend)
    assert close(layer(), layer.weights.cos(), 1e-5) and layer(torch.zeros(3, 0)).shape == (3, 1)


def test_a_circuit_without_weights(backend):
    layer = QuantumLayer(COSINE, backend=backend)
    assert close(layer(torch.tensor([[0.3], [0.5]])), torch.tensor([[0.3], [0.5]]).cos(), 1e-5)


def test_a_circuit_without_angles(backend):
    layer = QuantumLayer(Circuit(2, [H(0)], n_inputs=2), ["X0", "Z1"], backend)
    assert close(layer(torch.zeros(3, 2)), torch.ones(3, 2), 1e-5)


def test_weights_given_with_the_call(layer):
    own, other = layer.weights.detach(), torch.tensor([0.1, -0.7, 1.3], dtype=torch.float64)
    assert close(layer(features(4), other), wanted(features(4), other))
    each = torch.stack([own, other])[:, None]
    found = layer(features(4), each)
    assert close(found, np.stack([wanted(features(4), own), wanted(features(4), other)]))


def test_weights_given_with_the_call_are_trained(layer):
    given = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: layer(features(2), given), given, fast_mode=True)
    assert layer.weights.grad is None


@pytest.mark.parametrize("qubits", [(0, 1), (1, 0), (1,)])
def test_probabilities(backend, qubits):
    layer = QuantumLayer(CIRCUIT, Probabilities(qubits), backend, dtype=torch.float64)
    each = [dense.probabilities(CIRCUIT, row, layer.weights.detach(), qubits) for row in features(3).numpy()]
    assert close(layer(features(3)), np.array(each))


def test_start_states_run_or_are_refused_by_name(backend):
    circuit = Circuit(2, [amplitudes([x[0], x[1], 0.5, 0], 1, 0), RY(w[0], 1)], 2, 1)
    if "amplitudes" in backend.capabilities.simulator_kinds:
        layer = QuantumLayer(circuit, READOUT, backend, dtype=torch.float64)
        assert close(layer(features(3)), wanted(features(3), layer.weights, circuit))
    else:
        text = f"got the operation 'amplitudes', which {type(backend).__name__} cannot run"
        with pytest.raises(ValueError, match=text):
            QuantumLayer(circuit, READOUT, backend)


# Precision.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_that_goes_in_comes_out(layer, dtype):
    layer, samples = layer.to(dtype), features(3, dtype=dtype).requires_grad_()
    found = layer(samples)
    found.sum().backward()
    assert found.dtype == samples.grad.dtype == layer.weights.grad.dtype == dtype
    assert close(found, wanted(samples, layer.weights), max(atol(dtype), ACROSS))


def test_double_and_float_convert_the_weights(backend):
    layer = QuantumLayer(CIRCUIT, READOUT, backend)
    assert layer.weights.dtype == torch.float32
    assert layer.double()(features(2)).dtype == torch.float64
    assert layer.float()(features(2).float()).dtype == torch.float32


# Module.


def test_manual_seed_fixes_the_weights(backend):
    def made(seed):
        torch.manual_seed(seed)
        return QuantumLayer(CIRCUIT, READOUT, backend).weights

    assert torch.equal(made(3), made(3)) and not torch.equal(made(3), made(4))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), reloaded])
def test_copies_give_the_same_and_are_their_own(layer, copied):
    samples = features(2)
    before = layer(samples).detach()
    other = copied(layer)
    assert torch.equal(other(samples), before) and type(other.backend) is type(layer.backend)
    with torch.no_grad():
        other.weights.add_(1.0)
    other(samples).sum().backward()
    assert torch.equal(layer(samples), before) and layer.weights.grad is None


def test_checkpoints_are_tensors_and_load_with_weights_only(layer, backend):
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    state = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    other = QuantumLayer(CIRCUIT, READOUT, backend, dtype=torch.float64)
    assert other.load_state_dict(state) == nn.Module().load_state_dict({})  # all keys matched
    assert torch.equal(other(features(2)), layer(features(2)))


def test_a_checkpoint_of_another_circuit_is_refused(layer, backend):
    other = QuantumLayer(Circuit(2, CIRCUIT.ops[:-1], 2, 3), READOUT, backend)
    names = CIRCUIT.fingerprint[:8], other.circuit.fingerprint[:8]
    text = "got a checkpoint of circuit {}, expected one of circuit {}: build the layer with".format(*names)
    before = other.weights.detach().clone()
    with pytest.raises(ValueError, match=text):
        nn.Sequential(other).load_state_dict(nn.Sequential(layer).state_dict())
    assert torch.equal(other.weights, before)  # and nothing was loaded


def test_the_same_weights_on_another_backend(layer, backend):
    other = QuantumLayer(CIRCUIT, READOUT, dtype=torch.float64)
    other.load_state_dict(layer.state_dict())
    before = other(features(3))
    assert other.to_backend(backend) is other and other.backend is backend
    assert close(other(features(3)), before)


def test_it_trains_between_other_layers(layer):
    model = nn.Sequential(nn.Linear(4, 2), layer, nn.Linear(3, 1)).double()
    samples, targets = torch.randn(4, 4).double(), torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]).double()
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.1), []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(samples), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


# Gradients.


def test_gradcheck(layer):
    def function(samples, angles):
        return layer(samples, angles)

    samples, angles = features(2).requires_grad_(), layer.weights.detach().requires_grad_()
    assert torch.autograd.gradcheck(function, (samples, angles))


def test_gradients_of_inputs_exist_where_weights_are_frozen(layer):
    layer.requires_grad_(False)
    samples = features(2).requires_grad_()
    assert torch.autograd.gradcheck(layer, samples)
    assert layer.weights.grad is None


def test_what_is_not_trained_costs_nothing(layer, rows):
    samples = features(2)
    layer(samples.requires_grad_()).sum().backward()
    everything = rows and rows[1]
    layer(samples.detach()).sum().backward()  # the weights alone
    weights_alone = rows and rows[3]
    layer.requires_grad_(False)
    layer(samples).sum().backward()  # the inputs alone
    assert not layer(samples.detach()).requires_grad
    if rows is not None:
        # RX, RY of a product, RY, CRY: two, two, two and four shifts
        assert (everything, weights_alone, rows[5], len(rows)) == (2 * 10, 2 * 8, 2 * 4, 7)


def test_no_grad_evaluates_once(layer, rows):
    with torch.no_grad():
        assert not layer(features(3).requires_grad_()).requires_grad
    with torch.inference_mode():
        layer(features(3))
    assert rows in (None, [3, 3])


def test_trains_after_a_first_call_in_inference_mode(backend):
    circuit = Circuit(2, [RX(x[0] + 0.0625 * next(FRESH), 0), CRY(w[0], 0, 1)], 2, 1)  # compiled by no other test
    layer = QuantumLayer(circuit, READOUT, backend)
    with torch.inference_mode():
        layer(torch.ones(3, 2))
    layer(torch.ones(3, 2)).sum().backward()
    assert layer.weights.grad.isfinite().all()


def test_two_backward_passes_through_one_graph_agree(layer):
    samples = features(3).requires_grad_()
    value = layer(samples).square().sum()
    first, second = (torch.autograd.grad(value, (samples, layer.weights), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_create_graph_is_exact(backend):
    angle = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    y = QuantumLayer(COSINE, backend=backend, dtype=torch.float64)(angle).sum()
    (slope,) = torch.autograd.grad(y, angle, create_graph=True)
    (found,) = torch.autograd.grad(y + slope.square().sum(), angle)
    assert close(found, [np.sin(0.6) - np.sin(0.3)]) and abs(found.item() - 0.2691) < 1e-4


@pytest.mark.parametrize("gradient", [backends.FiniteDifference(), backends.Spsa(seed=0)], ids=lambda g: g.name)
def test_create_graph_is_refused_by_estimators(gradient):
    layer = QuantumLayer(COSINE, backend=DenseBackend(gradient))
    value = layer(torch.tensor([0.3], requires_grad=True)).sum()
    with pytest.raises(RuntimeError, match=rf"estimator '{gradient.name}'.*use ParameterShift\(\) or the Statevector"):
        value.backward(create_graph=True)


# Processes.


class Readouts(Dataset):
    """A data set that runs the layer on its own samples."""

    def __init__(self, layer):
        self.layer, self.samples = layer, features(4)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        with torch.no_grad():
            return self.layer(self.samples[index])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_forked_workers_do_not_hang(layer):
    before = layer(features(4))  # threads and devices are live when the workers are forked
    loader = DataLoader(Readouts(layer), batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=600)
    assert close(torch.cat(list(loader)), before, 1e-12)


# Borders.


@pytest.mark.parametrize(
    "samples, error, text",
    [
        (torch.zeros(4, 3).double(), ValueError, r"got inputs of shape \(4, 3\), expected \(\*, 2\)"),
        (torch.tensor(0.3).double(), ValueError, r"got inputs of shape \(\), expected \(\*, 2\)"),
        (torch.zeros(4, 2).long(), TypeError, r"got inputs of dtype torch.int64, expected .*: call .float\(\)"),
        (torch.zeros(4, 2).half(), TypeError, r"got inputs of dtype torch.float16, expected torch.float32 or"),
        (torch.zeros(4, 2).cfloat(), TypeError, r"got inputs of dtype torch.complex64"),
        (torch.zeros(4, 2), TypeError, r"got inputs torch.float32 on cpu and weights torch.float64 .*"),
        (np.zeros((4, 2)), TypeError, r"got inputs of type ndarray, expected a tensor: torch.as_tensor"),
        ([[0.0, 0.0]], TypeError, r"got inputs of type list, expected a tensor"),
    ],
    ids=["last dimension", "no dimension", "integers", "half", "complex", "mixed", "numpy", "list"],
)
def test_wrong_inputs(layer, samples, error, text):
    with pytest.raises(error, match=text):
        layer(samples)


def test_missing_inputs(layer):
    with pytest.raises(ValueError, match=r"got no inputs, expected a tensor of shape \(\*, 2\)"):
        layer()


@pytest.mark.parametrize(
    "angles, error, text",
    [
        (torch.zeros(4).double(), ValueError, r"got weights of shape \(4,\), expected \(\*, 3\)"),
        (torch.zeros(3).long(), TypeError, r"got weights of dtype torch.int64"),
        (np.zeros(3), TypeError, r"got weights of type ndarray"),
        (torch.zeros(3), TypeError, r"got inputs torch.float64 on cpu and weights torch.float32"),
        (
            torch.zeros(5, 3).double(),
            ValueError,
            r"got inputs of shape \(4, 2\) and weights of shape \(5, 3\).*one row of weights per sample",
        ),
    ],
    ids=["last dimension", "integers", "numpy", "mixed", "rows"],
)
def test_wrong_weights(layer, angles, error, text):
    with pytest.raises(error, match=text):
        layer(features(4), angles)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity(layer, rows, value):
    samples = features(3)
    samples[1, 0] = value
    if rows is None:
        found = layer(samples)
        assert found[1].isnan().all() and found[[0, 2]].isfinite().all()
    else:
        with pytest.raises(ValueError, match="got NaN or infinite angles, expected finite ones: check the inputs"):
            layer(samples)
        assert rows == []


def test_devices(layer):
    text = f"got tensors on meta, expected one of cpu.* for {type(layer.backend).__name__}: call"
    with pytest.raises(ValueError, match=text):
        layer.to("meta")(features(3).to("meta"))


def test_too_many_qubits(backend):
    most = backend.capabilities.max_qubits
    circuit = Circuit(most + 1, [RZ(0.1, most)])
    text = (
        f"got a circuit of {most + 1} qubits, expected at most {most} on {type(backend).__name__}.*: use fewer qubits"
    )
    with pytest.raises(ValueError, match=text):
        QuantumLayer(circuit, "Z0", backend)


def test_readout_of_a_qubit_that_is_not_there(backend):
    for observables in ([*z_each(2), "X0 Z2"], Probabilities((0, 2))):
        with pytest.raises(ValueError, match="got a readout of qubit 2, expected qubits 0 to 1"):
            QuantumLayer(CIRCUIT, observables, backend)


def test_capabilities(backend):
    capabilities = backend.capabilities
    assert isinstance(backend, Backend) and hash(capabilities) == hash(backend.capabilities)
    assert capabilities.exact and "cpu" in capabilities.devices and capabilities.max_qubits >= 6
    assert capabilities.gradient in ("adjoint", "backprop", "parameter-shift")


# With shots: the same contracts, as far as samples can keep them.


@pytest.mark.parametrize("batch", [(), (1,), (5,), (0,), (2, 3), (2, 0, 3)], ids=str)
def test_shots_any_leading_dimensions(sampled, batch):
    found = sampled(features(*batch))
    assert found.shape == (*batch, 3) and found.dtype == torch.float64
    if found.numel():
        assert sampled.last_stderr.shape == (*batch, 3)
        far = (found.detach().numpy() - wanted(features(*batch), sampled.weights)) / sampled.last_stderr.numpy()
        assert 0 < abs(far).max() < 5


def test_shots_probabilities(sampled):
    layer = QuantumLayer(CIRCUIT, Probabilities((1, 0)), sampled.backend, dtype=torch.float64)
    found = layer(features(3))
    each = [dense.probabilities(CIRCUIT, row, layer.weights.detach(), (1, 0)) for row in features(3).numpy()]
    assert close(found.sum(-1), torch.ones(3), 1e-12)
    assert (abs(found.detach() - torch.tensor(np.array(each))) < 5 * layer.last_stderr + 1e-9).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shots_the_dtype_that_goes_in_comes_out(sampled, dtype):
    layer, samples = sampled.to(dtype), features(3, dtype=dtype).requires_grad_()
    found = layer(samples)
    found.sum().backward()
    assert found.dtype == samples.grad.dtype == layer.weights.grad.dtype == layer.last_stderr.dtype == dtype


def test_shots_a_run_of_one_seed_is_always_the_same(sampled):
    """Readouts, standard errors and gradients, call by call; no two calls are alike; a copy starts anew."""

    def steps(layer):
        for _ in range(2):
            layer.zero_grad()
            found = layer(features(3))
            found.sum().backward()
            yield from (found.detach(), layer.last_stderr, layer.weights.grad)

    copied = [copy.deepcopy(sampled), pickle.loads(pickle.dumps(sampled)), reloaded(sampled)]
    first = list(steps(sampled))
    late = copy.deepcopy(sampled)
    for layer in (*copied, late):
        assert all(torch.equal(a, b) for a, b in zip(first, steps(layer), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first[:3], first[3:], strict=True))


def test_shots_checkpoints(sampled):
    buffer = io.BytesIO()
    torch.save(sampled.state_dict(), buffer)
    exact = QuantumLayer(CIRCUIT, READOUT, dtype=torch.float64)
    exact.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    assert torch.equal(exact.weights, sampled.weights)


def test_shots_no_grad_and_eval_evaluate_once(sampled, monkeypatch):
    rows = counting(sampled.backend, monkeypatch)
    with torch.no_grad():
        assert not sampled(features(3).requires_grad_()).requires_grad
    sampled.eval()(features(3))
    assert rows == [3, 3]


def test_shots_are_drawn_only_for_what_is_trained(sampled, monkeypatch):
    rows = counting(sampled.backend, monkeypatch)
    sampled(features(2).requires_grad_()).sum().backward()
    sampled(features(2)).sum().backward()
    sampled.requires_grad_(False)(features(2).requires_grad_()).sum().backward()
    apart = [2, 2 * 10, 2, 2 * 8, 2, 2 * 4]  # RX, RY of a product, RY, CRY: two, two, two and four shifts
    assert rows == (
        [a + b for a, b in zip(apart[::2], apart[1::2], strict=True)] if sampled.backend.together else apart
    )


def test_shots_two_backward_passes_through_one_graph_agree(sampled):
    samples = features(3).requires_grad_()
    value = sampled(samples).square().sum()
    first, second = (torch.autograd.grad(value, (samples, sampled.weights), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_shots_gradients_scatter_about_the_exact_ones(sampled):
    exact = QuantumLayer(CIRCUIT, READOUT, dtype=torch.float64)
    exact.load_state_dict(sampled.state_dict())
    grads = []
    for layer in (sampled, exact):
        samples = features(20).requires_grad_()
        layer(samples).sum().backward()
        grads.append(torch.cat([samples.grad.flatten(), layer.weights.grad / 20**0.5]))
    off = (grads[0] - grads[1]) * SHOTS**0.5  # about one for every readout and shift
    assert 1 < off.std() < 4 and abs(off.mean()) < 2


@pytest.mark.parametrize("gradient", [backends.ParameterShift(), backends.Spsa(0.3, 4, seed=0)], ids=lambda g: g.name)
def test_shots_train_with_layers_before(sampled, gradient):
    """Only the layer before and the circuit can learn here, so the loss falls by gradients from shots."""
    if gradient.name == "spsa" and sampled.backend.together:
        pytest.skip("one training on a fake device is enough: it is slow")
    sampled.backend.gradient = gradient
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 2), QuantumLayer(CIRCUIT, "Z0", sampled.backend)).double()
    samples = torch.randn(8, 4).double()
    targets = samples[:, 0].sign()
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.2), []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(samples)[:, 0], targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_shots_forked_workers_do_not_hang(sampled):
    sampled(features(4))
    loader = DataLoader(Readouts(sampled), batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=600)
    assert torch.cat(list(loader)).shape == (4, 3)


def test_shots_are_not_drawn_for_what_is_wrong(sampled, monkeypatch):
    rows = counting(sampled.backend, monkeypatch)
    samples = features(3)
    samples[1, 0] = float("nan")
    for wrong in (samples, torch.zeros(4, 3).double(), torch.zeros(4, 2)):
        with pytest.raises((ValueError, TypeError)):
            sampled(wrong)
    assert rows == []


def test_shots_capabilities(sampled):
    capabilities = sampled.backend.capabilities
    assert not capabilities.exact and capabilities.gradient == "parameter-shift" and "cpu" in capabilities.devices
