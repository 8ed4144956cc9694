"""hybrid/models/classifiers/hybrid_cnn.py, attacked.py, the experiment: gates, schedules, attacks, the two old bugs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_results import results
from torch import nn
from torch.optim import Adam, AdamW

import backends
from hybrid import experiment, findings, training
from hybrid.attacks import Normalised, fgsm, pgd, robust_accuracy
from hybrid.experiment import Case
from hybrid.experiments import hybrid_cnn as paper
from hybrid.models.classifiers import attacked, hybrid_cnn, rows
from qml import QuantumLayer

PAPER = experiment.load("hybrid-cnn")
ROWS = {row.name: row for row in PAPER.rows}
RNG = np.random.default_rng(0)


def tiny(**options):
    settings = {**PAPER.levels["quick"]["digits"], "epochs": 3, "n_train": 60, "n_test": 30, "batch_size": 20}
    return Case("digits", 0, {"digits": settings | options}, "statevector", None, lambda *_: None, None)


# --- the networks ----------------------------------------------------------------------------------------------------


def test_the_circuit_is_pennylanes_amplitude_embedding_and_basic_entangler_layers():
    qp = pytest.importorskip("pennylane")

    @qp.qnode(qp.device("default.qubit", wires=4))
    def published(inputs, weights):
        qp.AmplitudeEmbedding(inputs, wires=range(4), normalize=True)
        qp.BasicEntanglerLayers(weights, wires=range(4))
        return [qp.expval(qp.PauliZ(q)) for q in range(4)]

    layer = QuantumLayer(hybrid_cnn.circuit()).double()
    x = torch.tensor(RNG.dirichlet(np.ones(16), 3))
    weights = layer.weights.detach().numpy().reshape(2, 4)
    expected = [published(each, weights) for each in x.numpy()]
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-12)


def test_controls_start_from_the_same_weights_and_lack_what_they_should():
    settings, found = PAPER.levels["quick"]["digits"], {}
    for control in (None, *hybrid_cnn.CONTROLS):
        torch.manual_seed(5)
        found[control] = hybrid_cnn.build((1, 8, 8), 10, settings, backends.get("statevector"), control)
    core = next(at for at, part in enumerate(found[None]) if isinstance(part, QuantumLayer))
    for control, model in found.items():
        same = [0, 1, 4, 10, 12] + [core + 1] * (control != "removed")  # convolutions, batch norm, linear layers, head
        assert all(torch.equal(model[at].weight, found[None][at].weight) for at in same)
        assert isinstance(model[core - 1], nn.Softmax) and model(torch.rand(5, 1, 8, 8)).shape == (5, 10)
    ops = found["separable"][core].circuit.ops
    assert [op.gate.name for op in ops if len(op.qubits) > 1] == [ops[0].gate.name] and len(ops) == 1 + 8
    assert not found["frozen"][core].weights.requires_grad
    assert isinstance(found["removed"][core], nn.Identity) and found["linear"][core].weight.shape == (4, 16)
    with pytest.raises(ValueError, match=r"got control='none', expected one of separable, frozen, removed, linear or"):
        hybrid_cnn.build((1, 8, 8), 10, settings, backends.get("statevector"), "none")


# --- schedules -------------------------------------------------------------------------------------------------------


def rates(row, monkeypatch):
    """Return the learning rate of every step of a row's training: 3 epochs of 3 steps."""
    found = []
    monkeypatch.setattr(
        training._Watch, "on_batch_begin", lambda self, net, **_: found.append(net.optimizer_.param_groups[0]["lr"])
    )
    ROWS[row].run(tiny())
    assert len(found) == 9
    return found


def test_restarts_are_every_5_batches_as_published_or_every_5_epochs(monkeypatch):
    """Every 5 batches the learning rate never comes to rest, however long the training: that was the bug."""
    formula = [1e-5 + (3e-3 - 1e-5) / 2 * (1 + math.cos(math.pi * step / 5)) for step in range(5)]
    expected = [formula[step % 5] for step in range(9)]
    np.testing.assert_allclose(rates(paper.PUBLISHED, monkeypatch), expected)
    np.testing.assert_allclose(rates(paper.BY_EPOCHS, monkeypatch), np.repeat(formula[:3], 3))


def test_restarts_every_5_batches_stall_where_one_cycle_ends():
    """The mean rate of the last of many epochs of 23 batches: that of the first epoch, or next to nothing."""
    mean = {}
    for name, terms in (("batch", hybrid_cnn.warm_restarts(0)), ("cycle", hybrid_cnn.one_cycle(50 * 23))):
        weight = nn.Parameter(torch.zeros(1))
        optimizer = terms["optimizer"]([weight], lr=terms["lr"])
        options = {key: value for key, value in terms["schedule_options"].items() if key != "step_every"}
        schedule = terms["schedule"](optimizer, **options)
        found = []
        for _ in range(50 * 23):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        mean[name] = np.mean(found[:23]), np.mean(found[-23:])
    assert mean["batch"][1] > 0.9 * mean["batch"][0] > 1e-3 and mean["cycle"][1] < 1e-5


def test_one_cycle_rises_for_3_tenths_of_all_steps_and_falls_to_nothing(monkeypatch):
    found = rates(paper.HYBRID, monkeypatch)
    assert found[0] == pytest.approx(2e-3 / 25) and found[-1] == pytest.approx(2e-3 / 25 / 1e4)
    assert max(found) == pytest.approx(2e-3, rel=0.02) and found.index(max(found)) == 2  # of 9, from 0: 0.3 * 9 - 1


class Stop(Exception):
    """Raised where a row would begin to train."""


def test_all_rows_but_those_named_after_restarts_are_trained_as_the_hybrid(monkeypatch):
    made, trained = [], [row for row in PAPER.rows if row.kind != "trivial"]

    def fit(build, X, y, **options):
        made.append(options | {"data": (X, y)})
        raise Stop

    monkeypatch.setattr(training, "fit", fit)
    for row in trained:
        with pytest.raises(Stop):
            row.run(tiny())
    calls = dict(zip([row.name for row in trained], made, strict=True))
    own = ("lr", "optimizer", "optimizer_options", "schedule", "schedule_options", "clip")
    for name, options in calls.items():
        reference = calls[
            paper.PUBLISHED if "5 batches" in name else paper.BY_EPOCHS if "5 ep" in name else paper.HYBRID
        ]
        assert [options.get(term) for term in own] == [reference.get(term) for term in own]
        assert (options["epochs"], options["batch_size"], options["seed"]) == (3, 20, 0)
        assert options["loss_options"] == {"label_smoothing": 0.1}
        assert all(np.array_equal(*both) for both in zip(options["data"], calls[paper.HYBRID]["data"], strict=True))
    hybrid, plain = ([calls[name].get(term) for term in own] for name in (paper.HYBRID, paper.PUBLISHED))
    assert hybrid[:3] == [1e-3, AdamW, {"weight_decay": 0.01}] and hybrid[-1] == 1.0
    assert plain[:3] == [3e-3, Adam, {"weight_decay": 0.005}] and plain[-1] is None


# --- attacks ---------------------------------------------------------------------------------------------------------


class Spy(nn.Module):
    """A linear classifier that keeps the images that it is given."""

    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(4, 4), []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return self.linear(x.flatten(1))


def planted(n=200):
    """Images of 2 × 2 pixels; three quarters are said to be of the class that is predicted."""
    torch.manual_seed(0)
    spy, X = Spy(), torch.rand(n, 1, 2, 2)
    predicted = Normalised(spy, 0.3, 0.4)(X).argmax(1).numpy()
    spy.seen.clear()
    return spy, X, np.where(np.arange(n) % 4, predicted, (predicted + 1) % 4)


def test_attacks_stay_in_the_pixels_and_in_their_ball():
    spy, X, y = planted()
    attacked.left(Normalised(spy, 0.3, 0.4), X, y, seed=1)
    pixels = [x * 0.4 + 0.3 for x in spy.seen if len(x) == len(X)]
    *under, clipped = pixels
    assert len(under) > 20 and all(x.min() > -1e-5 and x.max() < 1 + 1e-5 for x in under)
    assert max(float((x - X).abs().max()) for x in under) == pytest.approx(0.1, abs=1e-5)
    assert float((clipped - X).abs().max()) > 0.25, "what is only clipped is not near the image any more"


def test_what_is_left_under_attack():
    spy, X, y = planted()
    model = Normalised(spy, 0.3, 0.4)
    found = attacked.left(model, X, y, seed=1)
    clean, under = robust_accuracy(model, X, y, [0.1], fgsm).accuracy
    assert found["fgsm"] == pytest.approx(under) and clean == 0.75 > under > 0.2
    assert 0 < found["pgd"] <= found["fgsm"], "of a linear classifier no attack is weaker with more steps"
    x = ((X - 0.3) / 0.4).clamp(0, 1)
    assert found["clipped"] == (spy.linear(x.flatten(1)).argmax(1).numpy() == y).mean() and found["constant"] == []


def test_the_attacks_are_those_of_the_paper_in_pixels_with_a_restart():
    assert {"fgsm": fgsm(0.1), "pgd": pgd(0.1, n_steps=10, restarts=1)} == attacked.ATTACKS


def test_scaled_images_are_not_attacked():
    spy, X, y = planted()
    with pytest.raises(ValueError, match=r"expected pixels from 0 to 1: attack the pixels themselves and put the scal"):
        attacked.ATTACKS["pgd"](spy, (X - 0.3) / 0.4, y)


def test_the_clip_alone_makes_a_robust_classifier_constant():
    """Dark images of two shades: no attack of 0.1 confuses them, but below the mean all is clipped to the same."""
    shade = nn.Linear(1, 2)
    with torch.no_grad():
        shade.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        shade.bias.copy_(torch.tensor([0.0, 2 * 0.75]))  # between (0.05 - 0.5) / 0.3 and (0.5 - 0.5) / 0.3
    model = Normalised(nn.Sequential(nn.Flatten(), shade), 0.5, 0.3)
    X, y = torch.tensor([0.05] * 6 + [0.5] * 4)[:, None, None, None], np.array([0] * 6 + [1] * 4)
    found = attacked.left(model, X, y, seed=0)
    assert found == {"pgd": 1.0, "fgsm": 1.0, "clipped": 0.4, "constant": ["clipped"]}


def test_logistic_regression_is_attacked_with_the_scaling_of_all_rows():
    found = ROWS["logistic regression"].run(tiny())
    assert found.score > found.extra["fgsm"] >= found.extra["pgd"] and found.parameters["classical"] == 650


def test_so_many_images_are_attacked(monkeypatch):
    numbers = []
    monkeypatch.setattr(attacked, "left", lambda model, X, y, seed: numbers.append((len(X), len(y))) or {})
    for n in (None, 7):
        ROWS["logistic regression"].run(tiny(n_attacked=n))
    assert numbers == [(30, 30), (7, 7)]


# --- the experiment --------------------------------------------------------------------------------------------------


def test_the_papers_figures_and_settings():
    assert PAPER.published == {
        paper.HYBRID: {"mnist": "0.9938, attacked 0.4527"}, paper.PUBLISHED: {"mnist": "0.9821, attacked 0.1080"},
    }  # fmt: skip
    full = PAPER.levels["full"]["mnist"]
    assert (full["epochs"], full["batch_size"], full["n_train"]) == (50, 64, 0.8 * 60_000)


def said(constant=()):
    """The verdict on planted results: the clip leaves next to nothing, PGD a part, and some rows are constant."""
    scores = {("digits", name): [0.9, 0.95] if row.seeded else 0.9 for name, row in ROWS.items()}
    figures = {
        name: {key: [value, value] if isinstance(scores[key], list) else value for key in scores}
        for name, value in (("pgd", 0.5), ("fgsm", 0.6), ("clipped", 0.108), ("train_loss", 0.64))
    }
    extra = {name: {"constant": list(constant) if name == paper.PUBLISHED else []} for name in ROWS}
    kinds = {name: row.kind for name, row in ROWS.items()}
    found = results(scores, kinds, figures=figures, extra=extra, also=PAPER.also, claims=PAPER.claims,
                    lower_is_better=False, verdict=PAPER.verdict)  # fmt: skip
    return findings.verdict(found)


def test_the_verdict_names_schedules_the_clip_and_constant_rows():
    schedules, clip, none, *_ = said()
    assert schedules == (
        "On digits the training loss of the plain CNN ends at 0.64 with one cycle, 0.64 as published, 0.64 with "
        "restarts by epochs."
    )
    assert "without any attack, leaves an accuracy of 0.108 (hybrid CNN) and 0.108 (plain CNN, restarts every" in clip
    assert "PGD on pixels leaves one of 0.5 (hybrid CNN) and 0.5 (plain CNN, restarts every 5 batches)" in clip
    assert none == "On digits no row predicts one class for every image, attacked or clipped."
    row = "plain CNN, restarts every 5 batches (2 of 2 trainings)"
    assert said(["clipped", "pgd"])[2] == (
        "On digits one class is predicted for every image, which is no robustness: "
        f"under PGD (ε = 0.1) by {row}; only clipped by {row}."
    )


def test_a_run_is_reported_with_what_is_left_under_attack(tmp_path):
    few = [ROWS[name] for name in (paper.HYBRID, paper.PLAIN, paper.PUBLISHED, paper.BY_EPOCHS, paper.RESTARTED)]
    levels = {level: {"seeds": 1, **tiny(epochs=1).settings} for level in PAPER.levels}
    plan = experiment.plan(replace(PAPER, rows=tuple(few), levels=levels), "quick", out=tmp_path, jobs=1)
    findings.write(experiment.run(plan, show=False))
    text = (tmp_path / "report.md").read_text()
    assert (
        "| row | test accuracy | under PGD (ε = 0.1) | under FGSM (ε = 0.1) | only clipped | paper | quantum |" in text
    )
    assert "“more resilient to PGD with the same schedule” (hybrid CNN against plain CNN)" in text
    assert PAPER.data == rows.DATA
