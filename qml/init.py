"""Initial values of circuit weights, in place and in radians, as in torch.nn.init."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def uniform_(tensor: Tensor, low: float = 0.0, high: float = 2 * math.pi) -> Tensor:
    """Fill a tensor with angles drawn evenly from [low, high): the field's default."""
    return torch.nn.init.uniform_(tensor, low, high)


def normal_(tensor: Tensor, std: float = 0.1) -> Tensor:
    """Fill a tensor with small normal angles: the circuit starts near its angle-zero form (arXiv:2203.09376)."""
    return torch.nn.init.normal_(tensor, 0.0, std)
