"""hybrid/surrogate.py: frequencies against closed forms, and what ridge makes of trained layers."""

import numpy as np
import pytest
import torch
from tolerances import close
from torch import nn

from circuits import CP, CRX, CX, RX, RY, Circuit, amplitudes, inputs, weights
from circuits.templates import data_reuploading, zz_feature_map
from hybrid import controls, surrogate
from hybrid.surrogate import Waves
from qml import ParallelCircuits, QGRUCell, QuantumLayer
from qml.diagnostics.fourier import spectrum, steps

x, w = inputs(2), weights(2)


def layer(*ops):
    torch.manual_seed(0)
    return QuantumLayer(Circuit(2, [ops], 2, 2), "Z0")


def samples(n, width=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def found(model):
    return sorted(map(tuple, spectrum(steps(model)).tolist()))


def test_frequencies_of_encoding_twice():
    once, twice = (layer(*[RX(x[0], 0)] * n, RX(x[1], 1)) for n in (1, 2))
    assert found(once) == [(0, 1), (1, -1), (1, 0), (1, 1)]
    assert found(twice) == sorted([(0, 1), *((a, b) for a in (1, 2) for b in (-1, 0, 1))])


def test_frequencies_of_gates_and_slopes():
    """CRX has the frequencies 1/2 and 1; the phase of CP 1; a trained slope counts as it is."""
    assert found(layer(CP(2 * x[0] + w[1], 0, 1))) == [(2, 0)]
    assert {(0.5, 0), (1, 0), (1.5, 0)} == set(found(layer(CRX(x[0], 0, 1))))
    model = layer(RX(w[1] * x[1], 0))
    assert found(model) == [(0, pytest.approx(abs(model.weights[1].item()), abs=1e-8))]


@pytest.mark.parametrize(
    "ops",
    [
        [RX(x[0] * x[1], 0)],
        [RX(np.sin(x[0]), 0)],
        [RX(x[0] ** 2, 0)],
        [amplitudes([x[0], x[1], 0, 1], 0, 1)],
        [RX(w[0], 0)],
    ],
    ids=["product", "sine", "square", "start state", "no feature"],
)
def test_angles_that_are_not_affine(ops):
    assert steps(layer(*ops)) is None


def test_weights_in_functions_are_affine():
    assert found(layer(RX(np.sin(w[0]) * x[0], 0))) == [(pytest.approx(abs(np.sin(layer().weights[0].item()))), 0)]


def test_truncation_keeps_the_frequencies_of_the_fewest_gates():
    many = [(np.eye(6)[i], 4) for i in range(6)]
    kept = spectrum(many, 60)
    sizes = np.abs(kept).sum(1)
    assert len(kept) == 60 == len(np.unique(kept, axis=0))
    assert (sizes == 1).sum() == 6 and (sizes == 2).sum() == 6 + 2 * 15 and (sizes == 3).sum() == 18
    assert np.array_equal(kept, spectrum(many, 60))


def test_waves_find_the_coefficients_of_a_fourier_series():
    points = samples(200, 1)
    y = 0.5 + 2 * np.cos(3 * points) - np.sin(points)
    waves = Waves(np.array([[1.0], [3.0]]), points, y)
    assert close(waves.readout, [[0, 2, -1, 0]], 1e-3) and close(waves.constant, [0.5], 1e-3)
    assert close(waves(torch.tensor(points)), torch.tensor(y), 1e-3)
    assert waves.n_parameters == 5


def sequential(circuit, *, n=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n, circuit.n_inputs), QuantumLayer(circuit), nn.Linear(circuit.n_qubits, 3))


def test_the_surrogate_of_an_affine_circuit_is_next_to_exact():
    model = sequential(data_reuploading(2, n_layers=2, scaling=False))
    replaced, report = surrogate.surrogate(model, samples(600), samples(100, seed=1))
    assert report["kinds"] == ["Fourier"] and report["r2"][0] > 0.999
    assert not controls.layers(replaced) and len(controls.layers(model)) == 1
    X = samples(100, seed=2)
    assert (surrogate.predict(model, X) == surrogate.predict(replaced, X)).mean() > 0.95
    assert report["n_parameters"] == 2 * report["n_features"][0] + 2


def test_the_surrogate_of_another_circuit_has_random_features():
    model = sequential(zz_feature_map(2))
    _, report = surrogate.surrogate(model, samples(300) / 4, samples(100, seed=1) / 4)
    assert report["kinds"] == ["random Fourier"] and report["n_features"] == [512]
    assert 0.5 < report["r2"][0] <= 1


def test_a_surrogate_that_cannot_know_the_layer_says_so():
    """The circuit sees other angles in the test part, far from those that it was fitted to."""
    model = sequential(zz_feature_map(2))
    _, report = surrogate.surrogate(model, samples(50) / 4, 5 + 5 * samples(100, seed=1))
    assert report["r2"][0] < 0.3


def test_parallel_circuits_have_surrogates_of_their_own():
    torch.manual_seed(0)
    model = ParallelCircuits(data_reuploading(2, n_layers=1), 3)
    replaced, report = surrogate.surrogate(model, samples(300, 6), samples(100, 6, seed=1))
    X = torch.tensor(samples(50, 6, seed=2))
    assert report["r2"][0] > 0.99 and len(replaced.quantum.body.parts) == 3
    assert (model(X) - replaced(X)).square().mean().sqrt() < 0.1


def test_several_layers_and_one_that_is_called_twice():
    circuit = Circuit(2, [RX(x[0], 0), RY(x[1], 1), CX(0, 1), RY(w[0], 0), RY(w[1], 1)], 2, 2)
    torch.manual_seed(0)
    shared = QuantumLayer(circuit)
    model = nn.Sequential(shared, shared, QuantumLayer(circuit))
    replaced, report = surrogate.surrogate(model, samples(300), samples(100, seed=1))
    assert len(report["r2"]) == 2 and min(report["r2"]) > 0.99
    assert replaced[0] is replaced[1] and not controls.layers(replaced)


class Named(nn.Module):
    """Calls its quantum layer by keyword, and has another one that it never calls."""

    def __init__(self):
        super().__init__()
        self.layer, self.spare = (QuantumLayer(data_reuploading(2, n_layers=1, scaling=False)) for _ in range(2))

    def forward(self, x):
        return self.layer(x=x)


def test_a_layer_called_by_keyword_and_one_that_is_not_called():
    torch.manual_seed(0)
    model = Named()
    replaced, report = surrogate.surrogate(model, samples(300), samples(100, seed=1))
    assert len(report["r2"]) == 1 and report["r2"][0] > 0.99
    assert isinstance(replaced.layer, controls.StandIn) and isinstance(replaced.spare, QuantumLayer)


class First(nn.Module):
    def forward(self, pair):
        return pair[0]


def test_gates_that_share_a_call_are_read_one_by_one():
    torch.manual_seed(0)
    cell = QGRUCell(1, 2)
    parts = cell.reset_gate, cell.update_gate, cell.candidate
    seen = surrogate.calls(nn.Sequential(cell, First()), samples(20, 1))
    assert [len(y) for _, y in seen.values()] == [20, 20, 20]
    for part, (v, y) in zip(parts, seen.values(), strict=True):
        assert close(part(torch.tensor(v, dtype=torch.float32)), y, 1e-6)
