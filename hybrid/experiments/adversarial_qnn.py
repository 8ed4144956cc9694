"""Experimental quantum adversarial learning with superconducting qubits (Ren et al., arXiv:2204.01738).

Rows that the paper lacks: entanglers off, logistic regression and a network of as many parameters, all of them trained
plainly and against attacks; angles frozen; and noise of gates as a defence. Attacks that it lacks: FGSM and PGD on
every row as it is tested, noise and all, random signs of their size, and samples transferred from and to logistic
regression.

The paper trains the angles of one qubit at a time, here all are trained at once; how exactly it trains against attacks
is not known to us: here by half the loss of clean samples, half that of attacked ones.

Its quantum data are thermal and localized states: here those of an Aubry–André chain, whose parameters are choices.
They are attacked by small rotations of their qubits, radii in radians; classical rows take <Z> of every qubit of the
state, which needs no trained circuit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.claims import Claim, score, sentences
from hybrid.experiment import Experiment, Results, Row
from hybrid.models.classifiers import adversarial_qnn, adversarial_rows, rows

QNN, OFF, MLP, LINEAR = "QNN", "QNN, entanglers off", "MLP of as many parameters", "logistic regression"
FROZEN, CHAIN = f"{QNN}, angles frozen", "aubry-andre"
NOISY = {rate: f"QNN, {100 * rate:g} % noise" for rate in (0.01, 0.05)}

_TRAINING: dict[str, Any] = {"n_steps": 10, "lr": 0.05, "batch_size": 20, "epochs": 25}

#: Digits of 8 × 8 pixels take 5 qubits, images of 16 × 16, which are the paper's, 10. Radii of states are in radians.
_DIGITS: dict[str, Any] = {
    **_TRAINING, "data": "digits", "side": 8, "n_qubits": 5, "n_train": None, "n_test": None,
    "eps": [0.01, 0.02, 0.05], "harden": 0.02,
}  # fmt: skip
_STATES: dict[str, Any] = {
    **_TRAINING, "data": adversarial_rows.STATES, "n_qubits": 6, "n_train": 200, "n_test": 200,
    "eps": [0.1, 0.2, 0.4], "harden": 0.2,
}  # fmt: skip
_MNIST: dict[str, Any] = {
    **_DIGITS, "data": "mnist", "side": 16, "n_qubits": 10, "n_train": 500, "n_test": 100, "classes": [1, 9],
}  # fmt: skip
_TASKS: dict[str, dict[str, Any]] = {
    "digits-0-1": {**_DIGITS, "classes": [0, 1]},
    "digits-3-8": {**_DIGITS, "classes": [3, 8]},
    CHAIN: _STATES,
    "mnist-1-9": _MNIST,
    "mednist": {**_MNIST, "data": "mednist", "classes": [1, 4], "n_train": None, "n_test": None},  # 400 and 80
}
_LARGE = ("mnist-1-9", "mednist")  # 10 qubits
_ON_DIGITS = ("digits-0-1", "digits-3-8")
_OF_IMAGES = tuple(name for name in _TASKS if name != CHAIN)


def _level(seeds: int, epochs: int, changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    tasks = {name: {**each, "epochs": epochs, **changes.get(name, {})} for name, each in _TASKS.items()}
    return {"seeds": seeds, **tasks}


LEVELS = {
    "quick": _level(2, 8, {name: {"n_train": 200} for name in _LARGE}),
    "default": _level(5, 25, {name: {"n_train": 200, "epochs": 15} for name in _LARGE}),
    "full": _level(5, 25, {CHAIN: {"n_qubits": 8, "n_train": 500}}),
}


def experiment() -> Experiment:
    """Return the experiment."""
    return rows.on_images(
        name="adversarial-qnn",
        title="Experimental Quantum Adversarial Learning with Programmable Superconducting Qubits (Ren et al. 2022)",
        arxiv="arXiv:2204.01738",
        claim=(
            "A quantum classifier reaches test accuracies of up to 99 %, is deceived by small perturbations of its "
            "samples, and resists them after adversarial training."
        ),
        tasks=tuple(_TASKS),
        needs_data=("mnist-1-9", "mednist"),
        rows=tuple(_rows()),
        levels=LEVELS,
        published={QNN: {"mednist": "0.99"}},
        claims=tuple(_claims()),
        verdict=verdict,
        files=_files,
        check=adversarial_rows.check,
        also=adversarial_rows.ALSO,
    )


def _files(task: str, folder: Path | None) -> list[Path]:
    return rows.files(_TASKS[task]["data"], folder)


def hardened(row: str) -> str:
    """Return the name of a row that is trained against attacks."""
    return f"{row}, hardened"


def _rows() -> Iterator[Row]:
    qnn = partial(adversarial_rows.trained, build=adversarial_qnn.qnn)
    yield from _both(QNN, "quantum", qnn)
    for rate, name in NOISY.items():
        yield Row(name, "quantum", partial(qnn, noise=rate), tasks=_ON_DIGITS)  # 10 qubits are 4**10 numbers a gate
    yield Row(FROZEN, "control", partial(adversarial_rows.trained, build=adversarial_qnn.frozen))
    yield from _both(OFF, "control", partial(adversarial_rows.trained, build=adversarial_qnn.separable))
    yield from _both(MLP, "classical", partial(adversarial_rows.trained, build=adversarial_qnn.mlp))
    yield from _both(LINEAR, "trivial", partial(adversarial_rows.trained, build=adversarial_qnn.linear))


def _both(name: str, kind: str, run: Any) -> Iterator[Row]:
    yield Row(name, kind, run)
    yield Row(hardened(name), kind, partial(run, hardened=True))


def _claims() -> Iterator[Claim]:
    yield Claim("as accurate as a linear model of as many parameters", QNN, LINEAR, 0.01, tasks=_OF_IMAGES)
    yield Claim("as accurate as a linear model of what is measured without it", QNN, LINEAR, 0.01, tasks=(CHAIN,))
    yield Claim("adversarial training restores what deceived it before", hardened(QNN), QNN, of="from_plain")
    yield Claim("adversarial training makes it more robust, attacked anew", hardened(QNN), QNN, of="pgd")
    yield Claim("the same for logistic regression", hardened(LINEAR), LINEAR, of="pgd")
    yield Claim("noise makes it more robust", NOISY[0.01], QNN, tasks=_ON_DIGITS, of="pgd")
    yield Claim("more of it does", NOISY[0.05], QNN, tasks=_ON_DIGITS, of="pgd")
    yield Claim("plain, it is more robust than logistic regression", QNN, LINEAR, of="pgd")
    yield Claim("hardened, it is more robust than logistic regression", hardened(QNN), hardened(LINEAR), of="pgd")


# --- verdict -------------------------------------------------------------------------------------------------------


def verdict(results: Results) -> list[str]:
    """Say what attacks cost, what hardening and noise restore, and what the circuit contributes, attacked or not."""
    tables = [say(results, task) for task in results.tasks for say in (_deceived, _by_radius, _transferred)]
    return [*tables, *_constant(results), *_of_claims(results), *_contributions(results)]


def _of_claims(results: Results) -> list[str]:
    rows = tuple(replace(row, kind="control") for row in results.experiment.rows)  # none of them contributes anything
    return sentences(_changed(results, rows=rows))


def _contributions(results: Results) -> list[str]:
    """Compare rows trained plainly with such, hardened ones with hardened ones; noise is no row of its own here."""
    rows = [row for row in results.experiment.rows if row.name not in NOISY.values()]
    alike = [tuple(row for row in rows if (hardened("") in row.name) == each) for each in (False, True)]
    attacked = Results(results.plan, tuple({**each, "score": each["extra"]["pgd"]} for each in results.records))
    return [
        f"{when}: {sentence}"
        for when, found in (("Clean", results), ("Under PGD", attacked))
        for each in alike
        for sentence in sentences(_changed(found, rows=each, claims=()))
    ]


def _changed(results: Results, **changes: Any) -> Results:
    return replace(results, plan=replace(results.plan, experiment=replace(results.experiment, **changes)))


def _deceived(results: Results, task: str) -> str:
    """Say how much PGD takes, beside random signs of its size, which show how small that is."""
    said, radius = [], _settings(results, task)["harden"]
    for row in (QNN, LINEAR):
        clean, random, pgd = (results.scores(task, row, of).mean() for of in (None, "random", "pgd"))
        lost = f"{100 * (clean - pgd):.1f} points ({score(clean)} to {score(pgd)}; random signs"
        said.append(f"{row} on {task} {lost} {100 * (clean - random):.1f})")
    return f"PGD of {radius:g}, in {'radians' if task == CHAIN else 'units of x̂'}, costs {' and '.join(said)}."


def _by_radius(results: Results, task: str) -> str:
    radii = ", ".join(f"{each:g}" for each in (0, *_settings(results, task)["eps"]))
    rows = {
        row.name: np.mean([record["extra"]["curves"]["pgd"] for record in results.of(task, row.name)], axis=0)
        for row in results.rows(task)
    }
    return f"Accuracy on {task} under PGD of {radii}: {_listed(rows)}."


def _transferred(results: Results, task: str) -> str:
    figures = ("from_linear", "to_linear")
    rows = {row.name: [results.scores(task, row.name, of).mean() for of in figures] for row in results.rows(task)}
    what = "of a row on samples that PGD made on logistic regression / of that on samples made on the row"
    return f"Accuracy on {task} {what}: {_listed(rows)}."


def _constant(results: Results) -> Iterator[str]:
    found = zip(results.plan.units, results.records, strict=True)
    named = [trial.label for trial, record in found if record["extra"]["constant"]]
    if named:
        yield f"One class is predicted for every sample, which is no robustness: {'; '.join(named)}."


def _settings(results: Results, task: str) -> Any:
    return results.records[0]["unit"]["settings"][task]


def _listed(rows: Mapping[str, Sequence[float] | np.ndarray]) -> str:
    return "; ".join(f"{name} {' / '.join(f'{each:.2f}' for each in means)}" for name, means in rows.items())
