"""Circuits on any estimator of Qiskit: the exact one in Qiskit itself, Aer's, or a device's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from scipy.linalg import hadamard
from torch import Tensor

from backends.base import Capabilities, EvaluatingBackend
from backends.gradients import Gradient, ParameterShift
from backends.qiskit_convert import defined, observable_to_qiskit, parametrised
from circuits import Circuit, Observable, Probabilities, pauli
from circuits.observables import Readout


class QiskitEstimator(EvaluatingBackend):
    """Expectation values from an EstimatorV2 of Qiskit; all rows and observables of a call are one PUB.

    Probabilities are put together from the expectation values of the 2**k products of Z, ``p(b) = 2**-k sum_s
    (-1)**(b.s) <Z_s>``; from a noisy estimator they can be slightly negative.

    Parameters
    ----------
    estimator : BaseEstimatorV2, optional
        For example ``qiskit_aer.primitives.EstimatorV2()``; Qiskit's StatevectorEstimator, which is exact, if not
        given.
    precision : float, optional
        Target standard error of each expectation value, > 0; the estimator's own default if not given.
    gradient : Gradient, optional
        ``ParameterShift()`` if not given.

    Raises
    ------
    TypeError
        If ``estimator`` is not an EstimatorV2 object.
    ValueError
        If ``precision`` is not positive.
    """

    def __init__(self, estimator: Any = None, precision: float | None = None, gradient: Gradient | None = None) -> None:
        super().__init__(ParameterShift() if gradient is None else gradient)
        self.estimator = _checked_estimator(estimator)
        self.precision = _checked_precision(precision)

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do; an estimator of the user's own knows its limit of qubits itself."""
        own = self.estimator is not None
        exact = not own and self.precision is None
        return Capabilities(self.gradient.name, exact, 1000 if own else 24, ("cpu",))

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Tensor:
        """Return the readouts of every row; see :class:`backends.EvaluatingBackend`."""
        rows = angles.numpy()
        if isinstance(observables, Probabilities):
            words = self._values(circuit, rows, z_words(observables.qubits))
            return torch.from_numpy(words @ hadamard(words.shape[1]) / words.shape[1])
        return torch.from_numpy(self._values(circuit, rows, observables))

    def _values(self, circuit: Circuit, rows: np.ndarray, observables: tuple[Observable, ...]) -> np.ndarray:
        """Return the expectation values (rows, n_observables); a number needs no measurement."""
        numbers, measured = constants(observables)
        values = np.tile(numbers, (len(rows), 1))
        if measured:
            operators = [[operator(observables[k], circuit.n_qubits)] for k in measured]
            values[:, measured] = self._submit(circuit, rows, operators)
        return values

    def _submit(self, circuit: Circuit, rows: np.ndarray, operators: list[list[SparsePauliOp]]) -> np.ndarray:
        quantum_circuit, parameters = prepared(circuit)
        bindings = ({parameters: rows},) if parameters else ()
        estimator = StatevectorEstimator() if self.estimator is None else self.estimator
        job = estimator.run([(quantum_circuit, operators, *bindings)], precision=self.precision)
        return np.asarray(job.result()[0].data.evs, dtype=float).T

    def __repr__(self) -> str:
        options = [f"precision={self.precision}"] if self.precision is not None else []
        names = [type(self.estimator).__name__] if self.estimator is not None else []
        return f"QiskitEstimator({', '.join([*names, *options, f'gradient={self.gradient.name!r}'])})"


def _checked_estimator(estimator: Any) -> BaseEstimatorV2 | None:
    if estimator is None or isinstance(estimator, BaseEstimatorV2):
        return estimator
    name = estimator.__name__ if isinstance(estimator, type) else type(estimator).__name__
    raise TypeError(
        f"got {name} as an estimator, expected an object with Qiskit's EstimatorV2 interface, for example "
        "qiskit_aer.primitives.EstimatorV2()"
    )


def _checked_precision(precision: float | None) -> float | None:
    if precision is not None and not precision > 0:
        raise ValueError(f"got precision={precision!r}, expected a number > 0, or None for the estimator's own")
    return precision


@lru_cache(maxsize=128)
def prepared(circuit: Circuit) -> tuple[QuantumCircuit, tuple[Parameter, ...]]:
    """Return the circuit in gates that every estimator binds rightly, and its parameters as in ``circuit.angles``."""
    quantum_circuit, parameters = parametrised(circuit)
    return defined(quantum_circuit), tuple(parameters)


@lru_cache(maxsize=4096)
def operator(observable: Observable, n_qubits: int) -> SparsePauliOp:
    """Return the observable as an operator of Qiskit, made once."""
    return observable_to_qiskit(observable, n_qubits)


def constants(observables: Sequence[Observable]) -> tuple[list[float], list[int]]:
    """Return the coefficient of the identity in each observable, and which have more and need a measurement."""
    numbers = [dict(o.terms).get((), 0.0) for o in observables]
    return numbers, [k for k, o in enumerate(observables) if any(word for word, _ in o.terms)]


def z_words(qubits: tuple[int, ...]) -> tuple[Observable, ...]:
    """Return the products of Z on every subset of the qubits, numbered by its bits, first qubit leading."""
    masks = np.ndindex(*(2,) * len(qubits))
    return tuple(pauli(" ".join(f"Z{q}" for q, bit in zip(qubits, mask, strict=True) if bit)) for mask in masks)
