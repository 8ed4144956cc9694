"""The qutrit of QFS-Net, a rotated spin 1, and the filter of images that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qml.checks import real, whole

#: Bounds of the grey classes, from black to white, one of the sets in the authors' code of QIS-Net.
BOUNDS = (0.0, 0.14, 0.28, 0.42, 0.56, 0.70, 0.90, 1.0)

#: Phase of a white pixel, in radians.
WHITE = 2 * pi / 3


def rotation(omega: Tensor) -> Tensor:
    """Return T(ω) = exp(-iω S_y), the rotation of a spin 1, of arXiv:2009.06767.

    ::

               ½(1 + cos ω)   -sin ω/√2   ½(1 - cos ω)
        T(ω) =    sin ω/√2      cos ω       -sin ω/√2
               ½(1 - cos ω)    sin ω/√2   ½(1 + cos ω)

    Parameters
    ----------
    omega : Tensor, shape (*)
        Angles in radians.

    Returns
    -------
    Tensor, shape (*, 3, 3)
        Real and orthogonal; column k is the state into which level k is turned.
    """
    c, s = omega.cos(), omega.sin() / 2**0.5
    rows = [(1 + c) / 2, -s, (1 - c) / 2], [s, c, -s], [(1 - c) / 2, s, (1 + c) / 2]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def overlap(difference: Tensor) -> Tensor:
    """Return the amplitude with which a qutrit is found in |1> again, <1|T(ξ)ᵀ T(ω)|1> = cos(ω - ξ).

    With ω = (2π/3)(1 - abs(μ' - μ)), the phase of a weight, and ξ = 2π/3, that of the activation, it is
    cos((2π/3)(μ' - μ)): 1 between equal pixels, 0 at a difference of 3/4, -1/2 between black and white.

    Parameters
    ----------
    difference : Tensor, any shape
        μ' - μ, of a pixel's neighbour and the pixel, in [-1, 1].
    """
    return (WHITE * difference).cos()


class QutritFilter(nn.Module):
    """The self-supervised filter of QFS-Net (Konar et al., arXiv:2009.06767), restated so that it is stable.

    ::

        K_j = max(0, <1|T(ξ)ᵀ T(ω_j)|1>)^q           j: the pixel and its 8 neighbours
        z   = Σ_j K_j μ_j / Σ_j K_j
        μ   ← Σ_k (b_{k+1} - b_k) σ(λ (z - (b_k + b_{k+1})/2))

    (*, H, W) -> (*, H, W), grey values in [0, 1]; all pixels and images at once. A round is two such updates, from the
    input layer of qutrits to the intermediate one and on to the output. Pixels outside the image are those at its edge.

    The division by Σ K, q and λ are ours: as it is published, the update has sums in place of means, and the image is
    not kept. There is nothing to train, and no qutrit to simulate: one cosine is all that a pair of pixels takes.

    Parameters
    ----------
    n_rounds : int
        Rounds, from 1; with many the image has no detail left.
    sharpness : float
        q, positive: 2 makes K a probability where the amplitude is not negative.
    steepness : float
        λ, positive: of the steps between grey classes.
    bounds : sequence of float
        b_0 < b_1 < …, from 0 to 1: of the grey classes.
    kernel : callable
        From differences to K before it is cut off at 0 and raised; the overlap of qutrits if not given.
    normalised : bool
        Whether to divide by Σ K.

    Raises
    ------
    ValueError
        If a number is out of range, or the bounds do not ascend from 0 to 1.

    Examples
    --------
    >>> QutritFilter(n_rounds=1)(torch.rand(16, 64, 64)).shape
    torch.Size([16, 64, 64])
    """

    def __init__(
        self,
        n_rounds: int = 2,
        sharpness: float = 8.0,
        steepness: float = 40.0,
        bounds: Sequence[float] = BOUNDS,
        kernel: Callable[[Tensor], Tensor] = overlap,
        normalised: bool = True,
    ) -> None:
        super().__init__()
        self.n_rounds = whole("n_rounds", n_rounds, 1)
        self.sharpness, self.steepness = _positive("sharpness", sharpness), _positive("steepness", steepness)
        self.bounds, self.kernel, self.normalised = _ascending(bounds), kernel, normalised

    def forward(self, images: Tensor) -> Tensor:
        """Return the filtered images.

        Parameters
        ----------
        images : Tensor, shape (*, H, W)

        Raises
        ------
        TypeError
            If the images are no tensor of floating point numbers.
        ValueError
            If they have no height and width.
        """
        x = _checked(images)
        for _ in range(2 * self.n_rounds):
            x = self._staircase(self._mean(x))
        return x

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows."""
        return f"n_rounds={self.n_rounds}, sharpness={self.sharpness:g}, steepness={self.steepness:g}"

    def _mean(self, x: Tensor) -> Tensor:
        around = neighbourhoods(x)
        weights = self.kernel(around - x).clamp(min=0) ** self.sharpness
        z = (weights * around).sum(0)
        return z / weights.sum(0) if self.normalised else z

    def _staircase(self, z: Tensor) -> Tensor:
        bounds = z.new_tensor(self.bounds)
        middles = (bounds[1:] + bounds[:-1]) / 2
        return torch.sigmoid(self.steepness * (z[..., None] - middles)) @ bounds.diff()


def neighbourhoods(images: Tensor, outside: str = "replicate") -> Tensor:
    """Return each pixel and its 8 neighbours, row by row: (*, H, W) -> (9, *, H, W).

    Parameters
    ----------
    images : Tensor, shape (*, H, W)
    outside : {"replicate", "constant"}
        Whether a pixel outside the image is that at the edge, or 0.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images.reshape(-1, 1, height, width), (1, 1, 1, 1), outside)
    shifted = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.stack([each.reshape(images.shape) for each in shifted])


def _checked(images: Tensor) -> Tensor:
    if not isinstance(images, Tensor) or not images.is_floating_point():
        found = f"of dtype {images.dtype}" if isinstance(images, Tensor) else f"of type {type(images).__name__}"
        raise TypeError(f"got images {found}, expected a tensor of floating point numbers: call .float() or / 255")
    if images.ndim < 2:
        raise ValueError(f"got images of shape {tuple(images.shape)}, expected (*, H, W), grey: average the channels")
    return images


def _positive(name: str, value: float) -> float:
    if real(name, value, 0) == 0:
        raise ValueError(f"got {name}={value!r}, expected a positive number")
    return float(value)


def _ascending(bounds: Sequence[float]) -> tuple[float, ...]:
    found = tuple(real("a bound", bound) for bound in bounds)
    ends = found[:1] + found[-1:]
    if ends != (0, 1) or any(a >= b for a, b in pairwise(found)):
        raise ValueError(f"got bounds {found}, expected numbers that ascend from 0 to 1: (0, 0.5, 1)")
    return found
