"""A qutrit-inspired self-supervised network for brain tumour segmentation (Konar et al., arXiv:2009.06767): QFS-Net.

Rows that the paper lacks: a mean and a Gaussian for the qutrit kernel, many rounds, no normalisation, QIS-Net as its
code has it, the bare slice, and the filters of image processing, each with the same choice of a threshold. Test
patients are other patients, all that is chosen is chosen on validation patients, and intervals are over patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import pages
from hybrid.claims import Claim, score, sentences
from hybrid.experiment import Case, Experiment, Results, Row
from hybrid.models.segmenters import filters, images, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: One or two rounds, unless a name says 12.
QFS, MEAN, GAUSSIAN = "QFS-Net", "mean for the kernel", "Gaussian for the kernel"
QIS, MEDIAN, UNET = "QIS-Net", "median", "U-Net"

_WHAT = (
    "No qutrit is simulated and nothing is trained: the overlap of two qutrits is the cosine of a difference of "
    "pixels, so QFS-Net is a bilateral filter with steps. Like the other filters it has no mask but those of the "
    "validation patients, which choose its numbers and its threshold. The U-Net has one setting and is not tuned."
)
_OTSU = (
    "The Dice coefficient is that of all slices of a patient, half of which have no tumour: Otsu's method finds a "
    "brightest class there too, which costs it, and the other thresholds do not have to."
)
_SKULLS = (
    "The brain slices show the skull, which is as bright as a tumour; those that come with the authors' code of "
    "QIS-Net do not, so figures may be better where skulls are removed first."
)

#: Panels of the drawing in a line.
_ACROSS = 5


def _level(
    seeds: int, tries: int, patients: tuple[int, int, int], epochs: tuple[int, int], channels: list[int]
) -> dict[str, Any]:
    """Return a level: phantoms in the three parts, and how long the U-Net trains on phantoms and on patients."""
    network = {"channels": channels, "lr": 3e-3, "batch_size": 8}
    drawn = {**network, "patients": list(patients), "side": 64, "epochs": epochs[0]}
    real = {**network, "epochs": epochs[1]}
    return {"seeds": seeds, "tries": tries, **dict.fromkeys(images.PHANTOMS, drawn), images.BRAIN: real}


LEVELS = {
    "quick": _level(2, 6, (12, 6, 10), (30, 4), [8, 16, 32]),
    "default": _level(5, 12, (20, 10, 20), (30, 15), [8, 16, 32]),
    "full": _level(5, 12, (80, 40, 100), (60, 100), [16, 32, 64, 128]),
}


def experiment() -> Experiment:
    """Return the experiment."""
    return Experiment(
        name="qutrit-segmentation",
        title="Qutrit-inspired Fully Self-supervised Shallow Quantum Learning Network (Konar et al. 2020): QFS-Net",
        arxiv="arXiv:2009.06767",
        claim=(
            "QFS-Net, without supervision and compared with U-Net, URes-Net and QIS-Net, shows a “promising segmented "
            "outcome in detecting tumors in terms of dice similarity and accuracy with minimum human intervention”. "
            "The paper's figures are not known to us."
        ),
        metric="Dice (fixed threshold)",
        lower_is_better=False,
        tasks=(*images.PHANTOMS, images.BRAIN),
        needs_data=(images.BRAIN,),
        rows=tuple(_rows()),
        levels=LEVELS,
        claims=(
            Claim("comparable to a network that learns from masks", QFS, UNET, 0.1),
            Claim("the qutrit kernel is better than a mean", QFS, MEAN),
            Claim("the qutrit kernel is better than a Gaussian of its width", QFS, GAUSSIAN),
            Claim("better than a median filter", QFS, MEDIAN),
            Claim("better than QIS-Net", QFS, QIS),
        ),
        verdict=verdict,
        data=images.DATA,
        files=images.files,
        check=rows.check,
        packages=("scikit-image",),
        least=0.0,
        most=1.0,
        also={
            "Dice (Otsu)": "otsu",
            "Dice (oracle)": "oracle",
            "PPV": "ppv",
            "sensitivity": "sensitivity",
            "accuracy": "accuracy",
        },
        per="patient",
        drawing=drawing,
    )


def verdict(results: Results) -> list[str]:
    """Say what the network is, what the threshold does, and what is left of the claim."""
    skulls = [_SKULLS] * (images.BRAIN in results.tasks)
    return [_WHAT, _OTSU, *skulls, *(_beside(results, task) for task in results.tasks), *sentences(results)]


def drawing(results: Results) -> Figure:
    """Draw one test slice of the last task, what is tumour in it, and what every row takes for it (first seed)."""
    task = results.tasks[-1]
    case = Case(task, 0, results.records[-1]["unit"]["settings"], "statevector", results.plan.data, _silent, None)
    test, found = images.load(case).test, results.rows(task)
    which = rows.shown(test)
    masks = {"mask": test.masks[which]}
    masks |= {row.name: _segmented(results, task, row, test.X.shape[-1]) for row in found}
    n_lines = ceil(len(masks) / _ACROSS)
    figure = pages.figure(2 * _ACROSS, 2.2 * n_lines)
    panels = figure.subplots(n_lines, _ACROSS, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, (name, mask) in zip(panels, masks.items(), strict=False):
        _draw(axes, name, test.X[which], mask)
    return figure


def _rows() -> Iterator[Row]:
    def row(name: str, kind: str, by: filters.Filter, grid: filters.Grid, **options: Any) -> Row:
        return Row(name, kind, partial(rows.filtered, by=by, grid=grid, **options), seeded=False)

    yield row(QFS, "quantum", filters.qutrit, filters.QUTRIT)
    yield row(f"{QFS}, 12 rounds", "quantum", filters.qutrit, filters.QUTRIT_LONG)
    yield row(f"{QFS}, not normalised", "quantum", filters.without_normalisation, filters.QUTRIT)
    yield row(QIS, "quantum", filters.forerunner, filters.QIS)
    yield row(MEAN, "control", filters.qutrit, filters.MEAN, kernel=filters.equal)
    yield row(f"{MEAN}, 12 rounds", "control", filters.qutrit, filters.MEAN_LONG, kernel=filters.equal)
    yield row(GAUSSIAN, "control", filters.qutrit, filters.QUTRIT, kernel=filters.gaussian)
    yield row(f"{GAUSSIAN}, 12 rounds", "control", filters.qutrit, filters.QUTRIT_LONG, kernel=filters.gaussian)
    yield row(MEDIAN, "classical", filters.median, filters.MEDIAN)
    yield row("bilateral", "classical", filters.bilateral, filters.BILATERAL)
    yield row("non-local means", "classical", filters.non_local_means, filters.NON_LOCAL)
    yield Row(UNET, "classical", rows.trained)
    yield row("Gaussian blur", "trivial", filters.blur, filters.BLUR)
    yield row("bare slice", "trivial", filters.as_it_is, {})


def _beside(results: Results, task: str) -> str:
    """Say what looking at the test masks would have added, what accuracy is worth, and how far seeds are apart."""
    fixed, oracle = (score(results.scores(task, QFS, of).mean()) for of in (None, "oracle"))
    first = results.of(task, QFS)[0]["extra"]
    seeds = [record["score"] for record in results.of(task, UNET)]
    return (
        f"On {task}, with the best threshold for every test patient by the patient's own mask, {QFS} would have "
        f"{oracle} for {fixed}; finding no tumour at all has the accuracy {score(first['accuracy_of_nothing'])}; the "
        f"{len(seeds)} seeds of the {UNET} have {score(min(seeds))} to {score(max(seeds))}."
    )


def _segmented(results: Results, task: str, row: Row, side: int) -> np.ndarray:
    return rows.mask(results.of(task, row.name)[0]["extra"]["segmented"], side)


def _draw(axes: Axes, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.imshow(np.ma.masked_where(~mask, mask), cmap="autumn", alpha=0.6, vmin=0, vmax=1)
    axes.set_title(name, fontsize=6)


def _silent(*_: Any) -> None:
    """Take progress that nobody is to see."""
