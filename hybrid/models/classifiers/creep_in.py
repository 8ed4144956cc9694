"""The network of "Let the Quantum Creep In" (Wang et al., arXiv:2409.17583) at its levels of replacement.

Level 0 is two 3 × 3 convolutions and a linear layer, with nothing between them; level 1 has
:class:`qml.FlippedQuanv3x3` for the convolutions, level 2 also :class:`qml.DataReUploadingLinear` for the linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from backends import Backend
from hybrid.models.classifiers.local_unitaries import localised
from hybrid.models.classifiers.rows import Settings
from qml import DataReUploadingLinear, FlippedQuanv3x3, SpecialUnitary

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
    control: str | None = None,
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
    control : {"separable", "frozen"}, optional
        Unitaries without entanglement, or as they are drawn: biases, and a linear layer, are trained then.

    Raises
    ------
    ValueError
        If the level has another number, or the control another name.
    """
    if level not in LEVELS:
        raise ValueError(f"got level={level!r}, expected one of {', '.join(map(str, LEVELS))}")
    first, second = settings["channels"]
    n = second * (shape[1] - 4) * (shape[2] - 4)
    between = [nn.ReLU()] if relu else []
    convolutions = [_convolution(shape[0], first, level, unitary), *between]
    convolutions += [_convolution(first, second, level, unitary), *between]
    model = nn.Sequential(*convolutions, nn.Flatten(), _linear(n, n_classes, settings, level, unitary, scale))
    return _controlled(model, control)


def matched(shape: Sequence[int], n_classes: int, settings: Settings, backend: Backend) -> nn.Module:
    """Return level 0 with ReLU, with about as many parameters as level 2: by the channels of its second convolution."""
    target, base, more = (
        _count(
            build(shape, n_classes, {**settings, "channels": [settings["channels"][0], n]}, backend, level, level < 2)
        )
        for level, n in ((2, settings["channels"][1]), (0, 1), (0, 2))
    )
    channels = max(1, 1 + round((target - base) / (more - base)))
    chosen = {**settings, "channels": [settings["channels"][0], channels]}
    return build(shape, n_classes, chosen, backend, relu=True)


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _controlled(model: nn.Module, control: str | None) -> nn.Module:
    match control:
        case None:
            return model
        case "separable":
            return localised(model)
        case "frozen":
            for module in model.modules():
                if isinstance(module, SpecialUnitary):
                    module.requires_grad_(False)
            return model
    raise ValueError(f"got control={control!r}, expected 'separable', 'frozen' or None")


def _convolution(before: int, after: int, level: int, unitary: bool) -> nn.Module:
    return FlippedQuanv3x3(before, after, unitary=unitary) if level else nn.Conv2d(before, after, 3)


def _linear(n: int, n_classes: int, settings: Settings, level: int, unitary: bool, scale: float | None) -> nn.Module:
    if level < 2:
        return nn.Linear(n, n_classes)
    return DataReUploadingLinear(n, n_classes, settings["n_layers"], unitary=unitary, scale=scale)
