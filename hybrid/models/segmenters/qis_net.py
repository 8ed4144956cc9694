r"""QIS-Net, the forerunner of QFS-Net (arXiv:2009.06767), as the code that its authors have published computes it.

    B = Σ_j I_j,   w_j = 2π (π/2 - (I_j - I)),   z_j = I_j cos(w_j - 2πB)
    I ← Σ_j 1 / (B / (c_{k+1} - c_k) + exp(-λ (z_j - B)))

with I = π/2 times the grey value, j the pixel and its 8 neighbours (those inside the image), and c_k ≤ I ≤ c_{k+1} the
grey class of the pixel.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from qml.qutrit import BOUNDS, neighbourhoods


def qis_net(images: Tensor, n_rounds: int, steepness: float) -> Tensor:
    """Return images as the network leaves them, cut off to [0, 1] as in the authors' image files.

    They stop when weights change by less than 0.1, of which the test says little; here it is after so many rounds. A
    value brighter than white is of the brightest class, where theirs is of the class of the pixel before it.

    Parameters
    ----------
    images : Tensor, shape (*, H, W)
        Grey values in [0, 1].
    n_rounds : int
        Rounds of two updates.
    steepness : float
        λ; 0.24 to 0.25 in the authors' code.
    """
    x = pi / 2 * images
    for _ in range(2 * n_rounds):
        x = _update(x, steepness)
    return x.clamp(0, 1)


def _update(x: Tensor, steepness: float) -> Tensor:
    around, bounds = neighbourhoods(x, "constant"), pi / 2 * x.new_tensor(BOUNDS)
    inside = neighbourhoods(torch.ones_like(x), "constant")
    total, widths = around.sum(0), bounds.diff()[torch.bucketize(x, bounds[1:-1])]
    z = around * (2 * pi * (pi / 2 - (around - x)) - 2 * pi * total).cos()
    return (inside / (total / widths + (-steepness * (z - total)).exp())).sum(0)
