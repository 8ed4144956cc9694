"""TensorCircuit-NG on JAX, each Z read by its own method, as its documentation does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.adapters.tensorcircuit_jax import compiled, threads
from benchmarks.adapters.tensorcircuit_torch import circuit
from benchmarks.workloads import Workload

__all__ = ["prepare", "threads"]


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Callable[[], tuple[Any, ...]]:
    return compiled(lambda x, w: _z(circuit(workload, x, w), workload), x, w)


def _z(made: Any, workload: Workload) -> Any:
    return jnp.stack([jnp.real(made.expectation_ps(z=[q])) for q in workload.readout])
