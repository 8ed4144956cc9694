"""Let the quantum creep in: replacing classical layers gradually (Wang et al., arXiv:2409.17583).

Rows that the paper lacks: level 0 with ReLU, as levels 0 and 1 are linear, also with as many parameters as level 2;
unitaries that stay unitary, as the angles of the published code are complex and leave them in training; unitaries
without entanglement, and frozen, where of level 2 biases alone are trained; a trained scale on level 2; logistic
regression.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from hybrid.claims import Claim
from hybrid.experiment import Experiment, Row
from hybrid.models.classifiers import creep_in, rows

TASKS = ("digits", "mnist", "fashion-mnist", "cifar10")

LEVEL_0, LEVEL_1, LEVEL_2 = "level 0, classical", "level 1", "level 2"
RELU, SCALED = "level 0 with ReLU", "level 2, trained scale"
MATCHED = f"{RELU}, as many parameters as level 2"
COMPLEX = {level: f"{level}, complex angles (not unitary)" for level in (LEVEL_1, LEVEL_2)}

#: A network that fits 8 × 8 pixels; elsewhere one for averages of 14 × 14 or 16 × 16, and the paper's own for 32 × 32.
_DIGITS: dict[str, Any] = {
    "pool": 1, "pad": 0, "channels": [8, 4], "n_layers": 5, "lr": 5e-3, "batch_size": 50, "epochs": 60,
}  # fmt: skip
_SMALL = {**_DIGITS, "pool": 2, "epochs": 20, "n_train": 1000, "n_test": 2000}
_QUICK = {**_SMALL, "epochs": 5, "n_train": 600, "n_test": 1000}
_PAPER: dict[str, Any] = {
    "pool": 1, "pad": 2, "channels": [32, 16], "n_layers": 10, "lr": 5e-4, "batch_size": 200, "epochs": 50,
}  # fmt: skip

LEVELS: dict[str, dict[str, Any]] = {
    "quick": {
        "seeds": 2,
        "digits": {**_DIGITS, "epochs": 15},
        "mnist": _QUICK,
        "fashion-mnist": _QUICK,
        "cifar10": _QUICK,
    },
    "default": {"seeds": 5, "digits": _DIGITS, "mnist": _SMALL, "fashion-mnist": _SMALL, "cifar10": _SMALL},
    "full": {
        "seeds": 5,
        "digits": _DIGITS,
        "mnist": _PAPER,
        "fashion-mnist": _PAPER,
        "cifar10": {**_PAPER, "pad": 0},
    },
}


def experiment() -> Experiment:
    """Return the experiment."""
    return rows.on_images(
        name="quantum-creep-in",
        title="Let the Quantum Creep In: Designing Quantum Neural Network Models (Wang et al. 2024)",
        arxiv="arXiv:2409.17583",
        claim=(
            "Layers of a network, replaced one after the other by quantum layers of the same kind, keep its accuracy, "
            "and raise it where all of them are replaced."
        ),
        tasks=TASKS,
        rows=tuple(_rows()),
        levels=LEVELS,
        # With real angles the authors have trained with other rates, batches and epochs than with complex ones.
        published={
            LEVEL_0: {"mnist": "0.923", "fashion-mnist": "0.836", "cifar10": "0.370"},
            COMPLEX[LEVEL_1]: {"mnist": "0.923", "fashion-mnist": "0.834", "cifar10": "0.389"},
            COMPLEX[LEVEL_2]: {"mnist": "0.969", "fashion-mnist": "0.866", "cifar10": "0.489"},
            LEVEL_1: {"mnist": "0.923", "fashion-mnist": "0.837", "cifar10": "0.387"},
            LEVEL_2: {"mnist": "0.945", "fashion-mnist": "0.805", "cifar10": "0.381"},
        },
        claims=(
            Claim("level 1 is as accurate as level 0", LEVEL_1, LEVEL_0, 0.01),
            Claim("level 2 is better than level 0", LEVEL_2, LEVEL_0),
            Claim("level 2 as published, not unitary, is better than level 0", COMPLEX[LEVEL_2], LEVEL_0),
            Claim("level 2 is better than a classical network that is not linear either", LEVEL_2, RELU),
        ),
    )


def _rows() -> Iterator[Row]:
    network = partial(rows.trained, build=creep_in.build, prepare=creep_in.centred)
    yield Row(LEVEL_1, "quantum", partial(network, level=1))
    yield Row(LEVEL_2, "quantum", partial(network, level=2))
    yield Row(SCALED, "quantum", partial(network, level=2, scale=10.0))
    # What is not unitary is no quantum layer, but what can be computed without one.
    yield Row(COMPLEX[LEVEL_1], "control", partial(network, level=1, unitary=False))
    yield Row(COMPLEX[LEVEL_2], "control", partial(network, level=2, unitary=False))
    for number, level in ((1, LEVEL_1), (2, LEVEL_2)):
        yield Row(f"{level}, entanglers off", "control", partial(network, level=number, control="separable"))
        yield Row(f"{level}, unitaries frozen", "control", partial(network, level=number, control="frozen"))
    yield Row(LEVEL_0, "classical", network)
    yield Row(RELU, "classical", partial(network, relu=True))
    yield Row(MATCHED, "classical", partial(rows.trained, build=creep_in.matched, prepare=creep_in.centred))
    logistic = partial(rows.logistic, prepare=creep_in.centred)
    yield Row("logistic regression", "trivial", logistic, seeded=False)
