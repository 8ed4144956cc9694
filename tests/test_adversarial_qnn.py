"""hybrid/experiments/adversarial_qnn.py, its rows, classifiers and noise: against dense matrices; planted results."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import dense
import noisy
import numpy as np
import pytest
import torch
from planted_results import results
from scipy.linalg import expm
from sklearn.datasets import load_digits
from tolerances import close
from torch.nn.functional import cross_entropy

import backends
from circuits import CRX, CX, RX, RY, RZ, RZZ, Circuit, H, Probabilities, inputs, pauli, weights
from circuits.templates import interleaved_block_encoding
from hybrid import experiment, findings, training
from hybrid.attacks import pgd
from hybrid.experiment import Case
from hybrid.experiments import adversarial_qnn as paper
from hybrid.models.classifiers import adversarial_qnn, adversarial_rows, adversarial_states, aubry_andre
from hybrid.models.classifiers.depolarized import MOST_QUBITS, Depolarized
from hybrid.units import count_parameters
from qml import QuantumLayer

PAPER = experiment.load("adversarial-qnn")
TINY = {"epochs": 1, "n_train": 20, "n_test": 11, "n_steps": 2, "eps": [0.02, 0.05]}
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_images = pytest.mark.skipif(not (SHARED / "mednist").is_dir(), reason="needs ../shared/data")


def case(task="digits-3-8", data=None, **changes):
    settings = {task: {**PAPER.levels["quick"][task], **TINY, **changes}}
    return Case(task, 0, settings, "statevector", data, lambda *_: None, None)


def row(name):
    return next(each for each in PAPER.rows if each.name == name)


def model(n_features=64, n_qubits=5, build=adversarial_qnn.qnn):
    torch.manual_seed(0)
    return build(n_features, n_qubits, backends.get("statevector"))


def encoded(n, n_features=64):
    return torch.nn.functional.normalize(torch.rand(n, n_features, generator=torch.Generator().manual_seed(1)))


# --- noise -----------------------------------------------------------------------------------------------------------

x, w = inputs(3), weights(4)
CIRCUIT = Circuit(
    3,
    [H(2), RX(x[0] + w[0], 0), RZ(x[1] * w[1], 0), RY(w[2], 1), CX(0, 1), RX(x[2], 2), CX(2, 1), RZZ(w[3], 0, 2)],
    n_inputs=3,
    n_weights=4,
)
READOUT = (pauli("Z1"), pauli("Z0 X2") - 0.5 * pauli("Y1") + 0.25 * pauli(""))


@pytest.mark.parametrize("rate", [0.0, 0.03, 1.0])
def test_noise_is_that_of_a_density_matrix_with_kraus_operators(rate):
    layer = QuantumLayer(CIRCUIT, READOUT, Depolarized(rate), dtype=torch.float64)
    samples, theta = torch.rand(2, 2, 3, dtype=torch.float64), layer.weights.detach().numpy()
    found = layer(samples).detach().numpy()
    for place in np.ndindex(2, 2):
        rho = noisy.run(CIRCUIT, samples[place].numpy(), theta, noisy.by_size(rate))
        expected = [np.trace(rho @ dense.observable_matrix(each, 3)).real for each in READOUT]
        assert np.allclose(found[place], expected, rtol=0, atol=1e-12)


def test_noise_has_exact_gradients_of_features_and_weights():
    layer = QuantumLayer(CIRCUIT, READOUT, Depolarized(0.05), dtype=torch.float64)
    samples, theta = torch.rand(2, 3, dtype=torch.float64).requires_grad_(), layer.weights
    assert torch.autograd.gradcheck(lambda x, w: layer(x, w), (samples, theta))


def test_what_noise_cannot_compute_is_refused():
    turned = Circuit(2, [CRX(w[0], 0, 1)], n_weights=1)
    with pytest.raises(ValueError, match=r"got the gate CRX, expected fixed gates and rotations about one Pauli word"):
        QuantumLayer(turned, "Z0", Depolarized(0.1))()
    with pytest.raises(ValueError, match=r"got probabilities to read, expected observables such as Z0"):
        QuantumLayer(CIRCUIT, Probabilities((0,)), Depolarized(0.1))(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=rf"expected at most {MOST_QUBITS} on Depolarized \(it keeps 4\*\*n numbers"):
        model(256, 10)[0].to_backend(Depolarized(0.1))


# --- classifiers -----------------------------------------------------------------------------------------------------


def test_images_have_unit_length_and_are_averaged():
    images = torch.rand(3, 28, 28)
    found = adversarial_qnn.unit(images, 16)
    assert found.shape == (3, 256) and torch.allclose(found.norm(dim=1), torch.ones(3))
    flat = torch.nn.functional.avg_pool2d(torch.rand(2, 64, 64).repeat(1, 1, 1), 4).flatten(1)
    assert flat.shape == (2, 256)
    squares = torch.arange(16.0).reshape(1, 4, 4)
    expected = torch.tensor([2.5, 4.5, 10.5, 12.5])
    torch.testing.assert_close(adversarial_qnn.unit(squares, 2)[0], expected / expected.norm())
    assert adversarial_qnn.unit(torch.zeros(1, 4, 4), 4).eq(0).all()  # an empty image stays one


@pytest.mark.parametrize(("n_features", "n_qubits", "qubit"), [(20, 3, 0), (30, 4, 1), (64, 5, 1)])
def test_the_classifier_gives_the_probabilities_of_one_qubit(n_features, n_qubits, qubit):
    found, samples = model(n_features, n_qubits).double(), encoded(3, n_features).double()
    circuit = interleaved_block_encoding(n_qubits, n_features, n_blocks=4, scale=2.0)
    probabilities = found(samples).softmax(-1).detach().numpy()
    for sample, each in zip(samples.numpy(), probabilities, strict=True):
        (z,) = dense.expectation(circuit, sample, found[0].weights.detach().numpy(), [pauli(f"Z{qubit}")])
        assert np.allclose(each, [(1 + z) / 2, (1 - z) / 2], rtol=0, atol=1e-7)


def test_probabilities_of_0_have_finite_logarithms():
    found = adversarial_qnn.LogProbabilities()(torch.tensor([[1.0], [-1.0], [0.5]]))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[2].exp(), torch.tensor([0.75, 0.25]))


def test_rivals_have_as_many_parameters():
    counts = {
        name: [count_parameters(model(*size, build)) for size in ((64, 5), (256, 10))]
        for name, build in vars(adversarial_qnn).items()
        if name in ("qnn", "separable", "linear", "mlp")
    }
    total = {name: [sum(each.values()) for each in found] for name, found in counts.items()}
    assert [each["quantum"] for each in counts["qnn"] + counts["separable"]] == [65, 260, 65, 260]
    assert total == {"qnn": [65, 260], "separable": [65 + 12, 260 + 22], "linear": [65, 257], "mlp": [67, 259]}
    control = model(build=adversarial_qnn.separable)[0]
    assert not any(len(op.qubits) > 1 for op in control.circuit.ops) and len(control.observables) == 5


def test_frozen_angles_have_a_line_behind_them():
    found = model(build=adversarial_qnn.frozen)
    assert count_parameters(found) == {"quantum": 0, "classical": 4, "frozen": 65}
    z = model()[0](encoded(3))  # drawn from the same seed
    torch.testing.assert_close(found(encoded(3)), z @ found[1].weight.mT + found[1].bias)


def test_logistic_regression_is_that():
    found, samples = model(build=adversarial_qnn.linear), encoded(4)
    layer = found[0]
    torch.testing.assert_close(found(samples).softmax(-1)[:, :1], torch.sigmoid(layer(samples)))


# --- attacks ---------------------------------------------------------------------------------------------------------


def test_masked_ascent_leaves_the_background_and_goes_up_elsewhere():
    found, samples, y = model(), encoded(6), torch.arange(6) % 2
    samples[:, ::3] = 0.024  # 0.048 radians: background
    samples[:, 1] = 0.026
    before = samples.clone()
    after = adversarial_qnn.masked_ascent(found, samples, y)
    bright = 2 * before > 0.05
    assert torch.equal(after[~bright], before[~bright]) and torch.equal(samples, before)
    assert bright[:, 1].all() and (after != before)[bright].float().mean() > 0.8  # some the qubit does not know of
    assert (after - before).abs().max() <= 10 * 0.005 * 1.1
    assert (cross_entropy(found(after), y, reduction="none") > cross_entropy(found(before), y, reduction="none")).all()
    assert all(parameter.grad is None for parameter in found.parameters())


def test_the_first_step_of_masked_ascent_is_half_a_hundredth_along_the_sign():
    found, samples, y = model().double(), encoded(3).double(), torch.tensor([0, 1, 1])
    changed = samples.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(found(changed), y, reduction="sum"), changed)
    after = adversarial_qnn.masked_ascent(found, samples, y, n_steps=1)
    bright = 2 * samples > 0.05
    torch.testing.assert_close(after - samples, 0.005 * slope.sign() * bright, rtol=0, atol=2e-6)


def test_attacked_samples_stay_in_the_ball_and_may_leave_the_range_of_pixels():
    found, samples, y = model(), encoded(8), torch.arange(8) % 2
    samples[:, :5] = 0
    change = pgd(0.02, n_steps=10, bounds=None)(found, samples, y) - samples
    assert 0.0199 < change.abs().max() <= 0.02 * (1 + 1e-5) and (change[:, :5] < 0).any()


@pytest.fixture
def spied(monkeypatch):
    """What is trained, with its options, and what is attacked, by what and with which backend."""
    seen = SimpleNamespace(fits=[], attacked=[])
    fit, robust_accuracy = training.fit, adversarial_rows.robust_accuracy

    def fitting(build, X, y, **options):
        found = fit(build, X, y, **options)
        seen.fits.append((found.net.module_, options, X, y))
        return found

    def attacking(classifier, *arguments, **options):
        seen.attacked.append((classifier, getattr(classifier[0], "backend", None), arguments))
        return robust_accuracy(classifier, *arguments, **options)

    monkeypatch.setattr(training, "fit", fitting)
    monkeypatch.setattr(adversarial_rows, "robust_accuracy", attacking)
    return seen


def test_a_hardened_row_is_attacked_anew_and_meets_what_deceived_the_plain_one(spied):
    outcome = row("QNN, hardened").run(case(epochs=2))
    (own, options, *_), (linear, *_), (plain, plain_options, *_) = spied.fits
    assert options["attack"] == pgd(0.02, n_steps=2, restarts=0, bounds=None) and plain_options["attack"] is None
    assert [classifier for classifier, *_ in spied.attacked] == [own, own] and own is not plain
    assert not torch.equal(own[0].weights, plain[0].weights) and isinstance(linear[0], torch.nn.Linear)
    parts = adversarial_rows.samples(case())
    x, y = torch.as_tensor(parts.X_test), torch.as_tensor(parts.y_test)
    old = pgd(0.02, n_steps=2, bounds=None)(plain, x, y)
    assert outcome.extra["from_plain"] == (own(old).argmax(1) == y).double().mean()
    transferred = pgd(0.02, n_steps=2, bounds=None)(linear, x, y)
    assert outcome.extra["from_linear"] == (own(transferred).argmax(1) == y).double().mean()
    back = pgd(0.02, n_steps=2, bounds=None)(own, x, y)
    assert outcome.extra["to_linear"] == (linear(back).argmax(1) == y).double().mean()


def test_noise_is_in_the_attack_and_in_the_test_but_not_in_training(spied):
    plain, outcome = row("QNN").run(case()), row("QNN, 5 % noise").run(case())
    (classifier, backend, _), *_ = spied.attacked[2:]
    assert backend == Depolarized(0.05) and outcome.extra["train_loss"] == plain.extra["train_loss"]
    parts = adversarial_rows.samples(case())
    with torch.no_grad():
        predicted = classifier(torch.as_tensor(parts.X_test)).argmax(1).numpy()
    assert outcome.score == (predicted == parts.y_test).mean()


def test_all_rows_have_one_schedule_the_same_data_and_the_same_attacks(spied):
    for each in PAPER.rows:
        each.run(replace(case(), seed=3))
    terms = ("seed", "epochs", "lr", "batch_size")
    _, first, X, y = spied.fits[0]
    for _, options, samples, classes in spied.fits:
        assert all(options[term] == first[term] for term in terms)
        assert np.array_equal(samples, X) and np.array_equal(classes, y)
    hardened = [options["attack"] for _, options, *_ in spied.fits if options["attack"] is not None]
    assert len(hardened) == 4 and len(set(hardened)) == 1 and len(spied.attacked) == 2 * len(PAPER.rows)
    assert len({(tuple(arguments[2]), arguments[3]) for _, _, arguments in spied.attacked}) == 2


# --- data ------------------------------------------------------------------------------------------------------------


def test_digits_are_two_classes_of_unit_length_divided_once():
    parts = adversarial_rows.samples(case(n_train=None, n_test=None))
    again = adversarial_rows.samples(replace(case(n_train=None, n_test=None), seed=7))
    assert all(np.array_equal(one, other) for one, other in zip(parts[:4], again[:4], strict=True))
    every, found = load_digits(), np.concatenate([parts.X, parts.X_test])
    overlap = found @ (every.data / np.linalg.norm(every.data, axis=1, keepdims=True)).T
    assert np.allclose(overlap.max(1), 1, rtol=0, atol=1e-6) and len(found) == sum(np.isin(every.target, [3, 8]))
    expected = np.array([3, 8])[np.concatenate([parts.y, parts.y_test])]
    assert (every.target[overlap.argmax(1)] == expected).all() and len(parts.y_test) == 108
    few = adversarial_rows.samples(case())
    assert few.X.shape == (20, 64) and few.X_test.shape == (11, 64) and few.X.dtype == np.float32
    assert set(few.y) == set(few.y_test) == {0, 1}


def test_tasks_with_images_of_their_own_need_data(tmp_path):
    assert experiment.plan(PAPER, "quick", out=tmp_path / "out").tasks == ("digits-0-1", "digits-3-8", "aubry-andre")
    with pytest.raises(ValueError, match=r"got the task mednist without data, expected a folder with .* with --data"):
        experiment.plan(PAPER, "quick", tasks=["mednist"], out=tmp_path / "out")


@needs_images
def test_tasks_without_their_images_are_left_out(tmp_path):
    bare = experiment.plan(PAPER, "quick", data=SHARED / "mnist", out=tmp_path / "out")
    assert bare.tasks == ("digits-0-1", "digits-3-8", "aubry-andre", "mnist-1-9") and bare.left_out == ("mednist",)
    assert experiment.plan(PAPER, "quick", data=SHARED, out=tmp_path / "out").tasks == PAPER.tasks


@needs_images
def test_images_are_the_papers_classes():
    hands = adversarial_rows.samples(case("mednist", SHARED, n_train=None, n_test=None))
    assert hands.X.shape == (400, 256) and hands.X_test.shape == (80, 256)
    digits, bare = (
        adversarial_rows.samples(case("mnist-1-9", each, n_test=500)) for each in (SHARED, SHARED / "mnist")
    )
    assert digits.X.shape == (20, 256) and digits.X_test.shape == (500, 256)
    assert all(np.array_equal(one, other) for one, other in zip(digits[:4], bare[:4], strict=True))
    maximum = adversarial_rows.samples(case("mnist-1-9", SHARED, n_train=500)).X.max(1).mean()
    assert 0.15 < maximum < 0.35  # 0.24 in the paper's own file


# --- quantum data ----------------------------------------------------------------------------------------------------


def chain(n, strength, phase):
    """The Hamiltonian, from Kronecker products."""
    sites = np.arange(n)
    hopping = [dense.word(["I"] * i + [letter] * 2 + ["I"] * (n - i - 2)) for i in sites[:-1] for letter in "XY"]
    fields = strength * np.cos(np.pi * (np.sqrt(5) - 1) * sites + phase)
    return (
        sum(hopping) / 2
        + sum(f * dense.word(["I"] * i + ["Z"] + ["I"] * (n - i - 1)) for i, f in enumerate(fields)) / 2
    )


def test_states_are_those_of_a_quenched_chain():
    states, y = aubry_andre.states(4, 6, seed=3)
    rng = np.random.default_rng(3)
    assert np.array_equal(y, rng.permutation([0, 1, 0, 1, 0, 1]))
    for state, label, phase in zip(states, y, rng.uniform(0, 2 * np.pi, 6), strict=True):
        expected = expm(-10j * chain(4, [1, 8][label], phase))[:, 0b0101]
        assert close(state, expected, 1e-10)


def test_localized_states_remember_where_they_began_and_thermal_ones_do_not():
    states, y = aubry_andre.states(6, 200)
    signs = np.array([[1 - 2 * (index >> (5 - q) & 1) for index in range(64)] for q in range(6)])
    z = abs(states) ** 2 @ signs.T
    imbalance = (z * [1, -1, 1, -1, 1, -1]).mean(1)
    assert imbalance[y == 1].mean() > 0.6 > 0.3 > imbalance[y == 0].mean()
    assert np.allclose((abs(states) ** 2).sum(1), 1) and np.allclose(z.sum(1), 0, atol=1e-9), "Z is conserved"


def test_a_complex_state_is_turned_classified_and_measured_exactly():
    n, rng = 3, np.random.default_rng(0)
    state = rng.normal(size=8) + 1j * rng.normal(size=8)
    state /= np.linalg.norm(state)
    sample = adversarial_states.samples(state[None], n)[0].astype(float)
    sample[16:] = rng.normal(size=9)
    a, b, c = sample[16:].reshape(3, 3)
    turned = dense.kron(*(dense.rz(c[q]) @ dense.ry(b[q]) @ dense.rx(a[q]) for q in range(n))) @ state
    found = model(25, n, partial(adversarial_qnn.qnn, of=adversarial_states.STATES)).double()
    own = found[0].circuit
    gates = [op for op in own.ops if any("w" in slot for angle in op.angles for slot in angle.slots) or op.gate == CX]
    trained = dense.unitary(
        Circuit(n + 1, gates, own.n_inputs, own.n_weights), sample, found[0].weights.detach().numpy()
    )
    after = trained[:8, :8] @ turned  # the qubit in front takes no part
    z = [(after.conj() @ dense.word(["I"] * q + ["Z"] + ["I"] * (n - q - 1)) @ after).real for q in range(n)]
    probabilities = found(torch.tensor(sample[None])).softmax(-1)[0].detach().numpy()
    assert own.n_weights == 36 and np.allclose(probabilities, [(1 + z[0]) / 2, (1 - z[0]) / 2], rtol=0, atol=1e-6)
    measured = model(25, n, partial(adversarial_qnn.linear, of=adversarial_states.STATES)).double()[0]
    z = [(turned.conj() @ dense.word(["I"] * q + ["Z"] + ["I"] * (n - q - 1)) @ turned).real for q in range(n)]
    assert np.allclose(measured(torch.tensor(sample[None]))[0].detach().numpy(), z, rtol=0, atol=1e-6)
    assert not measured.weights.numel()


def test_attacks_turn_states_and_leave_them_as_they_are_otherwise(spied):
    outcome = row("QNN, hardened").run(case("aubry-andre", n_qubits=4, eps=[0.1, 0.2]))
    (own, options, X, _), *_ = spied.fits
    assert X.shape == (20, 32 + 12) and not X[:, 32:].any() and np.allclose((X[:, :32] ** 2).sum(1), 1)
    parts = adversarial_rows.samples(case("aubry-andre", n_qubits=4))
    x, y = torch.as_tensor(parts.X_test), torch.as_tensor(parts.y_test)
    for attack in (
        options["attack"],
        partial(pgd(0.2, n_steps=2, bounds=None), mask=options["attack"].keywords["mask"]),
    ):
        change = attack(own, x, y) - x
        assert not change[:, :32].any() and 0.199 < change.abs().max() <= 0.2 * (1 + 1e-5)
    extra = outcome.extra
    assert extra["curves"]["pgd"][0] == outcome.score and all(0 <= extra[name] <= 1 for name in PAPER.also.values())
    mask = torch.as_tensor(adversarial_states.changeable(4))
    ascended = adversarial_qnn.masked_ascent(own, x, y, n_steps=1, scale=1.0, mask=mask) - x
    assert not ascended[:, :32].any() and torch.allclose(ascended[:, 32:].abs().max(), torch.tensor(0.01), atol=1e-5)


def test_rivals_on_states_see_what_is_measured():
    builds = {name: partial(getattr(adversarial_qnn, name), of=adversarial_states.STATES) for name in ("linear", "mlp")}
    counts = {name: count_parameters(model(2**7 + 18, 6, build)) for name, build in builds.items()}
    assert counts["linear"] == {"quantum": 0, "classical": 7, "frozen": 0}
    assert counts["mlp"] == {"quantum": 0, "classical": 9 * 8 + 1, "frozen": 0}  # 72 angles
    control = model(2**7 + 18, 6, partial(adversarial_qnn.separable, of=adversarial_states.STATES))[0]
    assert not any(op.gate == CX for op in control.circuit.ops) and len(control.observables) == 6


# --- the experiment --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    settings = {**case().settings, **case("aubry-andre", n_qubits=3, eps=[0.2], harden=0.2).settings}
    levels = {level: {"seeds": 2, **settings} for level in PAPER.levels}
    plan = experiment.plan(
        replace(PAPER, levels=levels), "quick", tasks=settings, out=tmp_path_factory.mktemp("run"), jobs=1
    )
    return experiment.run(plan, show=False)


def test_every_row_runs_and_its_curves_begin_with_the_clean_accuracy_and_fall(finished):
    assert {each.name for each in finished.rows("digits-3-8")} == {each.name for each in PAPER.rows}
    for record in finished.records:
        extra = record["extra"]
        assert extra["eps"] == ([0, 0.2] if record["unit"]["task"] == "aubry-andre" else [0, 0.02, 0.05])
        for attack, curve in extra["curves"].items():
            assert curve[0] == record["score"] and curve == sorted(curve, reverse=True) and extra[attack] == curve[1]
        assert all(0 <= extra[name] <= 1 for name in (*PAPER.also.values(), "from_linear", "to_linear"))


def test_the_verdict_has_what_attacks_leave_and_the_report_a_column_for_each(finished):
    said = PAPER.verdict(finished)
    assert all(sentence.endswith(".") for sentence in said)
    lost, by_radius, transferred = said[:3]
    records = finished.of("digits-3-8", "logistic regression, hardened")
    expected = " / ".join(f"{each:.2f}" for each in np.mean([r["extra"]["curves"]["pgd"] for r in records], axis=0))
    assert by_radius.startswith("Accuracy on digits-3-8 under PGD of 0, 0.02, 0.05: QNN ")
    assert by_radius.endswith(f"; logistic regression, hardened {expected}.")
    assert all(re.search(rf"{re.escape(row.name)} [\d.]+ / [\d.]+[;.]", transferred) for row in PAPER.rows)
    clean, pgd = (finished.scores("digits-3-8", "QNN", of).mean() for of in (None, "pgd"))
    assert lost.startswith(f"PGD of 0.02, in units of x̂, costs QNN on digits-3-8 {100 * (clean - pgd):.1f} points (")
    assert said[3].startswith("PGD of 0.2, in radians, costs QNN on aubry-andre ")
    findings.write(finished)
    header = next(
        line for line in (finished.plan.out / "report.md").read_text().splitlines() if "masked ascent" in line
    )
    assert header.startswith(
        "| row | test accuracy | random signs | FGSM | PGD | masked ascent | PGD on the plain model"
    )


def test_rows_have_every_kind_and_hardened_ones_a_plain_one():
    names = [each.name for each in PAPER.rows]
    assert {each.kind for each in PAPER.rows} == set(experiment.KINDS) and all(each.seeded for each in PAPER.rows)
    assert all(paper.hardened(name) in names for name in (paper.QNN, paper.OFF, paper.MLP, paper.LINEAR))
    for level in PAPER.levels.values():
        assert all(settings["harden"] in settings["eps"] for name, settings in level.items() if name != "seeds")


def planted(pgd, old=0.5):
    """Results on one task: clean accuracies of 0.9, the given ones under PGD; `old` on what deceived the plain QNN."""
    kinds, wobble = {each.name: each.kind for each in PAPER.rows}, np.array([0.0, 0.01, -0.01])
    made = results({("digits-0-1", name): 0.9 + wobble for name in kinds}, kinds)
    made = replace(made, plan=replace(made.plan, experiment=PAPER))
    for unit, record in zip(made.plan.units, made.records, strict=True):
        under = pgd.get(unit.row, 0.5) + wobble[unit.seed] * (1 + list(kinds).index(unit.row) / 10)
        record["unit"]["settings"]["digits-0-1"] = {"harden": 0.02, "eps": [0.02]}
        record["extra"] = {
            **dict.fromkeys(("random", "fgsm", "masked", "from_linear", "to_linear"), 0.5),
            "pgd": under, "from_plain": old if unit.row == "QNN, hardened" else under,
            "curves": {"pgd": [record["score"], under]}, "constant": False,
        }  # fmt: skip
    return made


def test_restored_on_old_samples_is_told_from_robust_against_new_ones():
    said = paper.verdict(planted({"QNN": 0.3, "QNN, hardened": 0.3}, old=0.8))
    start = "“adversarial training restores what deceived it before” (QNN, hardened against QNN): reproduced on "
    assert any(each.startswith(f"{start}digits-0-1 (0.8 against 0.3") for each in said)
    start = "“adversarial training makes it more robust, attacked anew” (QNN, hardened against QNN): not reproduced on "
    assert any(each.startswith(f"{start}digits-0-1 (0.3 against 0.3") for each in said)


def test_circuits_are_compared_with_what_is_trained_as_they_are():
    """A hardened classical model must not decide what a circuit contributes that was trained plainly."""
    said = paper.verdict(planted({"QNN": 0.7, "logistic regression, hardened": 0.99}))
    start = "Under PGD: The quantum layer of QNN contributes an advantage over every control and classical row on"
    assert any(each.startswith(start) and "hardened" not in each for each in said)
    start = "Under PGD: The quantum layer of QNN, hardened contributes no advantage, as a control or classical row is"
    assert any(each.startswith(start) and "(logistic regression, hardened: 0.99" in each for each in said)
    assert sum("contributes" in each for each in said) == 4 and not any("noise contributes" in each for each in said)


def test_rows_that_predict_one_class_are_named():
    assert not any("One class" in each for each in paper.verdict(planted({})))
    found = planted({})
    found.records[4]["extra"]["constant"] = True
    label = "digits-0-1: QNN, hardened, seed 1"
    assert f"One class is predicted for every sample, which is no robustness: {label}." in paper.verdict(found)
