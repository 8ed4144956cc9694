"""hybrid/experiments/autoencoder_transfer.py and its networks: the map, what is fitted where, equal terms, all rows."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import dense
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import backends
from hybrid import experiment, training
from hybrid.experiment import Case
from hybrid.experiments import autoencoder_transfer as paper
from hybrid.models.classifiers import autoencoder_transfer as transfer
from hybrid.models.classifiers import rows
from hybrid.units import count_parameters

N_TRAIN, N_TEST, N_ENCODER = 60, 40, (64 * 48 + 48) + (48 * 32 + 32) + (32 * 16 + 16)


def small(levels, task="digits"):
    """Return settings with few images and few steps."""
    settings = levels["quick"][task]
    autoencoder = {**settings["autoencoder"], "epochs": 3}
    return {**settings, "epochs": 1, "n_train": N_TRAIN, "n_test": N_TEST, "autoencoder": autoencoder}


def tiny(**changes):
    case = Case("digits", 0, {"digits": small(paper.LEVELS)}, "statevector", None, lambda *_: None, None)
    return replace(case, **changes)


@pytest.fixture(scope="module")
def found():
    return transfer.reduction(tiny())


@pytest.fixture(scope="module")
def images():
    return torch.as_tensor(rows.images(tiny()).X)


def row(name):
    return next(each for each in paper.experiment().rows if each.name == name)


# --- the map ---------------------------------------------------------------------------------------------------------


def coins(angles, hadamard):
    """Return P(1) of the qubits before the chain of CX, in closed form."""
    plain = np.sin(angles / 2) ** 2
    superposed = (1 - np.sin(angles)) / 2
    return superposed if hadamard == "all" else np.concatenate([superposed[:, :1], plain[:, 1:]], 1)


def tossed(ones):
    """Return the probabilities of all outcomes of independent coins, (N, 32)."""
    bits = (np.arange(32)[:, None] >> np.arange(5)[::-1]) & 1
    return np.where(bits, ones[:, None], 1 - ones[:, None]).prod(-1)


def chained():
    """Return where the chain of CX takes every basis state: qubit q gets the parity of 0 to q."""
    bits = (np.arange(32)[:, None] >> np.arange(5)[::-1]) & 1
    return np.cumsum(bits, 1) % 2 @ (1 << np.arange(5)[::-1])


@pytest.mark.parametrize("low", [transfer.LOW, 0.0])
@pytest.mark.parametrize("hadamard", ["first", "all"])
def test_the_map_is_five_coins_and_its_cx_only_permute_the_outcomes(found, images, hadamard, low):
    """The paper's entanglement is inert: the numbers without CX are the same ones, in another order."""
    options = {"hadamard": hadamard, "low": low}
    entangled = transfer.probabilities(tiny(), **options)(images, {}).numpy()
    separable = transfer.probabilities(tiny(), entangled=False, **options)(images, {}).numpy()
    expected = tossed(coins(found.angles(images, {}, low).numpy(), hadamard))
    np.testing.assert_allclose(separable, expected, atol=1e-6)
    np.testing.assert_allclose(entangled[:, chained()], separable, atol=1e-6)
    assert not np.allclose(entangled, separable, atol=1e-2)


@pytest.mark.parametrize(
    ("hadamard", "low", "lost"),
    [("first", transfer.LOW, 4), ("first", 0.0, 1), ("all", transfer.LOW, 0), ("all", 0.0, 5)],
)
def test_each_reading_of_the_map_loses_the_signs_that_the_verdict_names(hadamard, low, lost):
    circuit = transfer._map(hadamard, entangled=True)
    scores = np.array([0.3, -0.5, 0.7, -0.2, 0.9])

    def read(scores):
        return dense.probabilities(circuit, low + np.pi / 2 * (1 + scores), (), range(5))

    flipped = [read(np.where(np.arange(5) == q, -scores, scores)) for q in range(5)]
    assert sum(np.allclose(each, read(scores), atol=1e-9) for each in flipped) == lost


def test_frequencies_are_those_of_shots():
    exact = torch.as_tensor(tossed(np.random.default_rng(0).random((50, 5))))
    counted = transfer.frequencies(exact, 1000, seed=3)
    assert torch.equal(counted, transfer.frequencies(exact, 1000, seed=3))
    assert not torch.equal(counted, transfer.frequencies(exact, 1000, seed=4))
    torch.testing.assert_close(counted * 1000, (counted * 1000).round())
    torch.testing.assert_close(counted.sum(1), torch.ones(50, dtype=torch.float64))
    sigmas = (counted - exact) / (exact * (1 - exact) / 1000).sqrt().clamp_min(1e-3)
    assert sigmas.abs().max() < 6 and 0.7 < sigmas.std() < 1.2


def test_shots_are_those_of_the_seed_and_new_for_other_images(images):
    draw = partial(transfer.probabilities, shots=128)
    first = draw(tiny())
    once, again = first(images, {}), first(images, {})
    assert torch.equal(once, draw(tiny())(images, {})) and not torch.equal(once, again)
    assert not torch.equal(once, draw(tiny(seed=1))(images, {}))
    torch.testing.assert_close(once.sum(1), torch.ones(len(images)))


def test_the_map_runs_on_the_backend_of_the_case_and_shots_are_drawn_from_exact_probabilities(images):
    pytest.importorskip("pennylane")
    elsewhere = tiny(backend="pennylane:default.qubit,shots=10")
    counts = 10 * transfer.probabilities(elsewhere)(images[:5], {})
    torch.testing.assert_close(counts, counts.round())
    shots = partial(transfer.probabilities, shots=128)
    assert torch.equal(shots(elsewhere)(images, {}), shots(tiny())(images, {}))


# --- what is fitted, to what ----------------------------------------------------------------------------------------


def test_autoencoder_pca_and_scale_are_fitted_to_the_train_images_alone(found, monkeypatch):
    parts = rows.images(tiny())
    transfer._fitted.cache_clear()
    noise = np.random.default_rng(0).random(parts.X_test.shape, np.float32)
    monkeypatch.setattr(rows, "images", lambda case: parts._replace(X_test=noise, y_test=parts.y_test[::-1]))
    other_test = transfer.reduction(tiny())
    assert other_test is not found
    assert all(map(torch.equal, other_test.encoder.parameters(), found.encoder.parameters()))
    assert np.array_equal(other_test.pca.components_, found.pca.components_)
    assert np.array_equal(other_test.pca.mean_, found.pca.mean_) and np.array_equal(other_test.largest, found.largest)
    transfer._fitted.cache_clear()
    monkeypatch.setattr(rows, "images", lambda case: parts._replace(X=noise[:N_TEST]))
    assert not np.array_equal(transfer.reduction(tiny()).pca.mean_, found.pca.mean_)
    transfer._fitted.cache_clear()


def test_scores_are_a_pca_of_the_latents_over_their_largest_modulus(found, images):
    latents = found.latents(images, {}).numpy().astype(float)
    _, _, axes = np.linalg.svd(latents - latents.mean(0), full_matrices=False)
    expected = (latents - latents.mean(0)) @ axes[:5].T
    scores = found.scores(images, {}).numpy()
    np.testing.assert_allclose(np.abs(scores), np.abs(expected / np.abs(expected).max(0)), atol=1e-4)
    np.testing.assert_allclose(np.abs(scores).max(0), 1, atol=1e-6)
    np.testing.assert_allclose(found.angles(images, {}), scores * np.pi / 2, atol=1e-6)
    np.testing.assert_allclose(found.angles(images, {}, 0.0), (scores + 1) * np.pi / 2, atol=1e-6)


def test_scores_of_other_images_stay_in_range_and_owe_nothing_to_each_other(found):
    others = 3 * torch.as_tensor(rows.images(tiny()).X_test)
    scores = found.scores(others, {})
    assert scores.abs().max() == 1
    torch.testing.assert_close(scores[:3], found.scores(others[:3], {}))


def test_the_autoencoder_is_the_papers_and_learns():
    model = transfer.autoencoder(784, paper.LEVELS["full"]["mnist"]["autoencoder"]["widths"])
    sizes = [layer.out_features for half in model[:2] for layer in half if isinstance(layer, torch.nn.Linear)]
    assert sizes == [256, 128, 64, 128, 256, 784]
    assert all(isinstance(half[-1], torch.nn.Linear) for half in model[:2]) and isinstance(model[2], torch.nn.Sigmoid)
    X = rows.images(tiny(settings={"digits": {}})).X
    fitted = transfer.fit(X[:300], 0, [16], epochs=60, lr=1e-2, batch_size=32)
    latents = fitted.latents(torch.as_tensor(X), {}).numpy()
    linear = LogisticRegression(max_iter=1000).fit(latents[:300], rows.images(tiny(settings={"digits": {}})).y[:300])
    assert linear.score(latents[300:], rows.images(tiny(settings={"digits": {}})).y[300:]) > 0.8


def test_the_reduction_is_fitted_once_for_each_seed(monkeypatch):
    calls, fit = [], transfer.fit
    monkeypatch.setattr(transfer, "fit", lambda *given, **options: calls.append(given[1]) or fit(*given, **options))
    transfer._fitted.cache_clear()
    for seed in (0, 1, 0, 1):
        transfer.latents(tiny(seed=seed)), transfer.scores(tiny(seed=seed)), transfer.angles(tiny(seed=seed))
    assert calls == [0, 1]


# --- networks --------------------------------------------------------------------------------------------------------


def test_the_head_has_the_papers_parameters():
    settings = paper.LEVELS["full"]["mnist"]
    sizes = {n: count_parameters(transfer.head((n,), 10, settings, None))["classical"] for n in (32, 64)}
    assert sizes == {32: 13_514, 64: 17_610}


def test_the_head_normalises_its_inputs():
    """So a head on probabilities has no smaller inputs than one on latents."""
    settings, x = paper.LEVELS["quick"]["digits"], torch.randn(50, 16, dtype=torch.float64)
    model = transfer.head((16,), 10, settings, None).double()
    model[-2].p = model[5].p = 0.0
    torch.testing.assert_close(model(x), model(20 * x + 3), atol=1e-3, rtol=0)


def built(control):
    torch.manual_seed(5)
    settings = paper.LEVELS["quick"]["digits"]
    return transfer.circuit_and_head((5,), 10, settings, backends.get("statevector"), control)


def test_controls_of_the_trained_circuit_start_from_the_same_head():
    models = {control: built(control) for control in (None, "separable", "frozen", "linear")}
    for model in models.values():
        assert all(map(torch.equal, model[1].parameters(), models[None][1].parameters()))
    assert not any(len(op.qubits) > 1 for op in models["separable"][0].body.circuit.ops)
    assert torch.equal(models["separable"][0].body.weights, models[None][0].weights)
    assert not models["frozen"][0].weights.requires_grad and models[None][0].weights.shape == (45,)
    assert [type(layer) for layer in models["linear"][0].body] == [torch.nn.Linear, torch.nn.Tanh]
    with pytest.raises(ValueError, match=r"got control='none', expected one of removed, linear, separable, frozen or"):
        built("none")


def test_the_trained_circuit_begins_with_the_map_and_is_trained():
    model, x = built(None), torch.rand(8, 5)
    circuit = model[0].circuit
    assert circuit.ops[: 5 + 1 + 4] == transfer._map("first", entangled=True).ops
    expected = [dense.probabilities(circuit, each, model[0].weights.detach().numpy(), range(5)) for each in x.numpy()]
    np.testing.assert_allclose(model[0](x).detach(), expected, atol=1e-5)
    torch.nn.functional.cross_entropy(model(x), torch.arange(8)).backward()
    assert model[0].weights.grad.abs().max() > 1e-4


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_differ_in_what_their_names_say():
    options = {
        each.name: getattr(each.run.keywords.get("features"), "keywords", {}) for each in paper.experiment().rows
    }
    assert {name: given for name, given in options.items() if given} == {
        "hybrid, 1,024 shots": {"shots": 1024},
        "hybrid, 128 shots": {"shots": 128},
        "hybrid, angles from 0 to π": {"low": 0.0},
        "hybrid, H on all qubits": {"hadamard": "all"},
        "hybrid, H on all qubits, angles from 0 to π": {"hadamard": "all", "low": 0.0},
        "hybrid, CXs removed": {"entangled": False},
    }
    controls = [
        row(f"trained circuit{end}").run.keywords.get("control") for end in ("", ", frozen", ", entanglers off")
    ]
    assert controls == [None, "frozen", "separable"]


class Stop(Exception):
    """Raised where a row would begin to train."""


def test_all_networks_have_one_schedule_the_same_head_and_the_same_data(monkeypatch):
    calls = []
    transfer.reduction(tiny(seed=3))

    def fit(build, X, y, **options):
        calls.append(SimpleNamespace(y=y, options=options, widths=widths(build())))
        raise Stop

    def widths(model):
        dense = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        return [each.out_features for each in dense][-3:]

    monkeypatch.setattr(training, "fit", fit)
    networks = [each for each in paper.experiment().rows if each.kind != "trivial"]
    for each in networks:
        with pytest.raises(Stop):
            each.run(tiny(seed=3))
    terms = ("seed", "epochs", "lr", "batch_size", "optimizer", "optimizer_options")
    assert len(calls) == len(networks) == 14
    assert all(call.widths == [64, 32, 10] and np.array_equal(call.y, calls[0].y) for call in calls)
    assert all(call.options[term] == calls[0].options[term] for call in calls for term in terms)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    levels = {level: {"seeds": 2, "digits": small(paper.LEVELS)} for level in experiment.LEVELS}
    plan = experiment.plan(
        replace(paper.experiment(), levels=levels), "quick", out=tmp_path_factory.mktemp("out"), jobs=1
    )
    return experiment.run(plan, show=False)


def test_every_row_runs_and_is_counted(results):
    assert {each.kind for each in results.rows("digits")} == {"quantum", "control", "classical", "trivial"}
    for each in results.rows("digits"):
        assert len(results.of("digits", each.name)) == 2
        for record in results.of("digits", each.name):
            assert 0 <= record["score"] <= 1 and round(record["score"] * N_TEST, 9).is_integer()
            trained = {paper.TRAINED, f"{paper.TRAINED}, entanglers off"}
            assert record["parameters"]["quantum"] == 45 * (each.name in trained)
            frozen = (each.name != paper.PIXELS) * N_ENCODER + 45 * (each.name == paper.FROZEN)
            assert record["parameters"]["frozen"] == frozen


def test_the_verdict_says_at_which_step_accuracy_is_lost(results):
    steps, readings, *rest = results.experiment.verdict(results)
    means = [results.scores("digits", name).mean() for name in paper.STEPS]
    said = re.findall(r"(\d\.\d+|\d)(?: \(([+-]\d\.\d+)\))?[,.] ", steps)
    assert [float(mean) for mean, _ in said] == pytest.approx(means, abs=6e-4)
    assert [float(step) for _, step in said[1:]] == pytest.approx(np.diff(means), abs=6e-4)
    assert steps.endswith(f"The lowest step is that to: {paper.STEPS[1 + np.argmin(np.diff(means))]}.")
    shown = [paper.SCORES, paper.HYBRID, paper.POSITIVE, paper.ALL, paper.ALL_POSITIVE]
    found = [float(each) for each in re.findall(r"(?:give|map|lost\)|1\)|none\)),? (\d\.?\d*) ?", readings)]
    assert found == pytest.approx([results.scores("digits", name).mean() for name in shown], abs=6e-4)
    assert len(rest) == len(results.experiment.claims) + 7 and all(each.endswith(".") for each in rest)


def test_a_reduced_row_is_its_features_and_a_plain_loop():
    case, torch_rows = tiny(), rows.images(tiny())
    outcome = row(paper.HYBRID).run(case)
    prepare = transfer.probabilities(case)
    X, X_test = (prepare(torch.as_tensor(part), {}) for part in (torch_rows.X, torch_rows.X_test))
    fitted = training.fit(
        partial(transfer.head, (32,), 10, case.settings["digits"], None),
        X.numpy(), torch_rows.y, epochs=1, lr=1e-3, batch_size=32,
    )  # fmt: skip
    predicted = fitted.net.module_.eval()(X_test).argmax(1).numpy()
    assert outcome.score == (predicted == torch_rows.y_test).mean()
    assert outcome.seconds["training"] > transfer.reduction(case).seconds


def test_logistic_regression_is_scikit_learns_on_scaled_scores():
    case = tiny()
    parts = rows.images(case)
    X, X_test = (transfer.scores(case)(torch.as_tensor(part), {}).numpy() for part in (parts.X, parts.X_test))
    model = LogisticRegression(max_iter=10_000).fit((X - X.mean(0)) / X.std(0), parts.y)
    expected = model.score((X_test - X.mean(0)) / X.std(0), parts.y_test)
    assert row("logistic regression, scores").run(case).score == pytest.approx(expected, abs=0.03)


# --- the experiment --------------------------------------------------------------------------------------------------


def test_levels_are_smaller_and_full_is_the_papers_size():
    quick, default, full = (paper.LEVELS[level] for level in experiment.LEVELS)
    assert quick["seeds"] == 2 and default["seeds"] == full["seeds"] == 5
    assert "n_train" not in full["mnist"] and quick["mnist"]["n_train"] < default["mnist"]["n_train"]
    assert full["mnist"]["head"] == [128, 64] and full["digits"]["autoencoder"]["widths"][-1] == 16
    for level in (quick, default, full):
        for task in rows.TASKS:
            settings = level[task]
            assert settings["lr"] == 1e-3 and settings["autoencoder"]["widths"][-1] > transfer.N_QUBITS
            assert {name for name in settings if name not in ("n_train", "n_test")} == set(full["mnist"])


def test_published_figures_are_those_of_mnist_and_mnist_needs_data(tmp_path):
    found = paper.experiment()
    assert found.published == {paper.HYBRID: {"mnist": "about 0.75"}, paper.LATENTS: {"mnist": "about 0.98"}}
    assert experiment.plan(found, "quick", out=tmp_path).tasks == ("digits",)
    with pytest.raises(ValueError, match="got the task mnist without data, expected a folder with mnist/"):
        experiment.plan(found, "quick", out=tmp_path, tasks=["mnist"])


MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"


@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist")
def test_the_hybrid_runs_on_mnist_itself():
    settings = {"mnist": small(paper.LEVELS, "mnist")}
    case = Case("mnist", 0, settings, "statevector", MNIST, lambda *_: None, None)
    outcome = row(paper.HYBRID).run(case)
    assert 0 <= outcome.score <= 1 and outcome.parameters["frozen"] == 200_960 + 32_896 + 8_256
