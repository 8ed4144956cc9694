"""Quantum Hamiltonian embedding of images for data re-uploading classifiers (Wang et al., arXiv:2407.14055).

Rows that the paper lacks: logits ten times as large, unitaries frozen, unitaries that do not entangle, a QCNN and a
dense network of as many parameters, logistic regression on the images and on their symmetric parts. Tests are on all
images that are not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from hybrid.claims import Claim
from hybrid.experiment import Experiment, Row
from hybrid.models.classifiers import hamiltonian, rows

#: The paper has CT images too, a subset of a competition's, which we lack.
TASKS = ("digits", "mnist", "fashion-mnist")

QHE, CODED, QCNN = "QHE", "QHE, as coded", "QCNN"
MATCHED = "QCNN, as many parameters as QHE"
SYMMETRIC = "logistic regression, symmetric part"

#: Layers of unitaries before the QCNN: 5 of 75 angles and 81, for the 465 of QHE on digits.
N_BEFORE = 5

#: The paper's: all 1200 images of the train part in a step on digits, batches and a decaying learning rate elsewhere.
_DIGITS: dict[str, Any] = {
    "classes": 8, "pad": 0, "n_layers": 15, "whole": False, "n_levels": 1,
    "test_share": 0.168, "lr": 0.1, "batch_size": 2000, "epochs": 500,
}  # fmt: skip
_MNIST: dict[str, Any] = {
    "classes": 8, "pad": 2, "n_layers": 10, "whole": True, "n_levels": 2,
    "lr": 0.01, "batch_size": 1000, "epochs": 100, "optimizer_options": {"decay": 0.99, "clip": 1.0},
}  # fmt: skip

_QUICK = {**_MNIST, "epochs": 10, "n_train": 600, "n_test": 1000, "batch_size": 200}
_SMALL = {**_MNIST, "epochs": 20, "n_train": 2000, "n_test": 2000, "batch_size": 200}

LEVELS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 2, "digits": {**_DIGITS, "epochs": 60}, "mnist": _QUICK, "fashion-mnist": _QUICK},
    "default": {"seeds": 5, "digits": {**_DIGITS, "epochs": 200}, "mnist": _SMALL, "fashion-mnist": _SMALL},
    "full": {"seeds": 20, "digits": _DIGITS, "mnist": _MNIST, "fashion-mnist": _MNIST},
}


def experiment() -> Experiment:
    """Return the experiment."""
    return rows.on_images(
        name="hamiltonian-reuploading",
        title="Quantum Hamiltonian Embedding of Images for Data Reuploading Classifiers (Wang et al. 2024)",
        arxiv="arXiv:2407.14055",
        claim=(
            "A classifier into which the image enters as a Hamiltonian, again and again, outperforms a quantum "
            "convolutional network, by up to more than 40 %."
        ),
        tasks=TASKS,
        rows=tuple(_rows()),
        levels=LEVELS,
        published={
            CODED: {"digits": "0.944"},
            QHE: {"mnist": "0.897", "fashion-mnist": "0.778"},
            QCNN: {"digits": "0.790", "mnist": "0.470", "fashion-mnist": "0.429"},
        },
        claims=(
            Claim("as coded, it is better than the QCNN", CODED, QCNN, tasks=("digits",)),
            Claim("it is better than the QCNN", QHE, QCNN),
            Claim("it is better than a QCNN of as many parameters", QHE, MATCHED, tasks=("digits",)),
            Claim("it is better than a linear model of what it sees of an image", QHE, SYMMETRIC),
        ),
    )


def _rows() -> Iterator[Row]:
    qhe = partial(rows.trained, build=hamiltonian.build, prepare=hamiltonian.spectra)
    qcnn = partial(rows.trained, build=hamiltonian.qcnn, prepare=hamiltonian.square)
    dense = partial(rows.trained, build=hamiltonian.dense, prepare=hamiltonian.square)
    logistic = partial(rows.logistic, prepare=hamiltonian.square)
    symmetric = partial(rows.logistic, prepare=hamiltonian.symmetric)
    # Elsewhere there is one unitary in a layer, and nothing to share; a QCNN of 10,000 angles is beyond simulation.
    yield Row(CODED, "quantum", partial(qhe, shared=True), tasks=("digits",))
    yield Row(QHE, "quantum", qhe)
    yield Row("QHE, logits × 10", "quantum", partial(qhe, scale=10.0))
    yield Row(QCNN, "quantum", qcnn)
    yield Row("QCNN, logits × 10", "quantum", partial(qcnn, scale=10.0))
    yield Row(MATCHED, "quantum", partial(qcnn, n_before=N_BEFORE), tasks=("digits",))
    yield Row("QHE, unitaries frozen", "control", partial(qhe, frozen=True))
    yield Row("QHE, entanglers off", "control", partial(qhe, separable=True))
    yield Row("dense network of as many parameters", "classical", dense)
    yield Row("logistic regression", "trivial", logistic, seeded=False)
    yield Row(SYMMETRIC, "trivial", symmetric, seeded=False)
