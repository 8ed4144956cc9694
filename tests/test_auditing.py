"""hybrid/auditing.py: planted cases, what is chosen, what is kept, and what is refused."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from webpage import Page

import hybrid
from circuits import CZ, RX, RY, RZ, Circuit, inputs, weights
from hybrid import auditing, report
from hybrid.auditing import NAME, audit
from hybrid.data import Dataset, from_arrays, load
from hybrid.dressed import CONTROLS
from hybrid.models import reuploading
from qml import QGRU, QLSTM, QRNN, FastWeightProgrammer, ParallelCircuits, QuantumLayer, Quanvolution2d

x, w = inputs(2), weights(3, 2, 2)
LAYERS = [
    [[[RY(w[layer, q, 0], q), RZ(w[layer, q, 1], q), RX(2 * x[(q + layer) % 2], q)] for q in (0, 1)], CZ(0, 1)]
    for layer in range(3)
]
CIRCUIT = Circuit(2, LAYERS, n_inputs=2, n_weights=12)  # data re-uploading with fixed scales
ONE_QUBIT = Circuit(1, [RX(x[0], 0), RY(w[0, 0, 0], 0)], 1, 1)
VARIANTS = ["hybrid", *CONTROLS, "surrogate"]
ONE = {"seeds": 1, "epochs": 1, "learning_rates": (0.1, 0.001), "jobs": 1, "show": False}


def build():
    return nn.Sequential(QuantumLayer(CIRCUIT), nn.Linear(2, 2))


def of_a_circuit(n=400, n_test=600, margin=0.15):
    """Samples of two classes as a circuit of the model's own kind tells them apart, with a margin."""
    torch.manual_seed(0)
    X = torch.randn(8000, 2)
    z = QuantumLayer(CIRCUIT)(X)[:, 0].detach()
    z = (z - z.median()).numpy()
    kept = np.flatnonzero(abs(z) > margin)[: n + n_test]
    X, y = X.numpy()[kept], z[kept] > 0
    return from_arrays(X[:n], y[:n], X[n:], y[n:])


def of_a_line(n=160):
    X = np.random.default_rng(0).normal(size=(4 * n, 2)).astype(np.float32)
    X = X[abs(X.sum(1)) > 0.3][:n]
    return X, X.sum(1) > 0


# --- planted cases


def test_on_data_of_a_circuit_of_its_own_kind_the_quantum_layer_helps(tmp_path):
    settings = {"seeds": 4, "epochs": 25, "learning_rates": [0.1]}
    found = audit(build, of_a_circuit(), **settings, out=tmp_path, jobs=1, show=False)
    assert found.verdict.outcome == "helps", str(found)
    assert found.verdict.sentence.startswith(f"The quantum part of {NAME} helps: the hybrid is better than the net")
    rows = {variant: found.comparison.accuracies((NAME, variant)).mean() for variant in VARIANTS}
    assert rows["hybrid"] > 0.9 > max(rows["removed"], rows["linear"])
    assert np.min(found.r2) > 0.95 and rows["surrogate"] > 0.85, "a circuit of two qubits has a classical surrogate"


def test_on_data_that_a_line_divides_it_does_not(tmp_path):
    settings = {"seeds": 3, "epochs": 15, "learning_rates": [0.1], "batch_size": 16}
    found = audit(build, *of_a_line(), **settings, out=tmp_path, jobs=1, show=False)
    assert found.verdict.outcome in ("no evidence", "hurts"), str(found)
    assert found.comparison.accuracies((NAME, "removed")).mean() > 0.95


# --- what is trained, chosen and kept


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished audit of a model: its folder, and what it returned."""
    out = tmp_path_factory.mktemp("finished")
    torch.manual_seed(7)
    return out, audit(build(), *of_a_line(), **ONE, out=out)


def results(found):
    return [(record["key"], record["test_accuracy"], record["predictions"]) for record in found.comparison.records]


def kept(out):
    return {file.name: file.stat().st_mtime_ns for file in (out / "units").iterdir()}


def test_rows(finished):
    out, found = finished
    assert found.comparison.rows == [(NAME, variant) for variant in VARIANTS]
    assert len(list((out / "units").glob("*.json"))) == 2 * len(VARIANTS[:-1])
    parameters = {row[1]: found.comparison.of(row)[0]["parameters"] for row in found.comparison.rows}
    assert parameters["hybrid"] == {"quantum": 12, "classical": 6, "frozen": 0}
    assert parameters["removed"] == {"quantum": 0, "classical": 6, "frozen": 0}
    assert parameters["linear"] == {"quantum": 0, "classical": 12, "frozen": 0}
    assert parameters["frozen"] == {"quantum": 0, "classical": 6, "frozen": 12}
    assert parameters["surrogate"]["classical"] > 6 and not parameters["surrogate"]["quantum"]


def test_a_model_is_copied_and_trained_again_is_the_same(finished, tmp_path):
    out, found = finished
    before, model = kept(out), build()
    weights = [parameter.clone() for parameter in model.parameters()]
    assert results(audit(model, *of_a_line(), **ONE, out=out)) == results(found), "its weights are drawn anew"
    assert kept(out) == before, "all records are used again"
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    again = audit(build(), *of_a_line(), **ONE, out=tmp_path)
    assert results(again) == results(found)


def test_a_stopped_audit_goes_on(finished, tmp_path, monkeypatch):
    _, found = finished
    train, calls = auditing.train, []

    def stopping(*arguments):
        calls.append(arguments[0])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(auditing, "_attempt", lambda unit, *rest: (unit, stopping(unit, *rest)))
    with pytest.raises(KeyboardInterrupt):
        audit(build(), *of_a_line(), **ONE, out=tmp_path)
    before = kept(tmp_path)
    assert len(before) >= 3
    assert results(audit(build(), *of_a_line(), **ONE, out=tmp_path)) == results(found)
    assert len(calls) == 4 + 10 - 3 and before.items() <= kept(tmp_path).items()


def test_the_learning_rate_is_chosen_on_the_validation_part(finished):
    out, found = finished
    trained = [json.loads(file.read_text()) for file in (out / "units").glob("*.json")]
    for unit, record in zip(found.comparison.units[:-1], found.comparison.records, strict=False):
        rivals = [each for each in trained if each["unit"]["variant"] == unit.variant]
        scores = {r["unit"]["lr"]: (r["valid_accuracy"], -r["history"][-1]["valid_loss"]) for r in rivals}
        assert len(scores) == 2 and scores[unit.lr] == max(scores.values())
        assert record["unit"]["lr"] == unit.lr == found.learning_rates[unit.variant][0]
    assert {each["n_train"] for each in trained} == {102} and {each["n_test"] for each in trained} == {32}


def test_parts_do_not_overlap_and_are_scaled_by_the_samples_to_train_on():
    data = load("iris")
    parts, valid = auditing._parts(data, 3, 0.2)
    assert [len(part) for part in (parts.X, valid[0], parts.X_test)] == [96, 24, 30]
    assert np.allclose(parts.X.mean(0), 0, atol=1e-5) and np.allclose(parts.X.std(0), 1, atol=1e-4)
    assert abs(valid[0].mean(0)).max() > 1e-3 and abs(parts.X_test.mean(0)).max() > 1e-3
    slopes = np.concatenate([parts.X, valid[0], parts.X_test]).std(0) / data.X.std(0)
    offsets = np.concatenate([parts.X, valid[0], parts.X_test]).mean(0) - slopes * data.X.mean(0)
    together = (np.concatenate([parts.X, valid[0], parts.X_test]) - offsets) / slopes
    assert np.allclose(np.sort(together, 0), np.sort(data.X, 0), atol=1e-4)


def test_with_an_official_test_part_only_the_training_differs():
    X, y = of_a_line()
    data = Dataset("line", X[:100], y[:100].astype(int), X[100:], y[100:].astype(int), ("0", "1"), None)
    one, other = (auditing._parts(data, seed, 0.2) for seed in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one[0], other[0], strict=True)) and not one[0].resampled
    assert np.array_equal(one[1][0], other[1][0])


def test_images_text_labels_and_a_data_set(tmp_path):
    X, y = of_a_line(40)

    def of_images():
        return nn.Sequential(nn.Conv2d(1, 2, (1, 2)), nn.Flatten(), QuantumLayer(CIRCUIT), nn.Linear(2, 2))

    settings = ONE | {"learning_rates": [0.1]}
    found = audit(of_images, X.reshape(-1, 1, 1, 2), np.where(y, "up", "down"), **settings, out=tmp_path)
    assert found.verdict.outcome == "one seed"

    def of_iris():
        return reuploading.build(4, 3, n_qubits=2, n_layers=1)

    found = audit(of_iris, load("iris"), **settings, out=tmp_path)
    assert found.comparison.records[0]["data"] == "iris"


class Recurrent(nn.Module):
    """Reads the two features as a sequence of two steps."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(1, 1)
        self.out = nn.Linear(self.rnn.output_size, 2)

    def forward(self, X):
        return self.out(self.rnn(X.mT[..., None])[0][-1])


def of_patches():
    return nn.Sequential(nn.Unflatten(1, (1, 1, 2)), Quanvolution2d(1, 2, (1, 2)), nn.Flatten(), nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("model", "n_layers", "quantum"),
    [
        (partial(Recurrent, QRNN), 1, 12),
        (partial(Recurrent, QGRU), 3, 36),
        (partial(Recurrent, QLSTM), 6, 72),
        (lambda: nn.Sequential(ParallelCircuits(ONE_QUBIT, 2), nn.Linear(2, 2)), 1, 2),
        (of_patches, 1, 4),
    ],
    ids=["QRNN", "QGRU", "QLSTM", "parallel circuits", "quanvolution"],
)
def test_quantum_layers_in_other_modules(model, n_layers, quantum, tmp_path):
    settings = ONE | {"learning_rates": [0.1]}
    found = audit(model, *of_a_line(), **settings, out=tmp_path)
    parameters = {row[1]: found.comparison.of(row)[0]["parameters"] for row in found.comparison.rows}
    assert list(parameters) == VARIANTS and parameters["hybrid"]["quantum"] == parameters["frozen"]["frozen"] == quantum
    assert not parameters["removed"]["quantum"] and parameters["linear"]["classical"] >= n_layers
    assert len(found.r2[0]) == n_layers and min(found.r2[0]) > 0.9, "each circuit has a surrogate of its own"


class Programmed(nn.Module):
    """Fast weights that read the two features as a sequence of two steps: the circuit has no weights of its own."""

    def __init__(self):
        super().__init__()
        self.programmer = FastWeightProgrammer(1, 2, n_qubits=2, batch_first=True)

    def forward(self, X):
        return self.programmer(X[..., None], last_only=True)[0]


def of_a_frozen_layer():
    return nn.Sequential(QuantumLayer(CIRCUIT).requires_grad_(False), nn.Linear(2, 2))


@pytest.mark.parametrize("model", [Programmed, of_a_frozen_layer])
def test_without_trained_quantum_weights_there_is_nothing_to_freeze(model, tmp_path):
    found = audit(model, *of_a_line(), **(ONE | {"seeds": 2, "learning_rates": [0.1]}), out=tmp_path)
    assert [row[1] for row in found.comparison.rows] == [each for each in VARIANTS if each != "frozen"]
    assert "Entanglement" in found.verdict.sentence and "quantum weights" not in found.verdict.sentence


def test_what_is_printed(finished):
    _, found = finished
    text = str(found)
    assert all(f"{NAME}, {variant}" in text for variant in VARIANTS[1:]) and "test accuracy" in text
    sentence = "The surrogate (Fourier features) reproduces the trained quantum layer with R² = "
    assert sentence in found.verdict.sentence and "nothing can be said" in found.verdict.sentence
    assert found.verdict.sentence.split() == text.split()[-len(found.verdict.sentence.split()) :]


def test_report(finished, tmp_path):
    out, found = finished
    files = found.write(tmp_path / "new" / "report")
    assert [file.name for file in files] == ["accuracy.png", "differences.png", "report.md", "report.html"]
    assert {file.parent for file in files} == {tmp_path / "new" / "report"}
    text = (tmp_path / "new" / "report" / "report.md").read_text()
    assert found.verdict.sentence in text and "learning rates 0.1, 0.001" in text
    for (_, variant), accuracy in ((row, found.comparison.accuracies(row)) for row in found.comparison.rows):
        name = NAME if variant == "hybrid" else f"{NAME}, {variant}"
        line = next(line for line in text.splitlines() if line.replace("*", "").startswith(f"| {name} |"))
        rate = "–" if variant == "surrogate" else f"{found.learning_rates[variant][0]:g}"
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert (cells[1], cells[4]) == (f"{100 * accuracy.mean():.1f}", rate)
    page = Page(tmp_path / "new" / "report" / "report.html")
    page.check(files[:2])
    assert all(f"{NAME}, {variant}" in page.text for variant in VARIANTS[1:])
    assert (out / "units").is_dir() and {file.parent for file in found.write()} == {out}


def test_plots_name_every_row(finished):
    _, found = finished
    others = [report.VARIANTS[variant] for variant in VARIANTS[1:]]
    accuracies, differences = report.accuracy_plot(found.comparison), report.differences_plot(found.comparison)
    assert [tick.get_text() for tick in accuracies.axes[0].get_yticklabels()] == [NAME, *others]
    assert [tick.get_text() for tick in differences.axes[0].get_yticklabels()] == others
    assert set(report.COLOURS) == set(report.VARIANTS)
    with pytest.raises(
        ValueError, match=r"got the comparison of an audit, expected one of hybrid.compare: write an audit with"
    ):
        report.write(found.comparison)


def test_every_row_is_tested(finished):
    _, found = finished
    assert [c.row[1] for c in found.verdict.contrasts] == VARIANTS[1:]


def test_it_is_there_by_name_whatever_was_imported():
    assert hybrid.audit is audit and "hybrid.auditing" in sys.modules
    with pytest.raises(AttributeError, match="module 'hybrid' has no attribute 'audits'"):
        hybrid.audits  # noqa: B018


# --- errors


def refused(kind, text, model=build, data=None, **changed):
    X, y = of_a_line(40) if data is None else data
    with pytest.raises(kind, match=text):
        audit(model, X, y, **{**ONE, "out": "/nonexistent/never", **changed})


def test_no_quantum_layer():
    refused(ValueError, "got a model without a qml.QuantumLayer, expected one or more", nn.Linear(2, 2))


def test_wrong_shapes():
    X, y = of_a_line(40)
    refused(ValueError, r"got an error from the model on two samples of 3 features .*expected logits of shape \(2, 2\)",
            data=(np.ones((40, 3)) * np.arange(40)[:, None], y))  # fmt: skip
    refused(ValueError, r"got an output of shape \(2, 2\) from the model for two samples, expected \(2, 3\): one logit",
            data=(X, np.arange(40) % 3))  # fmt: skip
    refused(ValueError, r"data has labels of shape \(39,\) for 40 samples: expected one class", data=(X, y[:-1]))
    refused(ValueError, r"data has labels of shape \(\) for 40 samples", data=(X, None))


def test_one_class():
    X, y = of_a_line(40)
    refused(ValueError, "data has one class only, 0: a classifier needs samples of two or more", data=(X, 0 * y))
    one = Dataset("one", X, np.zeros(40, int), None, None, ("0", "1"), None)
    refused(ValueError, "got one class only in one, expected samples of two or more: add the others", data=(one, None))


def test_a_data_set_and_labels():
    refused(ValueError, "got a Dataset and y, expected a Dataset alone or two arrays", data=(load("iris"), [0]))


def test_a_model_whose_layers_are_not_called_as_modules():
    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = QuantumLayer(CIRCUIT)

        def forward(self, X):
            return self.layer(X) + self.layer.weights[:2]

    class Silent(Reading):
        def forward(self, X):
            return X

    refused(ValueError, "got an error from its control 'removed' .*AttributeError.* calls its quantum layers", Reading)
    refused(
        ValueError, r"got a model that never calls its qml.QuantumLayer, expected one that does: layer\(x\)", Silent
    )


def test_nothing_to_train():
    refused(ValueError, "got nothing to train in its control 'removed', expected weights .* a linear layer behind",
            lambda: ParallelCircuits(ONE_QUBIT, 2))  # fmt: skip


def test_lazy_layers():
    def lazy():
        return nn.Sequential(QuantumLayer(CIRCUIT), nn.LazyLinear(2))

    refused(ValueError, "got a model with lazy layers, .* expected sizes: write Linear", lazy)


@pytest.mark.parametrize("rates", [(), 0.1, "0.1"], ids=str)
def test_learning_rates(rates):
    refused(ValueError, "got learning_rates=.*, expected one or more numbers", learning_rates=rates)


def test_numbers():
    refused(ValueError, "learning_rates is -1.0: expected a positive number", learning_rates=[-1])
    refused(ValueError, "got epochs=0, expected an integer of at least 1: pass epochs=1, for example", epochs=0)
    refused(ValueError, "got batch_size=1.5, expected an integer of at least 1: pass batch_size=1", batch_size=1.5)
    refused(ValueError, "seeds is 0: expected a number of seeds from 1", seeds=0)
    refused(ValueError, "test_size is 2.0, but data has 40 samples in 2 classes", test_size=2)
