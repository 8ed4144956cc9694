"""TensorCircuit-NG on JAX: value and gradient of the whole batch compiled into one program.

All Z are read from one copy of the probabilities that is folded qubit by qubit, faster than by its own methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorcircuit as tc

from benchmarks.adapters.tensorcircuit_torch import circuit
from benchmarks.timing import cores
from benchmarks.workloads import Workload


def threads() -> int:
    return cores()  # XLA takes all it may run on


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Callable[[], tuple[Any, ...]]:
    return compiled(lambda x, w: _z(circuit(workload, x, w).state(), workload), x, w)


def compiled(read: Callable[..., Any], x: np.ndarray, w: np.ndarray) -> Callable[[], tuple[Any, ...]]:
    """Return the compiled step of a function from features and weights of one sample to its readouts."""
    tc.set_backend("jax")
    outputs = jax.vmap(read, (0, None))

    @jax.jit
    def gradients(x, w):
        def loss(x, w):
            y = outputs(x, w)
            return jnp.square(y).sum(), y

        (gx, gw), y = jax.grad(loss, (0, 1), has_aux=True)(x, w)
        return y, gw, gx

    x, w = jnp.asarray(x, "float32"), jnp.asarray(w, "float32")
    return lambda: jax.block_until_ready(gradients(x, w))


def _z(state: Any, workload: Workload) -> Any:
    p, z = jnp.square(state.real) + jnp.square(state.imag), []
    for _ in range(workload.n_qubits):
        halves = p.reshape(2, -1)
        z.append((halves[0] - halves[1]).sum())
        p = halves[0] + halves[1]
    return jnp.stack([z[q] for q in workload.readout])
