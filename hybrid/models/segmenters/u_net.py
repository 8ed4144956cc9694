"""A small U-Net (Ronneberger, Fischer and Brox, arXiv:1505.04597): convolutions down and up, joined level by level."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Logits of a mask for each pixel of grey images, (n, H, W) -> (n, H, W).

    Each level is two 3 × 3 convolutions with batch norm and ReLU; between levels the image is halved by its maxima,
    and doubled by a transposed convolution. Unlike the original it pads, so that no pixel is lost.

    Parameters
    ----------
    channels : sequence of int
        Of each level, from the top; H and W are multiples of 2 to the number of levels below the top.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        steps = list(pairwise(channels))
        self.top = _block(1, channels[0])
        self.down = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), _block(*step)) for step in steps)
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, above, 2, 2) for above, below in reversed(steps))
        self.join = nn.ModuleList(_block(2 * above, above) for above, _ in reversed(steps))
        self.head = nn.Conv2d(channels[0], 1, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster, with few channels

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        levels = [self.top(images[:, None])]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([up(x), levels.pop()], 1))
        logits: Tensor = self.head(x)[:, 0]
        return logits


def _block(below: int, above: int) -> nn.Sequential:
    sizes = (below, above), (above, above)
    return nn.Sequential(*(layer for size in sizes for layer in _convolution(*size)))


def _convolution(below: int, above: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(below, above, 3, padding=1, bias=False), nn.BatchNorm2d(above), nn.ReLU()
