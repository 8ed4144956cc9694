"""Adam with clipped gradients and a learning rate that decays, as papers on quantum classifiers set it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class DecayingAdam(torch.optim.Adam):
    """Adam whose learning rate falls smoothly, by a factor in 100 steps, and whose gradients are clipped.

    The learning rate is part of the optimiser's state: a training that is resumed goes on with it.

    Parameters
    ----------
    params : iterable
        As of any optimiser of torch.
    lr : float
        At the first step.
    decay : float
        What is left of the learning rate after 100 steps.
    clip : float
        Largest norm of the gradient of all parameters; a longer one is shortened.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, *, decay: float, clip: float) -> None:
        super().__init__(params, lr=lr)
        self.decay, self.clip = decay, clip

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step; a closure computes the loss and its gradient."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], self.clip)
        super().step()
        for group in self.param_groups:
            group["lr"] *= self.decay**0.01
        return loss
