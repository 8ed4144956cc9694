"""Quantum transfer learning for MNIST (Sarkar, arXiv:2408.03351v2): autoencoder, PCA, a map of 5 qubits, dense head.

Rows that the paper lacks: the head on the 5 scores that the map encodes, on the pixels, the map without CXs and with
other Hadamards and angles, exact and with shots, a trained circuit with its controls, logistic regression. The paper's
widths, angles, shots and training are not known to us: those here are choices, the same for all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

from hybrid.claims import Claim, score, sentences
from hybrid.experiment import Experiment, Results, Row
from hybrid.models.classifiers import autoencoder_transfer as transfer
from hybrid.models.classifiers import rows

HYBRID, SHOTS = "hybrid", ("hybrid, 1,024 shots", "hybrid, 128 shots")
#: Other readings of the map: the paper says "a Hadamard gate", and angles in proportion to the features.
POSITIVE, ALL = "hybrid, angles from 0 to π", "hybrid, H on all qubits"
ALL_POSITIVE = f"{ALL}, angles from 0 to π"
SEPARABLE = "hybrid, CXs removed"
SCORES, LATENTS, PIXELS = "head on the 5 scores", "head on all latents", "head on the pixels"
TRAINED = "trained circuit"
FROZEN = f"{TRAINED}, frozen"

#: What is lost between an image and its class, in this order.
STEPS = (PIXELS, LATENTS, SCORES, HYBRID, *SHOTS)

_TRAINING: dict[str, Any] = {"lr": 1e-3, "n_layers": 3}

#: 784 pixels to 64 latents, and 64 to 16: digits have fewer images, and so more epochs of smaller batches.
_MNIST: dict[str, Any] = {
    **_TRAINING, "batch_size": 128, "epochs": 30, "head": [128, 64],
    "autoencoder": {"widths": [256, 128, 64], "lr": 1e-3, "batch_size": 256, "epochs": 20},
}  # fmt: skip
_DIGITS: dict[str, Any] = {
    **_TRAINING, "batch_size": 32, "epochs": 50, "head": [64, 32],
    "autoencoder": {"widths": [48, 32, 16], "lr": 3e-3, "batch_size": 32, "epochs": 50},
}  # fmt: skip

#: MNIST with fewer images: smaller batches, for about as many steps.
_FEWER = {**_MNIST, "batch_size": 64, "autoencoder": {**_MNIST["autoencoder"], "batch_size": 32}}

LEVELS: dict[str, dict[str, Any]] = {
    "quick": {
        "seeds": 2,
        "digits": {**_DIGITS, "epochs": 30},
        "mnist": {**_FEWER, "n_train": 2000, "n_test": 2000},
    },
    "default": {"seeds": 5, "digits": _DIGITS, "mnist": {**_FEWER, "n_train": 10000}},
    "full": {"seeds": 5, "digits": _DIGITS, "mnist": _MNIST},
}


def experiment() -> Experiment:
    """Return the experiment."""
    return rows.on_images(
        name="autoencoder-transfer",
        title="Quantum Transfer Learning for MNIST Classification (Sarkar 2024, second version 2025)",
        arxiv="arXiv:2408.03351",
        claim=(
            "Latents of an autoencoder, reduced to 5 by PCA and encoded into 5 qubits, give a dense network about 75 % "
            "on MNIST, where all latents give its classical counterpart about 98 %."
        ),
        rows=tuple(_rows()),
        levels=LEVELS,
        published={HYBRID: {"mnist": "about 0.75"}, LATENTS: {"mnist": "about 0.98"}},
        claims=(
            Claim("all latents are better than the map of 5 qubits", LATENTS, HYBRID),
            Claim("the 5 scores are better than the map, which makes 32 numbers of them", SCORES, HYBRID),
            Claim("entangling gates in the map help", HYBRID, SEPARABLE),
            Claim("training a circuit helps", TRAINED, FROZEN),
            Claim("a trained circuit is better than the 5 scores that it encodes", TRAINED, SCORES),
        ),
        verdict=verdict,
    )


def verdict(results: Results) -> list[str]:
    """Say at which step accuracy is lost, and what is left of the claims."""
    said = [sentence(results, task) for task in results.tasks for sentence in (_steps, _readings)]
    return said + sentences(results)


def _rows() -> Iterator[Row]:
    yield Row(HYBRID, "quantum", _mapped())
    for name, shots in zip(SHOTS, (1024, 128), strict=True):
        yield Row(name, "quantum", _mapped(shots=shots))
    yield Row(POSITIVE, "quantum", _mapped(low=0.0))
    yield Row(ALL, "quantum", _mapped(hadamard="all"))
    yield Row(ALL_POSITIVE, "quantum", _mapped(hadamard="all", low=0.0))
    yield Row(SEPARABLE, "control", _mapped(entangled=False))
    yield Row(SCORES, "control", partial(transfer.reduced, features=transfer.scores))
    trained = partial(transfer.reduced, features=transfer.angles, build=transfer.circuit_and_head)
    yield Row(TRAINED, "quantum", trained)
    yield Row(f"{TRAINED}, entanglers off", "control", partial(trained, control="separable"))
    yield Row(FROZEN, "control", partial(trained, control="frozen"))
    yield Row(f"{TRAINED}, linear layer for it", "control", partial(trained, control="linear"))
    yield Row(LATENTS, "classical", partial(transfer.reduced, features=transfer.latents))
    yield Row(PIXELS, "classical", partial(rows.trained, build=transfer.head))
    for name in ("latents", "scores"):
        features = getattr(transfer, name)
        yield Row(f"logistic regression, {name}", "trivial", partial(transfer.logistic, features=features))


def _mapped(**options: Any) -> partial[Any]:
    return partial(transfer.reduced, features=partial(transfer.probabilities, **options))


def _steps(results: Results, task: str) -> str:
    means = {row: _mean(results, task, row) for row in STEPS}
    steps = {row: means[row] - means[before] for before, row in pairwise(STEPS)}
    said = ", ".join(f"{row} {score(means[row])} ({change:+.3f})" for row, change in steps.items())
    worst = min(steps, key=lambda row: steps[row])
    return f"On {task}, step by step: {PIXELS} {score(means[PIXELS])}, {said}. The lowest step is that to: {worst}."


def _readings(results: Results, task: str) -> str:
    """Say what the map costs in each reading; what each reading cannot tell apart is a matter of trigonometry."""
    found = [score(_mean(results, task, row)) for row in (SCORES, HYBRID, POSITIVE, ALL, ALL_POSITIVE)]
    return (
        f"The map costs what its angles cannot tell apart. On {task} the 5 scores themselves give {found[0]}, the map "
        f"{found[1]} with H on one qubit and angles from -π/2 to π/2 (the signs of 4 scores are lost), {found[2]} with "
        f"angles from 0 to π (the sign of 1), {found[3]} with H on all qubits and angles from -π/2 to π/2 (none), "
        f"{found[4]} with both (of all 5)."
    )


def _mean(results: Results, task: str, row: str) -> float:
    return float(results.scores(task, row).mean())
