"""What the libraries that compute on torch tensors share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

Step = Callable[[], tuple[Tensor, Tensor, Tensor]]


def threads() -> int:
    return torch.get_num_threads()


def leaf(array: np.ndarray, device: str) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device).requires_grad_()


def differentiated(function: Callable[[Tensor], Tensor], x: Tensor, w: Tensor) -> Step:
    """Return the step of a function that reads the weights ``w`` by itself."""

    def step() -> tuple[Tensor, Tensor, Tensor]:
        y = function(x)
        gx, gw = torch.autograd.grad(y.square().sum(), (x, w))
        if x.is_cuda:
            torch.cuda.synchronize()
        return y.detach(), gw, gx

    return step


def z_of_states(states: Tensor, readout: Sequence[int]) -> Tensor:
    """Return <Z> of some qubits, (batch, len(readout)), from states of shape (batch, 2, ..., 2)."""
    p, z = states.real.square() + states.imag.square(), []
    for _ in range(states.ndim - 1):
        z.append((p[:, 0] - p[:, 1]).reshape(len(p), -1).sum(1))
        p = p[:, 0] + p[:, 1]
    return torch.stack([z[q] for q in readout], 1)
