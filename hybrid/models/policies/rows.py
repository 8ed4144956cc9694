"""The rows of experiments on reinforcement learning, all trained alike.

A task is an environment of gymnasium. A seed is one of first weights, of actions and of the environments.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from hybrid.experiment import Case, Outcome
from hybrid.models.policies import actors, environments
from hybrid.models.policies.actors import Body, Settings
from hybrid.units import count_parameters

if TYPE_CHECKING:
    from hybrid.models.policies.ppo import Episodes, Policy

#: Points of a learning curve, last training episodes that the score is of, and where the greedy episodes begin.
N_POINTS, N_LAST, GREEDY_SEED = 40, 50, 10_000

#: Added to the seed of a trial to choose its learning rate with.
_OTHER_SEED = 1000


def check(tasks: tuple[str, ...], settings: Settings, data: Path | None) -> None:
    """Raise ModuleNotFoundError where the extra is missing, before anything is run."""
    environments.check()


def trained(case: Case, body: Body) -> Outcome:
    """Train an actor with this body by PPO, with the learning rate that is best with another seed if there are several.

    The score is the mean return of the last 50 training episodes. In ``extra`` are ``along``, the mean of the learning
    curve; ``greedy``, the mean return of episodes that are played after the training with the likeliest actions;
    ``solved``, after how many steps 20 episodes in a row had the return that gymnasium asks for; and ``actor``, the
    actor's weights where it has a circuit.
    """
    settings, start = case.settings[case.task], time.process_time()
    rate = _learning_rate(case, body, settings)
    policy, episodes = _train(case, body, settings, rate)
    between = time.process_time()
    greedy = environments.play(case.task, policy.actor, settings["greedy"], GREEDY_SEED)
    seconds = {"training": between - start, "prediction": time.process_time() - between}
    steps, curve = episodes.curve(N_POINTS)
    parameters, score = count_parameters(policy.actor), float(np.mean(episodes.returns[-N_LAST:]))
    extra = {
        "along": float(np.mean(curve)),
        "greedy": float(greedy.mean()),
        "solved": episodes.solved(environments.threshold(case.task)),
        "curve": {"x": steps, "y": curve},
        "learning_rate": rate,
        "critic": policy.n_critic,
        "actor": as_lists(policy.actor) if parameters["quantum"] + parameters["frozen"] else None,
    }
    return Outcome(score, parameters, seconds, extra)


def at_random(case: Case) -> Outcome:
    """Play episodes with actions drawn evenly; all figures are their mean return."""
    n_actions, start = environments.sizes(case.task)[1], time.process_time()
    mean = float(environments.play(case.task, _drawn(n_actions), N_LAST, GREEDY_SEED).mean())
    seconds = {"training": 0.0, "prediction": time.process_time() - start}
    return Outcome(mean, {"quantum": 0, "classical": 0, "frozen": 0}, seconds, {"along": mean, "greedy": mean})


def as_lists(actor: nn.Module) -> dict[str, Any]:
    """Return the weights of an actor as JSON has them; every float32 comes back as it was."""
    return {name: tensor.tolist() for name, tensor in actor.state_dict().items()}


def _train(case: Case, body: Body, settings: Settings, rate: float, other_seed: int = 0) -> tuple[Policy, Episodes]:
    from hybrid.models.policies import ppo  # which needs the extra

    def make_body() -> nn.Sequential:
        return actors.make(case.task, body, settings, case.make_backend())

    return ppo.train(case.task, make_body, settings, rate, (case.seed + other_seed) % 2**32, case.tell)


def _learning_rate(case: Case, body: Body, settings: Settings) -> float:
    """Return the learning rate whose curve has the highest mean, with another seed; all rows have the same choice."""
    rates = settings["learning_rates"]
    if len(rates) == 1:
        return float(rates[0])
    curves = {rate: _train(case, body, settings, rate, _OTHER_SEED)[1].curve(N_POINTS)[1] for rate in rates}
    return float(max(rates, key=lambda rate: np.mean(curves[rate])))


def _drawn(n_actions: int) -> Callable[[Tensor], Tensor]:
    return lambda seen: torch.rand(len(seen), n_actions)
