"""Quantum machine learning for image classification (Senokosov et al., arXiv:2304.09224): HQNN-Quanv.

Rows that the paper lacks: the quanvolution frozen, entanglers off, the pixels of a patch in place of its readouts,
logistic regression. The paper's circuit is not known to us gate by gate: this one has its size, 4 qubits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from hybrid.claims import Claim
from hybrid.experiment import Experiment, Row
from hybrid.models.classifiers import hqnn_quanv, rows

QUANV, EQUAL, SMALL = "HQNN-Quanv", "convolution of as many channels", "convolution of 1 channel"
FROZEN = f"{QUANV}, quanvolution frozen"

#: The paper's training is not known to us: that of HQNN-Parallel, at a learning rate at which it converges. Digits
#: have their 8 × 8 pixels, MNIST is averaged to 14 × 14.
_TRAINING: dict[str, Any] = {
    "lr": 1e-2, "batch_size": 64, "epochs": 20, "optimizer_options": {"weight_decay": 1e-4},
}  # fmt: skip
_DIGITS, _MNIST = {**_TRAINING, "pool": 1}, {**_TRAINING, "pool": 2}

LEVELS: dict[str, dict[str, Any]] = {
    "quick": {
        "seeds": 2,
        "digits": {**_DIGITS, "epochs": 10},
        "mnist": {**_MNIST, "epochs": 3, "n_train": 600, "n_test": 1000},
    },
    "default": {"seeds": 5, "digits": _DIGITS, "mnist": {**_MNIST, "epochs": 10, "n_train": 3000, "n_test": 5000}},
    "full": {"seeds": 5, "digits": _DIGITS, "mnist": _MNIST},
}


def experiment() -> Experiment:
    """Return the experiment."""
    return rows.on_images(
        name="hqnn-quanv",
        title="Quantum Machine Learning for Image Classification (Senokosov et al. 2023): HQNN-Quanv",
        arxiv="arXiv:2304.09224",
        claim=(
            "A trained quanvolution that reduces the resolution is as accurate as a convolutional network with four "
            "times as many parameters, and more accurate than one with as many."
        ),
        rows=tuple(_rows()),
        levels=LEVELS,
        claims=(
            Claim("as accurate as a convolution of as many channels, which has more weights", QUANV, EQUAL, 0.01),
            Claim("better than a convolution of about as many weights, which has one channel", QUANV, SMALL),
            Claim("training the quanvolution helps", QUANV, FROZEN),
        ),
    )


def _rows() -> Iterator[Row]:
    hybrid = partial(rows.trained, build=hqnn_quanv.build, prepare=rows.pooled)
    classical = partial(rows.trained, build=hqnn_quanv.convolution, prepare=rows.pooled)
    yield Row(QUANV, "quantum", hybrid)
    yield Row(FROZEN, "control", partial(hybrid, control="frozen"))
    yield Row(f"{QUANV}, entanglers off", "control", partial(hybrid, control="separable"))
    yield Row(f"{QUANV}, pixels for the quanvolution", "control", partial(hybrid, control="removed"))
    yield Row(EQUAL, "classical", partial(classical, channels=4))
    yield Row(SMALL, "classical", partial(classical, channels=1))
    logistic = partial(rows.logistic, prepare=rows.pooled)
    yield Row("logistic regression", "trivial", logistic, seeded=False)
