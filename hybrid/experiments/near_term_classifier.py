"""Classification with quantum neural networks on near term processors (Farhi and Neven, arXiv:1802.06002).

Rows that the paper lacks: the same function without a circuit, as all gates of its circuits on strings commute with one
another on the readout; the first layer alone, frozen angles, a dense network of as many parameters (one or two units,
on strings) and a wider one, logistic regression, and what solves the task: linear equations modulo 2 for parities,
products of amplitudes for energies. Training, sizes and the label of states are our choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hybrid.claims import Claim, sentences
from hybrid.experiment import Case, Experiment, Results, Row
from hybrid.models.classifiers import bits, near_term, rows

PARITIES, MAJORITIES = ("parity-4", "parity-8", "parity-12"), ("majority-5", "majority-9")
IMAGES, STATES = ("digits", "mnist"), "states"
STRINGS = (*PARITIES, *MAJORITIES)

QNN, FIRST, FROZEN = "quantum classifier", "first layer only", "angles frozen"
SUPERPOSED, PRODUCT = "quantum classifier, two superpositions", "product of 2 × 2 matrices, no circuit"
DENSE, WIDE = "dense network of as many parameters", "dense network of 32 hidden units"
LOGISTIC = "logistic regression"
EQUATIONS, PRODUCTS = "linear equations modulo 2", "logistic regression on products"

_TRAINING: dict[str, Any] = {"lr": 0.1, "batch_size": 16, "steps": 300, "n_train": 200, "n_test": 500}

#: One diagonal layer and a bias, as the paper takes for parity and majority.
_DIAGONAL: dict[str, Any] = {**_TRAINING, "n_layers": 1, "words": ["ZX"], "bias": True}
_LAYERS: dict[str, Any] = {**_TRAINING, "lr": 0.02, "n_layers": 6, "words": ["ZX", "XX"], "bias": False}

#: Energies of pairs need readout letters that do not commute: our choice, as are the states.
_WORDS = ["ZX", "XX", "ZZ", "XZ", "ZY", "XY"]

_TASKS: dict[str, dict[str, Any]] = {
    **{name: {**_DIAGONAL, "kind": name.split("-")[0], "n_bits": int(name.split("-")[1])} for name in STRINGS},
    "digits": {**_LAYERS, "kind": "images", "n_pixels": 10},
    "mnist": {**_LAYERS, "kind": "images", "n_pixels": 10},
    STATES: {**_LAYERS, "kind": "states", "n_bits": 3, "n_layers": 12, "words": _WORDS, "lr": 0.05},
}


def _level(seeds: int, n_pixels: int = 10, **changes: Any) -> dict[str, Any]:
    tasks = {name: {**chosen, **changes} for name, chosen in _TASKS.items()}
    return {"seeds": seeds, **tasks, **{name: {**tasks[name], "n_pixels": n_pixels} for name in IMAGES}}


LEVELS: dict[str, dict[str, Any]] = {
    "quick": _level(2),
    "default": _level(10),
    "full": _level(10, n_pixels=16, n_train=1000, n_test=2000, steps=1000),
}


def experiment() -> Experiment:
    """Return the experiment."""
    return rows.on_images(
        name="near-term-classifier",
        title="Classification with Quantum Neural Networks on Near Term Processors (Farhi and Neven 2018)",
        arxiv="arXiv:1802.06002",
        claim=(
            "A circuit of gates exp(iθΣ) that reads one qubit learns to label strings of bits, as parity and majority "
            "of some of them, two digits of few pixels, superpositions of strings, and quantum states."
        ),
        tasks=(*STRINGS, "digits", STATES, "mnist"),
        needs_data=("mnist",),
        rows=tuple(_rows()),
        levels=LEVELS,
        published={QNN: {"mnist": "about 0.98, from memory"}},
        claims=(
            Claim("it learns parities, which are not linear", QNN, LOGISTIC, tasks=PARITIES),
            Claim("it learns majorities as well as a linear model", QNN, LOGISTIC, 0.01, tasks=MAJORITIES),
            Claim("two superpositions teach as much as all strings", SUPERPOSED, QNN, 0.05),
            Claim("layers of XX add to the first, which is diagonal", QNN, FIRST, tasks=IMAGES),
            Claim("a circuit is needed for what it computes on strings", QNN, PRODUCT),
            Claim("it tells the digits as well as a dense network of its size", QNN, DENSE, 0.01, tasks=IMAGES),
            Claim("it learns labels of states, which are not linear in the amplitudes", QNN, LOGISTIC, tasks=(STATES,)),
        ),
        verdict=verdict,
        check=check,
    )


def verdict(results: Results) -> list[str]:
    """Say how many images are left, and what is left of the claims."""
    return [_left(results, task) for task in results.tasks if task in IMAGES] + sentences(results)


def check(tasks: tuple[str, ...], settings: Any, folder: Path | None) -> None:
    """Raise ValueError where images are missing, before anything is run."""
    for task in tasks:
        bits.load(Case(task, 0, settings, "statevector", folder, lambda *_: None, None))


def _rows() -> Iterator[Row]:
    on_strings, on_bits = STRINGS[:2] + MAJORITIES, STRINGS + IMAGES
    network = near_term.trained
    circuit = partial(network, build=near_term.build)
    superposed = partial(circuit, load=bits.superpositions, superposed=True)
    logistic = partial(rows.logistic, load=bits.load)
    yield Row(QNN, "quantum", circuit)
    yield Row(SUPERPOSED, "quantum", superposed, tasks=on_strings)
    yield Row(FIRST, "control", partial(circuit, first_only=True), tasks=(*IMAGES, STATES))
    yield Row(FROZEN, "control", partial(circuit, frozen=True))
    yield Row(PRODUCT, "classical", partial(network, build=near_term.product), tasks=on_bits)
    yield Row(DENSE, "classical", partial(network, build=near_term.dense))
    yield Row(WIDE, "classical", partial(network, build=near_term.dense, width=32))
    yield Row(LOGISTIC, "trivial", logistic, seeded=False)
    yield Row(EQUATIONS, "trivial", near_term.equations, seeded=False, tasks=PARITIES)
    products = partial(logistic, prepare=near_term.products)
    yield Row(PRODUCTS, "trivial", products, seeded=False, tasks=(STATES,))


def _left(results: Results, task: str) -> str:
    chosen = results.records[0]["unit"]["settings"][task]
    _, y, counts = bits.images(task, results.plan.data, chosen)
    gone = counts["images"] - counts["kept"]
    return (
        f"On {task} {counts['images']} images of {bits.DIGITS[0]} and {bits.DIGITS[1]} are {len(y)} strings of "
        f"{chosen['n_pixels']} bits, and {counts['contradictory']} more that stand for both digits and are left out; "
        f"{gone} images go with them, so this is another task than telling the images apart."
    )
