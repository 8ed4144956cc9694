"""Proximal policy optimisation by stable-baselines3, with any body for the actor; the critic is always the same.

The extra must be installed to import this file; :func:`hybrid.models.policies.environments.check` says where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from hybrid.models.policies import environments
from hybrid.models.policies.actors import Settings
from hybrid.progress import Tell

MakeBody = Callable[[], nn.Sequential]

#: Settings that are PPO's own arguments, by their names there.
_TERMS = ("n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range", "ent_coef", "max_grad_norm")

#: The critic sees the observations as they are, through two hidden layers of these widths.
CRITIC = [64, 64]

#: Episodes that the mean of a learning curve is over.
WINDOW = 20


class Policy(ActorCriticPolicy):
    """An actor made of a body and a linear head, and a critic that shares nothing with it.

    Parameters
    ----------
    make_body
        Called once, with torch's generator seeded: returns what turns observations into what the head takes.
    """

    def __init__(self, *arguments: Any, make_body: MakeBody, **options: Any) -> None:
        self.make_body = make_body
        super().__init__(*arguments, **options | {"net_arch": {"pi": [], "vf": CRITIC}})

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        body = self.make_body()
        with torch.no_grad():
            width = body(torch.zeros(1, self.features_dim)).shape[-1]
        self.mlp_extractor.policy_net, self.mlp_extractor.latent_dim_pi = body, width

    @property
    def actor(self) -> nn.Sequential:
        """From observations to the logits of actions."""
        return nn.Sequential(*self.mlp_extractor.policy_net, self.action_net)

    @property
    def n_critic(self) -> int:
        """Number of the critic's parameters."""
        critic = (self.mlp_extractor.value_net, self.value_net)
        return sum(parameter.numel() for part in critic for parameter in part.parameters())


class Episodes(BaseCallback):
    """Keeps the return of every training episode and the step at which it ended, and tells the progress.

    Parameters
    ----------
    tell
        Called as ``tell(step, n_steps)`` after each update.
    n_steps
        Of the training.
    """

    def __init__(self, tell: Tell, n_steps: int) -> None:
        super().__init__()
        self.tell, self.n_steps = tell, n_steps
        self.ends: list[int] = []
        self.returns: list[float] = []

    def _on_step(self) -> bool:
        found = [float(info["episode"]["r"]) for info in self.locals["infos"] if "episode" in info]
        self.returns += found
        self.ends += [self.num_timesteps] * len(found)
        return True

    def _on_rollout_end(self) -> None:
        self.tell(self.num_timesteps, self.n_steps)

    def curve(self, n_points: int) -> tuple[list[int], list[float]]:
        """Return steps, evenly apart, and the mean of the last 20 returns at each; before the first end, the first."""
        steps = [round(self.n_steps * (k + 1) / n_points) for k in range(n_points)]
        counts = [max(1, n) for n in np.searchsorted(self.ends, steps, side="right")]
        return steps, [float(np.mean(self.returns[max(0, n - WINDOW) : n])) for n in counts]

    def solved(self, threshold: float) -> int | None:
        """Return the step at which the mean of 20 returns in a row first reached a threshold; None if it never did."""
        windows = range(WINDOW, len(self.ends) + 1)
        reached = (self.ends[n - 1] for n in windows if np.mean(self.returns[n - WINDOW : n]) >= threshold)
        return next(reached, None)


def train(
    task: str, make_body: MakeBody, settings: Settings, learning_rate: float, seed: int, tell: Tell
) -> tuple[Policy, Episodes]:
    """Train an agent; the learning rate falls linearly to 0.

    Parameters
    ----------
    task
        One of :data:`hybrid.models.policies.environments.TASKS`.
    make_body
        As for :class:`Policy`.
    settings
        ``n_envs``, ``total_steps`` and PPO's own.
    learning_rate
        Of Adam, at the start, for the actor and the critic.
    seed
        Of first weights, actions and environments.
    tell
        As for :class:`Episodes`.

    Returns
    -------
    Policy
        Trained, in eval mode.
    Episodes
        Of the training.

    Raises
    ------
    ValueError
        If no episode ends within the steps.
    """
    episodes = Episodes(tell, settings["total_steps"])
    agent = PPO(
        Policy,
        DummyVecEnv([partial(_monitored, task)] * settings["n_envs"]),
        learning_rate=lambda left: left * learning_rate,
        policy_kwargs={"make_body": make_body},
        seed=seed,
        device="cpu",
        **{name: settings[name] for name in _TERMS},
    )
    agent.learn(settings["total_steps"], episodes)
    if not episodes.returns:
        raise ValueError(
            f"got total_steps={settings['total_steps']} on {task}, in which no episode ended, expected more: "
            f"{settings['n_envs'] * environments.n_steps(task)} are enough for one in each environment"
        )
    policy: Any = agent.policy.eval()
    return policy, episodes


def _monitored(task: str) -> Monitor:
    return Monitor(environments.make(task))
