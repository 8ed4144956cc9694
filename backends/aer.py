"""Circuits on Qiskit Aer: exact values, noise, and shots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from torch import Tensor

from backends.aer_circuits import Prepared, favours_product_state, measuring, saving_probabilities, saving_words
from backends.base import Capabilities, Estimate, EvaluatingBackend
from backends.gradients import Gradient, as_gradient
from backends.noise import as_noise
from backends.shots import Samples, Seeds, bases, checked_shots, constants, drawn, estimate, expected, words
from circuits import Circuit, Observable, Probabilities
from circuits.observables import Readout

#: Method -> most qubits.
MOST_QUBITS = {"automatic": 100, "statevector": 28, "density_matrix": 14, "matrix_product_state": 100}
_LIMITS = {
    "statevector": "a state vector takes 16 * 2**n bytes, 4.3 GB for 28 qubits",
    "density_matrix": "a density matrix takes 16 * 4**n bytes, 4.3 GB for 14 qubits",
}

#: Outcomes, or as many as shots, up to which shots are drawn from the probabilities of all outcomes.
MOST_OUTCOMES = 1024


class Aer(EvaluatingBackend):
    """Run circuits on Aer; all rows of a call, and all bases they are measured in, are one run.

    Exact values have no error but rounding: without noise from a state vector, or a matrix product state where that is
    cheaper; with noise from a density matrix. They are the limit of many shots, so errors of readout are in them, and
    the gates that turn the measured qubits into their basis are as noisy as others.

    Shots are samples: outcomes drawn from the probabilities of all outcomes where a state vector or a density matrix
    has them and they are few, else drawn by Aer one by one.

    Parameters
    ----------
    method : {"automatic", "statevector", "density_matrix", "matrix_product_state"}
        How Aer simulates. ``"automatic"`` takes, with noise, the density matrix for exact values, and for shots below
        8 qubits or where its 2**n rows are no more than the shots; without noise the matrix product state where
        :func:`backends.aer_circuits.favours_product_state`; else the state vector.
    shots : int, optional
        For each row and each basis; exact if not given. Words that agree letter by letter share one basis.
    noise : NoiseModel, str or dict, optional
        A noise model of Aer, qubit by qubit as it is; a device, ``"manila"``, whose qubits and couplings circuits are
        then fitted to; or ``{"depolarizing": 0.01, "readout": 0.02}``, in short ``"depolarizing:0.01+readout:0.02"``.
        See :func:`backends.noise.as_noise`.
    seed : int, optional
        Of the run: two backends with one seed give the same numbers, call by call. Copies start anew.
    diff_method : {"parameter-shift", "best", "finite-diff", "spsa"} or Gradient, optional
        Parameter shift, exact to any order, if not given.

    Raises
    ------
    TypeError
        If ``noise`` is of another kind.
    ValueError
        If a method, a name or a number is not valid, or the method cannot do what is asked for.
    """

    def __init__(
        self,
        method: str = "automatic",
        shots: int | None = None,
        noise: Any = None,
        seed: int | None = None,
        diff_method: str | Gradient | None = None,
    ) -> None:
        self.seeds = Seeds(seed)
        super().__init__(as_gradient(diff_method, seed))
        self.shots = checked_shots(shots)
        self.noise = noise
        self._noise = as_noise(noise)
        self.method = _checked_method(method, self.shots, noise)

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        method = "density_matrix" if self._noise and self.shots is None else self.method
        most, width = MOST_QUBITS[method], getattr(self._noise and self._noise.device, "num_qubits", 1000)
        limit = f"the device {self.noise!r} has no more" if width <= most else _LIMITS.get(method, "")
        return Capabilities(self.gradient.name, self.shots is None, min(most, width), ("cpu", "cuda"), limit=limit)

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Estimate:
        """Return the readouts of every row; see :class:`backends.EvaluatingBackend`."""
        return self._evaluated(circuit, angles.numpy(), observables, 1)

    def check_folding(self) -> None:
        """Raise ValueError if there is no noise to scale; see :class:`backends.zne.NoiseScaling`."""
        if self._noise is None:
            raise ValueError("got Aer without noise, expected noise to extrapolate: Aer(noise='manila'), or Aer alone")

    def evaluate_folded(
        self, circuit: Circuit, angles: Tensor, observables: Readout, factors: Sequence[int]
    ) -> list[Estimate]:
        """Return the readouts of every row at each factor; see :class:`backends.zne.NoiseScaling`."""
        return [self._evaluated(circuit, angles.numpy(), observables, factor) for factor in factors]

    def _evaluated(self, circuit: Circuit, rows: np.ndarray, readout: Readout, factor: int) -> Estimate:
        """Return the readouts of every row, entangling gates repeated by a factor."""
        if self.shots is not None:
            return Estimate(*map(torch.from_numpy, self._sampled(circuit, rows, readout, self.shots, factor)))
        if self._noise is None:
            return Estimate(torch.from_numpy(self._ideal(circuit, rows, readout)))
        return Estimate(torch.from_numpy(self._noisy(circuit, rows, readout, factor)))

    def _ideal(self, circuit: Circuit, rows: np.ndarray, readout: Readout) -> np.ndarray:
        """Return exact values of a state."""
        if isinstance(readout, Probabilities):
            return self._probabilities(circuit, rows, readout)[0]
        saved = words(readout)
        found = self._run(saving_words(circuit, saved), rows, 1)
        values = [[getattr(data, str(k)) for k in range(len(saved))] for each in found for data in each]
        return np.array(values).reshape(len(rows), -1) @ _coefficients(readout) + constants(readout)

    def _noisy(self, circuit: Circuit, rows: np.ndarray, readout: Readout, factor: int) -> np.ndarray:
        """Return the limit of many shots, from the probabilities of all outcomes."""
        return expected(readout, self._probabilities(circuit, rows, readout, factor), len(rows))

    def _probabilities(self, circuit: Circuit, rows: np.ndarray, readout: Readout, factor: int = 1) -> list[np.ndarray]:
        """Return the probabilities of what is read, (rows, 2**n_measured), in every basis."""
        prepared = saving_probabilities(circuit, bases(readout), self._noise, factor)
        found = [np.array([data.probabilities for data in each]) for each in self._run(prepared, rows, 1)]
        if self._noise is None:
            return found
        return [self._noise.misread(each, qubits) for each, qubits in zip(found, prepared.places, strict=True)]

    def _sampled(
        self, circuit: Circuit, rows: np.ndarray, readout: Readout, shots: int, factor: int
    ) -> tuple[np.ndarray, ...]:
        """Return values and standard errors."""
        prepared, seed = measuring(circuit, bases(readout), self._noise, factor), self.seeds.next()
        if self._has_all_outcomes(prepared, shots):
            rng = np.random.default_rng(seed)
            samples = [drawn(each, shots, rng) for each in self._probabilities(circuit, rows, readout, factor)]
        else:
            found = self._run(prepared, rows, shots, seed)
            samples = [_samples(each, len(places)) for each, places in zip(found, prepared.places, strict=True)]
        return estimate(readout, samples, len(rows), shots)

    def _has_all_outcomes(self, prepared: Prepared, shots: int) -> bool:
        """Whether shots are drawn from all outcomes: the method gives their probabilities, and they are not many."""
        method = self._method(prepared)
        exact = method == "density_matrix" or (method == "statevector" and not self._noise)
        return exact and 2 ** max(map(len, prepared.places), default=0) <= max(shots, MOST_OUTCOMES)

    def _run(self, prepared: Prepared, rows: np.ndarray, shots: int, seed: int = 0) -> list[list[Any]]:
        """Return Aer's data of every circuit and row, from one run."""
        if not prepared.circuits:
            return []
        circuits, binds = zip(*prepared.bound(rows), strict=True)
        method, threads = self._method(prepared), torch.get_num_threads()
        _check_size(method, prepared.n_qubits)
        simulator = AerSimulator(
            method=method,
            noise_model=prepared.model,
            seed_simulator=seed,
            max_parallel_experiments=threads,
            max_parallel_threads=threads,
            runtime_parameter_bind_enable=True,  # rows as a batch: half the time
        )
        result = simulator.run(list(circuits), parameter_binds=list(binds), shots=shots).result()
        return _read(result, len(rows))

    def _method(self, prepared: Prepared) -> str:
        """Return the method for circuits, as the class says."""
        if self.method != "automatic":
            return self.method
        n_qubits, shots = prepared.n_qubits, self.shots or 0
        if self._noise:
            small = n_qubits < 8 or (2**n_qubits <= shots and n_qubits <= MOST_QUBITS["density_matrix"])
            return "density_matrix" if small or not shots else "statevector"
        favours = prepared.circuits and favours_product_state(prepared.circuits[0], shots)
        return "matrix_product_state" if favours else "statevector"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_noise"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _noise=as_noise(state["noise"]))

    def __repr__(self) -> str:
        noise = type(self.noise).__name__ if isinstance(self.noise, NoiseModel) else repr(self.noise)
        return f"Aer({self.method!r}, shots={self.shots}, noise={noise}, gradient={self.gradient.name!r})"


def _checked_method(method: Any, shots: int | None, noise: Any) -> str:
    if method not in MOST_QUBITS:
        raise ValueError(f"got method={method!r}, expected one of {', '.join(map(repr, MOST_QUBITS))}")
    if noise is not None and shots is None and method not in ("automatic", "density_matrix"):
        raise ValueError(
            f"got method={method!r} with noise and without shots, expected 'density_matrix', which is exact: "
            "give shots, or leave the method out"
        )
    return method


def _check_size(method: str, n_qubits: int) -> None:
    """Raise ValueError for a circuit that takes too much memory, fitted to a device or too entangled."""
    if n_qubits > MOST_QUBITS[method]:
        raise ValueError(
            f"got a circuit that needs {n_qubits} qubits, expected at most {MOST_QUBITS[method]} with the method "
            f"{method!r} ({_LIMITS[method]}): use fewer qubits, or another method or device"
        )


def _read(result: Any, n_rows: int) -> list[list[Any]]:
    if not result.success:
        raise RuntimeError(f"Aer could not run the circuit: {' '.join(str(result.status).split())}")
    data = [each.data for each in result.results]
    return [data[k : k + n_rows] for k in range(0, len(data), n_rows)]


def _samples(found: list[Any], n_measured: int) -> Samples:
    """Return the counts of every row as samples; bit k of an outcome is that of the k-th measured qubit."""
    counts = [data.counts for data in found]
    size = -(-n_measured // 8)
    packed = b"".join(int(outcome, 16).to_bytes(size, "little") for each in counts for outcome in each)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8).reshape(-1, size), axis=1, bitorder="little")
    times = np.array([n for each in counts for n in each.values()])
    return Samples(np.repeat(np.arange(len(found)), list(map(len, counts))), times, bits[:, :n_measured])


@lru_cache(maxsize=1024)
def _coefficients(observables: tuple[Observable, ...]) -> np.ndarray:
    """Return the coefficient of each word in each observable, (n_words, n_observables)."""
    terms = [dict(observable.terms) for observable in observables]
    found = np.array([[each.get(word, 0.0) for each in terms] for word in words(observables)])
    return found.reshape(-1, len(observables))
