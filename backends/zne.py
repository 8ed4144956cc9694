"""Zero-noise extrapolation round any backend whose noise can be made stronger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from backends.base import Capabilities, Estimate, EvaluatingBackend
from backends.extrapolation import exponential, linear, richardson
from backends.gradients import Evaluate, Gradient, ParameterShift
from backends.planning import Cost
from backends.shots import constants
from backends.zne_network import network
from circuits import Circuit, Probabilities
from circuits.observables import Readout

# Name -> fit, factors that it needs.
_FITS: dict[str, tuple[Callable[..., Estimate], int]] = {
    "linear": (linear, 2),
    "exponential": (exponential, 2),
    "richardson": (richardson, 2),
    "network": (network, 3),
}
_POLYNOMIALS = ("linear", "richardson")  # sums of the values, so the shift rule holds for them too


@runtime_checkable
class NoiseScaling(Protocol):
    """A backend that can repeat the entangling gates of its own, translated circuit, ``G -> G (G† G)^k``."""

    def check_folding(self) -> None:
        """Raise ValueError if there is nothing to extrapolate, or the backend extrapolates by itself."""
        ...

    def evaluate_folded(
        self, circuit: Circuit, angles: Tensor, observables: Readout, factors: Sequence[int]
    ) -> list[Estimate]:
        """Return the readouts of every row at each of the factors 2k + 1; see :class:`backends.EvaluatingBackend`."""
        ...


class ZNE(EvaluatingBackend):
    """Extrapolate what a noisy backend reads to no noise: ``E(0)`` from ``E(λ)`` at several factors λ.

    The noise is made λ = 2k + 1 times stronger by repeating the entangling gates of the translated circuit,
    ``G -> G (G† G)^k`` (Giurgica-Tiron et al., arXiv:2005.10921); circuits keep their parameters and batches, and on a
    device all factors are one job. What is extrapolated is the noise of gates on two or more qubits alone: errors of
    one-qubit gates and of the readout stay. Every readout of every sample is extrapolated by itself.

    Shots cost: with the factors (1, 3, 5) there are three times as many circuits, and the standard errors grow to 1.2
    times by linear extrapolation, to 2.3 times by Richardson's. ``last_stderr`` says so; with ``"network"`` it is the
    standard deviation of five networks, which knows nothing of shots.

    The gradient is that of the backend for ``"linear"`` and ``"richardson"``: both are weighted sums of the values, so
    parameter shift stays exact. ``"exponential"`` is trained by an estimator of the backend, ``Spsa()`` or
    ``FiniteDifference()``; by parameter shift it only evaluates, and so does ``"network"`` always: a backward pass is
    an error.

    Parameters
    ----------
    backend : Aer with noise, or IBM
    scale_factors : sequence of int
        Odd, >= 1, each once: two, or three for a network.
    extrapolate : {"linear", "exponential", "richardson", "network"}
        The straight line of least squares; ``a exp(-b λ)`` towards the value of the fully mixed state, or the straight
        line where no such curve fits; the polynomial through all points; or neural networks (arXiv:2403.07025).
    seed : int
        Of the networks.

    Raises
    ------
    TypeError
        If the backend's noise cannot be scaled.
    ValueError
        If the backend has no noise or extrapolates by itself, a factor is not odd, there are too few, or the name of
        the extrapolation is not known.
    """

    def __init__(
        self,
        backend: EvaluatingBackend,
        scale_factors: Sequence[int] = (1, 3, 5),
        extrapolate: Literal["linear", "exponential", "richardson", "network"] = "linear",
        seed: int = 0,
    ) -> None:
        self.backend: Any = _checked_backend(backend)
        self.scale_factors = _checked_factors(scale_factors, extrapolate)
        self.extrapolate, self.seed = extrapolate, seed
        super().__init__(_gradient(backend.gradient, extrapolate), backend.together)

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return replace(self.backend.capabilities, gradient=self.gradient.name)

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Estimate:
        """Return the extrapolated readouts of every row; see :class:`backends.EvaluatingBackend`."""
        found = self.backend.evaluate_folded(circuit, angles, observables, self.scale_factors)
        values, errors = torch.stack([each.values for each in found]), [each.stderr for each in found]
        mixed = torch.from_numpy(_mixed(observables))
        stderr = None if any(each is None for each in errors) else torch.stack(errors)
        value, error = self._fit(self.scale_factors, values - mixed, stderr)
        return Estimate(value + mixed, error)

    def cost(self, circuit: Circuit, observables: Readout, rows: int) -> Cost:
        """Return what one evaluation of so many rows needs at all factors, on a device; nothing is sent."""
        return self.backend.cost(circuit, observables, rows, self.scale_factors)

    @property
    def _fit(self) -> Callable[..., Estimate]:
        fit, _ = _FITS[self.extrapolate]
        return partial(fit, seed=self.seed) if fit is network else fit

    def __repr__(self) -> str:
        return f"ZNE({self.backend!r}, {self.scale_factors}, {self.extrapolate!r})"


@dataclass(frozen=True)
class _EvaluationOnly(Gradient):
    """No gradient: values are read as they are, and a backward pass is refused."""

    extrapolate: str
    name = "none"

    def __call__(
        self, evaluate: Evaluate, circuit: Circuit, angles: Tensor, columns: tuple[int, ...], together: bool = False
    ) -> Tensor:
        """Return ``evaluate(angles)``."""
        return _Refused.apply(evaluate, self.extrapolate, angles)


class _Refused(Function):
    """Readouts whose backward pass says why there is none."""

    @staticmethod
    def forward(evaluate: Evaluate, extrapolate: str, angles: Tensor) -> Tensor:
        return evaluate(angles)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.extrapolate = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        estimator = "" if ctx.extrapolate == "network" else ", or Spsa() or FiniteDifference() in the backend"
        raise RuntimeError(
            f"got a backward pass through ZNE with extrapolate={ctx.extrapolate!r}, which no shift rule holds for: use "
            f"'linear' or 'richardson'{estimator}"
        )


def _gradient(gradient: Gradient, extrapolate: str) -> Gradient:
    evaluates = extrapolate == "network" or isinstance(gradient, ParameterShift)
    return _EvaluationOnly(extrapolate) if evaluates and extrapolate not in _POLYNOMIALS else gradient


@lru_cache(maxsize=1024)
def _mixed(readout: Readout) -> np.ndarray:
    """Return the readouts of the fully mixed state, (n_readouts,)."""
    if isinstance(readout, Probabilities):
        return np.full(len(readout), 1 / len(readout))
    return constants(readout)


def _checked_backend(backend: Any) -> Any:
    if not isinstance(backend, EvaluatingBackend) or not isinstance(backend, NoiseScaling):
        raise TypeError(
            f"got {type(backend).__name__} to extrapolate, expected a backend whose noise can be scaled: "
            "backends.Aer(noise=...) or backends.IBM(...)"
        )
    backend.check_folding()
    return backend


def _checked_factors(factors: Any, extrapolate: Any) -> tuple[int, ...]:
    if extrapolate not in _FITS:
        raise ValueError(f"got extrapolate={extrapolate!r}, expected one of {', '.join(map(repr, _FITS))}")
    found, least = tuple(factors) if isinstance(factors, Sequence) else (factors,), _FITS[extrapolate][1]
    odd = all(isinstance(f, int | np.integer) and f >= 1 and f % 2 for f in found)
    if not odd or len(set(found)) < len(found):
        raise ValueError(f"got scale_factors={found}, expected odd integers >= 1, each once: (1, 3, 5)")
    if len(found) < least:
        raise ValueError(
            f"got scale_factors={found} for extrapolate={extrapolate!r}, expected at least {least}: (1, 3, 5)"
        )
    return tuple(map(int, found))
