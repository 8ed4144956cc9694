"""A hybrid QCNN for medical images, distributed by cutting its circuit (Li et al., arXiv:2501.06225).

Rows that the paper lacks: the circuit not cut, frozen, without entanglers, removed, a linear layer and tanh in its
place, logistic regression; and what a cut costs in shots. Classes count alike, in training and in the score.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import backends
from hybrid.claims import Claim, sentences
from hybrid.experiment import Experiment, Results, Row
from hybrid.models.classifiers import distributed_qcnn, rows

if TYPE_CHECKING:
    from backends.cut import CutPlan

MAX_QUBITS = 5

MEDMNIST = ("breastmnist", "pneumoniamnist")

UNCUT, CUT = "QCNN, not cut", f"QCNN, cut to {MAX_QUBITS} qubits"
FROZEN, LINEAR = "QCNN, circuit frozen", "linear layer and tanh for the circuit"

#: Largest difference of losses, in double precision on an exact backend, with which both are the same training.
SAME = 1e-5

#: The paper's training is not known to us: Adam, batches of 32, one learning rate for all that is trained.
_TRAINING: dict[str, Any] = {
    "lr": 5e-3, "batch_size": 32, "channels": [4, 8], "kernel": 3, "balanced": True,
}  # fmt: skip


def _level(seeds: int, epochs: int, **smaller: int) -> dict[str, Any]:
    """Return a level: passes through the data; fewer images, where they are many."""
    settings: dict[str, Any] = {**_TRAINING, "epochs": epochs}
    tasks: dict[str, Any] = {"digits": settings, "breastmnist": settings, "pneumoniamnist": {**settings, **smaller}}
    return {"seeds": seeds, **tasks}


LEVELS = {"quick": _level(2, 10, n_train=1000), "default": _level(5, 20, n_train=2000), "full": _level(5, 30)}


def experiment() -> Experiment:
    """Return the experiment."""
    return rows.on_images(
        name="distributed-qcnn",
        title="Distributed hybrid QCNN for medical images (Li et al. 2025)",
        arxiv="arXiv:2501.06225",
        claim=(
            "The circuit of 8 qubits in a hybrid network that classifies medical images, of two classes or more, can "
            "be cut into parts of 4 and 5 qubits. The paper's accuracies are not known to us."
        ),
        metric="balanced test accuracy",
        tasks=("digits", *MEDMNIST),
        rows=tuple(_rows()),
        levels=LEVELS,
        claims=(
            Claim("better than a linear layer and tanh, which has 72 weights for its 14", UNCUT, LINEAR),
            Claim("training the circuit helps", UNCUT, FROZEN),
        ),
        verdict=verdict,
        check=check,
        packages=("qiskit-addon-cutting",),
    )


def check(tasks: tuple[str, ...], settings: rows.Settings, folder: Path | None) -> None:
    """Raise ImportError without the package that finds cuts, ValueError without images, before anything is run."""
    planned()
    rows.check(tasks, settings, folder)


def planned() -> CutPlan:
    """Return what cutting the circuit takes."""
    return backends.Cut(backends.Statevector(), MAX_QUBITS).plan(distributed_qcnn.circuit())


def verdict(results: Results) -> list[str]:
    """Say whether cut and uncut trained alike, what a cut costs, and what is left of the claim."""
    plan = planned()
    cost = (
        f"Cut, the circuit takes {plan.circuits} circuits per sample instead of {plan.uncut}, and with shots about "
        f"{plan.least_overhead} to {plan.overhead} times as many for the same error; what is trained here is exact "
        "unless the backend draws shots."
    )
    return [*(_alike(results, task) for task in results.tasks), cost, *sentences(results)]


def _rows() -> Iterator[Row]:
    hybrid = partial(rows.trained, build=distributed_qcnn.build, prepare=rows.doubled)
    yield Row(UNCUT, "quantum", hybrid)
    yield Row(CUT, "quantum", partial(hybrid, max_qubits=MAX_QUBITS))
    yield Row("QCNN, entanglers off", "control", partial(hybrid, control="separable"))
    yield Row(FROZEN, "control", partial(hybrid, control="frozen"))
    yield Row("nothing for the circuit", "control", partial(hybrid, control="removed"))
    yield Row(LINEAR, "control", partial(hybrid, control="linear"))
    yield Row("logistic regression", "trivial", rows.logistic, seeded=False)


def _alike(results: Results, task: str) -> str:
    """Say how far the losses of all epochs and seeds are apart."""
    cut, uncut = (np.array([found["extra"]["train_losses"] for found in results.of(task, row)]) for row in (CUT, UNCUT))
    apart = np.abs(cut - uncut).max()
    said = "the same losses" if apart < SAME else "different losses, so where the backend is exact the cut is wrong"
    return f"On {task} cut and not cut train to {said}: they are at most {apart:.1e} apart, {SAME:.0e} is allowed."
