"""Filters of images, (n, H, W) -> (n, H, W), of all kinds: none has seen a mask.

A grid of values comes with each, of :data:`N_TRIES` combinations, so that all are chosen from as many.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybrid.models.segmenters.qis_net import qis_net
from qml.qutrit import WHITE, QutritFilter

Grid = Mapping[str, Sequence[Any]]
Filter = Callable[..., np.ndarray]

N_TRIES = 12

QUTRIT: Grid = {"sharpness": (2.0, 8.0), "steepness": (10.0, 20.0, 40.0), "n_rounds": (1, 2)}
QUTRIT_LONG: Grid = {"sharpness": (2.0, 8.0, 32.0), "steepness": (5.0, 10.0, 20.0, 40.0), "n_rounds": (12,)}
MEAN: Grid = {"steepness": (5.0, 10.0, 15.0, 20.0, 30.0, 40.0), "n_rounds": (1, 2)}
MEAN_LONG: Grid = {"steepness": (4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 80.0), "n_rounds": (12,)}
QIS: Grid = {"steepness": (0.23, 0.24, 0.25), "n_rounds": (1, 2, 6, 12)}
BLUR: Grid = {"sigma": (0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.0, 6.0, 7.0, 8.0)}
MEDIAN: Grid = {"size": (3, 5, 9, 13), "times": (1, 2, 3)}
BILATERAL: Grid = {"sigma_color": (0.05, 0.1, 0.2, 0.4), "sigma_spatial": (1.0, 2.0, 4.0)}
NON_LOCAL: Grid = {"h": (0.05, 0.1, 0.3, 0.8), "patch_size": (3, 5, 7)}


def candidates(grid: Grid, n: int) -> list[dict[str, Any]]:
    """Return n of the combinations of a grid, evenly from first to last; all, if n is all of them.

    Raises
    ------
    ValueError
        If a grid of more than one has not :data:`N_TRIES`, or that is no multiple of n.
    """
    every = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(every) not in (1, N_TRIES) or N_TRIES % n:
        raise ValueError(
            f"got {len(every)} combinations for {n} tries, expected {N_TRIES}, and a number that divides it"
        )
    return every[:: max(1, len(every) // n)]


def as_it_is(X: np.ndarray) -> np.ndarray:
    """Return the images."""
    return X


def qutrit(X: np.ndarray, **options: Any) -> np.ndarray:
    """Filter by :class:`qml.QutritFilter`."""
    with torch.no_grad():
        found: np.ndarray = QutritFilter(**options)(torch.as_tensor(X)).numpy()
    return found


def equal(difference: Tensor) -> Tensor:
    """Return 1 for the overlap of any two pixels: their mean."""
    return torch.ones_like(difference)


def gaussian(difference: Tensor) -> Tensor:
    """Return the Gaussian with the curvature of the overlap at 0: what a bilateral filter has there."""
    return (-((WHITE * difference) ** 2) / 2).exp()


def without_normalisation(X: np.ndarray, **options: Any) -> np.ndarray:
    """Filter by qutrits, with the sum in place of the mean."""
    return qutrit(X, normalised=False, **options).clip(0, 1)


def forerunner(X: np.ndarray, **options: Any) -> np.ndarray:
    """Filter by :func:`hybrid.models.segmenters.qis_net.qis_net`."""
    found: np.ndarray = qis_net(torch.as_tensor(X), **options).numpy()
    return found


def blur(X: np.ndarray, sigma: float) -> np.ndarray:
    """Convolve with a Gaussian of so many pixels."""
    from skimage.filters import gaussian

    return _each(partial(gaussian, sigma=sigma), X)


def median(X: np.ndarray, size: int, times: int) -> np.ndarray:
    """Take the median of squares of so many pixels a side, so many times."""
    from skimage.filters import median

    for _ in range(times):
        X = np.stack([median(image, np.ones((size, size))) for image in X])
    return X


def bilateral(X: np.ndarray, **options: float) -> np.ndarray:
    """Filter by scikit-image's ``denoise_bilateral``."""
    from skimage.restoration import denoise_bilateral

    return _each(partial(denoise_bilateral, **options), X)


def non_local_means(X: np.ndarray, **options: float) -> np.ndarray:
    """Filter by scikit-image's ``denoise_nl_means``, patches of a neighbourhood of 13 × 13."""
    from skimage.restoration import denoise_nl_means

    return _each(partial(denoise_nl_means, patch_distance=6, fast_mode=True, **options), X)


def _each(denoise: Callable[[np.ndarray], np.ndarray], X: np.ndarray) -> np.ndarray:
    return np.stack([denoise(image) for image in X]).clip(0, 1).astype(X.dtype)
