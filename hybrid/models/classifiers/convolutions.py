"""The convolutions that networks of several papers begin with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn


def convolutions(before: int, channels: Sequence[int], kernel: int, normed: bool = True) -> Iterator[nn.Module]:
    """Yield [convolution, batch norm, ReLU, 2 × 2 pooling] for each number of channels; only pooling is smaller.

    Parameters
    ----------
    before : int
        Channels of the images.
    channels : sequence of int
    kernel : int
        Side of the kernels, odd.
    normed : bool
        Whether there is batch norm.
    """
    for after in channels:
        yield nn.Conv2d(before, after, kernel, padding=kernel // 2)
        yield from (nn.BatchNorm2d(after),) if normed else ()
        yield from (nn.ReLU(), nn.MaxPool2d(2))
        before = after
