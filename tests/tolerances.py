"""One tolerance per precision, for numbers of order one."""

import numpy as np
import torch

#: Between our simulator and another library or the dense oracle, in double precision.
ACROSS = 1e-10


def atol(dtype):
    """Absolute tolerance between two ways to compute the same numbers in one precision."""
    return {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]


def close(a, b, tolerance=ACROSS):
    """Whether two arrays or tensors have the same shape and agree to an absolute tolerance."""
    a, b = (t.detach() if isinstance(t, torch.Tensor) else torch.tensor(np.asarray(t)) for t in (a, b))
    dtype = torch.promote_types(a.dtype, b.dtype)
    return a.shape == b.shape and torch.allclose(a.to(dtype), b.to(dtype), rtol=0, atol=tolerance)
