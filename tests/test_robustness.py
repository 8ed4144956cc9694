"""hybrid/robustness.py, its report and ``qml attack``: what is trained and attacked, kept, and said."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_model
from sklearn.linear_model import LogisticRegression
from torch import nn
from webpage import PNG, Page

from hybrid import attacks, checkpoints, records, robustness, robustness_report, training
from hybrid.cli import main
from hybrid.compare import compare
from hybrid.data import Dataset, load, split
from hybrid.records import RecordError
from hybrid.robustness import plan, run, scored

IRIS = load("iris")
TOY = {"toy": toy_model.build}
QUICK = {"seeds": 2, "epochs": 2, "jobs": 1}
ROWS = [("toy", each) for each in ("hybrid", "removed", "linear", "separable", "frozen", "mlp")]
ROWS += [("logistic_regression", "baseline")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished attack with hardened rows: its folder, and what it returned."""
    out = tmp_path_factory.mktemp("finished")
    return out, run(plan(IRIS, TOY, eps=[0.1, 0.05], harden=0.1, out=out, **QUICK), show=False)


@pytest.fixture
def qml(monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["qml", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return call


def accuracies(found, method):
    both = zip(found.units, found.records, strict=True)
    return {(unit.label, unit.seed): record["curves"][method]["accuracy"] for unit, record in both}


def untrainable(*arguments, **settings):
    raise AssertionError("trained again")


# --- what is trained and attacked ----------------------------------------------------------------------------------


def test_every_row_is_attacked_plain_and_hardened(finished):
    _, found = finished
    assert found.rows == ROWS
    assert [unit.row for unit in scored(found, "pgd").units] == [row for row in ROWS for _ in range(2)]
    assert scored(found, "pgd", hardened=True).rows == ROWS
    assert len({unit.key for unit in found.units}) == len(found.units) == 28


def test_curves_begin_at_the_accuracy_of_the_comparison_and_never_rise(finished, tmp_path):
    _, found = finished
    same = compare(IRIS, TOY, out=tmp_path, show=False, **QUICK)
    for method in ("fgsm", "pgd"):
        plain = scored(found, method)
        for row in ROWS:
            clean = [record["curves"][method]["accuracy"][0] for record in plain.of(row)]
            assert clean == same.accuracies(row).tolist()
        for curve in accuracies(found, method).values():
            assert curve == sorted(curve, reverse=True)
    assert all(record["curves"]["pgd"]["eps"] == [0, 0.05, 0.1] for record in found.records)


def test_pgd_is_not_weaker_than_fgsm_on_the_whole(finished):
    _, found = finished
    weak, strong = (np.mean([*accuracies(found, method).values()], axis=0) for method in ("fgsm", "pgd"))
    assert (strong <= weak).all() and strong[-1] < weak[0]


def test_logistic_regression_falls_as_its_weights_say(tmp_path):
    """In units of the train part's range, one point falls where its margin is below eps ‖w / std‖₁."""
    data, eps = load("breast_cancer"), [0.02, 0.05, 0.1]
    planned = plan(data, TOY, eps=eps, methods=["fgsm"], seeds=[3], epochs=1, out=tmp_path, jobs=1)
    units = tuple(unit for unit in planned.units if unit.variant == "baseline")
    (record,) = run(replace(planned, units=units), show=False).records
    parts, bounds = robustness.pixels(data, split(data, 3))
    assert bounds is None and parts.X.min() == 0 and parts.X.max() == 1
    mean, std = parts.X.mean(0), parts.X.std(0)
    fitted = LogisticRegression(max_iter=10_000).fit((parts.X - mean) / std, parts.y)
    margin = fitted.decision_function((parts.X_test - mean) / std) * np.where(parts.y_test == 1, 1, -1)
    reach = np.abs(fitted.coef_[0] / std).sum()
    expected = [(margin > each * reach).mean() for each in (0, *eps)]
    assert record["curves"]["fgsm"]["accuracy"] == pytest.approx(expected, abs=0.001)
    assert record["n_attacked"] == record["n_test"] == 114 and expected[-1] < 0.5


def test_hardened_logistic_regression_is_trained_on_the_worst_case_in_closed_form(tmp_path):
    """For two classes the worst sample in a box is ``x - eps sign(margin's gradient)``: a plain loop."""
    data, eps, seed = load("breast_cancer"), 0.05, 3
    settings = {"seeds": [seed], "epochs": 30, "lr": 0.05, "batch_size": 1000, "eps": [eps], "methods": ["fgsm"]}
    planned = plan(data, TOY, **settings, harden=eps, out=tmp_path, jobs=1)
    units = tuple(unit for unit in planned.units if unit.variant == "baseline")
    plain, hard = run(replace(planned, units=units), show=False).records
    parts, _ = robustness.pixels(data, split(data, seed))
    mean, std = parts.X.mean(0), parts.X.std(0)
    torch.manual_seed(seed)
    layer = nn.Linear(30, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    X, y, spread = torch.as_tensor((parts.X - mean) / std), torch.as_tensor(parts.y), torch.as_tensor(std)
    for _ in range(30):
        margin = (layer.weight[1] - layer.weight[0]).detach() * (2 * y[:, None] - 1)
        worst = X - eps * margin.sign() / spread
        optimizer.zero_grad()
        loss = sum(nn.functional.cross_entropy(layer(each), y) for each in (X, worst)) / 2
        loss.backward()
        optimizer.step()
    state = checkpoints.read(tmp_path / "units" / f"{units[1].trained.key}.weights")["weights"]
    assert units[1].hardened == eps and hard["parameters"] == {"quantum": 0, "classical": 62, "frozen": 0}
    for name in ("weight", "bias"):
        found = next(value for key, value in state.items() if key.endswith(name))
        torch.testing.assert_close(found, getattr(layer, name).detach(), atol=1e-3, rtol=1e-3)
    accuracy = [record["curves"]["fgsm"]["accuracy"][1] for record in (plain, hard)]
    assert accuracy[1] > accuracy[0] + 0.1


def test_pixels_of_images_share_one_range_and_have_bounds():
    data = load("digits")
    parts, bounds = robustness.pixels(data, split(data, 0, n_train=100))
    assert bounds == (0, 1) and parts.X.dtype == np.float32
    assert (parts.X == split(data, 0, n_train=100).X / 16).all()


def test_images_have_one_scaling_and_a_pixel_that_hardly_varies_is_not_scaled_up(tmp_path):
    """Scaled by its own deviation such a pixel would decide everything, and any attack would succeed."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    X = np.where(y[:, None] == 1, 0.9, 0.1) + rng.normal(0, 0.02, (200, 4))
    X[:, 3] = 0.001 * (rng.random(200) < 0.5)
    data = Dataset("images", X.clip(0, 1).astype(np.float32), y, None, None, ("a", "b"), (2, 2))
    planned = plan(data, TOY, eps=[0.1], methods=["pgd"], seeds=1, epochs=1, out=tmp_path, jobs=1)
    units = tuple(unit for unit in planned.units if unit.variant == "baseline")
    (record,) = run(replace(planned, units=units), show=False).records
    assert record["curves"]["pgd"]["accuracy"] == [1, 1]
    state = checkpoints.read(tmp_path / "units" / f"{units[0].trained.key}.weights")["weights"]
    parts, _ = robustness.pixels(data, split(data, 0))
    assert state["mean"].item() == pytest.approx(parts.X.mean()) and state["std"].item() == pytest.approx(parts.X.std())


def test_an_official_test_part_outside_the_train_parts_range_is_within_the_bounds():
    rng = np.random.default_rng(0)
    X, X_test = rng.uniform(0, 1, (20, 4)).astype(np.float32), rng.uniform(-1, 3, (10, 4)).astype(np.float32)
    y = np.arange(20) % 2
    data = Dataset("images", X, y, X_test, y[:10], ("a", "b"), (2, 2))
    parts, bounds = robustness.pixels(data, split(data, 0))
    assert bounds == (0, 1) and parts.X_test.min() == 0 and parts.X_test.max() == 1


def test_a_mask_by_value_and_fewer_samples(tmp_path):
    found = run(plan(IRIS, TOY, eps=[0.3], above=2.0, n_attacked=11, out=tmp_path, **QUICK), show=False)
    for curves in (record["curves"] for record in found.records):
        assert curves["pgd"]["accuracy"][0] == curves["pgd"]["accuracy"][1]  # no value is above 2
        assert (11 * curves["pgd"]["accuracy"][0]) % 1 == pytest.approx(0, abs=1e-9)


# --- what is kept --------------------------------------------------------------------------------------------------


def content(out):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (out / "units").iterdir()}


def test_nothing_is_done_twice(finished, monkeypatch):
    out, found = finished
    before = content(out)
    assert sum(name.endswith(".json") for name in before) == sum(name.endswith(".weights") for name in before) == 28
    monkeypatch.setattr(robustness, "attempt", untrainable)
    again = run(plan(IRIS, TOY, eps=[0.1, 0.05], harden=0.1, out=out, **QUICK), show=False)
    assert again.records == found.records and content(out) == before


def test_another_attack_trains_nothing_again_and_finds_the_same_models(finished, monkeypatch):
    out, found = finished
    monkeypatch.setattr(robustness, "_train", untrainable)
    other = run(plan(IRIS, TOY, eps=[0.05, 0.1], restarts=3, methods=["pgd"], out=out, **QUICK), show=False)
    before, after = accuracies(found, "pgd"), accuracies(other, "pgd")
    for key, curve in after.items():
        assert curve[0] == before[key][0] and all(np.array(curve) <= before[key])
    plain = scored(found, "pgd").records
    for old, new in zip(plain, other.records, strict=True):
        assert (old["parameters"], old["seconds"]) == (new["parameters"], new["seconds"])


def test_an_attack_that_was_interrupted_goes_on_with_the_weights_it_had(qml, tmp_path, monkeypatch):
    arguments = ["attack", "iris", "--models", "reuploading", "--seeds", 1, "--epochs", 1, "--jobs", 1]
    arguments += ["--eps", "0.05", "--method", "fgsm", "--out", tmp_path]
    attacked, n_calls = attacks.robust_accuracy, []

    def interrupted(*given, **settings):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        return attacked(*given, **settings)

    monkeypatch.setattr(attacks, "robust_accuracy", interrupted)
    code, _, said = qml(*arguments)
    end = f"qml: Interrupted: 2 of 7 attacked models are kept in {tmp_path}; the same command goes on where it was.\n"
    assert code == 130 and said.endswith(end)
    assert len(list((tmp_path / "units").glob("*.weights"))) == 3
    monkeypatch.setattr(attacks, "robust_accuracy", attacked)
    fits, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda *given, **settings: fits.append(1) or fit(*given, **settings))
    code, shown, said = qml(*arguments)
    assert code == 0 and len(fits) == 3  # of six nets, three had their weights
    assert "7/7" in said and f"Report: {tmp_path / 'report.html'}" in shown
    assert not list((tmp_path / "units").glob("*.checkpoint"))


def test_shots_are_the_same_whether_a_model_was_trained_just_now_or_before(tmp_path):
    pytest.importorskip("qiskit_aer")
    settings = {**QUICK, "seeds": 1, "backend": "aer:shots=50", "methods": ["fgsm"], "eps": [0.1], "n_attacked": 8}
    first, again = (plan(IRIS, TOY, out=tmp_path, **settings) for _ in range(2))
    plans = [replace(each, units=each.units[:1]) for each in (first, again)]
    (found,) = run(plans[0], show=False).records
    records.path(tmp_path, first.units[0]).unlink()
    (other,) = run(plans[1], show=False).records
    assert found["curves"] == other["curves"] and found["seconds"] == other["seconds"]


def test_damaged_weights_and_records_are_not_used(finished, tmp_path):
    found = run(plan(IRIS, TOY, eps=[0.1], out=tmp_path, **{**QUICK, "seeds": 1}), show=False)
    first = found.units[0]
    record, weights = records.path(tmp_path, first), tmp_path / "units" / f"{first.trained.key}.weights"
    record.write_bytes(record.read_bytes()[:-9])
    with pytest.raises(RecordError, match="not complete JSON"):
        plan(IRIS, TOY, eps=[0.1], out=tmp_path, **{**QUICK, "seeds": 1})
    record.unlink()
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"it is cut short, changed, or of another version\), expected a whole one"):
        run(plan(IRIS, TOY, eps=[0.1], out=tmp_path, **{**QUICK, "seeds": 1}), show=False)


def test_an_edited_model_is_another_one(finished, tmp_path):
    def edited(n_features, n_classes, *, control=None, backend=None):
        return toy_model.build(n_features, n_classes, control=control, backend=backend)

    one, other = (plan(IRIS, {"toy": build}, out=tmp_path, **QUICK) for build in (toy_model.build, edited))
    assert one.units[0].key != other.units[0].key and one.units[0].trained.key != other.units[0].trained.key
    assert one.units[-1].key == other.units[-1].key  # logistic regression is the same


# --- what is said --------------------------------------------------------------------------------------------------


def test_report(finished):
    out, found = finished
    files = {path.name for path in robustness_report.write(found)}
    assert files == {"report.md", "report.html", "curves.png"}
    text = (out / "report.md").read_text()
    assert "| model | clean | eps 0.05 | eps 0.1 |" in text and "toy, removed, hardened" in text
    for sentence in robustness_report.sentences(found):
        assert sentence in text
    line = next(each for each in robustness_report.lines(found, "pgd") if each.row == ("toy", "linear"))
    means = np.mean([accuracies(found, "pgd")["toy, linear", seed] for seed in (0, 1)], axis=0)
    assert [each.mean for each in line.found] == pytest.approx(means)
    assert (out / "curves.png").read_bytes().startswith(PNG)
    page = Page(out / "report.html")
    page.check([out / "curves.png"])
    assert "toy, removed, hardened" in page.text


def test_verdicts_are_about_the_mean_robust_accuracy(finished):
    _, found = finished
    said = robustness_report.sentences(found)
    starts = [f"{each}nder {method}, averaged over eps from 0.05 to 0.1: " for method in ("fgsm", "pgd")
              for each in ("U", "Hardened, u")]  # fmt: skip
    assert [sentence[: len(start)] for sentence, start in zip(said, starts, strict=False)] == starts
    curves = accuracies(found, "pgd")
    gains = [np.mean(curves["toy, hardened", seed][1:]) - np.mean(curves["toy", seed][1:]) for seed in (0, 1)]
    points = re.search(r"robust accuracy of toy under pgd by (\S+) points", " ".join(said))[1]
    assert float(points.replace("−", "-")) == pytest.approx(100 * np.mean(gains), abs=0.051)


def constant(n_features, n_classes, *, control=None, backend=None):
    """A model that sees nothing of its samples but their number."""
    model = nn.Sequential(nn.Linear(n_features, n_classes), nn.Hardtanh(0, 1e-9), nn.Linear(n_classes, n_classes))
    return model


def test_rows_that_predict_one_class_are_said_to(tmp_path):
    found = run(plan(IRIS, {"blind": constant}, eps=[0.1], out=tmp_path, **QUICK), show=False)
    assert (
        "blind predicts one class for every sample (seed 0, 1): its curve is the share of that class, and says nothing "
        "about robustness."
    ) in robustness_report.sentences(found)
    names = [line.name for line in robustness_report.lines(found, "pgd")]
    assert "blind (constant)" in names and "logistic_regression" in names


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "pdg"], "Unknown attack 'pdg': expected one of fgsm, pgd."),
        (["--method", ","], "No attack given: expected one or more of fgsm, pgd."),
        (["--norm", "1"], "norm is '1': expected one of inf, 2."),
        (["--eps", "0.1,x"], "got 'x' in --eps, expected numbers above 0: --eps 0.05,0.1"),
        (["--eps", "0"], "eps is 0.0: expected a positive number."),
        (["--eps", ","], "No radius given: expected one or more above 0, such as eps=[0.05, 0.1]."),
        (["--n-steps", "0"], "got n_steps=0, expected an integer of at least 1: pass n_steps=1, for example"),
        (["--restarts", "-1"], "got restarts=-1, expected an integer of at least 0: pass restarts=0, for example"),
        (["--n-attacked", "0"], "got n_attacked=0, expected an integer of at least 1: pass n_attacked=1, for example"),
        (["--harden", "-1"], "harden is -1.0: expected a positive number."),
        (["--epochs", "0"], "got epochs=0, expected an integer of at least 1: pass epochs=1, for example"),
        (["--models", "none"], "Unknown model 'none': expected one of qcnn, reuploading."),
    ],
)
def test_wrong_input_is_one_line(qml, tmp_path, options, message):
    assert qml("attack", "iris", "--out", tmp_path, *options) == (2, "", f"qml: {message}\n")
