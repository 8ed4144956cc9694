"""What all diagnostics draw and evaluate: weights, samples, states and Jacobians, exactly and in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from backends import Statevector
from circuits import Circuit
from circuits.observables import Readout

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

CHUNK = 512  # rows evaluated at once


def weights(circuit: Circuit, n: int, seed: int, init: Callable[[Tensor], Any] | None = None) -> Tensor:
    """Return n rows of weights, evenly from [0, 2π) or as a layer's ``init`` draws them."""
    rows = torch.empty(n, circuit.n_weights, dtype=torch.float64)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        if init is None:
            return rows.uniform_(0, 2 * math.pi)
        for row in rows:
            init(row)
    return rows


def samples(circuit: Circuit, x: Tensor | None, n: int, seed: int) -> Tensor:
    """Return n rows of features drawn from those of x; evenly from [-π, π) where there are none."""
    generator = torch.Generator().manual_seed(seed)
    if x is None:
        return (2 * torch.rand(n, circuit.n_inputs, generator=generator, dtype=torch.float64) - 1) * math.pi
    return x[torch.randint(len(x), (n,), generator=generator)]


def values(circuit: Circuit, readout: Readout, x: Tensor, w: Tensor) -> Tensor:
    """Return the readouts, (rows, n_readouts), of rows of features and weights."""
    with torch.no_grad():
        parts = zip(x.split(CHUNK), w.split(CHUNK), strict=True)
        return torch.cat([Statevector().expectation(circuit, *pair, readout) for pair in parts])


def states(circuit: Circuit, x: Tensor, w: Tensor) -> Tensor:
    """Return the final states, complex (rows, 2**n_qubits)."""
    with torch.no_grad():
        parts = zip(x.split(CHUNK), w.split(CHUNK), strict=True)
        return torch.cat([Statevector().state(circuit, *pair) for pair in parts])


def jacobian(circuit: Circuit, readout: Readout, x: Tensor, w: Tensor) -> Tensor:
    """Return the derivative of every readout by every weight, row by row, (rows, n_readouts, n_weights)."""
    with torch.enable_grad():
        own = w.detach().clone().requires_grad_()
        y = Statevector().expectation(circuit, x, own, readout)
        columns = [torch.autograd.grad(column.sum(), own, retain_graph=True)[0] for column in y.unbind(1)]
    return torch.stack(columns, 1)
