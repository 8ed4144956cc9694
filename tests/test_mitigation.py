"""hybrid/models/mitigation and the experiment zne-network: energies by density matrices, no leakage, all rows run."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import dense
import noisy
import numpy as np
import pytest
import torch
from ibm_folders import own_folders  # noqa: F401
from planted_results import results
from tolerances import close

pytest.importorskip("qiskit_aer")
pytest.importorskip("qiskit_ibm_runtime")

import backends
from backends import zne_network as networks
from backends.extrapolation import linear
from hybrid import experiment
from hybrid.experiment import Case
from hybrid.experiments import zne_network
from hybrid.models.mitigation import rows, vqe

SETTINGS = {"steps": 30, "strengths": [0.01, 0.04, 0.1], "shots": 200, "device": "manila", "factors": [1, 3, 5]}


def case(task, seed=0, **settings):
    return Case(task, seed, SETTINGS | settings, "statevector", None, lambda *_: None, None)


@pytest.fixture(autouse=True)
def _anew():
    """Measure anew: what a test plants stays with it."""
    rows._values.cache_clear()
    rows._weights.cache_clear()


# The eigensolver.


def test_hamiltonians():
    z, x = np.diag([1, -1]), np.array([[0, 1], [1, 0]])
    one = np.eye(2)
    assert close(dense.observable_matrix(vqe.hamiltonian("zzz"), 3).real, dense.kron(z, z, z))
    pairs = dense.kron(z, z, one) + dense.kron(one, z, z)
    fields = dense.kron(x, one, one) + dense.kron(one, x, one) + dense.kron(one, one, x)
    assert close(dense.observable_matrix(vqe.hamiltonian("tfim"), 3).real, -pairs - fields)
    with pytest.raises(ValueError, match="got the Hamiltonian 'heisenberg', expected one of zzz, tfim"):
        vqe.hamiltonian("heisenberg")


@pytest.mark.parametrize("name", vqe.HAMILTONIANS)
def test_the_eigensolver_finds_the_ground_state(name):
    energy = vqe.hamiltonian(name)
    ground = np.linalg.eigvalsh(dense.observable_matrix(energy, 3))[0]
    weights = vqe.solve(energy, backends.Statevector(), seed=1, steps=200)
    (found,) = dense.expectation(vqe.ansatz(), [], weights.numpy(), (energy,))
    assert -1e-9 < found - ground < 1e-4 and weights.shape == (18,)


def test_the_eigensolver_depends_on_its_seed_alone():
    state = torch.random.get_rng_state()
    solve = partial(vqe.solve, vqe.hamiltonian("zzz"), backends.Statevector(), steps=3)
    assert torch.equal(solve(0), solve(0)) and not torch.equal(solve(0), solve(1))
    assert torch.equal(state, torch.random.get_rng_state())


# Values.


def test_energies_are_those_of_density_matrices():
    """Noise of Qiskit's kind after every gate, p on two qubits and p/10 on one; words by measurements of their own."""
    found, energy = rows.values(case("tfim-exact")), vqe.hamiltonian("tfim")
    weights = rows._weights("tfim", False, 0, 30, 0.01).numpy()
    for p, value in zip(found.strengths, found.energies.tolist(), strict=True):
        (expected,) = noisy.read_out(vqe.ansatz(), [], weights, (energy,), noisy.by_size(p, p / 10), np.eye(2))
        assert abs(value - expected) < 1e-9
    (ideal,) = dense.expectation(vqe.ansatz(), [], weights, (energy,))
    assert abs(found.ideal - ideal) < 1e-9 and found.stderr is None


def test_training_under_noise_is_another_one():
    clean, under_noise = (rows.values(case(task)) for task in ("zzz-exact", "zzz-noisy-exact"))
    assert under_noise.energies[0] < clean.energies[0] - 1e-4 and under_noise.ideal < -0.99


def test_shots_are_near_and_of_no_two_strengths_the_same(monkeypatch):
    exact, found = (rows.values(case(f"zzz-{how}", shots=4000)) for how in ("exact", "shots"))
    far = (exact.energies - found.energies) / found.stderr
    assert 0 < abs(far).max() < 5
    seeds, make = [], rows._depolarising
    monkeypatch.setattr(rows, "_depolarising", lambda p, shots, seed: seeds.append(seed) or make(p, shots, seed))
    for seed in range(3):
        rows._swept(vqe.hamiltonian("zzz"), torch.zeros(18).double(), seed, (0.01, 0.05), 10)
    assert len(set(seeds)) == 6


@pytest.mark.usefixtures("own_folders")
def test_a_device_is_measured_at_every_factor():
    found = rows.values(case("zzz-device", shots=2000))
    assert found.strengths == (1, 3, 5) and (found.stderr > 0).all()
    assert found.ideal < found.energies[0] < found.energies[2] < 0  # noise pulls to the middle


# No leakage.


@pytest.mark.parametrize("level", experiment.LEVELS)
def test_no_strength_is_zero(level):
    settings = zne_network.LEVELS[level]
    assert min(settings["strengths"]) > 0 and min(settings["factors"]) == 1 and settings["seeds"] >= 5


def test_the_noise_free_value_is_in_the_score_alone(monkeypatch):
    """Another noise-free value: every row says the same, and only its score is another."""
    monkeypatch.setattr(networks, "STEPS", 50)
    task = case("zzz-noisy-exact")
    before = [row.run(task) for row in zne_network.experiment().rows]
    rows._values.cache_clear()
    planted = SimpleNamespace(expectation=lambda *_: torch.tensor([7.0]))
    monkeypatch.setattr(rows.backends, "Statevector", lambda: planted)
    after = [row.run(task) for row in zne_network.experiment().rows]
    for one, other in zip(before, after, strict=True):
        assert one.extra["value"] == other.extra["value"] and other.extra["ideal"] == 7.0
        assert other.score == abs(other.extra["value"] - 7.0) != one.score


# Rows.


def test_all_rows_are_fitted_to_the_same_values(monkeypatch):
    monkeypatch.setattr(networks, "STEPS", 5)
    found = {row.name: row.run(case("tfim-exact")).extra for row in zne_network.experiment().rows}
    assert len({tuple(extra["energies"]) for extra in found.values()}) == 1
    assert found["no mitigation"]["value"] == found["linear"]["energies"][0]
    p, values = np.array(SETTINGS["strengths"]), np.array(found["linear"]["energies"])
    assert abs(found["linear"]["value"] - np.polyfit(p, values, 1)[-1]) < 1e-9
    power = -np.exp(np.polyfit(np.log(1 - p), np.log(-values), 1)[-1])
    assert abs(found["a (1 − p)^k"]["value"] - power) < 1e-9


def test_richardson_takes_the_weakest():
    strengths = [0.01, 0.02, 0.03, 0.04, 0.1]
    found = rows.extrapolated(case("zzz-exact", strengths=strengths), linear, 2, n_points=4).extra
    expected = np.polyfit(strengths[:4], found["energies"][:4], 1)[-1]
    assert abs(found["value"] - expected) < 1e-9


def test_every_row_runs_at_the_quick_level(tmp_path, run, monkeypatch):
    run.setattr("backends.zne_network.STEPS", 5)
    arguments = ["--quick", "--seeds", "1", "--task", "zzz-exact,tfim-shots", "--jobs", "1", "--out", str(tmp_path)]
    code, said, _ = run("run", "zne-network", *arguments)
    assert code == 0 and len(list(tmp_path.glob("units/*.json"))) == 2 * len(zne_network.experiment().rows)
    said = " ".join(said.split())
    assert f"The paper claims: {zne_network.experiment().claim}" in said and "Lowest mean error: " in said


def test_the_verdict_says_who_is_best_and_what_the_error_bars_are_worth():
    low, high = np.array([0.1, 0.12, 0.11]), np.array([0.5, 0.52, 0.51])
    kinds = {zne_network.NETWORK: "classical", "linear": "classical", "no mitigation": "trivial"}
    scores = {
        (task, row): each
        for task, values in {"one": (low, high, high), "two": (high, low, high)}.items()
        for row, each in zip(kinds, values, strict=True)
    }
    said = zne_network.verdict(results(scores, kinds, extra={zne_network.NETWORK: {"stderr": 0.0575}}))
    name = zne_network.NETWORK
    assert said[0] == (f"Lowest mean error: {name} on one; linear on two. The networks have it on 1 of 2 tasks.")
    assert said[1].startswith("Two standard deviations of the ensemble reach the noise-free value in 2 of 6 runs.")
