"""Policies: bodies of actors, environments, PPO's agents, and what is taken down of their training."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import close

pytest.importorskip("stable_baselines3")
pytest.importorskip("gymnasium")

from backends import Statevector
from hybrid import experiment
from hybrid.experiment import Case
from hybrid.models.policies import actors, environments, ppo, rows
from hybrid.models.policies.actors import Priors, Repeat, TwoFunctions
from hybrid.models.policies.environments import TASKS
from hybrid.units import count_parameters
from qml import SingleQubits

PAPER = experiment.load("unentangled-rl")
TINY = {"n_envs": 2, "n_steps": 64, "batch_size": 64, "total_steps": 256, "greedy": 2, "replayed": 2}
NOT_INSTALLED = """
import sys
class NotInstalled:
    def find_spec(name, path, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, NotInstalled)
"""
NO_WINDOW = """
import sys, torch
from hybrid.models.policies.environments import play
play({task!r}, lambda seen: torch.eye(2)[:1].expand(len(seen), 2), 1, 0)
pygame = sys.modules.get("pygame")
print("open" if pygame and pygame.display.get_init() else "closed")
"""

each_task = pytest.mark.parametrize("task", TASKS)


def settings(task, **changes):
    return {**PAPER.levels["quick"][task], **TINY, **changes}


def case(task, seed=0, backend="statevector", told=None, **changes):
    tell = print if told is None else lambda *at: told.append(at)
    return Case(task, seed, {task: settings(task, **changes)}, backend, None, tell, None)


def run(name, *arguments, **options):
    return next(row for row in PAPER.rows if row.name == name).run(case(*arguments, **options))


# --- environments ----------------------------------------------------------------------------------------------------


def test_the_tasks_are_those_of_gymnasium():
    assert [environments.sizes(task) for task in TASKS] == [(3, 2), (6, 3), (8, 4)]
    assert [environments.threshold(task) for task in TASKS] == [475, -100, 200]
    assert [environments.n_steps(task) for task in TASKS] == [500, 500, 1000]


@each_task
def test_no_window_is_needed(task):
    """Box2D warns when it is imported, and gymnasium imports pygame beside it, which must stay closed."""
    code = NO_WINDOW.format(task=task)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr


@pytest.mark.parametrize("name", ["gymnasium", "stable_baselines3", "Box2D"])
def test_a_missing_package_is_named_with_its_extra(name):
    code = NOT_INSTALLED.format(name=name) + "from hybrid.models.policies import environments; environments.check()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    message = f"ModuleNotFoundError: reinforcement learning needs {name}: pip install 'hybridqml[rl]'"
    assert done.stderr.splitlines()[-1] == message


def test_without_the_extra_nothing_is_run(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs Box2D: pip install 'hybridqml\[rl\]'"):
        experiment.plan(PAPER, "quick", out=tmp_path)


def test_play_is_what_a_loop_over_single_episodes_gives():
    """Push towards where the pole falls, or the other way: episodes that end at different times."""
    sizes = []

    def act(seen):
        sizes.append(len(seen))
        return torch.stack([-seen[:, 2], seen[:, 2]], -1)

    found = environments.play("cartpole", act, 4, seed=3)
    import gymnasium

    wanted = []
    for seed in range(3, 7):
        environment = gymnasium.make("CartPole-v1")
        seen, total, over = environment.reset(seed=seed)[0], 0.0, False
        while not over:
            seen, reward, terminated, truncated, _ = environment.step(int(seen[2] > 0))
            total, over = total + reward, terminated or truncated
        wanted.append(total)
    assert list(found) == wanted and len(set(wanted)) > 1
    assert sizes[0] == 4 and sum(sizes) == sum(wanted), "an episode that is over is not asked for"


# --- bodies of actors ------------------------------------------------------------------------------------------------


def test_priors_and_repeats():
    seen = torch.tensor([[5.0, 1.0, -1.0, 0.0]])
    assert close(Priors(1)(seen), torch.tensor([[np.pi / 4, -np.pi / 4, 0.0]]), 1e-6)
    assert Repeat(2)(torch.tensor([[1, 2, 3]])).tolist() == [[1, 2, 3, 1, 2, 3]]


@pytest.mark.parametrize("n_features", [1, 3, 6, 8])
def test_one_layer_of_the_circuit_is_linear_in_the_two_functions(n_features):
    x = torch.randn(40, n_features, dtype=torch.float64)
    n_threes = -(-n_features // 3)
    values = SingleQubits(2 * n_threes, 1, n_features, dtype=torch.float64)(x).detach()
    functions = TwoFunctions()(x)
    assert functions.shape == (40, 2 * n_threes)
    fitted = torch.linalg.lstsq(functions, values, driver="gelsd").solution
    assert close(functions @ fitted, values)


@each_task
@pytest.mark.parametrize("row", [row for row in PAPER.rows if row.kind != "trivial"], ids=lambda row: row.name)
def test_every_body_fits_every_task(task, row):
    body = actors.make(task, row.run.keywords["body"], settings(task), Statevector())
    seen = torch.randn(5, environments.sizes(task)[0] + TASKS[task].first)
    found = body(seen)
    assert found.shape[0] == 5 and found.isfinite().all()
    assert torch.equal(found, body(torch.cat([1 + seen[:, :1], seen[:, 1:]], -1))) == (task == "cartpole")


def test_the_circuits_outputs_are_bounded():
    for body in (actors.svqc, actors.entangled):
        found = actors.make("acrobot", body, settings("acrobot"), Statevector())(100 * torch.randn(50, 6))
        assert found.shape == (50, 64) and found.abs().max() <= 1 + 1e-6


def test_the_papers_numbers_of_parameters():
    def counts(name, task):
        body = next(row for row in PAPER.rows if row.name == name).run.keywords["body"]
        make = partial(actors.make, task, body, settings(task), Statevector())
        policy, _ = ppo.train(task, make, settings(task), 0.01, 0, print)
        return tuple(count_parameters(policy.actor).values()), policy.n_critic

    assert counts("SVQC", "cartpole") == ((4, 130, 0), 4545)
    assert counts("SVQC, outputs once", "cartpole")[0] == (4, 10, 0)
    assert counts("SVQC of 3 layers, outputs once", "cartpole")[0] == (12, 10, 0)
    assert counts("SVQC, angles frozen", "cartpole") == ((0, 130, 4), 4545)
    assert counts("linear, features once", "cartpole")[0] == (0, 8, 0)
    assert counts("MLP of as many parameters", "cartpole") == ((0, 134, 0), 4545)
    assert counts("MLP of as many parameters", "lunarlander")[0] == (0, 394, 0)
    assert counts("MLP of 64 and 64 units", "cartpole") == ((0, 3 * 64 + 64 + 64 * 64 + 64 + 130, 0), 4545)


# --- training --------------------------------------------------------------------------------------------------------


@each_task
@pytest.mark.parametrize("name", ["SVQC", "MLP of as many parameters"])
def test_a_short_training_in_every_environment(task, name):
    told = []
    total = 2 * 600 if task == "acrobot" else 256
    found = run(name, task, told=told, total_steps=total)
    curve = found.extra["curve"]
    assert len(curve["x"]) == len(curve["y"]) == rows.N_POINTS and curve["x"][-1] == total
    assert found.extra["along"] == pytest.approx(np.mean(curve["y"])) and np.isfinite(found.extra["greedy"])
    assert told[-1] == (-(-total // 128) * 128, total) and found.extra["learning_rate"] == 0.005
    assert (found.extra["actor"] is None) == (name != "SVQC")


def test_a_seed_decides_all_numbers():
    def numbers(seed):
        torch.rand(3)
        found = run("SVQC", "cartpole", seed)
        return found.score, found.extra

    assert numbers(1) == numbers(1) != numbers(2)


def test_angles_are_trained_unless_they_are_frozen():
    def angles(name, steps):
        return next(iter(run(name, "cartpole", total_steps=steps).extra["actor"].values()))

    first, last = (np.array(angles("SVQC", steps)) for steps in (128, 512))
    assert first.shape == (4,) and (first != last).all()
    assert angles("SVQC, angles frozen", 128) == angles("SVQC, angles frozen", 512)


def test_training_runs_on_the_backend_of_the_case(monkeypatch):
    backend = DenseBackend()
    monkeypatch.setattr(Case, "make_backend", lambda self: backend)
    found = run("SVQC, outputs once", "cartpole", total_steps=64, n_steps=32, n_epochs=1, n_qubits=1)
    monkeypatch.undo()
    other = run("SVQC, outputs once", "cartpole", total_steps=64, n_steps=32, n_epochs=1, n_qubits=1)
    assert len(backend.calls) > 32 and found.extra["curve"] == other.extra["curve"]


def test_all_rows_are_trained_on_equal_terms(monkeypatch):
    calls = []

    def train(task, make_body, chosen, rate, seed, tell):
        calls.append((task, chosen, rate, seed))
        raise StopIteration

    monkeypatch.setattr(ppo, "train", train)
    for row in PAPER.rows:
        if row.kind != "trivial":
            with pytest.raises(StopIteration):
                row.run(case("cartpole", 3))
    assert len(calls) == 11 and all(call == calls[0] for call in calls)


def test_the_learning_rate_is_chosen_with_another_seed(monkeypatch):
    train, used = ppo.train, []

    def watched(task, make_body, chosen, rate, seed, tell):
        used.append((rate, seed))
        policy, episodes = train(task, make_body, chosen, rate, seed, tell)
        episodes.returns = [-abs(rate - 0.02)] * len(episodes.returns)
        return policy, episodes

    monkeypatch.setattr(ppo, "train", watched)
    found = run("linear", "cartpole", 3, learning_rates=[0.01, 0.02, 0.03])
    assert used == [(0.01, 1003), (0.02, 1003), (0.03, 1003), (0.02, 3)] and found.extra["learning_rate"] == 0.02


def test_a_curve_is_the_mean_of_the_last_20_returns():
    episodes = ppo.Episodes(print, 100)
    episodes.ends, episodes.returns = [30, 40, *range(50, 90)], [1.0, 3.0, *np.arange(40.0)]
    assert episodes.curve(4) == ([25, 50, 75, 100], [1.0, 4 / 3, np.mean(np.arange(6, 26)), np.mean(np.arange(20, 40))])


def test_solved_is_when_20_episodes_in_a_row_are_good_enough():
    episodes = ppo.Episodes(print, 100)
    episodes.ends, episodes.returns = list(range(0, 100, 2)), [0.0] * 20 + [10.0] * 30
    assert episodes.solved(5) == 2 * 29 and episodes.solved(10) == 2 * 39 and episodes.solved(11) is None
    assert ppo.Episodes(print, 100).solved(0) is None


def test_a_training_in_which_no_episode_ends_says_how_long_one_takes():
    message = (
        r"got total_steps=128 on acrobot, in which no episode ended, expected more: 1000 are enough for one in each"
    )
    with pytest.raises(ValueError, match=message):
        run("linear", "acrobot", total_steps=128)


def test_episodes_are_kept_with_the_step_of_their_end():
    episodes = ppo.Episodes(print, 100)
    episodes.model, episodes.num_timesteps = SimpleNamespace(num_timesteps=8), 8
    episodes.locals = {"infos": [{}, {"episode": {"r": 3.5}}, {"episode": {"r": 1}}]}
    assert episodes._on_step() and (episodes.ends, episodes.returns) == ([8, 8], [3.5, 1.0])


def test_random_actions_are_all_taken():
    found = run("random actions", "cartpole")
    assert 15 < found.score < 30 and found.extra == {"along": found.score, "greedy": found.score}
    assert not sum(found.parameters.values())


@pytest.mark.slow
def test_the_circuit_learns_to_balance_the_pole():
    found = run("SVQC", "cartpole", **{**PAPER.levels["default"]["cartpole"], "total_steps": 20_480, "greedy": 5})
    assert found.extra["greedy"] > 200 and found.extra["curve"]["y"][-1] > 3 * found.extra["curve"]["y"][0]
