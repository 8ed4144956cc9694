"""Strings of bits and quantum states with labels, for classifiers of a readout qubit (arXiv:1802.06002).

A task has one data set whatever the seed. Images are sampled down to 4 × 4 pixels and thresholded, and a string of bits
is kept, once, if all images that it stands for have one label: how many are left is counted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from circuits.gates import pauli_matrix
from hybrid import data
from hybrid.data import Split
from hybrid.experiment import Case
from hybrid.models.classifiers import rows

Labelled = tuple[np.ndarray, np.ndarray]  # samples (n, width), classes (n,)

DIGITS = (3, 6)
SIDE = 4
TEST_SHARE = 0.5  # and no string is in both parts

#: Real words of a random two-local Hamiltonian.
SINGLE, PAIRED = ("X", "Z"), ("XX", "YY", "ZZ", "XZ", "ZX")


def load(case: Case) -> Split:
    """Return train and test part of a task: bits or real amplitudes, float32 (n, width), classes 0 or 1.

    The settings of the task name ``kind``: ``parity`` or ``majority`` of about half of ``n_bits`` bits, ``states`` of
    ``n_bits`` qubits, or ``images`` with ``n_pixels``; and ``n_train`` and ``n_test``, the most that are kept.
    """
    chosen = case.settings[case.task]
    X, y = images(case.task, case.data, chosen)[:2] if chosen["kind"] == "images" else _made(chosen)
    parts = data.split(data.from_arrays(X.astype(np.float32), y, name=case.task), 0, TEST_SHARE)
    n, n_test = chosen["n_train"], chosen["n_test"]
    return parts._replace(X=parts.X[:n], y=parts.y[:n], X_test=parts.X_test[:n_test], y_test=parts.y_test[:n_test])


def superpositions(case: Case) -> Split:
    """Return two samples, the even superposition of all train strings of each class, and the test strings as states.

    The paper allows phases; these have none.
    """
    parts = load(case)
    states = [_as_states(parts.X[parts.y == label]).sum(0) for label in (0, 1)]
    X = np.stack([state / np.linalg.norm(state) for state in states]).astype(np.float32)
    return parts._replace(X=X, y=np.array([0, 1]), X_test=_as_states(parts.X_test))


def images(task: str, folder: Path | None, chosen: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return distinct strings of bits of two digits, their classes, and how many images there were and they stand for.

    Pixels are divided by the brightest and compared with a half; of 16 the most variable ones are kept, the same for
    all rows. A string that images of both digits have is left out.
    """
    X, y = _all_images(task, folder)
    kept = np.isin(y, DIGITS)
    strings, which = np.unique(_thresholded(X[kept], chosen["n_pixels"]), axis=0, return_inverse=True)
    n_all, n_second = (np.bincount(which.ravel(), of, len(strings)) for of in (None, y[kept] == DIGITS[1]))
    clear = (n_second == 0) | (n_second == n_all)
    counts = {"images": n_all.sum(), "kept": n_all[clear].sum(), "contradictory": (~clear).sum()}
    return strings[clear], (n_second > 0)[clear].astype(int), {name: int(count) for name, count in counts.items()}


def _all_images(task: str, folder: Path | None) -> Labelled:
    found = rows.loaded(task, folder)
    if found.X_test is None or found.y_test is None:
        return found.X, found.y
    return np.concatenate([found.X, found.X_test]), np.concatenate([found.y, found.y_test])


def _thresholded(X: np.ndarray, n_pixels: int) -> np.ndarray:
    """Interpolate between the nearest pixels, as arXiv:1802.06002's re-implementation in TensorFlow Quantum."""
    side = math.isqrt(X.shape[1])
    small = F.interpolate(torch.as_tensor(X / X.max()).reshape(-1, 1, side, side), size=SIDE, mode="bilinear")
    bits: np.ndarray = (small.flatten(1) > 0.5).numpy()
    return bits[:, np.sort(np.argsort(-bits.var(0), kind="stable")[:n_pixels])]


def _made(chosen: Mapping[str, Any]) -> Labelled:
    if chosen["kind"] == "states":
        return _states(chosen["n_bits"], 2 * (chosen["n_train"] + chosen["n_test"]))
    return _strings(chosen["kind"], chosen["n_bits"])


@lru_cache(maxsize=1)  # rows of one task follow each other
def _strings(kind: str, n: int) -> Labelled:
    """Return all strings of n bits, with the parity, or the majority, of a random half of them, an odd one of that."""
    strings = np.array(list(itertools.product((0, 1), repeat=n)))
    size = n // 2 if kind == "parity" else n // 2 | 1
    ones = strings[:, np.random.default_rng(n).permutation(n)[:size]].sum(1)
    return strings, ones % 2 if kind == "parity" else (2 * ones > size).astype(int)


def _states(n: int, n_samples: int) -> Labelled:
    """Return random real states, with the sign of the energy of a random two-local Hamiltonian: our choice of one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 2**n))
    X /= np.linalg.norm(X, axis=1)[:, None]
    energies = np.einsum("si,ij,sj->s", X, _hamiltonian(n, rng), X)
    return X, (energies < 0).astype(int)


def _hamiltonian(n: int, rng: np.random.Generator) -> np.ndarray:
    words = [_word(n, dict(zip(places, letters, strict=True))) for size, all_ in ((1, SINGLE), (2, PAIRED))
             for places in itertools.combinations(range(n), size) for letters in all_]  # fmt: skip
    found: np.ndarray = reduce(np.add, (rng.normal() * pauli_matrix(word).real for word in words))
    return found


def _word(n: int, letters: Mapping[int, str]) -> str:
    return "".join(letters.get(q, "I") for q in range(n))


def _as_states(strings: np.ndarray) -> np.ndarray:
    """Return strings of bits as amplitudes, the first bit leading."""
    n = strings.shape[1]
    return np.eye(2**n, dtype=np.float32)[(strings.astype(int) << np.arange(n)[::-1]).sum(1)]
