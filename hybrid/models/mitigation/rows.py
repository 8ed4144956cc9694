"""The rows of experiments that extrapolate noise, all fitted to the same values.

A task is a Hamiltonian, how its eigensolver was trained, and how the energy was then measured at several strengths of
noise. None of them is zero: the noise-free value is only what the score is taken from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import backends
from backends import Estimate
from backends.base import bind
from backends.extrapolation import Strengths, exponential
from circuits import Observable
from hybrid.experiment import Case, Outcome
from hybrid.models.mitigation import vqe

Fit = Callable[..., Estimate]


class Task(NamedTuple):
    """What a task is: the Hamiltonian, how energies are measured, and whether the training was under noise too."""

    hamiltonian: str
    measured: str
    noisy: bool


#: Exact values and shots at several probabilities of depolarising noise; a fake device whose gates are repeated.
STRENGTHS = {
    f"{name}{'-noisy' * noisy}-{how}": Task(name, how, noisy)
    for name in vqe.HAMILTONIANS
    for noisy in (False, True)
    for how in ("exact", "shots")
}
FOLDED = {f"{name}-device": Task(name, "device", False) for name in vqe.HAMILTONIANS}
TASKS = {**STRENGTHS, **FOLDED}


class Values(NamedTuple):
    """Energies of one circuit at several strengths of noise, and without."""

    strengths: tuple[float, ...]
    energies: Tensor  # (n_strengths,)
    stderr: Tensor | None
    ideal: float


def check(tasks: tuple[str, ...], settings: Mapping[str, Any], data: Path | None) -> None:
    """Raise ImportError where a library is missing that tasks run on."""
    _ = backends.Aer
    if set(tasks) & set(FOLDED):
        _ = backends.IBM


def unmitigated(case: Case) -> Outcome:
    """Take the value at the weakest noise as it is."""
    return extrapolated(case, _weakest, 0)


def extrapolated(case: Case, fit: Fit, n_parameters: int, n_points: int | None = None, seeded: bool = False) -> Outcome:
    """Fit the values at the weakest strengths, or at all, and score the distance to the noise-free value.

    Parameters
    ----------
    case
        The task and the seed: of the eigensolver's first weights, of the shots, and of the fit where it has one.
    fit
        A function as in :mod:`backends.extrapolation`.
    n_parameters
        How many it has.
    n_points
        How many of the weakest strengths it is fitted to.
    seeded
        Whether it draws.
    """
    found, kept = values(case), slice(n_points)
    start = time.perf_counter()
    stderr = None if found.stderr is None else found.stderr[kept]
    value, error = fit(found.strengths[kept], found.energies[kept], stderr, **({"seed": case.seed} if seeded else {}))
    seconds = {"training": time.perf_counter() - start, "prediction": 0.0}
    n_weights = vqe.ansatz().n_weights
    extra = {
        "value": value.item(),
        "stderr": None if error is None else error.item(),
        "ideal": found.ideal,
        "strengths": list(found.strengths),
        "energies": found.energies.tolist(),
    }
    parameters = {"quantum": n_weights, "classical": n_parameters, "frozen": 0}
    return Outcome(abs(value.item() - found.ideal), parameters, seconds, extra)


def survival(strengths: Strengths, values: Tensor, stderr: Tensor | None) -> Estimate:
    """Return ``a`` of ``a (1 - p)^k``: depolarising noise of probability p, after k gates."""
    return exponential((-np.log1p(-np.array(strengths))).tolist(), values, stderr)


def values(case: Case) -> Values:
    """Return the energies of a task, measured once for all rows."""
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in case.settings.items()}
    return _values(TASKS[case.task], case.seed, tuple(options.items()))


@lru_cache(maxsize=256)
def _values(task: Task, seed: int, options: tuple[tuple[str, Any], ...]) -> Values:
    settings, energy = dict(options), vqe.hamiltonian(task.hamiltonian)
    weights = _weights(task.hamiltonian, task.noisy, seed, settings["steps"], settings["strengths"][0])
    ideal = backends.Statevector().expectation(vqe.ansatz(), None, weights, (energy,)).item()
    if task.measured == "device":
        return Values(settings["factors"], *_folded(energy, weights, seed, settings), ideal)
    shots = settings["shots"] if task.measured == "shots" else None
    return Values(settings["strengths"], *_swept(energy, weights, seed, settings["strengths"], shots), ideal)


@lru_cache(maxsize=256)
def _weights(name: str, noisy: bool, seed: int, steps: int, weakest: float) -> Tensor:
    backend = _depolarising(weakest) if noisy else backends.Statevector()
    return vqe.solve(vqe.hamiltonian(name), backend, seed, steps)


def _swept(
    energy: Observable, weights: Tensor, seed: int, strengths: tuple[float, ...], shots: int | None
) -> tuple[Tensor, Tensor | None]:
    """Return energies and standard errors at each probability, every one with shots of its own."""
    found, errors = [], []
    for k, strength in enumerate(strengths):
        backend = _depolarising(strength, shots, len(strengths) * seed + k)
        found.append(backend.expectation(vqe.ansatz(), None, weights, (energy,)))
        errors.append(backend.last_stderr)
    return torch.cat(found), None if shots is None else torch.cat(errors)


def _folded(
    energy: Observable, weights: Tensor, seed: int, settings: Mapping[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """Return energies and standard errors at each factor, errors of the readout mitigated by the device."""
    device = backends.IBM(settings["device"], shots=settings["shots"], seed=seed, resilience_level=1)
    angles, _ = bind(device, vqe.ansatz(), None, weights, (energy,))
    found = device.evaluate_folded(vqe.ansatz(), angles, (energy,), settings["factors"])
    values, errors = zip(*found, strict=True)
    return torch.cat(values)[:, 0], torch.cat(errors)[:, 0]


def _depolarising(probability: float, shots: int | None = None, seed: int | None = None) -> Any:
    """Return Aer with noise after every gate of two qubits, and a tenth of it after every gate of one."""
    noise = {"depolarizing": probability, "depolarizing_1q": probability / 10}
    return backends.Aer(noise=noise, shots=shots, seed=seed)


def _weakest(strengths: Strengths, values: Tensor, stderr: Tensor | None) -> Estimate:
    return Estimate(values[0], None if stderr is None else stderr[0])
