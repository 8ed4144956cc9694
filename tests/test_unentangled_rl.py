"""The experiment unentangled-rl: that all rows run, what is said of them, and replays on other backends."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")
pytest.importorskip("gymnasium")

from test_policies import TINY

import backends
from hybrid import experiment, findings, training
from hybrid.experiment import Case
from hybrid.experiments import unentangled_rl
from hybrid.models.policies import environments, replay, rows
from hybrid.models.policies.rows import GREEDY_SEED

PAPER = experiment.load("unentangled-rl")
EPISODES = {"cartpole": 128, "acrobot": 512, "lunarlander": 256}


def tiny(rows=None):
    """The experiment with trainings of a few hundred steps, or some of its rows."""
    small = {
        task: {**PAPER.levels["quick"][task], **TINY, "n_envs": 1, "total_steps": n} for task, n in EPISODES.items()
    }
    levels = {level: {"seeds": 2, **small} for level in PAPER.levels}
    kept = tuple(row for row in PAPER.rows if rows is None or row.name in rows)
    return replace(PAPER, levels=levels, rows=kept, claims=PAPER.claims if rows is None else ())


def planned(out, tasks=("cartpole",), rows=None, **options):
    return experiment.plan(tiny(rows), "quick", out=out, tasks=tasks, jobs=1, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One row, trained a little with two seeds."""
    plan = planned(tmp_path_factory.mktemp("trained"), rows=("SVQC",), command="qml run unentangled-rl --quick")
    return plan, experiment.run(plan, show=False)


@pytest.mark.slow
def test_every_row_runs_on_every_task(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "N_LAST", 5)
    found = experiment.run(planned(tmp_path, tuple(EPISODES), seeds=1), show=False)
    assert [len(found.rows(task)) for task in EPISODES] == [12, 8, 8] and len(found.records) == 28
    assert {row.kind for row in PAPER.rows} == set(experiment.KINDS)
    names = {path.name for path in findings.write(found)}
    assert names == {"report.md", "report.html", "scores.png", "curves.png"}
    said = found.experiment.verdict(found)
    assert said[1] == "On cartpole, 20 episodes in a row had a mean return of 475, as gymnasium asks, with no row."
    assert re.search(
        r"critic of 4,545 more.*on cartpole the network has 34 times .* and with the critic 1\.9 times\.", said[4]
    )
    assert all(text.endswith(".") for text in said) and sum("contributes" in text for text in said) == 4


def test_who_solved_a_task_and_when_is_said(trained):
    _, found = trained
    records = [{**record, "extra": {**record["extra"], "solved": 10 * i}} for i, record in enumerate(found.records, 1)]
    said = unentangled_rl._solved(replace(found, records=tuple(records)), "cartpole")
    assert said.endswith("as gymnasium asks, with SVQC in 2 of 2 seeds, by step 15.")


def test_levels_are_of_the_size_that_is_promised():
    steps = {level: sum(chosen[task]["total_steps"] for task in EPISODES) for level, chosen in PAPER.levels.items()}
    assert steps["quick"] < 30_000 < steps["default"] < 200_000 < 1_000_000 < steps["full"]
    assert PAPER.levels["default"]["seeds"] >= 5 and len(PAPER.levels["full"]["cartpole"]["learning_rates"]) > 1


# --- replays ---------------------------------------------------------------------------------------------------------


def rebuilt(found, backend=None):
    record = found.records[0]
    body = found.experiment.rows[0].run.keywords["body"]
    settings = record["unit"]["settings"]["cartpole"]
    return replay.actor("cartpole", body, settings, backend or backends.Statevector(), record["extra"]["actor"])


def test_the_weights_of_a_record_make_the_trained_actor_again(trained):
    _, found = trained
    returns = environments.play("cartpole", rebuilt(found), TINY["greedy"], GREEDY_SEED)
    assert returns.mean() == found.records[0]["extra"]["greedy"]
    values = found.records[0]["extra"]["actor"]
    again = {name: tensor.tolist() for name, tensor in rebuilt(found).state_dict().items()}
    assert again == values


def test_weights_of_another_circuit_are_refused(trained):
    _, found = trained
    record = found.records[0]
    body = next(row for row in PAPER.rows if row.name == "SVQC, entanglers on").run.keywords["body"]
    settings = record["unit"]["settings"]["cartpole"]
    weights = {name.replace("quantum.", ""): value for name, value in record["extra"]["actor"].items()}
    with pytest.raises(ValueError, match=r"got a checkpoint of circuit \w{8}, expected one of circuit \w{8}"):
        replay.actor("cartpole", body, settings, backends.Statevector(), weights)


def test_a_replay_on_aer_without_shots_is_the_exact_one(trained):
    pytest.importorskip("qiskit_aer")
    plan, found = trained
    best = max(found.records, key=lambda record: record["score"])
    lines = list(PAPER.evaluate(plan, "aer"))
    assert lines[0] == f"cartpole: SVQC, seed {best['unit']['seed']}, the best one; 2 episodes side by side"
    assert lines[1] == "at most 2 × 500 = 1,000 circuits of 4 qubits, exact values"
    there, here = (re.search(r": ([\d.]+) \((.*?)\)", line).groups() for line in lines[2:])
    assert there == here and float(there[0]) == pytest.approx(best["extra"]["greedy"], abs=0.05)
    assert int(re.search(r"from ([\d,]+) circuits", lines[2])[1]) == round(2 * best["extra"]["greedy"])


def test_a_replay_with_shots_and_noise(trained):
    pytest.importorskip("qiskit_aer")
    plan, _ = trained
    _, cost, there, here = PAPER.evaluate(plan, "aer:shots=50,noise=depolarizing:0.05,seed=1")
    assert cost == "at most 2 × 500 = 1,000 circuits of 4 qubits, 50 shots each, 50,000 together"
    assert there.startswith("mean return on aer:shots=50,noise=depolarizing:0.05,seed=1: ")
    assert here.startswith("mean return, exact: ")


def test_a_backend_with_too_few_qubits_is_refused_before_anything_is_played(trained):
    pytest.importorskip("qiskit_aer")
    plan, _ = trained
    with pytest.raises(ValueError, match=r"got a circuit of 4 qubits, expected at most 1 on Aer .*: use fewer qubits"):
        next(PAPER.evaluate(plan, "aer:shots=50,noise=armonk"))


def test_on_a_device_the_plan_and_the_budget_come_first(trained):
    pytest.importorskip("qiskit_ibm_runtime")
    from backends.planning import OverBudget

    plan, _ = trained
    lines = PAPER.evaluate(plan, "ibm:manila,shots=100,budget_seconds=0.01")
    said = [next(lines), next(lines)]
    assert said[1].startswith("At most, On fake_manila:") and "enough for 0 of 500 steps" in said[1]
    with pytest.raises(OverBudget, match="nothing was sent"):
        next(lines)


def test_without_a_trained_policy_the_command_to_train_one_is_named(tmp_path):
    plan = planned(tmp_path, command="qml run unentangled-rl --quick")
    message = (
        rf"got no trained policy in {tmp_path}, expected one of 'SVQC': train it first with qml run unentangled-rl --q"
    )
    with pytest.raises(ValueError, match=message):
        list(PAPER.evaluate(plan, "aer"))


def test_tasks_that_have_no_policy_yet_are_named(trained):
    plan, _ = trained
    both = planned(plan.out, ("cartpole", "acrobot"), rows=("SVQC",))
    lines = list(PAPER.evaluate(both, "statevector"))
    assert lines[-1] == "acrobot: no policy is trained yet" and len(lines) == 5


def test_an_unknown_backend_is_refused(trained):
    with pytest.raises(ValueError, match="'areo', expected one of"):
        list(PAPER.evaluate(trained[0], "areo"))


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_replays_what_it_has_trained(tmp_path, run):
    run.setattr("hybrid.experiment.load", lambda name: tiny(rows=("SVQC", "MLP of 64 and 64 units")))
    train = ["run", "unentangled-rl", "--quick", "--task", "cartpole", "--jobs", "1", "--out", str(tmp_path)]
    code, _, stderr = run(*train, "--evaluate", "statevector")
    assert code == 2 and stderr.endswith(f"train it first with qml {' '.join(train)}\n")
    assert run(*train, "--seeds", "1")[0] == 0
    before = sorted(tmp_path.rglob("*"))
    code, stdout, stderr = run(*train, "--seeds=1", "--evaluate=statevector")
    assert (code, stderr) == (0, "") and len(stdout.splitlines()) == 4
    assert stdout.startswith("cartpole: SVQC, seed 0, the best one; 2 episodes side by side\nat most 2 × 500 = ")
    assert sorted(tmp_path.rglob("*")) == before, "nothing is trained"


def test_an_experiment_without_replays_says_which_have_some(run):
    message = (
        "got --evaluate for near-term-classifier, which keeps nothing to run again, expected one of unentangled-rl."
    )
    assert run("run", "near-term-classifier", "--evaluate", "aer") == (2, "", f"qml: {message}\n")


@pytest.mark.parametrize("arguments", [[], ["--all"]])
def test_one_experiment_is_replayed(arguments, run):
    message = "got --evaluate without an experiment, or with --all, expected one: qml run NAME --evaluate …"
    assert run("run", *arguments, "--evaluate", "aer") == (2, "", f"qml: {message}\n")


def test_a_policy_is_a_torch_module_that_is_trained_alone():
    """The same numbers outside an experiment, whatever torch's generator was."""
    row = next(row for row in PAPER.rows if row.name == "SVQC")
    settings = {"cartpole": {**PAPER.levels["quick"]["cartpole"], **TINY}}

    def score():
        torch.rand(5)
        with training.alone(7):
            found = row.run(Case("cartpole", 7, settings, "statevector", None, lambda *_: None, None))
        return found.score, found.extra["along"]

    assert score() == score() and np.isfinite(score()).all()
