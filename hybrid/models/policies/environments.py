"""The environments of gymnasium that policies are trained in, and episodes played in them side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Act = Callable[[Tensor], Tensor]  # observations (n, n_observations) to logits of actions (n, n_actions)


class Task(NamedTuple):
    """An environment, and from which observation on an actor sees them: the paper leaves the cart's position out."""

    environment: str
    first: int = 0


TASKS = {"cartpole": Task("CartPole-v1", first=1), "acrobot": Task("Acrobot-v1"), "lunarlander": Task("LunarLander-v3")}

#: Packages of the extra, as they are imported; Box2D is what LunarLander falls in.
_PACKAGES = "gymnasium", "stable_baselines3", "Box2D"


def check() -> None:
    """Raise ModuleNotFoundError, naming the extra, where a package is missing."""
    # The wrapper code of Box2D warns of itself when it is imported, and where warnings are errors Python crashes.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _PACKAGES:
            try:
                import_module(name)
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    f"reinforcement learning needs {name}: pip install 'hybridqml[rl]'", name=error.name
                ) from error


def make(task: str) -> Any:
    """Return a new environment of a task; it draws nothing.

    Raises
    ------
    ModuleNotFoundError
        If gymnasium or Box2D is not installed.
    """
    check()
    import gymnasium

    return gymnasium.make(TASKS[task].environment)


def sizes(task: str) -> tuple[int, int]:
    """Return how many features an actor sees, and how many actions it has."""
    environment = make(task)
    return environment.observation_space.shape[0] - TASKS[task].first, int(environment.action_space.n)


def threshold(task: str) -> float:
    """Return the mean return from which on gymnasium counts the task as solved."""
    return float(make(task).spec.reward_threshold)


def n_steps(task: str) -> int:
    """Return after how many steps an episode ends at the latest."""
    return int(make(task).spec.max_episode_steps)


def play(task: str, act: Act, n_episodes: int, seed: int) -> np.ndarray:
    """Play episodes side by side, always the action of the largest logit, and return their returns, (n_episodes,).

    Parameters
    ----------
    task
        Name of the task.
    act
        Called once per step with the observations of the episodes that still run, float32.
    n_episodes
        Their number.
    seed
        Of the first episode; the next one has the next seed.
    """
    environments = {i: make(task) for i in range(n_episodes)}
    seen = {i: environment.reset(seed=seed + i)[0] for i, environment in environments.items()}
    returns = np.zeros(n_episodes)
    while seen:
        with torch.no_grad():
            actions = act(torch.as_tensor(np.stack(list(seen.values())))).argmax(-1).tolist()
        for i, action in zip(list(seen), actions, strict=True):
            seen[i], reward, *ended, _ = environments[i].step(action)
            returns[i] += reward
            if any(ended):
                del seen[i]
    return returns
