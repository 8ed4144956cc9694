"""The costs of a training are those of the evaluations that it really makes."""

import numpy as np
import pytest
import torch
import toy_model
from priced import Device

from backends import Statevector
from backends.planning import NOTHING
from circuits import CX, RX, RY, Circuit, inputs, weights, z_each
from hybrid import costs, training
from hybrid.compare import plan, run
from hybrid.data import load
from qml import QuantumLayer

X, W = inputs(2), weights(2)
CIRCUIT = Circuit(2, [RX(X[0], 0), RY(X[1], 1), CX(0, 1), RY(W[0], 0), RY(W[1], 1)], 2, 2)


def model(backend, first=True):
    layer = QuantumLayer(CIRCUIT, z_each(2), backend)
    return torch.nn.Sequential(torch.nn.Linear(3, 2).requires_grad_(first), layer)


@pytest.mark.parametrize("first", [True, False], ids=["trained before", "frozen before"])
@pytest.mark.parametrize(("n_train", "n_valid"), [(8, 4), (10, 3), (3, 0)])
def test_what_is_planned_is_what_is_evaluated(first, n_train, n_valid):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n_train, 3)).astype(np.float32), np.arange(n_train) % 2
    valid = (X[:n_valid], y[:n_valid]) if n_valid else None
    device = Device()
    planned = costs.of_training(
        model(device, first), 3, n_train=n_train, epochs=2, batch_size=4, n_watched=n_valid, n_test=5
    )
    assert device.calls == []  # nothing was sent
    fitted = training.fit(lambda: model(device, first), X, y, epochs=2, batch_size=4, valid=valid)
    fitted.net.predict(np.zeros((5, 3), np.float32))
    assert planned.rows == sum(device.calls) and planned.jobs == len(device.calls)
    per_row = 1 + 2 * (4 if first else 2)
    assert planned.rows == 2 * (n_train * per_row + n_valid) + 5


def test_planning_leaves_the_model_and_chance_alone():
    torch.manual_seed(1)
    device = Device()
    made = model(device)
    expected = torch.rand(1)
    torch.manual_seed(1)
    made = model(device)
    costs.of_training(made, 3, n_train=8, epochs=1, batch_size=4)
    assert torch.equal(torch.rand(1), expected) and made[1].backend is device


def test_what_runs_here_costs_nothing():
    assert costs.of_training(model(Statevector()), 3, n_train=8, epochs=1, batch_size=4) == NOTHING


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.setattr("backends.get", lambda spec, *_: Device() if spec == "device" else Statevector())

    def made(backend, models=("reuploading",), seeds=2, **options):
        fields = {"epochs": 1, "lr": 0.01, "batch_size": 4, "test_size": 0.2, "n_train": 6, "jobs": 1} | options
        return plan(load("iris"), models, seeds=seeds, backend=backend, out=tmp_path, **fields)

    return made


def test_a_comparison_costs_what_its_quantum_rows_cost(planned):
    found, one = costs.comparison(planned("device")), costs.comparison(planned("device", seeds=1))
    names = [("reuploading", variant) for variant in ("hybrid", "separable", "frozen")]
    assert list(found) == list(one) == names
    assert all(found[row] == one[row] * 2 for row in names)
    assert found[names[2]].rows < found[names[0]].rows  # frozen weights have no gradient


def test_what_is_finished_costs_nothing_more(planned, monkeypatch):
    finished = set()
    monkeypatch.setattr("hybrid.records.finished", lambda out, unit: unit.key in finished)
    made = planned("device")
    before = costs.comparison(made)
    finished.update(unit.key for unit in made.units if unit.seed == 0)
    assert {row: cost * 2 for row, cost in costs.comparison(made).items()} == before
    finished.update(unit.key for unit in made.units)
    assert set(costs.comparison(made).values()) == {NOTHING}


def test_a_simulator_has_no_costs(planned):
    with pytest.raises(
        ValueError, match="got the backend 'statevector', which costs nothing, expected a device: ibm:manila"
    ):
        costs.comparison(planned("statevector"))


def test_a_small_comparison_runs_on_a_fake_device(tmp_path, monkeypatch):
    pytest.importorskip("qiskit_ibm_runtime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    spec = "ibm:manila,shots=20,seed=1"
    fields = {"epochs": 1, "lr": 0.01, "batch_size": 4, "test_size": 0.05, "n_train": 4, "jobs": 1}
    made = plan(load("iris"), {"small": toy_model.build}, seeds=1, backend=spec, out=tmp_path / "run", **fields)
    assert run(made, show=False).hybrids == ["small"]
