"""The rows that segment: filter or network first, and then one and the same threshold for all of a task.

The Dice coefficient 2 |A ∩ B| / (|A| + |B|) is that of a patient, all slices together, so that slices without a tumour
count by what is found there. What a row may choose it chooses by the mean over the validation patients, the threshold
for the score among it. Two more thresholds have columns of their own: Otsu's, slice by slice, of as many classes as the
validation patients say; and the best for each test patient, which looks at the patient's mask.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from hybrid import training
from hybrid.experiment import Case, Outcome
from hybrid.models.segmenters import images
from hybrid.models.segmenters.filters import Filter, Grid, candidates
from hybrid.models.segmenters.images import Settings, Slices
from hybrid.models.segmenters.u_net import UNet
from hybrid.units import count_parameters

Segment = Callable[[np.ndarray], np.ndarray]

THRESHOLDS = np.linspace(0.01, 0.99, 99)

#: Numbers of classes that Otsu's method may find in a slice; the brightest is the tumour.
OTSU_CLASSES = (2, 3, 4)

#: Above black, in the histograms of Otsu's method. They are whole numbers, so that a threshold is one of them.
_GREY_VALUES = 127

_NONE = {"quantum": 0, "classical": 0, "frozen": 0}
_AT_ONCE = 16  # slices that the network sees at once


def check(tasks: tuple[str, ...], settings: Settings, folder: Path | None) -> None:
    """Raise ImportError without scikit-image, ValueError without slices, before anything is run."""
    try:
        import skimage  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "qutrit-segmentation needs scikit-image: pip install 'hybridqml[segmentation]'", name=error.name
        ) from error
    for task in tasks:
        images.load(Case(task, 0, settings, "statevector", folder, lambda *_: None, None))


def filtered(case: Case, by: Filter, grid: Grid, **options: Any) -> Outcome:
    """Filter, with the values of a grid that the validation patients choose, for each kind of threshold anew."""
    parts, start = images.load(case), time.perf_counter()
    tried = candidates(grid, case.settings["tries"])
    found = []
    for done, each in enumerate(tried):
        found.append(_choices(by(parts.valid.X, **each, **options), parts.valid))
        case.tell(done + 1, len(tried))
    between = time.perf_counter()
    fixed, otsu = (max(range(len(tried)), key=lambda i: found[i][kind][0]) for kind in ("fixed", "otsu"))
    X = by(parts.test.X, **tried[fixed], **options)
    seconds = {"training": between - start, "prediction": time.perf_counter() - between}
    X_otsu = by(parts.test.X, **tried[otsu], **options)
    chosen = {"chosen": tried[fixed], "chosen_for_otsu": tried[otsu]}
    ends = (X, found[fixed]["fixed"][1]), (X_otsu, found[otsu]["otsu"][1])
    return _outcome(parts.test, *ends, _NONE, seconds, chosen)


def trained(case: Case) -> Outcome:
    """Train the U-Net on slices and masks of the training patients; only thresholds are chosen for it."""
    parts, settings = images.load(case), case.settings[case.task]
    fitted = training.fit(
        partial(UNet, settings["channels"]),
        parts.train.X,
        parts.train.masks.astype(np.float32),
        seed=case.seed,
        epochs=settings["epochs"],
        lr=settings["lr"],
        batch_size=settings["batch_size"],
        loss="dice",
        schedule=CosineAnnealingLR,  # or the means of the batch norm lag behind, and some seeds find nothing
        schedule_options={"T_max": settings["epochs"]},
        on_epoch=lambda epoch: case.tell(int(epoch["epoch"]), settings["epochs"]),
        checkpoint=case.checkpoint,
    )
    found = _choices(_probabilities(fitted.net.module_, parts.valid.X), parts.valid)
    start = time.perf_counter()
    X = _probabilities(fitted.net.module_, parts.test.X)
    seconds = {"training": fitted.seconds, "prediction": time.perf_counter() - start}
    counts, losses = count_parameters(fitted.net.module_), [epoch["train_loss"] for epoch in fitted.history]
    ends = (X, found["fixed"][1]), (X, found["otsu"][1])
    return _outcome(parts.test, *ends, counts, seconds, {"train_losses": losses})


def counts(found: np.ndarray, slices: Slices) -> dict[str, np.ndarray]:
    """Count pixels of each patient: found, of the mask, both, and all, float64 (n_patients,) each.

    Parameters
    ----------
    found
        What is taken for tumour, bool (n, H, W).
    slices
        With the masks.
    """
    which, masks = np.unique(slices.patient, return_inverse=True)[1], slices.masks
    pixels = {"found": found, "mask": masks, "both": found & masks, "all": np.ones_like(masks)}
    return {name: np.bincount(which, each.sum((1, 2)).astype(float)) for name, each in pixels.items()}


def dice(found: np.ndarray, slices: Slices) -> np.ndarray:
    """Return the Dice coefficient of each patient, float64 (n_patients,); as for :func:`counts`."""
    n = counts(found, slices)
    return 2 * n["both"] / (n["found"] + n["mask"])


def otsu(X: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the brightest of n classes that Otsu's method finds in each slice; nothing where there are not so many."""
    from skimage.filters import threshold_multiotsu

    def top(image: np.ndarray) -> np.ndarray:
        if len(np.unique(image)) < n_classes:
            return np.zeros(image.shape, bool)
        above: np.ndarray = image > threshold_multiotsu(image, n_classes)[-1]
        return above

    return np.stack([top(image) for image in np.round(_GREY_VALUES * X).astype(np.uint8)])


def mask(text: str, side: int) -> np.ndarray:
    """Return the mask that an outcome has kept as ``segmented``, bool (side, side)."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))
    return bits[: side * side].reshape(side, side).astype(bool)


def _curves(X: np.ndarray, slices: Slices) -> np.ndarray:
    """Return the Dice coefficients for all thresholds, (n_thresholds, n_patients), as :func:`dice` does for one."""
    which = np.unique(slices.patient, return_inverse=True)[1][:, None, None]
    below, n = np.searchsorted(THRESHOLDS, X), len(THRESHOLDS) + 1  # how many thresholds a pixel is above

    def above(kept: np.ndarray) -> np.ndarray:
        sizes = np.bincount((which * n + below)[kept], minlength=n * (which.max() + 1)).reshape(-1, n)
        found: np.ndarray = sizes[:, ::-1].cumsum(1)[:, ::-1].T
        return found

    masks = above(slices.masks)
    return 2 * masks[1:] / (above(np.ones_like(slices.masks))[1:] + masks[0])


def _choices(X: np.ndarray, slices: Slices) -> dict[str, tuple[float, Any]]:
    """Return the best mean Dice coefficient and what has it: a fixed threshold, or a number of Otsu's classes."""
    means = _curves(X, slices).mean(1)
    of_otsu = [float(dice(otsu(X, n), slices).mean()) for n in OTSU_CLASSES]
    best, best_otsu = int(means.argmax()), int(np.argmax(of_otsu))
    return {
        "fixed": (float(means[best]), float(THRESHOLDS[best])),
        "otsu": (of_otsu[best_otsu], OTSU_CLASSES[best_otsu]),
    }


def _outcome(
    test: Slices,
    fixed: tuple[np.ndarray, float],
    by_otsu: tuple[np.ndarray, int],
    parameters: dict[str, int],
    seconds: dict[str, float],
    extra: dict[str, Any],
) -> Outcome:
    """Score what a fixed threshold, and what Otsu's method with so many classes, finds in the filtered test slices."""
    (X, threshold), (_, n_classes) = fixed, by_otsu
    found = threshold < X
    n, scores = counts(found, test), dice(found, test)
    wrong = n["found"] + n["mask"] - 2 * n["both"]
    kept = {
        "scores": scores,
        "otsu": dice(otsu(*by_otsu), test),
        "oracle": _curves(X, test).max(0),
        "ppv": n["both"] / np.maximum(n["found"], 1),  # 0 where nothing is found
        "sensitivity": n["both"] / n["mask"],
        "accuracy": 1 - wrong / n["all"],
    }
    extra = extra | {"threshold": threshold, "otsu_classes": n_classes, "segmented": _packed(found[shown(test)])}
    extra["accuracy_of_nothing"] = 1 - float(test.masks.mean())
    return Outcome(float(scores.mean()), parameters, seconds, {name: x.tolist() for name, x in kept.items()} | extra)


def shown(slices: Slices) -> int:
    """Return the slice that is drawn: the one whose tumour is of median size."""
    sizes = slices.masks.sum((1, 2))
    with_tumour = np.flatnonzero(sizes)
    return int(with_tumour[np.argsort(sizes[with_tumour])[len(with_tumour) // 2]])


def _packed(found: np.ndarray) -> str:
    return np.packbits(found).tobytes().hex()


def _probabilities(model: torch.nn.Module, X: np.ndarray) -> np.ndarray:
    model.eval()
    with torch.no_grad():
        found: np.ndarray = torch.cat([model(part).sigmoid() for part in torch.as_tensor(X).split(_AT_ONCE)]).numpy()
    return found
