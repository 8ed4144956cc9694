"""Slices of patients with masks of their tumours: divided by patient, once whatever the seed.

``phantoms-05``, ``-10`` and ``-15`` are drawn: ellipses for a brain, its ventricles and a tumour, under a bias field
and noise whose standard deviation is that many per cent of white. ``brain-mri`` is the LGG set of Buda, Saha and
Mazurowski (Computers in Biology and Medicine 109, 2019): its channel FLAIR, in which the tumour is bright. Each patient
has slices with tumour and without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hybrid.experiment import Case

Settings = Mapping[str, Any]

PHANTOMS = ("phantoms-05", "phantoms-10", "phantoms-15")
BRAIN = "brain-mri"

DATA = "a folder with brain-mri-lgg/lgg_subset.npz (images, masks, patient, split), or the folder of that file"

#: Grey values of a phantom, and how far the bias field goes to either side of 1.
_BRAIN, _VENTRICLE, _TUMOUR, _BIAS = 0.4, 0.3, 0.75, 0.15

_FLAIR = 1

#: A patient's pixels are divided by this quantile of them, as scanners have no common unit.
_WHITE = 0.99


@dataclass(frozen=True)
class Slices:
    """Slices of some patients: grey values float32 (n, H, W) in [0, 1], masks bool (n, H, W), whose they are (n,)."""

    X: np.ndarray
    masks: np.ndarray
    patient: np.ndarray


class Parts(NamedTuple):
    """What is trained on, what choices are made on, and what is left for the table."""

    train: Slices
    valid: Slices
    test: Slices


def load(case: Case) -> Parts:
    """Return the slices of a task.

    Raises
    ------
    ValueError
        If a task needs data and has none, or a patient is in two parts.
    """
    chosen = case.settings[case.task]
    if case.task == BRAIN:
        return _brain(case.data)
    return phantoms(tuple(chosen["patients"]), chosen["side"], int(case.task[-2:]) / 100)


def files(task: str, folder: Path | None) -> list[Path]:
    """Return the file of a task in a data folder; none where it needs none, or there is none."""
    places = [] if folder is None or task != BRAIN else [folder / "brain-mri-lgg", folder]
    return [file for file in (place / "lgg_subset.npz" for place in places) if file.is_file()][:1]


def divided(X: np.ndarray, masks: np.ndarray, patient: np.ndarray, split: np.ndarray) -> Parts:
    """Divide slices into parts 0, 1 and 2 of `split`, which no two parts may share a patient in.

    Raises
    ------
    ValueError
        If they do, or a patient of the last two has no tumour, and so no Dice coefficient.
    """
    for each in np.unique(patient):
        own = patient == each
        if len(parts := np.unique(split[own])) > 1:
            raise ValueError(f"got patient {each} in parts {parts.tolist()}, expected one: divide by patient")
        if not masks[own].any() and parts[0] > 0:
            raise ValueError(f"got patient {each} without a tumour, expected one in the slices: leave the patient out")
    kept = [split == part for part in range(3)]
    return Parts(*(Slices(X[each], masks[each], patient[each]) for each in kept))


@lru_cache(maxsize=1)  # rows of one task follow each other
def phantoms(n_patients: tuple[int, int, int], side: int, noise: float) -> Parts:
    """Draw the phantoms of so many patients in each part, two slices each, of which one has a tumour.

    Parameters
    ----------
    n_patients
        In the three parts.
    side
        Pixels of a side.
    noise
        Standard deviation of the noise; white is 1.
    """
    rng, n = np.random.default_rng(0), sum(n_patients)
    drawn = [_phantom(rng, side) for _ in range(n)]
    clean, masks = (np.concatenate([pair[i] for pair in drawn]) for i in range(2))
    X = np.clip(clean + noise * rng.standard_normal(clean.shape), 0, 1).astype(np.float32)
    return divided(X, masks, np.arange(n).repeat(2), np.arange(3).repeat(n_patients).repeat(2))


def _phantom(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a slice with tumour and one without, (2, side, side), and their masks."""
    axis = np.linspace(-1, 1, side)
    y, x = np.meshgrid(axis, axis, indexing="ij")

    def ellipse(y0: float, x0: float, height: float, width: float) -> np.ndarray:
        return ((y - y0) / height) ** 2 + ((x - x0) / width) ** 2 <= 1

    height, width = rng.uniform(0.75, 0.9), rng.uniform(0.6, 0.75)
    brain = ellipse(0, 0, height, width)
    ventricles = ellipse(-0.05, -0.12, 0.25, 0.07) | ellipse(-0.05, 0.12, 0.25, 0.07)
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.55)
    centre = far * height * np.sin(angle), far * width * np.cos(angle)
    tumour = ellipse(*centre, *rng.uniform(0.08, 0.22, 2)) & brain
    slope = rng.uniform(0, 2 * np.pi)
    bias = 1 + _BIAS * (y * np.sin(slope) + x * np.cos(slope)) / np.sqrt(2)
    healthy = np.where(ventricles, _VENTRICLE, _BRAIN) * brain
    images = np.stack([np.where(tumour, _TUMOUR, healthy), healthy])
    return images * bias, np.stack([tumour, np.zeros_like(tumour)])


@lru_cache(maxsize=1)
def _brain(folder: Path | None) -> Parts:
    if not (found := files(BRAIN, folder)):
        raise ValueError(f"got the task {BRAIN} without data, expected {DATA}: name it with --data")
    with np.load(found[0], allow_pickle=False) as archive:
        images, masks, patient, split = (archive[name] for name in ("images", "masks", "patient", "split"))
    grey = images[..., _FLAIR].astype(np.float32)
    white = {each: np.quantile(grey[patient == each], _WHITE) for each in np.unique(patient)}
    scale = np.array([white[each] for each in patient], dtype=np.float32)[:, None, None]
    return divided(np.clip(grey / scale, 0, 1), masks.astype(bool), patient, split)
