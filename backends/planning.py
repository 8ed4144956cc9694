"""What measuring on a device costs, known before anything is sent, and the budget that stops in time."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from backends.base import Capabilities, EvaluatingBackend
from backends.jobs import JobError
from circuits import Circuit
from circuits.observables import Readout


class OverBudget(JobError):
    """The next job costs more than what is left of the budget; nothing was sent."""


@dataclass(frozen=True)
class Cost:
    """What one call on a device needs.

    Parameters
    ----------
    rows : int
        Rows of angles: samples and their shifted copies.
    circuits : int
        Different circuits run: rows times measurement bases times noise factors.
    shots : int
        Shots of all of them together.
    jobs : int
    seconds : float
        Estimated time on the QPU: shots times (delay between shots + duration of the circuit).
    """

    rows: int
    circuits: int
    shots: int
    jobs: int
    seconds: float

    def __add__(self, other: Cost) -> Cost:
        pairs = zip(self._values(), other._values(), strict=True)
        return Cost(*(a + b for a, b in pairs))  # type: ignore[arg-type]

    def __mul__(self, times: int) -> Cost:
        return Cost(*(times * value for value in self._values()))  # type: ignore[arg-type]

    def _values(self) -> tuple[float, ...]:
        return self.rows, self.circuits, self.shots, self.jobs, self.seconds


NOTHING = Cost(0, 0, 0, 0, 0.0)


@runtime_checkable
class Priced(Protocol):
    """A backend that knows what a call costs before it is made."""

    budget_seconds: float | None

    @property
    def device_name(self) -> str:
        """Name of the device."""
        ...

    @property
    def shots(self) -> int:
        """Shots per circuit."""
        ...

    def cost(self, circuit: Circuit, observables: Readout, rows: int) -> Cost:
        """Return what one evaluation of so many rows needs."""
        ...

    def spent(self) -> float:
        """Return the seconds of QPU time used under the budget so far."""
        ...


@dataclass(frozen=True)
class Plan:
    """What a training needs on a device; ``print(plan)`` shows it as a table.

    Attributes
    ----------
    device : str
    steps : int
    step, total : Cost
        Of one step and of all of them.
    shots : int
        Per circuit.
    price : float or None
        Of all steps, in the currency of ``price_per_second``.
    budget_seconds : float or None
    spent_seconds : float
        Used under the budget before.
    """

    device: str
    steps: int
    step: Cost
    total: Cost
    shots: int
    price_per_second: float | None
    budget_seconds: float | None
    spent_seconds: float

    @property
    def price(self) -> float | None:
        """Price of all steps; None where no price per second is known."""
        return None if self.price_per_second is None else self.price_per_second * self.total.seconds

    @property
    def affordable_steps(self) -> int | None:
        """Steps that the rest of the budget is enough for, at most all; None without a budget."""
        if self.budget_seconds is None:
            return None
        left = max(0.0, self.budget_seconds - self.spent_seconds)
        return self.steps if self.total.seconds <= left else int(left / self.step.seconds)

    def __str__(self) -> str:
        width = max(len(name) for name, *_ in self._rows())
        lines = [f"{name:<{width}}  {one:>14}  {all_:>14}" for name, one, all_ in self._rows()]
        return "\n".join([f"On {self.device}:", *lines, *self._notes()])

    def _rows(self) -> list[tuple[str, str, str]]:
        one, total = self.step, self.total
        rows = [("", "one step", f"{self.steps} steps" if self.steps != 1 else "1 step")]
        rows += [
            (name, f"{getattr(one, name):,}", f"{getattr(total, name):,}")
            for name in ("circuits", "rows", "shots", "jobs")
        ]
        rows.append(("QPU seconds (estimated)", f"{one.seconds:,.1f}", f"{total.seconds:,.1f}"))
        if self.price is not None and self.price_per_second is not None:
            rows.append(("price", f"{self.price_per_second * one.seconds:,.2f}", f"{self.price:,.2f}"))
        return rows

    def _notes(self) -> list[str]:
        if self.budget_seconds is None:
            return []
        budget = f"budget: {self.budget_seconds:,.1f} s, {self.spent_seconds:,.1f} s of it used"
        steps = self.affordable_steps
        if steps == self.steps:
            return [f"{budget}: enough"]
        fitting = shots_that_fit(self.shots, self.total.seconds, self.budget_seconds - self.spent_seconds)
        rest = f", or for all of them with shots={fitting}" if fitting else ""
        return [f"{budget}: enough for {steps} of {self.steps} steps{rest}"]


def check_budget(needed: float, spent: float, budget: float | None, shots: int) -> None:
    """Raise OverBudget, saying what would fit, if the next jobs need more seconds than the budget has left."""
    if budget is None or not needed or spent + needed <= budget:
        return
    left = max(0.0, budget - spent)
    fitting = shots_that_fit(shots, needed, left)
    less = f"use shots={fitting}, which fits once, " if fitting else ""
    raise OverBudget(
        f"got a step of about {needed:.4g} s of QPU time with {spent:.4g} of {budget:.4g} s used, expected at most "
        f"{left:.4g} s: nothing was sent; {less}give fewer samples, or raise budget_seconds to {spent + needed:.4g}"
    )


def shots_that_fit(shots: int, seconds: float, left: float) -> int:
    """Return the number of shots per circuit that needs ``left`` seconds, where ``shots`` need ``seconds``."""
    return int(shots * max(0.0, left) / seconds) if seconds else shots


class Counting(EvaluatingBackend):
    """Stands in for a backend and measures nothing: ``calls`` lists circuit, readout and rows of what is asked."""

    def __init__(self, backend: EvaluatingBackend) -> None:
        super().__init__(deepcopy(backend.gradient), backend.together)
        self.backend = backend
        self.calls: list[tuple[Circuit, Readout, int]] = []

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do that this one stands in for."""
        return self.backend.capabilities

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Tensor:
        """Return zeros."""
        self.calls.append((circuit, observables, len(angles)))
        return torch.zeros(len(angles), len(observables), dtype=torch.float64)

    def cost(self) -> Cost:
        """Return what all calls need together; a wrapper that asks for more than it is asked says so itself."""
        costed: Any = next(each for each in _chain(self.backend) if hasattr(each, "cost"))
        return sum((costed.cost(*call) for call in self.calls), start=NOTHING)


def layer_cost(
    backend: Any, circuit: Circuit, observables: Readout, batch_size: int, of_inputs: bool, of_weights: bool
) -> Cost:
    """Return what one training step of a layer needs: the readouts, and what their gradient needs.

    Parameters
    ----------
    backend : EvaluatingBackend
        Whose gradient is counted; nothing runs on it.
    circuit, observables
        As in :meth:`backends.Backend.expectation`.
    batch_size : int
    of_inputs, of_weights : bool
        Whose gradient is needed.

    Raises
    ------
    ValueError
        If the backend does not run jobs that cost something.
    """
    standing_in, counting = counted(_checked(backend))
    x = torch.zeros(batch_size, circuit.n_inputs, dtype=torch.float64, requires_grad=of_inputs)
    w = torch.zeros(circuit.n_weights, dtype=torch.float64, requires_grad=of_weights)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        y = standing_in.expectation(circuit, x, w, observables)
        if y.requires_grad:
            y.sum().backward()
    return counting.cost()


def plan(backend: Any, step: Cost, steps: int, price_per_second: float | None = None) -> Plan:
    """Return the plan of so many equal steps on a backend."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"got steps={steps!r}, expected a positive integer")
    priced = innermost(_checked(backend))
    total = step * steps
    return Plan(
        priced.device_name, steps, step, total, priced.shots, price_per_second, priced.budget_seconds, priced.spent()
    )


def counted(backend: Any) -> tuple[Any, Counting]:
    """Return what stands in for a backend and measures nothing, and what counts there; cuts are made as they would."""
    if isinstance(backend, EvaluatingBackend):
        counting = Counting(backend)
        return counting, counting
    standing_in, counting = counted(backend.backend)
    return backend.on(standing_in), counting


def is_priced(backend: Any) -> bool:
    """Whether a backend, or the one that it wraps, knows what a call costs before it is made."""
    return isinstance(innermost(backend), Priced)


def innermost(backend: Any) -> Any:
    """Return the backend that wrappers stand round."""
    return list(_chain(backend))[-1]


def _chain(backend: Any) -> Iterator[Any]:
    """Yield a backend and those that it wraps, the innermost last."""
    yield backend
    while isinstance(getattr(backend, "backend", None), EvaluatingBackend):
        backend = backend.backend
        yield backend


def _checked(backend: Any) -> Any:
    if not is_priced(backend):
        raise ValueError(
            f"got {backend!r}, which runs here and costs nothing, expected a device to plan for: "
            "backends.IBM('least_busy'), or a fake one such as backends.IBM('manila')"
        )
    return backend
