"""backends/zne.py: factors against dense density matrices with repeated gates, fits, gradients, jobs and borders."""

import copy
from itertools import chain

import noisy
import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from ibm_folders import own_folders  # noqa: F401
from tolerances import ACROSS, close

pytest.importorskip("qiskit_aer")

from backends import IBM, ZNE, Aer, FiniteDifference, Record, Replay, Spsa, Statevector
from circuits import CX, CZ, RX, RY, RZZ, Circuit, H, Op, Probabilities, inputs, pauli, weights, z_each
from hybrid import checkpoints
from qml import QuantumLayer

X, W = inputs(2), weights(3)
OPS = [RY(X[0], 0), H(1), RX(X[1] * W[0], 2), CX(0, 1), RZZ(W[1], 1, 2), RY(W[2], 1), CZ(0, 2), RX(W[0], 1)]
CIRCUIT = Circuit(3, OPS, 2, 3)
READ = (pauli("Z0"), pauli("X0 Y1 Z2") + 0.5 * pauli("Z1") - 0.25, pauli("X1") - pauli("Y2"))
READOUTS = {"sums": READ, "probabilities": Probabilities((2, 0))}
NOISE = {"depolarizing": 0.03, "depolarizing_1q": 0.004, "readout": 0.05}
FACTORS = (1, 3, 5)
MIXED = {"sums": [0.0, -0.25, 0.0], "probabilities": [0.25] * 4}


def sample(rows=3):
    rng = np.random.default_rng(0)
    return torch.tensor(rng.uniform(-2, 2, (rows, 2))), torch.tensor(rng.uniform(-2, 2, 3))


def repeated(op, factor):
    """A gate, its inverse, the gate again, …"""
    back = Op(op.gate, op.qubits, tuple(-angle for angle in op.angles))
    return [op] if len(op.qubits) == 1 else [op, *(back, op) * (factor // 2)]


def by_hand(x, w, readout, factors=FACTORS):
    """Readouts at each factor, from density matrices: (factors, rows, readouts)."""
    kraus, flips = noisy.by_size(0.03, 0.004), noisy.flip(0.05)
    circuits = [Circuit(3, list(chain(*(repeated(op, f) for op in OPS))), 2, 3) for f in factors]
    return np.array([[noisy.read_out(c, row, w.numpy(), readout, kraus, flips) for row in x.numpy()] for c in circuits])


@pytest.mark.parametrize("name", READOUTS)
def test_linear_and_richardson_are_weighted_sums_of_density_matrices(name):
    x, w = sample()
    at = by_hand(x, w, READOUTS[name])
    flat = at.reshape(3, -1)
    for extrapolate, degree in (("linear", 1), ("richardson", 2)):
        backend = ZNE(Aer(noise=NOISE), extrapolate=extrapolate)
        expected = np.polynomial.polynomial.polyfit(FACTORS, flat, degree)[0].reshape(at.shape[1:])
        assert close(backend.expectation(CIRCUIT, x, w, READOUTS[name]), expected, ACROSS)
        assert backend.last_stderr is None
    assert abs(at[0] - at[1]).max() > 0.01  # and the factors are felt


@pytest.mark.parametrize("name", READOUTS)
def test_exponential_goes_to_the_fully_mixed_state(name):
    x, w = sample()
    away = by_hand(x, w, READOUTS[name]) - np.array(MIXED[name])
    fits = (np.sign(away) == np.sign(away[:1])).all(0)
    flat = np.log(np.where(fits, abs(away), 1)).reshape(3, -1)
    curve = np.sign(away[0]) * np.exp(np.polynomial.polynomial.polyfit(FACTORS, flat, 1)[0]).reshape(fits.shape)
    found = ZNE(Aer(noise=NOISE), extrapolate="exponential").expectation(CIRCUIT, x, w, READOUTS[name])
    assert fits.sum() > fits.size // 2
    assert close(found[torch.tensor(fits)], (curve + MIXED[name])[fits], 1e-8)


def test_it_comes_nearer_to_the_noise_free_values():
    x, w = sample(5)
    plain = {name: rate for name, rate in NOISE.items() if name == "depolarizing"}  # alone is scaled
    true = Statevector().expectation(CIRCUIT, x, w, READ)
    errors = {
        name: (backend.expectation(CIRCUIT, x, w, READ) - true).square().mean().sqrt().item()
        for name, backend in {
            "none": Aer(noise={**plain, "depolarizing_1q": 0.0}),
            "linear": ZNE(Aer(noise={**plain, "depolarizing_1q": 0.0})),
            "richardson": ZNE(Aer(noise={**plain, "depolarizing_1q": 0.0}), extrapolate="richardson"),
        }.items()
    }
    assert errors["richardson"] < 0.2 * errors["linear"] < 0.1 * errors["none"]


def test_a_device_is_folded_after_its_circuit_was_fitted_to_it():
    """Factor 1 is the backend itself, and factor 3 is near to three times as far from the truth."""
    pytest.importorskip("qiskit_ibm_runtime")
    circuit = Circuit(2, [RX(0.4, 0), CX(0, 1), RY(0.3, 1), CX(1, 0), RX(0.9, 0)])
    angles = torch.tensor([[0.4, 0.3, 0.9]], dtype=torch.float64)
    backend, read = Aer(noise="manila"), (pauli("Z0 Z1"),)
    one, three, five = (e.values.item() for e in backend.evaluate_folded(circuit, angles, read, FACTORS))
    assert abs(one - backend.evaluate(circuit, angles, read).values.item()) < 1e-12
    assert one > three > five > 0 and abs((one - three) / (three - five) - 1) < 0.1


# Shots.


def test_standard_errors_are_those_of_many_samples():
    x, w = sample(1)
    backend = ZNE(Aer(noise=NOISE, shots=400, seed=1), extrapolate="richardson")
    found = backend.expectation(CIRCUIT, x.repeat(300, 1), w, READ)
    stderr = backend.last_stderr.mean(0)
    assert (abs(found.std(0) / stderr - 1) < 0.15).all()
    exact = ZNE(Aer(noise=NOISE), extrapolate="richardson").expectation(CIRCUIT, x, w, READ)[0]
    assert (abs(found.mean(0) - exact) < 4 * stderr / 300**0.5).all()


def test_a_network_has_an_error_bar_and_sees_the_factors_alone(monkeypatch):
    from backends import zne_network

    monkeypatch.setattr(zne_network, "STEPS", 50)
    seen, train = [], zne_network._train
    monkeypatch.setattr(zne_network, "_train", lambda p, x, y: seen.append((x, y)) or train(p, x, y))
    x, w = sample(2)
    backend = ZNE(Aer(noise=NOISE), extrapolate="network")
    found = backend.expectation(CIRCUIT, x, w, READ)
    ((strengths, targets),) = seen
    assert close(strengths[:, 0], np.array(FACTORS) / 5, 1e-12)
    values = by_hand(x, w, READ).reshape(3, -1)
    assert close(targets[..., 0].T, (values - values.mean(0)) / values.std(0), 1e-8)  # noise-free values are not there
    assert (backend.last_stderr > 0).all() and found.isfinite().all()


# Gradients.


@pytest.mark.parametrize("extrapolate", ["linear", "richardson"])
def test_the_gradient_of_a_weighted_sum_is_exact(extrapolate):
    x, w = sample(2)
    backend = ZNE(Aer(noise=NOISE), extrapolate=extrapolate)
    w.requires_grad_()
    assert torch.autograd.gradcheck(lambda w: backend.expectation(CIRCUIT, x, w, READ[:2]), w, fast_mode=True)


@pytest.mark.parametrize(
    "gradient", [FiniteDifference(), Spsa(step=0.01, n_directions=400, seed=0)], ids=lambda g: g.name
)
def test_an_exponential_is_trained_by_an_estimator(gradient):
    x, w = sample(1)
    w, read = w.requires_grad_(), (pauli("Z0"),)
    backend = ZNE(Aer(noise=NOISE, diff_method=gradient), extrapolate="exponential")
    (found,) = torch.autograd.grad(backend.expectation(CIRCUIT, x, w, read).sum(), w)
    ends = [w.detach() + step for step in 1e-4 * torch.cat([torch.eye(3), -torch.eye(3)]).double()]
    values = ZNE(Aer(noise=NOISE), extrapolate="exponential").expectation(CIRCUIT, x, torch.stack(ends), read)
    expected = (values[:3] - values[3:])[:, 0] / 2e-4
    assert close(found, expected, 1e-4 if gradient.name == "finite-diff" else 0.15)
    assert backend.capabilities.gradient == gradient.name


@pytest.mark.parametrize(
    ("extrapolate", "gradient", "remedy"),
    [
        ("exponential", None, r"use 'linear' or 'richardson', or Spsa\(\) or FiniteDifference\(\) in the backend"),
        ("network", Spsa(), "use 'linear' or 'richardson'$"),
    ],
)
def test_others_only_evaluate(extrapolate, gradient, remedy, monkeypatch):
    from backends import zne_network

    monkeypatch.setattr(zne_network, "STEPS", 2)
    layer = QuantumLayer(CIRCUIT, "Z0", ZNE(Aer(noise=NOISE, diff_method=gradient), extrapolate=extrapolate))
    assert layer.backend.capabilities.gradient == "none"
    y = layer(torch.zeros(2, 2))
    text = f"got a backward pass through ZNE with extrapolate='{extrapolate}', which no shift rule holds for: {remedy}"
    with pytest.raises(RuntimeError, match=text):
        y.sum().backward()
    with torch.no_grad():
        assert layer(torch.zeros(2, 2)).shape == (2, 1)


# On devices of IBM, and in files.


@pytest.mark.usefixtures("own_folders")
class TestDevices:
    CIRCUIT = Circuit(2, [RX(X[0], 0), CX(0, 1), RY(X[1], 1), CX(1, 0)], 2)

    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("qiskit_ibm_runtime")

    def test_all_factors_are_one_job_of_one_pub_each(self, monkeypatch):
        from backends import ibm_jobs

        sent = []

        class Estimator:
            def run(self, pubs):
                sent.append(pubs)

        monkeypatch.setattr(ibm_jobs, "estimator", lambda *_: Estimator())
        device = IBM("manila", shots=100)
        part = ibm_jobs.Part(device._step(self.CIRCUIT, z_each(2), FACTORS), device.device, 1, np.zeros((4, 2)))
        part.submit(None, [])
        ((one, three, five),) = sent
        assert [pub[0].count_ops()["cx"] for pub in (one, three, five)] == [2, 6, 10]
        assert all(pub[2].shape == (4, 2) and pub[0].num_parameters == 2 for pub in (one, three, five))

    def test_values_are_those_of_the_devices_noise(self):
        x, none = torch.tensor([[0.4, 0.3], [1.0, -0.5]], dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
        device = ZNE(IBM("manila", shots=4000, seed=1), (1, 5))
        found = device.expectation(self.CIRCUIT, x, none, z_each(2))
        exact = ZNE(Aer(noise="manila"), (1, 5)).expectation(self.CIRCUIT, x, none, z_each(2))
        assert (abs(found - exact) < 5 * device.last_stderr + 0.01).all()  # 0.01: other wires
        assert device.backend.position == 1

    def test_shots_of_the_factors_are_not_the_same(self):
        """Without entangling gates all factors are one circuit: whoever has the same luck in all has no errors left."""
        circuit, angles = Circuit(1, [RX(X[0], 0)], 2), torch.full((1, 1), 1.2, dtype=torch.float64)
        device = IBM("manila", shots=100, seed=1)
        found = [e.values.item() for e in device.evaluate_folded(circuit, angles, z_each(1), (1, 3, 5, 7))]
        assert len(set(found)) > 2

    def test_it_is_planned_with_all_factors(self):
        device = IBM("manila", shots=100)
        layers = [QuantumLayer(self.CIRCUIT, z_each(2), backend) for backend in (device, ZNE(device))]
        one, all_ = (layer.plan(8, input_gradients=True).step for layer in layers)
        assert (all_.rows, all_.circuits, all_.jobs) == (one.rows, 3 * one.circuits, one.jobs)
        assert 3 * one.seconds < all_.seconds < 3.1 * one.seconds  # the pause between two shots is the longest part

    def test_a_job_is_known_by_its_factors_and_others_as_before(self):
        device = IBM("manila", shots=100)
        folds = [device._step(self.CIRCUIT, z_each(2), folds).described for folds in ((1,), FACTORS)]
        assert folds == [device.options.as_dict(), {**device.options.as_dict(), "folds": [1, 3, 5]}]

    def test_the_services_own_extrapolation_is_refused(self):
        text = (
            r"got IBM with resilience_level=0, zne=\(1, 3\) to extrapolate again, expected one extrapolation: use IBM"
        )
        with pytest.raises(ValueError, match=text):
            ZNE(IBM("manila", zne=(1, 3)))
        with pytest.raises(ValueError, match=r"got IBM with resilience_level=2, zne=False to extrapolate again"):
            ZNE(IBM("manila", resilience_level=2))
        assert ZNE(IBM("manila", resilience_level=1)).together

    def test_a_record_keeps_the_device(self, tmp_path):
        x = torch.zeros(1, 2)
        layer = QuantumLayer(
            self.CIRCUIT, z_each(2), Record(ZNE(IBM("manila", shots=50, seed=1)), tmp_path / "run.zip")
        )
        before = layer(x)
        assert any(name.startswith("transpiled/") for name in layer.backend._archive.files)
        assert torch.equal(layer.to_backend(Replay(tmp_path / "run.zip"))(x), before)


def test_a_checkpoint_knows_the_shots_of_the_wrapped_backend():
    layer = QuantumLayer(CIRCUIT, "Z0", ZNE(Aer(noise=NOISE, shots=10, seed=1)))
    with torch.no_grad():
        layer(torch.zeros(1, 2))
    assert [(c.name, c.value) for c in checkpoints._counters(layer)] == [(".seeds.calls", 3)]


def test_copies_start_anew():
    layer = QuantumLayer(CIRCUIT, "Z0", ZNE(Aer(noise=NOISE, shots=10, seed=1)))
    first = layer(torch.zeros(1, 2))
    assert torch.equal(copy.deepcopy(layer)(torch.zeros(1, 2)), first)


# Borders.


@pytest.mark.parametrize("backend", [Statevector(), DenseBackend(), ZNE(Aer(noise=NOISE)), "aer", None])
def test_backends_without_noise_scaling_are_refused_by_name(backend):
    text = f"got {type(backend).__name__} to extrapolate, expected a backend whose noise can be scaled: backends.Aer"
    with pytest.raises(TypeError, match=text):
        ZNE(backend)


def test_without_noise_there_is_nothing_to_extrapolate():
    with pytest.raises(ValueError, match="got Aer without noise, expected noise to extrapolate: Aer"):
        ZNE(Aer(shots=100))


@pytest.mark.parametrize("factors", [(1, 2, 3), (-1, 1, 3), (0, 1), (1, 1, 3), (1.5, 3), 3.0])
def test_factors_are_odd_and_each_once(factors):
    with pytest.raises(ValueError, match=r"got scale_factors=.*, expected odd integers >= 1, each once: \(1, 3, 5\)"):
        ZNE(Aer(noise=NOISE), factors)


@pytest.mark.parametrize(
    ("factors", "fit", "least"), [((1,), "linear", 2), ((), "richardson", 2), ((1, 3), "network", 3)]
)
def test_factors_are_enough_for_the_fit(factors, fit, least):
    text = rf"got scale_factors=\(.*\) for extrapolate='{fit}', expected at least {least}: \(1, 3, 5\)"
    with pytest.raises(ValueError, match=text):
        ZNE(Aer(noise=NOISE), factors, fit)


def test_an_unknown_extrapolation_lists_the_known_ones():
    text = "got extrapolate='cubic', expected one of 'linear', 'exponential', 'richardson', 'network'"
    with pytest.raises(ValueError, match=text):
        ZNE(Aer(noise=NOISE), extrapolate="cubic")
