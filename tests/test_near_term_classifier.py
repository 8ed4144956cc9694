"""The experiment near-term-classifier: its data, the function without a circuit, equal terms, and that all rows run."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dense as matrices
import numpy as np
import pytest
import torch

import backends
from circuits import pauli
from circuits.templates import readout_qubit
from hybrid import data, experiment, training
from hybrid.experiment import Case
from hybrid.models.classifiers import bits, near_term, rows
from hybrid.units import count_parameters

PAPER = experiment.load("near-term-classifier")
MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
TINY = {"steps": 2, "n_train": 12, "n_test": 20}


def case(task, data=None, **changes):
    settings = {**PAPER.levels["quick"], task: {**PAPER.levels["quick"][task], **changes}}
    return Case(task, 0, settings, "statevector", data, lambda *_: None, None)


def row(name):
    return next(each for each in PAPER.rows if each.name == name)


# --- without a circuit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["ZX"], ["ZX", "XX"], ["YX", "XX", "ZX"]])
@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_what_the_circuit_computes(words, bias):
    settings = {"n_layers": 5, "words": words, "bias": bias}
    torch.manual_seed(0)
    model, circuit = near_term.Product(3, settings), readout_qubit(4, 5, words, bias)
    w, z = model.angles.detach().double().numpy(), np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    expected = [matrices.expectation(circuit, string, w, [pauli("Y3")]) for string in z]
    assert np.allclose(model(torch.tensor(z).float()).detach(), expected, rtol=0, atol=2e-5)  # complex64


def test_product_and_circuit_start_and_train_alike():
    chosen = PAPER.levels["quick"]["digits"]
    torch.manual_seed(3)
    one = near_term.build((10,), 2, chosen, backends.get("statevector"))
    torch.manual_seed(3)
    other = near_term.product((10,), 2, chosen, None)
    z = torch.randint(0, 2, (6, 10)).float()
    torch.testing.assert_close(one(z), other(z), rtol=0, atol=1e-5)
    one(z)[:, 0].sum().backward()
    other(z)[:, 0].sum().backward()
    torch.testing.assert_close(one[0].weights.grad, other[0].angles.grad, rtol=0, atol=1e-4)


def test_linear_equations_modulo_2():
    rng = np.random.default_rng(0)
    for _ in range(20):
        A, x = rng.integers(0, 2, (9, 5)), rng.integers(0, 2, 5)
        found = near_term.solved(A, A @ x % 2)
        assert np.array_equal(A @ found % 2, A @ x % 2)
    assert list(near_term.solved(np.array([[0, 1, 1]]), np.array([1]))) == [0, 1, 0]  # free unknowns are 0
    assert list(near_term.solved(np.array([[1], [1]]), np.array([1, 0]))) == [1]  # a contradiction is left


def test_equations_solve_parities_alone():
    assert row("linear equations modulo 2").run(case("parity-8")).score == 1
    assert row("linear equations modulo 2").run(case("majority-9")).score < 0.9
    assert row("logistic regression").run(case("parity-8")).score < 0.7
    assert row("logistic regression").run(case("majority-9")).score > 0.95


# --- data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["parity-4", "parity-12", "majority-9"])
def test_strings_are_in_one_part_and_labels_those_of_a_subset(task):
    parts, again = bits.load(case(task)), bits.load(replace(case(task), seed=5))
    assert all(np.array_equal(a, b) for a, b in zip(parts[:4], again[:4], strict=True))
    X, y = np.concatenate([parts.X, parts.X_test]).astype(int), np.concatenate([parts.y, parts.y_test])
    assert len(np.unique(X, axis=0)) == len(X) and set(y) == {0, 1} and len(parts.y) <= 200
    n = X.shape[1]
    half = range(n // 2, n // 2 + 2)
    subsets = [X[:, list(chosen)].sum(1) for size in half for chosen in itertools.combinations(range(n), size)]
    made = [ones % 2 for ones in subsets] if "parity" in task else [ones > max(ones) // 2 for ones in subsets]
    assert any(np.array_equal(labels, y) for labels in made)


def test_a_superposition_is_read_as_the_mean_of_its_strings():
    """Of a diagonal circuit, whose gates do not move strings."""
    chosen = case("majority-5")
    parts, states = bits.load(chosen), bits.superpositions(chosen)
    assert np.allclose(np.linalg.norm(states.X, axis=1), 1) and list(states.y) == [0, 1]
    assert states.X_test.shape == (16, 32) and np.array_equal(states.y_test, parts.y_test)
    settings = chosen.settings["majority-5"]
    torch.manual_seed(0)
    superposed = near_term.build((32,), 2, settings, backends.get("statevector"), superposed=True)
    plain = near_term.build((5,), 2, settings, backends.get("statevector"))
    plain.load_state_dict({"0.weights": superposed[0].weights})
    with torch.no_grad():
        found, each = superposed(torch.tensor(states.X)), plain(torch.tensor(parts.X))
        expected = torch.stack([each[torch.tensor(parts.y == label)].mean(0) for label in (0, 1)])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(superposed(torch.tensor(states.X_test)), plain(torch.tensor(parts.X_test)))


def test_strings_of_both_digits_are_left_out(monkeypatch):
    black, white = np.zeros((8, 8)), np.ones((8, 8))
    left, right = (np.where(np.arange(8) < 4, a, b) * np.ones((8, 1)) for a, b in ((1, 0), (0, 1)))
    images = [black, black, white, left, left, left, right, white]
    labels = [3, 6, 3, 6, 6, 6, 3, 5]
    monkeypatch.setattr(rows, "loaded", lambda *_: data.from_arrays(np.array(images), labels))
    monkeypatch.setattr(bits, "DIGITS", (0, 2))  # of the classes 3, 5 and 6
    strings, y, counts = bits.images("digits", None, {"n_pixels": 16})
    found = {tuple(string[:4].astype(int)): label for string, label in zip(strings, y, strict=True)}
    assert found == {(1, 1, 1, 1): 0, (1, 1, 0, 0): 1, (0, 0, 1, 1): 0}
    assert counts == {"images": 7, "kept": 5, "contradictory": 1}


def test_the_most_variable_pixels_are_kept():
    images = np.random.default_rng(0).random((50, 8, 8))
    images[:, :2] = 0
    found = bits._thresholded(images.reshape(50, 64).astype(np.float32), 12)
    means = images.reshape(50, 4, 2, 4, 2).mean((2, 4)) / images.max()
    assert np.array_equal(found, (means > 0.5)[:, 1:].reshape(50, 12))


@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist")
def test_the_3s_and_6s_of_mnist_are_193_strings_as_published():
    found = data.load(MNIST)
    strings = bits._thresholded(found.X[np.isin(found.y, (3, 6))], 16)
    assert len(np.unique(strings, axis=0)) == 193
    _, y, counts = bits.images("mnist", MNIST, {"n_pixels": 16})
    assert counts["images"] == 12_049 + 1_968 and len(y) + counts["contradictory"] > 193


def test_labels_of_states_are_the_sign_of_a_real_energy():
    X, y = bits._states(3, 400)
    energy = bits._hamiltonian(3, np.random.default_rng(1))
    assert np.allclose(energy, energy.T) and np.trace(energy) == pytest.approx(0)
    assert np.allclose(np.linalg.norm(X, axis=1), 1) and 0.3 < y.mean() < 0.7
    i, j = np.triu_indices(8)
    signs = np.linalg.lstsq(X[:, i] * X[:, j], 1 - 2.0 * y, rcond=None)[0]
    assert (((X[:, i] * X[:, j]) @ signs < 0) == y).mean() > 0.9  # a quadratic form
    assert near_term.products(torch.tensor(X), {}).shape == (400, 36)


def test_mnist_needs_data(tmp_path):
    assert "mnist" not in experiment.plan(PAPER, "quick", out=tmp_path).tasks
    with pytest.raises(ValueError, match=r"got the task mnist without data, expected a folder .* --data"):
        experiment.plan(PAPER, "quick", out=tmp_path, tasks=["mnist"])


# --- rows ------------------------------------------------------------------------------------------------------------


def test_the_circuit_has_the_papers_angles():
    full = PAPER.levels["full"]["mnist"]
    assert near_term.circuit(16, full).n_weights == 96 and near_term.circuit(16, full).n_qubits == 17
    assert near_term.circuit(16, full, first_only=True).n_weights == 16
    assert near_term.circuit(8, PAPER.levels["full"]["parity-8"]).n_weights == 9
    net = near_term.dense((16,), 2, full, None)
    assert abs(count_parameters(net)["classical"] - 96) <= 10
    assert near_term.dense((16,), 2, full, None, width=32)[0].out_features == 32
    frozen = near_term.build((16,), 2, full, backends.get("statevector"), frozen=True)
    assert count_parameters(frozen) == {"quantum": 0, "classical": 4, "frozen": 96}


class Stop(Exception):
    """Raised where a row would begin to train."""


@pytest.mark.parametrize("task", ["parity-8", "digits", "states"])
def test_all_that_is_trained_has_one_schedule(task, monkeypatch):
    calls = []

    def fit(build, X, y, **options):
        calls.append(SimpleNamespace(steps=options["epochs"] * -(-len(y) // options["batch_size"]), options=options))
        raise Stop

    monkeypatch.setattr(training, "fit", fit)
    for each in PAPER.rows:
        if each.kind != "trivial" and (each.tasks is None or task in each.tasks):
            with pytest.raises(Stop):
                each.run(case(task))
    terms = ("seed", "lr", "batch_size", "optimizer", "optimizer_options")
    assert len(calls) > 3 and all(300 <= call.steps < 320 for call in calls)
    assert all(call.options[term] == calls[0].options[term] for call in calls for term in terms)


def test_every_row_runs_on_every_task(tmp_path):
    levels = {
        level: {"seeds": 1, **{name: {**PAPER.levels["quick"][name], **TINY, "n_pixels": 4} for name in PAPER.tasks}}
        for level in PAPER.levels
    }
    plan = experiment.plan(replace(PAPER, levels=levels), "quick", out=tmp_path, jobs=1)
    found = experiment.run(plan, show=False)
    assert len(found.records) == sum(len(found.rows(task)) for task in found.tasks) == 51
    assert {each.kind for each in PAPER.rows} == {"quantum", "control", "classical", "trivial"}
    said = found.experiment.verdict(found)
    assert said[0].startswith("On digits 364 images of 3 and 6 are ") and all(text.endswith(".") for text in said)
    for task in PAPER.tasks[:6]:
        one, other = (found.scores(task, name) for name in ("quantum classifier", near_term_product()))
        assert one == pytest.approx(other, abs=0.2)


def near_term_product():
    return next(each.name for each in PAPER.rows if "no circuit" in each.name)


def test_the_classifier_learns_parity_of_8_bits():
    assert row("quantum classifier").run(case("parity-8")).score == 1
