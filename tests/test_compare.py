"""hybrid/compare.py and hybrid/records.py: what is trained, how it is kept, and that nothing is trained twice."""

from __future__ import annotations

import hashlib
import json
import sys
from functools import partial

import numpy as np
import pytest
import torch
import toy_model
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from backends import Statevector, get
from hybrid import checkpoints, progress, records, training, units
from hybrid import compare as comparing
from hybrid.compare import CONTROLS, compare, resolve
from hybrid.data import Dataset, load, split
from hybrid.models import reuploading
from hybrid.records import RecordError, Unit
from qml import DataReUploadingLinear, FlippedQuanv3x3, HamiltonianReuploading, QuantumLayer

IRIS = load("iris")
TOY = {"toy": toy_model.build}
QUICK = {"seeds": 2, "epochs": 1, "jobs": 1, "show": False}
PLAN = {
    "seeds": 1,
    "epochs": 1,
    "lr": 0.1,
    "batch_size": 8,
    "test_size": 0.2,
    "n_train": None,
    "backend": "statevector",
}
ROWS = [("toy", variant) for variant in ("hybrid", *CONTROLS, "mlp")] + [("logistic_regression", "baseline")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished comparison: its folder, and what it returned."""
    out = tmp_path_factory.mktemp("finished")
    return out, compare(IRIS, TOY, out=out, **QUICK)


def content(out):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (out / "units").iterdir()}


def results(comparison):
    return [(record["key"], record["test_accuracy"], record["predictions"]) for record in comparison.records]


# --- what is compared ----------------------------------------------------------------------------------------------


def test_every_hybrid_brings_its_controls_and_an_mlp_and_logistic_regression_comes_once(finished):
    out, found = finished
    assert found.rows == ROWS and found.hybrids == ["toy"]
    assert len(found.records) == len(ROWS) * 2 == len(list((out / "units").glob("*.json")))
    two = comparing.plan(
        IRIS, {"a": toy_model.build, "b": toy_model.build}, seeds=3, epochs=1, lr=0.1, batch_size=8, test_size=0.2,
        n_train=None, backend="statevector", out=out,
    )  # fmt: skip
    assert len(two.units) == 13 * 3 == len({unit.key for unit in two.units})


def test_parameters_are_counted_by_kind(finished):
    _, found = finished
    parameters = {row: found.of(row)[0]["parameters"] for row in found.rows}
    ends = 4 * 2 + 2 + 2 * 3 + 3
    assert parameters["toy", "hybrid"] == {"quantum": 2, "classical": ends, "frozen": 0}
    assert parameters["toy", "removed"] == {"quantum": 0, "classical": ends, "frozen": 0}
    assert parameters["toy", "linear"] == {"quantum": 0, "classical": ends + 6, "frozen": 0}
    assert parameters["toy", "separable"] == {"quantum": 2, "classical": ends, "frozen": 0}
    assert parameters["toy", "frozen"] == {"quantum": 0, "classical": ends, "frozen": 2}
    assert parameters["toy", "mlp"] == {"quantum": 0, "classical": 2 * 8 + 3, "frozen": 0}, "closest to 2 + ends = 21"
    assert parameters["logistic_regression", "baseline"] == {"quantum": 0, "classical": 15, "frozen": 0}


def test_shared_and_classical_parameters_are_counted_once():
    layer = toy_model.build(4, 3)[2]
    shared = nn.Linear(2, 2, bias=False)
    model = nn.Sequential(shared, layer, shared, layer)
    assert isinstance(layer, QuantumLayer)
    assert units.count_parameters(model) == {"quantum": 2, "classical": 4, "frozen": 0}


def test_parameters_of_unitaries_are_quantum():
    model = nn.Sequential(
        FlippedQuanv3x3(1, 2), DataReUploadingLinear(4, 2, 3, scale=1.0), HamiltonianReuploading(2, 3)
    )
    assert units.count_parameters(model) == {"quantum": 30 + 9 + 48, "classical": 2 + 3, "frozen": 0}


def test_the_controls_are_asked_for_by_name():
    asked = []

    def build(n_features, n_classes, *, control=None, backend=None):
        asked.append((n_features, n_classes, control, type(backend).__name__))
        return nn.Linear(n_features, n_classes)

    fields = {"source": "", "n_parameters": 30, "data": "", "seed": 0, "epochs": 1, "lr": 0.1, "batch_size": 1}
    fields |= {"test_size": 0.2, "n_train": None, "backend": "statevector"}
    for variant in ("hybrid", *CONTROLS):
        units.model(Unit("m", variant, **fields), build, 4, 3)
    assert asked == [(4, 3, control, "Statevector") for control in (None, *CONTROLS)]


def test_a_comparison_on_aer_by_name(tmp_path, monkeypatch):
    """With shots and noise; the seed in the name makes it the same again."""
    pytest.importorskip("qiskit_aer")
    name, made = "aer:shots=20,noise=depolarizing:0.01+readout:0.02,seed=3", []
    monkeypatch.setattr(units.backends, "get", lambda *spec: made.append(get(*spec)) or made[-1])
    first, again = (
        compare(IRIS, TOY, out=tmp_path / out, backend=name, n_train=12, **QUICK | {"seeds": 1}) for out in "ab"
    )
    assert {repr(backend) for backend in made} == {repr(get(name))}
    assert [record["predictions"] for record in first.records] == [record["predictions"] for record in again.records]


def test_a_record_is_what_independent_training_gives(finished):
    _, found = finished
    parts = split(IRIS, 1)
    scaler = StandardScaler().fit(parts.X)
    X, X_test = scaler.transform(parts.X), scaler.transform(parts.X_test)
    fitted = training.fit(lambda: toy_model.build(4, 3), X, parts.y, seed=1, epochs=1, lr=0.01, batch_size=32)
    with torch.no_grad():
        expected = fitted.net.module_(torch.from_numpy(X_test)).argmax(1).numpy()
    record = found.of(("toy", "hybrid"))[1]
    assert record["predictions"] == expected.tolist()
    assert record["test_accuracy"] == (expected == parts.y_test).mean()
    assert (record["n_train"], record["n_pool"], record["n_test"], record["resampled"]) == (120, 120, 30, True)
    assert record["history"][0]["train_loss"] == fitted.history[0]["train_loss"]
    assert record["history"][0]["valid_accuracy"] == pytest.approx(record["test_accuracy"])
    assert record["seconds"] > 0 and record["data"] == "iris"
    assert {"python", "torch", "numpy", "scikit-learn", "skorch", "hybridqml", "machine"} == set(record["versions"])


def test_logistic_regression_is_scikit_learns(finished):
    _, found = finished
    parts = split(IRIS, 0)
    scaler = StandardScaler().fit(parts.X)
    model = LogisticRegression(max_iter=10_000).fit(scaler.transform(parts.X), parts.y)
    record = found.of(("logistic_regression", "baseline"))[0]
    assert record["predictions"] == model.predict(scaler.transform(parts.X_test)).tolist()


def test_scaling_sees_the_train_part_alone_and_bears_constant_features():
    X = np.random.default_rng(0).normal(5, 3, (40, 3)).astype(np.float32)
    X[:, 1] = 7
    far = X + 100
    dataset = Dataset("t", X, np.arange(40) % 2, far, np.arange(40) % 2, ("0", "1"), None)
    scaled = units.scaled(split(dataset, 0))
    expected = (X - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), 1)
    np.testing.assert_allclose(scaled.X, expected, atol=1e-5)
    np.testing.assert_allclose(scaled.X_test, (far - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), 1), rtol=1e-4)
    assert scaled.X.dtype == np.float32 and np.isfinite(scaled.X_test).all()


def test_an_official_test_part_is_used_for_every_seed(tmp_path):
    parts = split(IRIS, 0)
    dataset = Dataset("official", parts.X, parts.y, parts.X_test, parts.y_test, IRIS.class_names, None)
    found = compare(dataset, TOY, out=tmp_path, **QUICK)
    assert not found.resampled
    assert all((record["n_pool"], record["n_test"]) == (120, 30) for record in found.records)
    one, other = found.of(("toy", "hybrid"))
    assert one["history"] != other["history"]


def test_a_record_says_what_the_training_samples_were_drawn_from(tmp_path):
    found = compare(IRIS, TOY, out=tmp_path, **{**QUICK, "seeds": 1, "n_train": 30})
    assert [found.records[0][name] for name in ("n_train", "n_pool", "n_test")] == [30, 120, 30]


def test_accuracies_are_in_the_order_of_the_seeds(tmp_path, finished):
    _, found = finished
    turned = compare(IRIS, TOY, out=tmp_path, **{**QUICK, "seeds": [1, 0]})
    np.testing.assert_array_equal(turned.accuracies(ROWS[0]), found.accuracies(ROWS[0])[::-1])


def test_the_models_of_the_folder_are_known_by_name():
    assert list(resolve(["reuploading", "qcnn", "qcnn"])) == ["reuploading", "qcnn"]
    assert set(resolve(None)) == set(comparing.models.names()) >= {"qcnn", "reuploading"}


# --- resuming ------------------------------------------------------------------------------------------------------


def test_a_finished_comparison_is_not_trained_again(finished, monkeypatch):
    out, found = finished
    before = content(out)
    monkeypatch.setattr(units, "train", lambda *_: pytest.fail("trained again"))
    assert results(compare(IRIS, TOY, out=out, **QUICK)) == results(found)
    assert content(out) == before


def test_what_is_missing_is_trained_and_the_rest_is_left_alone(tmp_path, finished):
    _, found = finished
    compare(IRIS, TOY, out=tmp_path, **QUICK)
    before = content(tmp_path)
    for name in list(before)[::3]:
        (tmp_path / "units" / name).unlink()
        del before[name]
    again = compare(IRIS, TOY, out=tmp_path, **QUICK)
    assert results(again) == results(found)
    assert {name: both for name, both in content(tmp_path).items() if name in before} == before


def test_more_seeds_use_the_finished_ones(tmp_path, monkeypatch):
    compare(IRIS, TOY, out=tmp_path, **{**QUICK, "seeds": 1})
    trained, train = [], units.train
    monkeypatch.setattr(units, "train", lambda unit, *rest: (trained.append(unit.seed), train(unit, *rest))[1])
    compare(IRIS, TOY, out=tmp_path, **QUICK)
    assert trained == [1] * len(ROWS)


def test_an_interrupt_keeps_what_is_finished(tmp_path, monkeypatch, finished):
    train = units.train

    def interrupted(unit, *rest):
        if unit.variant == "linear":
            raise KeyboardInterrupt
        return train(unit, *rest)

    monkeypatch.setattr(units, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(IRIS, TOY, out=tmp_path, **QUICK)
    assert len(content(tmp_path)) == 4
    monkeypatch.setattr(units, "train", train)
    assert results(compare(IRIS, TOY, out=tmp_path, **QUICK)) == results(finished[1])


def test_a_comparison_goes_on_inside_of_a_training(tmp_path, monkeypatch):
    """It is stopped in the second epoch of one unit; the checkpoint lies beside the records until there is one."""
    settings = {"seeds": 1, "epochs": 3, "jobs": 1, "show": False}
    expected = results(compare(IRIS, TOY, out=tmp_path / "calm", **settings))
    monkeypatch.setattr(checkpoints, "PAUSE", 0.0)
    told, stop = [], [True]

    def teller(folder, key):
        def tell(epoch, total):
            told.append((key, epoch))
            if epoch == 3 and stop:
                stop.clear()
                raise RuntimeError("stopped")

        return tell

    monkeypatch.setattr(progress, "teller", teller)
    with pytest.raises(RuntimeError, match="stopped"):
        compare(IRIS, TOY, out=tmp_path / "out", **settings)
    left = [file for file in (tmp_path / "out" / "units").iterdir() if file.suffix == ".checkpoint"]
    assert len(left) == 1 and left[0].stem == told[-1][0]
    told.clear()
    found = compare(IRIS, TOY, out=tmp_path / "out", **settings)
    assert [epoch for key, epoch in told if key == left[0].stem] == [0, 3], "two epochs are not trained again"
    assert results(found) == expected
    assert {file.suffix for file in (tmp_path / "out" / "units").iterdir()} == {".json"}


def test_a_worker_that_cannot_reach_the_folder_trains_without_a_checkpoint(tmp_path):
    plan = comparing.plan(IRIS, TOY, out=tmp_path, **PLAN)
    _, record = units.attempt(plan.units[0], toy_model.build, IRIS, tmp_path, tmp_path / "elsewhere" / "checkpoint")
    assert record["test_accuracy"] >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 2}, {"lr": 0.02}, {"batch_size": 16}, {"test_size": 0.3}, {"n_train": 60}, {"seeds": [5]},
        {"backend": "statevector:gradient=backprop"},
    ],
)  # fmt: skip
def test_every_setting_is_part_of_the_key(change, tmp_path):
    fixed = {"seeds": [0], "epochs": 1, "lr": 0.01, "batch_size": 32, "test_size": 0.2, "n_train": None}
    fixed |= {"backend": "statevector", "out": tmp_path}
    one, other = (comparing.plan(IRIS, TOY, **settings) for settings in (fixed, {**fixed, **change}))
    assert not {unit.key for unit in one.units} & {unit.key for unit in other.units}


def test_data_and_source_are_part_of_the_key():
    fields = {"source": "a", "n_parameters": None, "data": "b", "seed": 0, "epochs": 1, "lr": 0.1, "batch_size": 1}
    fields |= {"test_size": 0.2, "n_train": None, "backend": "statevector"}
    changes = [{}, {"source": "x"}, {"data": "x"}, {"n_parameters": 3}]
    assert len({Unit("m", "hybrid", **{**fields, **change}).key for change in changes}) == 4


def test_a_resized_model_is_trained_again(tmp_path, monkeypatch):
    trained, train = [], units.train
    monkeypatch.setattr(units, "train", lambda unit, *rest: (trained.append(unit.row), train(unit, *rest))[1])
    for n_layers in (1, 2, 1):
        build = partial(reuploading.build, n_qubits=2, n_layers=n_layers)
        found = compare(IRIS, {"mine": build}, out=tmp_path, **{**QUICK, "seeds": 1})
        assert found.of(("mine", "hybrid"))[0]["parameters"]["quantum"] == 6 * n_layers
    once = [("mine", variant) for variant in ("hybrid", *CONTROLS, "mlp")]
    assert trained == [*once, ROWS[-1], *once], "logistic regression is the same, and so is the first size"


def test_the_key_is_the_hash_of_the_unit(finished):
    out, found = finished
    for record in found.records:
        text = json.dumps({"schema": records.SCHEMA, **record["unit"]}, sort_keys=True)
        assert record["key"] == hashlib.sha256(text.encode()).hexdigest()
        assert (out / "units" / f"{record['key']}.json").exists()


# --- records -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:100], r"it is not complete JSON"),
        (lambda text: b"", r"it is not complete JSON"),
        (lambda text: b"\xff\xfe", r"it is not complete JSON"),
        (lambda text: b"[1, 2]", r"it lacks what a record has"),
        (lambda text: b'{"model": "somebody else"}', r"it lacks what a record has"),
        (lambda text: text.replace(b'"seed": 0', b'"seed": 9'), r"its content belongs under another name"),
        (lambda text: text.replace(b'"schema": 2', b'"schema": 1'), r"its content belongs under another name"),
    ],
)
def test_a_damaged_or_foreign_record_is_named_and_left_alone(tmp_path, finished, damage, message):
    out, found = finished
    key = found.units[0].key
    (tmp_path / "units").mkdir()
    file = tmp_path / "units" / f"{key}.json"
    file.write_bytes(damage((out / "units" / file.name).read_bytes()))
    before = content(tmp_path)
    with pytest.raises(
        RecordError, match=rf"{key}\.json is not the record of a finished unit: {message}.*move it away"
    ):
        compare(IRIS, TOY, out=tmp_path, **QUICK)
    assert content(tmp_path) == before


def test_other_files_in_the_folder_do_not_matter(tmp_path, finished):
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "notes.json").write_text("not a record")
    (tmp_path / "units" / ".cut.json.77.tmp").write_text("{")
    assert results(compare(IRIS, TOY, out=tmp_path, **QUICK)) == results(finished[1])


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "file"
    records.write_atomically(file, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(records.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        records.write_atomically(file, b"new")
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]


# --- workers -------------------------------------------------------------------------------------------------------


def test_processes_give_the_same_numbers(tmp_path, finished):
    assert results(compare(IRIS, TOY, out=tmp_path, **{**QUICK, "jobs": 2})) == results(finished[1])


def broken(n_features, n_classes, *, control=None, backend=None):
    """A hybrid whose loss is NaN once the circuit is replaced by a linear layer."""
    model = toy_model.build(n_features, n_classes, control=control, backend=backend)
    if control == "linear":
        nn.init.constant_(model[0].weight, float("nan"))
    return model


def test_a_dask_cluster_gives_the_same_numbers(tmp_path, finished, scheduler):
    assert scheduler.startswith("tcp://")
    assert results(compare(IRIS, TOY, out=tmp_path, scheduler=scheduler, **QUICK)) == results(finished[1])


def test_an_error_on_a_dask_worker_is_raised_here(tmp_path, scheduler):
    with pytest.raises(FloatingPointError, match=r"The training loss of toy, linear \(seed 0\) is nan in epoch 1"):
        compare(IRIS, {"toy": broken}, out=tmp_path, scheduler=scheduler, **QUICK)


def test_a_nan_loss_names_the_model_and_keeps_what_is_finished(tmp_path):
    with pytest.raises(
        FloatingPointError, match=r"The training loss of toy, linear \(seed 0\) is nan in epoch 1"
    ) as error:
        compare(IRIS, {"toy": broken}, out=tmp_path, **QUICK)
    assert "Traceback" in error.value.__notes__[0]
    assert len(content(tmp_path)) == 4


def test_no_scheduler_at_that_address(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the Dask test needs the package distributed")

    def refuse(address, **options):
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(OSError, match=r"Timed out trying to connect to tcp://127\.0\.0\.1:1"):
        compare(IRIS, TOY, out=tmp_path, scheduler="tcp://127.0.0.1:1", **QUICK)


def test_dask_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"A Dask scheduler needs .* not installed: pip install 'hybridqml\[dask\]'"):
        compare(IRIS, TOY, out=tmp_path, scheduler="tcp://127.0.0.1:1", **QUICK)
    assert not list(tmp_path.iterdir())


# --- progress ------------------------------------------------------------------------------------------------------


def test_a_running_unit_tells_its_epoch_and_is_forgotten_at_the_end(tmp_path):
    tell = progress.teller(tmp_path, "abc")
    tell(3, 8)
    assert progress.running_units(tmp_path) == [("abc", 3, 8)]
    progress.forget(tmp_path, "abc")
    assert progress.running_units(tmp_path) == []


def test_progress_out_of_reach_does_not_matter(tmp_path):
    progress.teller(tmp_path / "absent", "abc")(1)
    progress.forget(tmp_path / "absent", "abc")
    assert progress.running_units(tmp_path / "absent") == []


def test_the_display_shows_units_and_epochs_and_vanishes():
    with progress.Display({"a": "qcnn, seed 0", "b": "qcnn, seed 1"}, n_done=1) as display:
        progress.teller(display.folder, "b")(7, 20)
        with display.console.capture() as shown:
            display.console.print(display._render())
        assert "1/2" in shown.get() and "qcnn, seed 1" in shown.get() and "epoch 7/20" in shown.get()
    assert not display.folder.exists()


def test_without_a_terminal_every_unit_is_a_line(tmp_path, capsys):
    compare(IRIS, TOY, out=tmp_path, **{**QUICK, "seeds": 1, "show": True})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7 and lines[0].startswith("1/7  toy, seed 0: ") and lines[0].endswith(" s")


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ["qcm"]}, r"Unknown model 'qcm': expected one of .*qcnn, reuploading"),
        ({"models": []}, r"No model given: expected one or more of .*qcnn"),
        ({"seeds": 0}, r"seeds is 0: expected a number of seeds from 1, or a list of numbers from 0"),
        ({"seeds": [0, -1]}, r"seeds is \[0, -1\]: expected"),
        ({"epochs": 0}, r"got epochs=0, expected an integer of at least 1: pass epochs=1, for example"),
        ({"batch_size": -3}, r"got batch_size=-3, expected an integer of at least 1: pass batch_size=1, for example"),
        ({"lr": float("nan")}, r"lr is nan: expected a positive number"),
        ({"lr": 0.0}, r"lr is 0\.0: expected a positive number"),
        ({"jobs": 0}, r"got jobs=0, expected an integer of at least 1: pass jobs=1, for example"),
        ({"test_size": 1.5}, r"test_size is 1\.5, but iris has 150 samples in 3 classes"),
        ({"n_train": 1}, r"n_train is 1, but iris has 120 training samples"),
        ({"scheduler": "10.0.0.1"}, r"scheduler is '10\.0\.0\.1': expected the address of one, such as tcp://"),
        ({"backend": "statevctor"}, r"'statevctor', expected one of statevector"),
        ({"models": {}}, r"No model given: expected one or more of .*qcnn, .*or \{'mine': build\}\.$"),
        ({"models": "qcnn"}, r"^models is of type str: expected a list .*; write models=\['qcnn'\] or models=\{'mine'"),
        ({"models": toy_model.build}, r"^models is of type function: expected a list of names or a mapping; write"),
        ({"models": {"mine": 4}}, r"^models\['mine'\] is of type int: expected the function that builds the model"),
        ({"models": {"mine": nn.Linear(4, 3)}}, r"^models\['mine'\] is of type Linear: expected .*, build\(n_features"),
        ({"models": {1: toy_model.build}}, r"^models has the name 1: expected a string; write \{'mine': build\}\.$"),
        ({"seeds": True}, r"^seeds is True: expected a number .*; write seeds=3 or seeds=\[0, 1, 2\]\.$"),
        ({"seeds": 1.5}, r"^seeds is 1\.5: expected a number of seeds from 1"),
        ({"seeds": [0, 1.5]}, r"^seeds is \[0, 1\.5\]: expected"),
        ({"seeds": [False, True]}, r"^seeds is \[False, True\]: expected"),
        ({"seeds": "01"}, r"^seeds is '01': expected"),
        ({"seeds": [2**32]}, r"^seeds is \[4294967296\]: expected"),
        ({"seeds": np.eye(2, dtype=int)}, r"^seeds is array"),
        ({"seeds": np.array(2.0)}, r"^seeds is array"),
        ({"seeds": np.zeros(0, int)}, r"^seeds is array"),
        ({"epochs": 1.5}, r"got epochs=1\.5, expected an integer of at least 1: pass epochs=1"),
        ({"epochs": True}, r"got epochs=True, expected an integer of at least 1: pass epochs=1"),
        ({"batch_size": 2.5}, r"got batch_size=2\.5, expected an integer of at least 1: pass batch_size=1"),
        ({"jobs": 1.0}, r"got jobs=1\.0, expected an integer of at least 1: pass jobs=1"),
        ({"n_train": 60.0}, r"got n_train=60\.0, expected an integer of at least 1: pass n_train=1"),
        ({"lr": "0.1"}, r"^lr is '0\.1': expected a number, such as lr=0\.1\.$"),
        ({"test_size": "0.2"}, r"^test_size is '0\.2': expected a number, such as test_size=0\.1\.$"),
        (
            {"backend": Statevector()},
            r"^backend is of type Statevector: expected its name, as backend='statevector'",
        ),
        (
            {"dataset": "iris"},
            r"^dataset is of type str: expected what hybrid\.data\.load returns, as load\(",
        ),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(tmp_path, change, message):
    settings = {"dataset": IRIS, "models": TOY, "out": tmp_path / "out", **QUICK, **change}
    with pytest.raises((ValueError, TypeError), match=message) as error:
        compare(**settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_numbers_of_numpy_are_as_good_as_pythons(tmp_path):
    given = {"lr": 0.1, "test_size": 0.2, "backend": "statevector", "out": tmp_path}
    plain = comparing.plan(IRIS, TOY, seeds=2, epochs=2, batch_size=8, n_train=60, jobs=3, **given)
    two = np.int64(2)
    for seeds in (two, np.arange(2), np.arange(2, dtype=np.uint8), (0, 1), range(2)):
        settings = {
            "seeds": seeds,
            "epochs": two,
            "batch_size": np.int32(8),
            "n_train": np.int64(60),
            "jobs": np.int8(3),
        }
        found = comparing.plan(IRIS, TOY, **settings, **{**given, "lr": np.float64(0.1)})
        assert [unit.key for unit in found.units] == [unit.key for unit in plain.units] and found.jobs == 3


def test_an_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"Cannot write to the output folder .*file \(.*\): choose another one"):
        compare(IRIS, TOY, out=tmp_path / "file", **QUICK)


def test_a_build_that_cannot_be_told_from_others_is_refused(tmp_path):
    build = partial(toy_model.build, backend=(number for number in ()))
    with pytest.raises(TypeError, match=r"^got partial: backend of type generator, expected what can be hashed by"):
        compare(IRIS, {"mine": build}, out=tmp_path / "out", **QUICK)
    assert not (tmp_path / "out").exists()
