"""Shots: bases to measure in, readouts and standard errors from outcomes, and seeds of the calls of a run.

Words that agree letter by letter are read from the same shots. So the terms of a sum are correlated, and its standard
error comes from the sum's own value at every shot, not from the errors of its words.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from circuits import Observable, Probabilities
from circuits.observables import Readout, Word

Terms = tuple[tuple[Word, float], ...]


class Samples(NamedTuple):
    """Outcomes of shots in one basis, each with the row it belongs to and how often it came."""

    rows: np.ndarray  # (outcomes,)
    counts: np.ndarray  # (outcomes,)
    bits: np.ndarray  # (outcomes, n_measured), 0 or 1, in the order of the basis


class Seeds:
    """Seeds for the calls of a run: fresh at every call, the same again in every run of the same seed.

    Copies start anew: with the run's first seed, or without a seed with others.

    Parameters
    ----------
    seed : int, optional
        Of the run, >= 0; drawn from the system if not given.

    Attributes
    ----------
    calls : int
        How many seeds were given; set it to that of a checkpoint to go on from there.

    Raises
    ------
    ValueError
        If the seed is not an integer >= 0.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise ValueError(f"got seed={seed!r}, expected an integer >= 0, or None for a new one in every run")
        self.seed = seed
        self._run = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        self.calls = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """Return the seed of the next call, 0 <= seed < 2**63."""
        with self._lock:
            sequence = np.random.SeedSequence([self._run, self.calls])
            self.calls += 1
        return int(sequence.generate_state(1, np.uint64)[0] >> 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return Seeds, (self.seed,)


def checked_shots(shots: Any) -> int | None:
    """Return a number of shots, None for exact values; raise ValueError if it is neither."""
    if shots is None:
        return None
    if isinstance(shots, bool) or not isinstance(shots, int | np.integer) or shots < 1:
        raise ValueError(f"got shots={shots!r}, expected a positive integer, or None for exact values")
    return int(shots)


@lru_cache(maxsize=1024)
def bases(readout: Readout) -> tuple[Word, ...]:
    """Return the bases to measure in, the letter of each measured qubit; every word agrees with one of them.

    Words go, longest first, to the first basis they fit: few bases, though not always the fewest.
    """
    if isinstance(readout, Probabilities):
        return (tuple((qubit, "Z") for qubit in readout.qubits),)
    found: list[dict[int, str]] = []
    for word in sorted(words(readout), key=lambda word: (-len(word), word)):
        home = next((basis for basis in found if all(basis.get(q, letter) == letter for q, letter in word)), None)
        if home is None:
            found.append(home := {})
        home.update(word)
    return tuple(tuple(sorted(basis.items())) for basis in found)


@lru_cache(maxsize=1024)
def words(observables: tuple[Observable, ...]) -> tuple[Word, ...]:
    """Return the words of all observables, each once, without the identity, which needs no measurement."""
    return tuple(sorted({word for observable in observables for word, _ in observable.terms if word}))


def constants(readout: Readout) -> np.ndarray:
    """Return the part of each readout that needs no measurement, (n_readouts,)."""
    if isinstance(readout, Probabilities):
        return np.zeros(len(readout))
    return np.array([dict(observable.terms).get((), 0.0) for observable in readout])


def taken(bits: np.ndarray) -> Samples:
    """Return the outcomes of every shot, (rows, shots, n_measured), as samples."""
    n_rows, shots, n_measured = bits.shape
    rows = np.repeat(np.arange(n_rows), shots)
    return Samples(rows, np.ones(n_rows * shots, dtype=int), bits.reshape(-1, n_measured))


def drawn(probabilities: np.ndarray, shots: int, rng: np.random.Generator) -> Samples:
    """Return outcomes drawn from their probabilities, (rows, 2**n_measured), the first qubit as the leading bit."""
    positive = probabilities.clip(0.0)  # rounding may leave -1e-17
    counts = rng.multinomial(shots, positive / positive.sum(1, keepdims=True))
    rows, outcomes = np.nonzero(counts)
    n_measured = probabilities.shape[1].bit_length() - 1
    bits = (outcomes[:, None] >> np.arange(n_measured)[::-1]) & 1
    return Samples(rows, counts[rows, outcomes], bits)


def estimate(readout: Readout, samples: Sequence[Samples], n_rows: int, shots: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values and standard errors, float64 (n_rows, n_readouts), from shots in each of the readout's bases.

    The standard error is the spread of the readout over the shots, divided by the square root of their number, bases
    added in squares. It is itself an estimate: 0 where all shots agree, and NaN from one shot.

    Parameters
    ----------
    readout : tuple of Observable, or Probabilities
    samples : sequence of Samples
        One for each of ``bases(readout)``.
    n_rows, shots : int
        Shots are per row and basis.
    """
    if isinstance(readout, Probabilities):
        return _frequencies(samples[0], n_rows, shots)
    values, variances = np.tile(constants(readout), (n_rows, 1)), np.zeros((n_rows, len(readout)))
    for (basis, each), sample in zip(_terms(readout), samples, strict=True):
        for k, terms in enumerate(each):
            read = _read(terms, basis, sample.bits)
            mean = _summed(sample, read, n_rows) / shots
            values[:, k] += mean
            variances[:, k] += _variance(_summed(sample, (read - mean[sample.rows]) ** 2, n_rows), shots)
    return values, np.sqrt(variances)


def expected(readout: Readout, probabilities: Sequence[np.ndarray], n_rows: int) -> np.ndarray:
    """Return the limit of many shots, (n_rows, n_readouts).

    Parameters
    ----------
    readout : tuple of Observable, or Probabilities
    probabilities : sequence of array, (n_rows, 2**n_measured)
        Of the outcomes in each of ``bases(readout)``, the first qubit of a basis as the leading bit.
    n_rows : int
    """
    if isinstance(readout, Probabilities):
        return probabilities[0]
    values = np.tile(constants(readout), (n_rows, 1))
    for (basis, each), found in zip(_terms(readout), probabilities, strict=True):
        bits = np.array(list(np.ndindex(*(2,) * len(basis))))
        values = values + found @ np.stack([_read(terms, basis, bits) for terms in each], axis=1)
    return values


def _frequencies(sample: Samples, n_rows: int, shots: int) -> tuple[np.ndarray, np.ndarray]:
    n_measured = sample.bits.shape[1]
    outcomes = sample.bits @ (1 << np.arange(n_measured)[::-1])
    found = np.zeros((n_rows, 2**n_measured))
    np.add.at(found, (sample.rows, outcomes), sample.counts)
    values = found / shots
    return values, np.sqrt(_variance(found * (1 - values), shots))


def _variance(squares: np.ndarray, shots: int) -> np.ndarray:
    """Return the variance of a mean, from the sum of squared deviations."""
    return squares / (shots * (shots - 1)) if shots > 1 else np.full_like(squares, np.nan)


def _summed(sample: Samples, read: np.ndarray, n_rows: int) -> np.ndarray:
    return np.bincount(sample.rows, sample.counts * read, n_rows)


@lru_cache(maxsize=1024)
def _terms(readout: tuple[Observable, ...]) -> tuple[tuple[Word, tuple[Terms, ...]], ...]:
    """Return, for each basis, the terms of every observable that are read in it: the first basis that has the word."""
    letters = {basis: frozenset(basis) for basis in bases(readout)}
    home = {word: next(b for b in letters if letters[b].issuperset(word)) for word in words(readout)}
    return tuple(
        (basis, tuple(tuple(term for term in o.terms if home.get(term[0]) == basis) for o in readout))
        for basis in letters
    )


def _read(terms: Terms, basis: Word, bits: np.ndarray) -> np.ndarray:
    """Return the sum of the terms at every outcome, (outcomes,)."""
    column = {qubit: k for k, (qubit, _) in enumerate(basis)}
    total = np.zeros(len(bits))
    for word, coefficient in terms:
        parity = np.bitwise_xor.reduce(bits[:, [column[qubit] for qubit, _ in word]], axis=1)
        total += coefficient * (1.0 - 2.0 * parity)
    return total
