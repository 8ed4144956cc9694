"""Values at several strengths of noise, extrapolated to none: parametric fits, from their closed forms.

Each function takes the strengths, all positive, the values at them (n_strengths, *), less the values that the fully
mixed state has, and their standard errors, or None where they are exact; it returns the value at strength 0 and its
standard error. Strengths are probabilities of errors, or the factors by which gates are repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from backends.base import Estimate

Strengths = Sequence[float]


def linear(strengths: Strengths, values: Tensor, stderr: Tensor | None = None) -> Estimate:
    """Return the straight line of least squares at 0."""
    return polynomial(strengths, values, stderr, 1)


def quadratic(strengths: Strengths, values: Tensor, stderr: Tensor | None = None) -> Estimate:
    """Return the parabola of least squares at 0."""
    return polynomial(strengths, values, stderr, 2)


def richardson(strengths: Strengths, values: Tensor, stderr: Tensor | None = None) -> Estimate:
    """Return the polynomial through all points at 0 (Temme et al., arXiv:1612.02058)."""
    return polynomial(strengths, values, stderr, len(strengths) - 1)


def polynomial(strengths: Strengths, values: Tensor, stderr: Tensor | None, degree: int) -> Estimate:
    """Return the polynomial of least squares of a degree at 0: a weighted sum of the values."""
    weights = _weights(strengths, degree, values)
    return _estimate((weights * values).sum(0), weights, stderr)


def exponential(strengths: Strengths, values: Tensor, stderr: Tensor | None = None) -> Estimate:
    """Return ``a`` of ``a exp(-b s)``, the straight line of least squares of the logarithms.

    The values go to that of the fully mixed state as the strength grows (Endo, Benjamin and Li, arXiv:1712.09271).
    Where that cannot be fitted, because some have another sign or are within two standard errors of it, the straight
    line of the values stands in.
    """
    weights = _weights(strengths, 1, values)
    least = torch.zeros_like(values) if stderr is None else 2 * stderr
    fits = (values.abs() > least).all(0) & (values.sign() == values.sign()[:1]).all(0)
    safe = torch.where(fits, values, 1.0)
    curve = safe[0].sign() * (weights * safe.abs().log()).sum(0).exp()
    line = (weights * values).sum(0)
    slopes = torch.where(fits, curve * weights / safe, weights)
    return _estimate(torch.where(fits, curve, line), slopes, stderr)


def _weights(strengths: Strengths, degree: int, like: Tensor) -> Tensor:
    """Return what each value counts in the polynomial of least squares at 0, (n_strengths, 1, …)."""
    scaled = np.asarray(strengths, dtype=float) / max(strengths)
    row = np.linalg.pinv(np.vander(scaled, degree + 1, increasing=True))[0]
    return torch.as_tensor(row).to(like).reshape(-1, *(1,) * (like.ndim - 1))


def _estimate(value: Tensor, slopes: Tensor, stderr: Tensor | None) -> Estimate:
    """Return a value with the errors of independent shots, to first order."""
    return Estimate(value, None if stderr is None else (slopes * stderr).square().sum(0).sqrt())
