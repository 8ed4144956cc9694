"""The network of "Let the Quantum Creep In" (Wang et al., arXiv:2409.17583) at its levels of replacement.

Level 0 is two 3 × 3 convolutions and a linear layer, with nothing between them; level 1 has
:class:`qml.FlippedQuanv3x3` for the convolutions, level 2 also :class:`qml.DataReUploadingLinear` for the linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from backends import Backend
from hybrid.classifiers.rows import Settings
from qml import DataReUploadingLinear, FlippedQuanv3x3

LEVELS = (0, 1, 2)


def centred(images: Tensor, settings: Settings) -> Tensor:
    """Return the images in [-1, 1], averaged over ``settings["pool"]`` pixels, with black ones around them."""
    return F.pad(2 * F.avg_pool2d(images, settings["pool"]) - 1, [settings["pad"]] * 4, value=-1.0)


def build(
    shape: Sequence[int],
    n_classes: int,
    settings: Settings,
    backend: Backend,
    level: int = 0,
    relu: bool = False,
    unitary: bool = True,
    scale: float | None = None,
) -> nn.Module:
    """Return the network.

    Parameters
    ----------
    shape : (channels, H, W)
        Of an image.
    n_classes : int
    settings : mapping
        With ``channels``, of the two convolutions, and ``n_layers``, how often level 2 uploads the data.
    backend : Backend
        Not used: the layers are no circuits.
    level : {0, 1, 2}
    relu : bool
        Whether each convolution is followed by a ReLU.
    unitary : bool
        Whether the angles are real. Where they are complex, as published, training leaves the unitaries.
    scale : float, optional
        Where a trained factor on the probabilities of level 2 starts; none if not given, as published.

    Raises
    ------
    ValueError
        If the level has another number.
    """
    if level not in LEVELS:
        raise ValueError(f"got level={level!r}, expected one of {', '.join(map(str, LEVELS))}")
    first, second = settings["channels"]
    n = second * (shape[1] - 4) * (shape[2] - 4)
    between = [nn.ReLU()] if relu else []
    convolutions = [_convolution(shape[0], first, level, unitary), *between]
    convolutions += [_convolution(first, second, level, unitary), *between]
    return nn.Sequential(*convolutions, nn.Flatten(), _linear(n, n_classes, settings, level, unitary, scale))


def _convolution(before: int, after: int, level: int, unitary: bool) -> nn.Module:
    return FlippedQuanv3x3(before, after, unitary=unitary) if level else nn.Conv2d(before, after, 3)


def _linear(n: int, n_classes: int, settings: Settings, level: int, unitary: bool, scale: float | None) -> nn.Module:
    if level < 2:
        return nn.Linear(n, n_classes)
    return DataReUploadingLinear(n, n_classes, settings["n_layers"], unitary=unitary, scale=scale)
