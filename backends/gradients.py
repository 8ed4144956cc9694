"""Gradients of backends that can only evaluate: exact by parameter shift, or a named estimator.

Each object is called with a function from angles (rows, n_angles) to readouts (rows, n_readouts) and returns the
readouts with a gradient attached. ``columns`` lists the angles whose gradient is needed: no others are shifted. What is
shifted is evaluated in the backward pass, or with the readouts in one call where that is asked for (``together``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from backends.identity import constants
from circuits import Circuit

Evaluate = Callable[[Tensor], Tensor]

_DEFERRED: ContextVar[bool] = ContextVar("_DEFERRED", default=False)


@contextmanager
def deferred() -> Iterator[None]:
    """Evaluate nothing for a gradient before the backward pass asks for it: for layers that only predict."""
    token = _DEFERRED.set(True)
    try:
        yield
    finally:
        _DEFERRED.reset(token)


def is_deferred() -> bool:
    """Whether the call is inside :func:`deferred`."""
    return _DEFERRED.get()


class Gradient(ABC):
    """How the readouts of an evaluating backend get their gradient."""

    name: str

    @abstractmethod
    def __call__(
        self, evaluate: Evaluate, circuit: Circuit, angles: Tensor, columns: tuple[int, ...], together: bool = False
    ) -> Tensor:
        """Return ``evaluate(angles)``, differentiable in the angles of ``columns``."""


@dataclass(frozen=True)
class ParameterShift(Gradient):
    """The exact derivative from shifted evaluations, to any order (arXiv:1811.11184, general form arXiv:2107.12390).

    ``f'(t) = sum_k c_k f(t + s_k)``: two evaluations for a rotation, four for a controlled one. All rows of a
    backward pass go to the backend in one call.
    """

    name = "parameter-shift"

    def __call__(
        self, evaluate: Evaluate, circuit: Circuit, angles: Tensor, columns: tuple[int, ...], together: bool = False
    ) -> Tensor:
        """Return ``evaluate(angles)`` with its exact gradient.

        Raises
        ------
        ValueError
            If the gradient of an operation without a shift rule is needed.
        """
        shifts = _shifts(circuit, columns)
        measured = _measured(evaluate, angles, _shifted(shifts, angles)) if together and columns else None
        return _Shift.apply(evaluate, shifts, angles, measured)


@dataclass(frozen=True)
class FiniteDifference(Gradient):
    """The central difference ``(f(t + h) - f(t - h)) / 2h``, an estimator with an error of order h².

    Parameters
    ----------
    step : float
        h, in radians.

    Raises
    ------
    ValueError
        If the step is not positive.
    """

    step: float = 1e-3
    name = "finite-diff"

    def __post_init__(self) -> None:
        _check_step(self.step)

    def __call__(
        self, evaluate: Evaluate, circuit: Circuit, angles: Tensor, columns: tuple[int, ...], together: bool = False
    ) -> Tensor:
        """Return ``evaluate(angles)`` with its estimated gradient."""
        directions = torch.eye(angles.shape[1], dtype=angles.dtype, device=angles.device)[list(columns), None]
        return _central(evaluate, self.name, self.step, directions, directions, angles, together and bool(columns))


@dataclass
class Spsa(Gradient):
    """Simultaneous perturbation: all angles of a row are shifted together along random signs (Spall 1992).

    ``g = mean_s (f(t + h d_s) - f(t - h d_s)) / 2h * d_s`` with d of entries ±1: an unbiased estimator up to order
    h², at two evaluations per direction whatever the number of angles.

    Parameters
    ----------
    step : float
        h, in radians.
    n_directions : int
        Directions averaged per row.
    seed : int, optional
        Fixes the directions, call by call; without it they come from torch's generator.

    Raises
    ------
    ValueError
        If the step is not positive or there is no direction.
    """

    step: float = 0.1
    n_directions: int = 1
    seed: int | None = None
    calls: int = field(default=0, repr=False)
    name = "spsa"

    def __post_init__(self) -> None:
        _check_step(self.step)
        if self.n_directions < 1:
            raise ValueError(f"got n_directions={self.n_directions}, expected at least 1")

    def __call__(
        self, evaluate: Evaluate, circuit: Circuit, angles: Tensor, columns: tuple[int, ...], together: bool = False
    ) -> Tensor:
        """Return ``evaluate(angles)`` with its estimated gradient."""
        n_directions = self.n_directions if columns else 0
        signs = torch.zeros(n_directions, *angles.shape, dtype=angles.dtype, device=angles.device)
        shape = n_directions, len(angles), len(columns)
        draw = torch.randint(0, 2, shape, generator=self._generator(), device="cpu")
        signs[:, :, list(columns)] = (2 * draw - 1).to(signs)
        units = signs / self.n_directions
        return _central(evaluate, self.name, self.step, signs, units, angles, together and bool(columns))

    def _generator(self) -> torch.Generator | None:
        if self.seed is None:
            return None
        self.calls += 1
        return torch.Generator().manual_seed(hash((self.seed, self.calls)))


def as_gradient(diff_method: str | Gradient | None, seed: int | None) -> Gradient:
    """Return a gradient, or the one that PennyLane's name for it stands for; ``seed`` is that of ``"spsa"``.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(diff_method, Gradient):
        return diff_method
    match diff_method:
        case None | "best" | "parameter-shift":
            return ParameterShift()
        case "finite-diff":
            return FiniteDifference()
        case "spsa":
            return Spsa(seed=seed)
    raise ValueError(
        f"got diff_method={diff_method!r}, expected 'parameter-shift', 'finite-diff', 'spsa' or a Gradient: "
        "for 'backprop' and 'adjoint' use the Statevector backend, which has both"
    )


class _Shift(Function):
    """Readouts whose backward pass evaluates shifted rows, through itself: so every further derivative is exact."""

    @staticmethod
    def forward(evaluate: Evaluate, shifts: Any, angles: Tensor, measured: Any) -> Tensor:
        return measured[0] if measured else evaluate(angles)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.evaluate, ctx.shifts, angles, measured = inputs
        ctx.values = measured[1] if measured else None
        ctx.save_for_backward(angles)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (angles,) = ctx.saved_tensors
        columns, offsets, coefficients = (t.to(angles.device) for t in ctx.shifts)
        known = None if ctx.values is None else (ctx.values, None)  # not measured again, by a second pass either
        values = _Shift.apply(ctx.evaluate, ctx.shifts, _shifted(ctx.shifts, angles), known)
        ctx.values = values.detach()
        values = values.unflatten(0, (len(offsets), len(angles)))
        slopes = coefficients[:, None] * (values * grad).sum(-1)
        return None, None, torch.zeros_like(angles).index_add(1, columns, slopes.T), None


class _Central(Function):
    """Readouts with the gradient ``sum_s (f(t + h d_s) - f(t - h d_s)) / 2h * e_s``, of first order only."""

    @staticmethod
    def forward(
        evaluate: Evaluate, name: str, step: float, steps: Tensor, units: Tensor, angles: Tensor, measured: Any
    ) -> Tensor:
        return measured[0] if measured else evaluate(angles)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.evaluate, ctx.name, ctx.step, steps, units, angles, measured = inputs
        ctx.values = measured[1] if measured else None
        ctx.save_for_backward(steps, units, angles)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                f"got create_graph=True with the estimator {ctx.name!r}, which has a first derivative only: "
                "use ParameterShift() or the Statevector backend"
            )
        steps, units, angles = ctx.saved_tensors
        if ctx.values is None:  # a second pass must not measure anew
            ctx.values = ctx.evaluate(_both_sides(angles, ctx.step * steps))
        ahead, behind = ctx.values.unflatten(0, (2, len(steps), len(angles)))
        slopes = ((ahead - behind) * grad).sum(-1) / (2 * ctx.step)  # (directions, rows)
        return (None,) * 5 + ((slopes[:, :, None] * units).sum(0), None)


def _central(
    evaluate: Evaluate, name: str, step: float, steps: Tensor, units: Tensor, angles: Tensor, together: bool
) -> Tensor:
    measured = _measured(evaluate, angles, _both_sides(angles, step * steps)) if together else None
    return _Central.apply(evaluate, name, step, steps, units, angles, measured)


def _measured(evaluate: Evaluate, angles: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the readouts of rows and of shifted rows, from one evaluation."""
    values = evaluate(torch.cat([angles, shifted]).detach())
    return values[: len(angles)], values[len(angles) :]


def _both_sides(angles: Tensor, steps: Tensor) -> Tensor:
    """Return the rows shifted ahead along every step (directions, rows or 1, n_angles), then behind."""
    return torch.stack([angles + steps, angles - steps]).flatten(0, 2)


def _shifted(shifts: tuple[Tensor, ...], angles: Tensor) -> Tensor:
    """Return all rows with the first offset, then with the next, (terms * rows, n_angles)."""
    return (angles + shifts[1].to(angles.device)[:, None]).flatten(0, 1)


def _check_step(step: float) -> None:
    if not step > 0:
        raise ValueError(f"got step={step!r}, expected a positive number of radians, for example 0.001")


@lru_cache(maxsize=512)
@constants()
def _shifts(circuit: Circuit, columns: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return, per shifted evaluation, the angle's column, the offset of all angles, and the coefficient."""
    gates = [op.gate for op in circuit.ops for _ in op.angles]
    for gate in (gates[k] for k in columns):
        if gate.kind != "rotation":
            raise ValueError(
                f"got a gradient with respect to {gate.kind!r}, which has no shift rule: detach these inputs, "
                "or use the Statevector backend"
            )
    terms = [(k, c, s) for k in columns for c, s in gates[k].shift_rule]
    offsets = torch.zeros(len(terms), len(gates), dtype=torch.float64, device="cpu")
    for row, (k, _, s) in enumerate(terms):
        offsets[row, k] = s
    coefficients = torch.tensor([c for _, c, _ in terms], dtype=torch.float64, device="cpu")
    return torch.tensor([k for k, _, _ in terms], dtype=torch.long, device="cpu"), offsets, coefficients
