"""Zero-noise extrapolation with a neural network (Bhattacharjee et al., arXiv:2403.07025).

``E(0) ≈ net(0)``, with ``net(p / p_max)`` fitted to the values at positive strengths of noise p. A tanh network has no
reason to be right outside of the points that it was fitted to: :mod:`backends.extrapolation` has fits of known form.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backends.base import Estimate
from backends.extrapolation import Strengths
from backends.identity import constants

#: Our choice, as the paper's sizes are not known to us: units of each of two hidden layers, networks, and training.
HIDDEN, MEMBERS, STEPS, LR = 16, 5, 2000, 1e-2

_AT_ONCE = 512  # values whose networks are trained together


def network(strengths: Strengths, values: Tensor, stderr: Tensor | None = None, seed: int = 0) -> Estimate:
    """Return the mean of an ensemble of networks at 0, and their standard deviation.

    A network 1-16-16-1 with tanh, one of its own for every value, is fitted by Adam at 1e-2 in 2000 steps to strengths
    divided by their largest and to standardised values.

    Parameters
    ----------
    strengths : sequence of float
        All positive: the noise-free value is never seen.
    values : Tensor, shape (n_strengths, *)
    stderr : Tensor, optional
        Not used: the error is the spread of the ensemble, which does not know of shots.
    seed : int
        Of the first weights, the same for every value.

    Raises
    ------
    ValueError
        If a strength is not positive.
    """
    if not min(strengths) > 0:
        raise ValueError(
            f"got the strength {min(strengths)}, expected positive ones: the network must not see the noise-free value"
        )
    with constants(), torch.enable_grad():
        flat = values.detach().clone().reshape(len(values), -1)
        found = [_predicted(strengths, part, seed) for part in flat.split(_AT_ONCE, dim=1)]
    mean, spread = (torch.cat(parts).reshape(values.shape[1:]) for parts in zip(*found, strict=True))
    return Estimate(mean, spread)


def _predicted(strengths: Strengths, values: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return mean and spread of the ensembles at 0, (n_values,) each, for values (n_strengths, n_values)."""
    x = torch.tensor(strengths, dtype=values.dtype, device="cpu")[:, None] / max(strengths)
    mean, scale = values.mean(0), values.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)
    parameters = _first_parameters(values, seed)
    _train(parameters, x, ((values - mean) / scale).T[..., None])
    with torch.no_grad():
        found = _forward(parameters, torch.zeros_like(x[:1]))[..., 0, 0] * scale + mean
    return found.mean(0), found.std(0)


def _first_parameters(values: Tensor, seed: int) -> list[Tensor]:
    """Return weights and biases of all networks, (members, n_values, …), drawn as torch.nn.Linear draws them."""
    generator, parameters = torch.Generator("cpu").manual_seed(seed), []
    for n_in, n_out in ((1, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)):
        for rows in (n_in, 1):
            drawn = torch.empty(MEMBERS, 1, rows, n_out, dtype=values.dtype, device="cpu")
            drawn.uniform_(-(n_in**-0.5), n_in**-0.5, generator=generator)
            parameters.append(drawn.repeat(1, values.shape[1], 1, 1).requires_grad_())
    return parameters


def _forward(parameters: list[Tensor], x: Tensor) -> Tensor:
    w1, b1, w2, b2, w3, b3 = parameters
    return ((x @ w1 + b1).tanh() @ w2 + b2).tanh() @ w3 + b3


def _train(parameters: list[Tensor], x: Tensor, targets: Tensor) -> None:
    """Fit all networks side by side: none of them shares a parameter with another, and Adam treats each alone."""
    optimizer = torch.optim.Adam(parameters, LR, fused=True)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (_forward(parameters, x) - targets).square().mean((-2, -1)).sum().backward()
        optimizer.step()
