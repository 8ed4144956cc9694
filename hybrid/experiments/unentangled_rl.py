"""Unentangled quantum reinforcement learning agents in the OpenAI Gym (Hsiao et al., arXiv:2203.14348).

Rows that the paper lacks: linear policies on the same features, repeated as often, the two functions of the features
that one layer is made of, the same with tanh, networks of as many parameters, angles frozen, entanglers on, chance. Of
the paper its abstract and a published rebuilding of its circuit are known to us: PPO's settings, and how more than
three features enter, are our choice. `--evaluate` plays with a trained policy on another backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from hybrid.claims import Claim, score, sentences
from hybrid.experiment import Experiment, Plan, Results, Row
from hybrid.models.policies import actors, environments, rows
from hybrid.models.policies.environments import TASKS

SVQC, LINEAR, MLP = "SVQC", "linear", "MLP of 64 and 64 units"
ONCE, DEEP, ENTANGLED = "SVQC, outputs once", "SVQC of 3 layers, outputs once", "SVQC, entanglers on"
FROZEN, FUNCTIONS = "SVQC, angles frozen", "two functions, no circuit"
TANH, MATCHED, LINEAR_ONCE = "linear and tanh for the circuit", "MLP of as many parameters", "linear, features once"
RANDOM = "random actions"

_PPO: dict[str, Any] = {
    "n_envs": 8,
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.01,
    "max_grad_norm": 0.5,
    "learning_rates": [0.005],
    "n_layers": 1,
    "greedy": 20,
    "replayed": 10,
}

#: Two qubits for every three features: one layer of them has all that it can have, see the template.
_N_QUBITS = {"cartpole": 4, "acrobot": 4, "lunarlander": 6}


def _level(seeds: int, steps: dict[str, int], **changes: Any) -> dict[str, Any]:
    tasks = {
        name: {**_PPO, "n_qubits": n_qubits, "total_steps": steps[name], **changes}
        for name, n_qubits in _N_QUBITS.items()
    }
    return {"seeds": seeds, **tasks}


LEVELS: dict[str, dict[str, Any]] = {
    "quick": _level(2, dict.fromkeys(TASKS, 8192), greedy=5, replayed=4),
    "default": _level(5, {"cartpole": 40_960, "acrobot": 40_960, "lunarlander": 61_440}),
    "full": _level(
        10,
        {"cartpole": 307_200, "acrobot": 307_200, "lunarlander": 1_024_000},
        learning_rates=[0.001, 0.0025, 0.005],
        greedy=100,
    ),
}


def experiment() -> Experiment:
    """Return the experiment."""
    return Experiment(
        name="unentangled-rl",
        title="Unentangled Quantum Reinforcement Learning Agents in the OpenAI Gym (Hsiao et al. 2022)",
        arxiv="arXiv:2203.14348",
        claim=(
            "Our quantum RL agent converges faster than classical fully-connected neural networks (FCNs) in the tasks "
            "of CartPole and Acrobot under the same optimization process; for achieving comparable learning "
            "performance, quantum RL could use much (at least one order of magnitude) fewer trainable parameters than "
            "classical RL; the first quantum RL agent that can complete the task of LunarLander."
        ),
        metric="mean return of the last 50 episodes",
        lower_is_better=False,
        tasks=tuple(TASKS),
        rows=tuple(_rows()),
        levels=LEVELS,
        claims=tuple(_claims()),
        verdict=verdict,
        check=rows.check,
        packages=("gymnasium", "stable_baselines3", "box2d"),
        most=500.0,
        also={"mean over the training": "along", "greedy": "greedy"},
        curves=("step", "mean return of 20 episodes"),
        evaluate=evaluate,
    )


def verdict(results: Results) -> list[str]:
    """Say what a seed is, who solved the tasks and when, what the critic has, and what is left of the claims."""
    solved = [_solved(results, task) for task in results.tasks]
    return [_CAVEAT, *solved, *(_critic(results, task) for task in results.tasks), *sentences(results)]


def evaluate(plan: Plan, spec: str) -> Iterator[str]:
    """Replay a trained policy on a backend."""
    from hybrid.models.policies.replay import replay

    environments.check()
    return replay(plan, spec)


_CAVEAT = (
    "A seed draws the episodes too, so these intervals are about other episodes as well. “Mean over the training” is "
    "the mean of the learning curve: how fast and how far. “Greedy” episodes are played after the training, always "
    "with the likeliest action."
)


def _rows() -> Iterator[Row]:
    def row(name: str, kind: str, body: actors.Body, *tasks: str) -> Row:
        return Row(name, kind, partial(rows.trained, body=body), tasks=tasks or None)

    yield row(SVQC, "quantum", actors.svqc)
    yield row(ONCE, "quantum", partial(actors.svqc, times=1), "cartpole")
    yield row(DEEP, "quantum", partial(actors.svqc, times=1, n_layers=3), "cartpole")
    yield row(ENTANGLED, "quantum", actors.entangled, "cartpole")
    yield row(FROZEN, "control", partial(actors.svqc, frozen=True))
    yield row(FUNCTIONS, "control", actors.two_functions)
    yield row(LINEAR, "control", actors.linear)
    yield row(TANH, "control", actors.tanh)
    yield row(LINEAR_ONCE, "classical", partial(actors.linear, times=1), "cartpole")
    yield row(MATCHED, "classical", actors.mlp)
    yield row(MLP, "classical", partial(actors.mlp, widths=(64, 64)))
    yield Row(RANDOM, "trivial", rows.at_random, seeded=False)


def _claims() -> Iterator[Claim]:
    paper = ("cartpole", "acrobot")
    yield Claim("converges faster than a fully connected network", SVQC, MLP, tasks=paper, of="along")
    yield Claim("converges faster than one of as many parameters", SVQC, MATCHED, tasks=paper, of="along")
    yield Claim("comparable with ten times fewer parameters", SVQC, MLP, 0.1, tasks=("cartpole",))
    yield Claim("learns more than random actions do, which is not yet to land", SVQC, RANDOM, tasks=("lunarlander",))
    yield Claim("a circuit learns faster than a linear policy on the same features", SVQC, LINEAR, of="along")
    yield Claim("training the angles helps", SVQC, FROZEN, of="along")
    yield Claim("repeating the outputs helps", SVQC, ONCE, tasks=("cartpole",), of="along")
    yield Claim("entanglers are not needed", SVQC, ENTANGLED, 0.1, tasks=("cartpole",), of="along")


def _solved(results: Results, task: str) -> str:
    said = [_when(results, task, row.name) for row in results.rows(task) if row.kind != "trivial"]
    wanted = score(environments.threshold(task))
    reached = [each for each in said if each]
    what = f"On {task}, 20 episodes in a row had a mean return of {wanted}, as gymnasium asks, with"
    return f"{what} {'; '.join(reached)}." if reached else f"{what} no row."


def _when(results: Results, task: str, row: str) -> str:
    steps = [record["extra"]["solved"] for record in results.of(task, row)]
    known = [step for step in steps if step is not None]
    return f"{row} in {len(known)} of {len(steps)} seeds, by step {np.median(known):,.0f}" if known else ""


def _critic(results: Results, task: str) -> str:
    record = results.of(task, SVQC)[0]
    n_critic, mine, others = record["extra"]["critic"], *(_n_trained(results, task, row) for row in (SVQC, MLP))
    return (
        f"Parameters are the actor's. All rows have the same critic of {n_critic:,} more, which is needed in training "
        f"alone: on {task} the network has {others / mine:.0f} times as many parameters as the SVQC, and with the "
        f"critic {(others + n_critic) / (mine + n_critic):.1f} times."
    )


def _n_trained(results: Results, task: str, row: str) -> int:
    counts = results.of(task, row)[0]["parameters"]
    return int(counts["quantum"] + counts["classical"])
