"""What the adapters of hardware share: the machine, the step, and the counts of what is handed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.workloads import Workload

SHOTS, DEVICE, SEED = 1024, "manila", 1
COUNTS = ("circuits", "pubs", "jobs", "transpiles")

Step = Callable[[], tuple[Tensor, Tensor]]

_counts: Counter[str] = Counter()


def counts() -> dict[str, int]:
    """Return what was handed in since the last call."""
    found = {name: _counts[name] for name in COUNTS}
    _counts.clear()
    return found


def watch(owner: Any, method: str, count: Callable[..., Mapping[str, int]]) -> None:
    """Make every call of a method add what ``count`` says of its arguments."""
    call = getattr(owner, method)

    @wraps(call)
    def counted(self: Any, *args: Any, **options: Any) -> Any:
        _counts.update(count(*args, **options))
        return call(self, *args, **options)

    setattr(owner, method, counted)


def experiments(circuits: Any, parameter_binds: Sequence[Mapping[Any, Any]] | None = None, **_: Any) -> dict[str, int]:
    """Return how many circuits Aer runs: one for each row of parameters."""
    rows = [next(iter(bind.values()), [0]) for bind in parameter_binds or []]
    return {"circuits": sum(map(np.size, rows)) if rows else _number(circuits)}


def handed_in(pieces: Any, *_: Any, **__: Any) -> dict[str, int]:
    """Return a job and its PUBs: each a circuit with its rows of parameters."""
    return {"pubs": _number(pieces), "jobs": 1}


def executed(tapes: Any, *_: Any, **__: Any) -> dict[str, int]:
    """Return a job of PennyLane, whose tapes are a circuit each."""
    return {"circuits": _number(tapes), **handed_in(tapes)}


def transpiled(circuits: Any, *_: Any, **__: Any) -> dict[str, int]:
    """Return how many circuits are transpiled."""
    return {"transpiles": _number(circuits)}


def _number(pieces: Any) -> int:
    return len(pieces) if isinstance(pieces, list | tuple) else 1


def differentiated(function: Callable[[Tensor], Tensor], workload: Workload, x: np.ndarray, w: Tensor) -> Step:
    """Return a step, forward and backward: outputs, and gradients of the weights.

    The loss is the mean of the outputs, each with a sign of its own, so that the error of its gradients has a bound.
    """
    inputs = torch.as_tensor(x, dtype=torch.float32)
    signs = np.random.default_rng(SEED).choice([-1, 1], (workload.batch, len(workload.readout)))

    def step() -> tuple[Tensor, Tensor]:
        y = function(inputs)
        (gradients,) = torch.autograd.grad((torch.as_tensor(signs) * y).mean(), w)
        return y.detach(), gradients

    return step
