"""hybrid/experiments of time series: they run at the quick level, and their verdicts say what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from commands import run  # noqa: F401 (a fixture)
from planted_results import results
from timeseries import write

from hybrid import experiment
from hybrid.experiments import qfwp, qrnn_reservoir
from hybrid.models.forecasters import fast_weights, recurrent, verdicts

PAPERS = ("qfwp", "qrnn-reservoir")

GRIDS = {
    "hybrid.models.forecasters.reservoirs.CELL_GRID": {"weight_scale": (0.1, 1.0)},
    "hybrid.models.forecasters.reservoirs.ISING_GRID": {"tau": (3.0,), "field": (0.5,)},
    "hybrid.baselines.echo_state.SPECTRAL_RADII": (0.5, 0.9),
}


@pytest.mark.parametrize("name", PAPERS)
def test_every_row_runs_at_the_quick_level(name, tmp_path, run):  # noqa: F811
    for grid, few in GRIDS.items():  # rows are all run, with fewer tries
        run.setattr(grid, few)
    arguments = ["--quick", "--seeds", "1", "--task", "bessel,sunspots_long", "--jobs", "1", "--out", str(tmp_path)]
    code, said, _ = run("run", name, *arguments)
    paper = experiment.load(name)
    n_rows = sum(len([row for row in paper.rows if not row.tasks or task in row.tasks]) for task in paper.tasks[-2:])
    assert code == 0 and len(list(tmp_path.glob("units/*.json"))) == n_rows
    said = " ".join(said.split())
    assert f"The paper claims: {paper.claim}" in said and "Lowest mean error of all rows: " in said
    assert all((tmp_path / file).is_file() for file in ("report.md", "report.html", "scores.png", "predictions.png"))


@pytest.mark.parametrize("name", PAPERS)
def test_rows_are_those_that_the_claim_should_have_beside_it(name):
    paper = experiment.load(name)
    kinds = {kind: [row.name for row in paper.rows if row.kind == kind] for kind in experiment.KINDS}
    assert all(kinds.values()) and any("entanglers off" in row for row in kinds["control"])
    assert any("ESN" in row for row in kinds["classical"]) and any("as many" in row for row in kinds["classical"])
    assert kinds["trivial"] == ["AR(4)", "AR(p), p by BIC", "persistence"] and not paper.published
    for task in paper.tasks:
        linear = [row.name for row in paper.rows if row.name.startswith("AR") and task in row.tasks]
        assert linear == (["AR(p), p by BIC"] if task.endswith("_long") else ["AR(4)"])


@pytest.mark.parametrize("name", PAPERS)
def test_measured_series_are_found_in_the_folder_of_all_data(name, tmp_path):
    pytest.importorskip("reservoirpy")
    folder = tmp_path / "data" / "timeseries"
    folder.mkdir(parents=True)
    write(folder / "sunspots_monthly.csv", "n\n" + "\n".join(str(n % 11) for n in range(400)))
    plan = experiment.plan(experiment.load(name), "quick", data=tmp_path / "data", out=tmp_path / "out")
    assert plan.tasks == plan.experiment.tasks
    assert {trial.task for trial in plan.units if trial.data} == {"sunspots", "sunspots_long"}
    (found,) = {trial.data for trial in plan.units if trial.data}
    alone = experiment.plan(plan.experiment, "quick", data=folder, out=tmp_path / "out")
    assert {trial.data for trial in alone.units} == {None, found}
    with pytest.raises(ValueError, match=rf"of which {name} reads nothing, expected a folder with santafe_laser"):
        experiment.plan(plan.experiment, "quick", data=tmp_path / "out", out=tmp_path / "out")


def test_classical_networks_are_compared_at_the_sizes_of_the_quantum_ones():
    built = {kind: recurrent.quantum(kind) for kind in recurrent.QUANTUM} | {"QFWP": fast_weights.build()}
    sizes = {kind: sum(p.numel() for p in model.parameters()) for kind, model in built.items()}
    assert sizes == qrnn_reservoir.SIZES | qfwp.SIZES


# --- verdicts --------------------------------------------------------------------------------------------------------

KINDS = {"QRNN": "quantum", "QLSTM": "quantum", "LSTM": "classical", "AR(4)": "trivial"}
LOW, HIGH = np.array([0.1, 0.12, 0.11]), np.array([0.5, 0.52, 0.51])


def planted(**options):
    rows = {"shm": (LOW, HIGH, HIGH, 0.001), "laser": (HIGH, LOW, HIGH + 1, 0.3), "noise": (LOW, LOW + 1, HIGH, 0.9)}
    scores = {(task, row): each for task, values in rows.items() for row, each in zip(KINDS, values, strict=True)}
    return results(scores, KINDS, **options)


def test_it_is_said_plainly_where_a_linear_model_wins():
    best, linear = verdicts.plainly(planted())
    assert best == (
        "Lowest mean error of all rows: AR(4) on shm; QLSTM on laser; QRNN on noise. "
        "A quantum row has it on 2 of 3 tasks."
    )
    assert linear == (
        "AR(4), least squares with a closed-form solution, beats by the mean error every quantum row on shm (0.001; "
        "the best of them, QRNN: 0.11); 1 of 2 quantum rows on laser (0.3; not QLSTM: 0.11); "
        "1 of 2 quantum rows on noise (0.9; not QRNN: 0.11)."
    )


def test_epochs_are_compared_by_their_medians():
    extra = {"QRNN": {"epochs": 4}, "LSTM": {"epochs": 9}, "QLSTM": {"epochs": 9}}
    found = verdicts.epochs(planted(extra=extra), [("QRNN", "LSTM"), ("QLSTM", "LSTM"), ("QGRU", "GRU")])
    assert (
        len(found) == 2
        and "QRNN needs fewer than LSTM on 3 of 3 tasks: shm (4 against 9, at errors of 0.11 against 0.51), "
        in found[0]
    )
    assert "QLSTM needs fewer than LSTM on 0 of 3 tasks" in found[1]


def test_the_cost_is_the_ratio_of_seconds():
    found = results({("shm", "QFWP"): LOW, ("shm", "QLSTM"): HIGH}, {"QFWP": "quantum", "QLSTM": "quantum"})
    for record in found.of("shm", "QLSTM"):
        record["seconds"] = {"training": 3 * (12.5 if record is found.of("shm", "QLSTM")[0] else 14.5)}
    assert "Training the QLSTM takes 3 to 3 times as long as training the QFWP." in qfwp.verdict(found)


def test_the_reservoirs_verdict_has_all_its_parts():
    names = [f"{kind}, frozen, by gradient" for pair in qrnn_reservoir.KINDS.items() for kind in pair]
    kinds = {name: "quantum" if name.startswith("Q") else "classical" for name in names} | {"AR(4)": "trivial"}
    scores = {("shm", name): LOW if name.startswith("Q") else HIGH for name in names} | {("shm", "AR(4)"): 0.001}
    found = results(scores, kinds, extra={name: {"epochs": 3} for name in names})
    said = qrnn_reservoir.verdict(found)
    for part in (
        "AR(4), least squares",
        "The quantum layer of QGRU, frozen, by gradient",
        "QLSTM, frozen, by gradient ne",
    ):
        assert any(part in sentence for sentence in said)
