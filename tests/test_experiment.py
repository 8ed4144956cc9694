"""hybrid/experiment.py and hybrid/running.py: what is run, how it is kept, and that nothing is run twice."""

from __future__ import annotations

import importlib
import json
import linecache
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_experiments import toy_paper

from backends import get
from hybrid import experiment, experiments, records
from hybrid.claims import Claim
from hybrid.experiment import Case, Experiment, Outcome, Row, load, plan, run
from hybrid.records import RecordError

TOY = toy_paper.experiment()
NONE = {"quantum": 0, "classical": 0, "frozen": 0}
NO_TIME = {"training": 0.0, "prediction": 0.0}
LEVELS = {level: {"seeds": 2} for level in ("quick", "default", "full")}


def quick(out, paper=TOY, **options):
    return run(plan(paper, "quick", out=out, **{"jobs": 1, **options}), show=False)


def one_row(function, **options):
    """An experiment of one row."""
    settings = {"name": "one", "title": "", "arxiv": "", "claim": "", "metric": "error", "lower_is_better": True}
    rows = (Row("row", "classical", function, seeded=options.pop("seeded", True)),)
    return Experiment(**{**settings, "tasks": ("a",), "rows": rows, "levels": LEVELS, **options})


def scores(results):
    return [(record["key"], record["score"], record["extra"]) for record in results.records]


def content(out):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (out / "units").iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished experiment: its folder, and its results."""
    out = tmp_path_factory.mktemp("finished")
    return out, quick(out)


@pytest.fixture
def planted(monkeypatch):
    """Put the toy paper among the experiments."""
    folder = str(Path(toy_paper.__file__).parent)
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, folder])


# --- what is run -----------------------------------------------------------------------------------------------------


def test_every_row_is_run_on_its_tasks_and_one_that_is_not_seeded_once(finished):
    out, found = finished
    assert {task: [row.name for row in found.rows(task)] for task in found.tasks} == {
        "sine": ["circuit", "frozen circuit", "no circuit", "MLP", "persistence"],
        "beat": ["circuit", "frozen circuit", "no circuit", "persistence"],
    }
    assert [len(found.of("sine", row.name)) for row in found.rows("sine")] == [2, 2, 2, 2, 1]
    assert found.of("beat", "MLP") == [] and len(content(out)) == len(found.records) == 9 + 7
    seeds = [trial.seed for trial in found.plan.units if trial.row in ("circuit", "persistence")]
    assert seeds == [0, 1, None] * 2


def test_a_record_is_what_the_row_returns_by_itself(finished):
    _, found = finished
    t = np.linspace(0, 12, 40)
    values = np.float32(np.sin(t))
    (record,) = found.of("sine", "persistence")
    assert record["score"] == pytest.approx(np.sqrt(np.mean(np.diff(values)[1:][25:] ** 2)), rel=1e-5)
    case = Case("beat", 1, {"epochs": 2, "n_points": 40}, "statevector", None, lambda *_: None, None)
    alone = toy_paper.trained(case, toy_paper.frozen)
    record = found.of("beat", "frozen circuit")[1]
    assert (record["score"], record["extra"]) == (alone.score, dict(alone.extra))
    assert record["parameters"] == {"quantum": 0, "classical": 3, "frozen": 2} == alone.parameters
    assert set(record["seconds"]) == {"training", "prediction"} and record["seconds"]["training"] > 0
    assert {"python", "torch", "scipy", "statsmodels", "machine"} <= set(record["versions"])
    expected = [record["score"] for record in found.of("beat", "frozen circuit")]
    np.testing.assert_array_equal(found.scores("beat", "frozen circuit"), expected)


def test_what_a_case_holds(tmp_path):
    cases = []

    def row(case):
        cases.append((case, torch.rand(1).item(), torch.get_num_threads()))
        return Outcome(1.0, NONE, NO_TIME)

    levels = {level: {"seeds": 2, "epochs": len(level)} for level in LEVELS}
    found = quick(tmp_path, one_row(row, levels=levels), backend="statevector:backprop", seeds=[7, 3])
    random = [torch.rand(1, generator=torch.Generator().manual_seed(seed)).item() for seed in (7, 3)]
    assert [(case.seed, drawn, n_threads) for case, drawn, n_threads in cases] == [(7, random[0], 1), (3, random[1], 1)]
    case = cases[0][0]
    assert (case.task, case.backend, case.settings, case.data) == ("a", "statevector:backprop", {"epochs": 5}, None)
    assert case.checkpoint == records.checkpoint(tmp_path, found.plan.units[0])


def test_every_seed_draws_shots_of_its_own():
    pytest.importorskip("qiskit_aer")
    cases = [Case("a", seed, {}, "aer:shots=10,seed=3", None, print, None) for seed in (0, 1, 1)]
    first, *others = (case.make_backend().seeds.next() for case in cases)
    assert others == [get("aer:shots=10,seed=3", 1).seeds.next()] * 2 and first not in others


def test_a_worker_that_cannot_reach_the_folder_runs_without_a_checkpoint(tmp_path):
    cases = []
    trial = plan(TOY, "quick", out=tmp_path).units[0]
    function = lambda case: cases.append(case) or Outcome(1.0, NONE, NO_TIME)  # noqa: E731
    experiment.attempt(trial, function, None, (), tmp_path, tmp_path / "elsewhere" / "checkpoint")
    assert cases[0].checkpoint is None


def test_tasks_seeds_and_levels_are_chosen(tmp_path):
    made = plan(TOY, "full", tasks=["beat"], seeds=4, out=tmp_path)
    assert {trial.task for trial in made.units} == {"beat"} and made.seeds == (0, 1, 2, 3)
    assert made.units[0].settings == {"epochs": 20, "n_points": 200}
    assert len(plan(TOY, "full", out=tmp_path).seeds) == 5 and len(plan(TOY, out=tmp_path).seeds) == 3


def test_a_planted_experiment_is_known_by_its_files_name(planted):
    assert "toy-paper" in experiments.names() and load("toy-paper").name == "toy-paper"


def test_every_experiment_is_called_as_its_file():
    assert [load(name).name for name in experiments.names()] == experiments.names()


# --- resuming --------------------------------------------------------------------------------------------------------


def test_a_finished_experiment_is_not_run_again(finished, monkeypatch):
    out, found = finished
    before = content(out)
    monkeypatch.setattr(experiment, "attempt", lambda *_: pytest.fail("run again"))
    assert scores(quick(out)) == scores(found)
    assert content(out) == before


def test_what_is_missing_is_run_and_the_rest_is_left_alone(tmp_path, finished):
    quick(tmp_path)
    before = content(tmp_path)
    for name in list(before)[::3]:
        (tmp_path / "units" / name).unlink()
        del before[name]
    assert scores(quick(tmp_path)) == scores(finished[1])
    assert {name: both for name, both in content(tmp_path).items() if name in before} == before


def test_more_seeds_and_tasks_use_what_is_finished(tmp_path, finished, monkeypatch):
    done, attempt = [], experiment.attempt
    quick(tmp_path, seeds=1, tasks=["beat"])
    monkeypatch.setattr(experiment, "attempt", lambda trial, *rest: (done.append(trial), attempt(trial, *rest))[1])
    assert scores(quick(tmp_path)) == scores(finished[1])
    assert len(done) == 16 - 4 and not [trial for trial in done if (trial.task, trial.seed) == ("beat", 0)]


def test_processes_give_the_same_numbers(tmp_path, finished):
    assert scores(quick(tmp_path, jobs=2)) == scores(finished[1])


def test_a_dask_cluster_gives_the_same_numbers(tmp_path, finished, scheduler):
    assert scores(quick(tmp_path, scheduler=scheduler)) == scores(finished[1])


def test_a_changed_setting_or_source_is_another_trial(tmp_path, finished):
    keys = {trial.key for trial in finished[1].plan.units}
    changed = replace(TOY, levels={**TOY.levels, "quick": {"seeds": 2, "epochs": 3, "n_points": 40}})
    other = replace(TOY, rows=tuple(replace(row, run=partial(row.run, option=1)) for row in TOY.rows))
    made = [plan(changed, "quick", out=tmp_path), plan(TOY, "quick", out=tmp_path, backend="statevector:backprop")]
    made.append(plan(other, "quick", out=tmp_path))
    for each in made:
        assert not keys & {trial.key for trial in each.units}


def test_an_edited_row_is_run_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = "from hybrid.experiment import Outcome\ndef row(case):\n    return Outcome({}, {}, {})\n"
    found = []
    for value in ("1.0", "2.0", "1.0"):
        (tmp_path / "edited_row.py").write_text(source.format(value, NONE, NO_TIME))
        sys.modules.pop("edited_row", None)
        linecache.clearcache()
        module = importlib.import_module("edited_row")
        found.append(quick(tmp_path / "out", one_row(module.row, seeded=False)).scores("a", "row").tolist())
        importlib.invalidate_caches()
    assert found == [[1.0], [2.0], [1.0]] and len(content(tmp_path / "out")) == 2


def test_an_interrupted_trial_goes_on_from_its_checkpoint(tmp_path):
    told = []

    def row(case):
        told.append(case.checkpoint.read_text() if case.checkpoint.exists() else "nothing")
        case.checkpoint.write_text("half of it")
        if len(told) == 1:
            raise KeyboardInterrupt
        return Outcome(1.0, NONE, NO_TIME)

    made = plan(one_row(row, seeded=False), out=tmp_path, jobs=1)
    with pytest.raises(KeyboardInterrupt):
        run(made, show=False)
    assert run(made, show=False).scores("a", "row") == [1.0]
    assert told == ["nothing", "half of it"] and {name.rpartition(".")[2] for name in content(tmp_path)} == {"json"}


def test_data_are_known_by_their_content(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "first.txt").write_text("1.5")
    (tmp_path / "same.txt").write_text("1.5")
    (tmp_path / "other.txt").write_text("2.5")
    data = {name: str(tmp_path / name) for name in ("first.txt", "same.txt", "other.txt", "folder")}
    keys = {name: plan(TOY, "quick", data=path, out=tmp_path / "out").units[0].key for name, path in data.items()}
    assert keys["first.txt"] == keys["same.txt"] and len(set(keys.values())) == 3
    (tmp_path / "folder" / "a.csv").write_text("1")
    keys["full"] = plan(TOY, "quick", data=data["folder"], out=tmp_path / "out").units[0].key
    (tmp_path / "folder" / "a.csv").rename(tmp_path / "folder" / "b.csv")
    keys["renamed"] = plan(TOY, "quick", data=data["folder"], out=tmp_path / "out").units[0].key
    assert len(set(keys.values())) == 5
    shifted = quick(tmp_path / "out", data=data["first.txt"], tasks=["sine"], seeds=1)
    assert shifted.of("sine", "circuit")[0]["extra"]["target"][0] == pytest.approx(1.5 + np.sin(12 * 27 / 39), abs=1e-5)


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:100], r"it is not complete JSON"),
        (lambda text: b"[1, 2]", r"it lacks what a record has"),
        (lambda text: text.replace(b'"score"', b'"sorce"'), r"it lacks what a record has"),
        (lambda text: text.replace(b'"seed": 0', b'"seed": 9'), r"its content belongs under another name"),
        (lambda text: text.replace(b'"schema": 1', b'"schema": 0'), r"its content belongs under another name"),
    ],
)
def test_a_damaged_or_foreign_record_is_named_and_left_alone(tmp_path, finished, damage, message):
    out, found = finished
    key = found.plan.units[0].key
    (tmp_path / "units").mkdir()
    file = tmp_path / "units" / f"{key}.json"
    file.write_bytes(damage((out / "units" / file.name).read_bytes()))
    before = content(tmp_path)
    with pytest.raises(
        RecordError, match=rf"{key}\.json is not the record of a finished unit: {message}.*move it away"
    ):
        quick(tmp_path)
    assert content(tmp_path) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_names_the_trial_and_keeps_what_is_finished(tmp_path, value):
    def row(case):
        return Outcome(value if case.seed else 0.5, NONE, NO_TIME)

    message = rf"The score of a: row, seed 1 is {value}: expected a finite number; look for a training that"
    with pytest.raises(FloatingPointError, match=message) as error:
        quick(tmp_path, one_row(row))
    assert "Traceback" in error.value.__notes__[0]
    (record,) = [json.loads(both[0]) for both in content(tmp_path).values()]
    assert record["score"] == 0.5


def test_progress_is_a_line_per_trial_without_a_terminal(tmp_path, capsys):
    run(plan(TOY, "quick", tasks=["beat"], seeds=1, out=tmp_path, jobs=1))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": test RMSE")[0] for line in lines] == [
        "1/4  beat: circuit, seed 0", "2/4  beat: frozen circuit, seed 0", "3/4  beat: no circuit, seed 0",
        "4/4  beat: persistence",
    ]  # fmt: skip


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "slow"}, r"Unknown level 'slow': expected one of quick, default, full\.$"),
        ({"tasks": ["sine", "cosine"]}, r"Unknown task 'cosine': expected one of sine, beat\.$"),
        ({"tasks": []}, r"No task given: expected one or more of sine, beat\.$"),
        ({"seeds": 0}, r"seeds is 0: expected a number of seeds from 1"),
        ({"jobs": 0}, r"got jobs=0, expected an integer of at least 1: pass jobs=1, for example"),
        ({"backend": "statevctor"}, r"'statevctor', expected one of statevector"),
        ({"scheduler": "10.0.0.1"}, r"scheduler is '10\.0\.0\.1': expected the address of one"),
        ({"data": "no/such"}, r"got the data no/such, which is not there, expected a file with a number to add\.$"),
        ({"experiment": replace(TOY, data=None), "data": "."}, r"got the data \., but toy-paper reads none: leave --d"),
        ({"experiment": replace(TOY, check=lambda *_: 1 / 0)}, "division by zero"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises((ValueError, ZeroDivisionError), match=message) as error:
        plan(**{"experiment": TOY, "out": tmp_path / "out", **options})
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_check_is_told_what_is_to_be_run(tmp_path):
    told = []
    plan(replace(TOY, check=lambda *what: told.append(what)), "quick", tasks=["beat"], out=tmp_path)
    assert told == [(("beat",), {"epochs": 2, "n_points": 40}, None)]


def test_an_unknown_experiment(planted):
    with pytest.raises(ValueError, match=r"^Unknown experiment 'toy': expected one of .*toy-paper.*\.$"):
        load("toy")


def test_a_row_that_cannot_be_told_from_others_is_refused(tmp_path):
    function = partial(toy_paper.persistence, option=(number for number in ()))
    with pytest.raises(TypeError, match=r"^got partial: option of type generator, expected what can be hashed by"):
        plan(one_row(function), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Row("r", "magic", print), r"got kind='magic' for the row 'r', expected one of quantum, control, clas"),
        (lambda: Outcome(1.0, {"a": 1}, NO_TIME), r"got parameters \{'a': 1\}, expected quantum, classical, frozen: g"),
        (lambda: Outcome(1.0, NONE, {}), r"got seconds \{\}, expected training, prediction: give them all"),
        (lambda: Outcome(1.0, NONE, NO_TIME, {"a": np.ones(2)}), r"got extra, .*ndarray.*, expected what JSON can hol"),
        (lambda: Outcome(1.0, NONE, NO_TIME, {"a": np.nan}), r"got extra, .*, expected what JSON can hold: finite num"),
        (lambda: Outcome(1.0, NONE, NO_TIME, {"target": [1.0]}), r"got 1 targets and 0 predictions, expected as many"),
        (lambda: Outcome(1.0, NONE, NO_TIME, {"curve": {"x": [1, 2], "y": [0.5]}}), r"got 2 x and 1 y of a curve"),
        (lambda: replace(TOY, levels={"quick": {}}), r"got levels \['quick'\], expected quick, default, full, each wi"),
        (lambda: replace(TOY, rows=TOY.rows[:1] * 2), r"got the rows \['circuit', 'circuit'\], expected one or more"),
        (lambda: replace(TOY, tasks=()), r"got the tasks \[\], expected one or more, each with a name of its own"),
        (lambda: replace(TOY, claims=(Claim("", "circuit", "MLP", tasks=("a",)),)), r"Unknown task 'a': expected on"),
        (lambda: replace(TOY, rows=(replace(TOY.rows[0], tasks=("a",)),), claims=()), r"Unknown task 'a': expected on"),
        (lambda: replace(TOY, published={"circuit": {"a": "0.1"}}), r"Unknown task 'a': expected one of sine, beat"),
        (
            lambda: replace(TOY, claims=(Claim("", "circuit", "MLP", of="b"),), also={"A": "a"}),
            r"Unknown figure 'b': expected one of a\.",
        ),
        (lambda: replace(TOY, claims=(Claim("", "circuit", "cat"),)), r"Unknown row 'cat': expected one of circuit, f"),
    ],
)  # fmt: skip
def test_a_wrong_experiment_is_refused(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
