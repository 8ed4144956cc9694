"""Tasks of letters: three that are made, and proteins of the cell membrane against those of the cytoplasm.

- ``composition``: each class draws its letters from frequencies of its own; their order says nothing.
- ``order``: eight letters of a set of four stand in a row, or scattered; how many of each letter says nothing.
- ``before``: four letters of one set stand before four of another, or after them; pairs of letters say nothing either.
- ``deeploc``: the first residues of proteins; train and test part of DeepLoc (Almagro Armenteros et al., Bioinformatics
  2017), as divided by Stärk et al. (Bioinformatics Advances 2021), whose harder test part is ``deeploc-hard``.

A task has the same data whatever the seed.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid.data import Split
from hybrid.experiment import Case

ALPHABET = "ACDEFGHIKLMNPQRSTVWY"
PADDING = len(ALPHABET)  # the letter at the end of a short sequence, and for all residues that are none of the twenty
N_LETTERS = len(ALPHABET) + 1

FILE = "protein-localisation/deeploc_subset.csv.gz"
DATA = f"a folder with {FILE}, columns split (train, test, hard), location and sequence"
LOCATIONS = ("Cytoplasm", "Cell.membrane")

#: The part of the file that a task is tested on.
PROTEINS = {"deeploc": "test", "deeploc-hard": "hard"}

#: How far the frequencies of two classes are apart, as a standard deviation of their logarithms.
SPREAD = 0.15
RUN = 8

Labelled = tuple[np.ndarray, np.ndarray]  # letters (n, length), classes (n,)


class Protein(NamedTuple):
    """One line of the file."""

    part: str
    label: int
    sequence: str


def load(case: Case) -> Split:
    """Return train and test part, letters int64 (n, length), classes int64 (n,) 0 or 1.

    The settings of the task name ``length``; of a task that is made also ``n_train`` and ``n_test``.

    Raises
    ------
    ValueError
        If a file is missing or wrong.
    """
    chosen = case.settings[case.task]
    if case.task in PROTEINS:
        return _parts(case, lambda each: numbered(each.sequence, chosen["length"]))
    n, rng = chosen["n_train"], np.random.default_rng(0)
    y = rng.permutation(np.arange(n + chosen["n_test"]) % 2)
    X = MADE[case.task](rng, y, chosen["length"])
    return Split(X[:n], y[:n], X[n:], y[n:], False)


def whole(case: Case) -> Split:
    """Return the composition of whole proteins, shares of the twenty letters, float64 (n, 20)."""
    return _parts(case, lambda each: np.array([each.sequence.count(a) for a in ALPHABET]) / len(each.sequence))


def files(task: str, folder: Path | None) -> list[Path]:
    """Return the file of a task in a data folder, or none."""
    if task not in PROTEINS or folder is None:
        return []
    return [place for place in (folder, folder / FILE, folder / Path(FILE).name) if place.is_file()][:1]


def check(tasks: tuple[str, ...], settings: Mapping[str, Any], folder: Path | None) -> None:
    """Raise ValueError where proteins are missing, before anything is run."""
    for task in tasks:
        load(Case(task, 0, settings, "statevector", folder, lambda *_: None, None))


def numbered(sequence: str, length: int) -> np.ndarray:
    """Return the first letters of a sequence as numbers, int64 (length,)."""
    known = [ALPHABET.find(letter) % N_LETTERS for letter in sequence[:length]]  # -1, not found, is padding
    return np.array(known + [PADDING] * (length - len(known)))


def counts(letters: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Return how often each letter is in a sequence, float32 (n, 21)."""
    return F.one_hot(letters, N_LETTERS).sum(1).float()


def pairs(letters: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Return how often each letter follows each letter in a sequence, float32 (n, 441)."""
    found = N_LETTERS * letters[:, :-1] + letters[:, 1:]
    ones = torch.ones(found.shape)
    return torch.zeros(len(found), N_LETTERS**2).scatter_add_(1, found, ones)


def related(task: str, folder: Path | None, size: int = 5, share: float = 0.1) -> tuple[int, int]:
    """Return how many test proteins share more than so much of their words of some letters with one train protein.

    Returns
    -------
    tuple of int
        How many do, and how many test proteins there are.
    """
    known: dict[str, list[int]] = {}
    for i, each in enumerate(_of("train", task, folder)):
        for word in _words(each.sequence, size):
            known.setdefault(word, []).append(i)
    test = [_words(each.sequence, size) for each in _of(PROTEINS[task], task, folder)]
    most = [Counter(i for word in words for i in known.get(word, ())).most_common(1) for words in test]
    alike = [bool(found) and found[0][1] > share * len(words) for found, words in zip(most, test, strict=True)]
    return sum(alike), len(alike)


def _composition(rng: np.random.Generator, y: np.ndarray, length: int) -> np.ndarray:
    logs = SPREAD * rng.normal(size=len(ALPHABET))
    frequencies = np.exp([logs, -logs])
    frequencies /= frequencies.sum(1, keepdims=True)
    return np.array([rng.choice(len(ALPHABET), length, p=frequencies[label]) for label in y])


def _order(rng: np.random.Generator, y: np.ndarray, length: int) -> np.ndarray:
    X = rng.integers(4, len(ALPHABET), (len(y), length))
    for letters, label in zip(X, y, strict=True):
        row = rng.integers(length - RUN + 1) + np.arange(RUN)
        places = row if label else rng.choice(length, RUN, replace=False)
        letters[places] = rng.integers(0, 4, RUN)
    return X


def _before(rng: np.random.Generator, y: np.ndarray, length: int) -> np.ndarray:
    X, half = rng.integers(4, len(ALPHABET), (len(y), length)), RUN // 2
    for letters, label in zip(X, y, strict=True):
        # Two places that leave a letter between the runs, so that no pair of letters spans both.
        first, second = np.sort(rng.choice(length - RUN, 2, replace=False)) + np.array([0, half])
        for start, low in ((first, 2 * label), (second, 2 - 2 * label)):
            letters[start : start + half] = rng.integers(low, low + 2, half)
    return X


MADE: dict[str, Callable[[np.random.Generator, np.ndarray, int], np.ndarray]] = {
    "composition": _composition, "order": _order, "before": _before,
}  # fmt: skip


def _parts(case: Case, of: Callable[[Protein], np.ndarray]) -> Split:
    """Return something of each protein, train part and test part of a task."""
    train, test = (_of(part, case.task, case.data) for part in ("train", PROTEINS[case.task]))
    X, X_test = (np.array([of(each) for each in part]) for part in (train, test))
    y, y_test = (np.array([each.label for each in part]) for part in (train, test))
    return Split(X, y, X_test, y_test, False)


def _of(part: str, task: str, folder: Path | None) -> list[Protein]:
    places = files(task, folder)
    if not places:
        raise ValueError(f"got the task {task} without proteins, expected {DATA}: name it with --data")
    return [each for each in _read(places[0]) if each.part == part]


@lru_cache(maxsize=1)
def _read(file: Path) -> tuple[Protein, ...]:
    """Return the proteins of both locations."""
    try:
        with gzip.open(file, "rt") as stream:
            return tuple(_of_two(csv.DictReader(stream)))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise ValueError(f"{file} cannot be read ({error}), expected {DATA}: get it again") from error


def _of_two(lines: Iterable[Mapping[str, str]]) -> Iterable[Protein]:
    for line in lines:
        if line["location"] in LOCATIONS:
            yield Protein(line["split"], LOCATIONS.index(line["location"]), line["sequence"])


def _words(sequence: str, size: int) -> set[str]:
    return {sequence[i : i + size] for i in range(len(sequence) - size + 1)}
