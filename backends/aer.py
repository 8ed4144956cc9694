"""Circuits on Qiskit Aer: exact values, noise, and shots.

Aer gives wrong values without an error in three cases; each has its cure here. Rows of parameters of controlled
rotations are bound wrongly (qiskit-aer issues 2391, 2323, 2403): such gates are translated first. Expectation values
of some qubits are wrong where an idle qubit comes before them (issue 2442): words are saved on all qubits. A global
phase that depends on parameters is not bound: it is dropped, no readout depends on it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from torch import Tensor

from backends.base import Capabilities, Estimate, EvaluatingBackend
from backends.gradients import Gradient, as_gradient
from backends.noise import Noise, as_noise
from backends.qiskit_convert import observable_to_qiskit, parametrised
from backends.shots import Samples, Seeds, bases, checked_shots, constants, estimate, expected, words
from circuits import Circuit, Observable, Probabilities
from circuits.observables import Readout, Word

#: Method -> most qubits.
MOST_QUBITS = {"automatic": 100, "statevector": 28, "density_matrix": 14, "matrix_product_state": 100}
_LIMITS = {
    "statevector": "a state vector takes 16 * 2**n bytes, 4.3 GB for 28 qubits",
    "density_matrix": "a density matrix takes 16 * 4**n bytes, 4.3 GB for 14 qubits",
}

#: Gates sent as their definitions: Aer binds the first four wrongly, and some of its methods do not know the others.
DEFINED = ("crx", "cry", "crz", "cp", "ch", "ccz", "cswap", "iswap", "pauli_product_rotation")

_TURNS: dict[str, tuple[str, ...]] = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}  # into the basis that is measured
_SEED_OF_ROUTING = 0

Prepared = tuple[tuple[QuantumCircuit, ...], tuple[Parameter, ...]]  # what is run, and a parameter for each angle


class Aer(EvaluatingBackend):
    """Run circuits on Aer; all rows of a call, and all bases they are measured in, are one run.

    Exact values have no error but rounding: without noise from a state vector, or a matrix product state where that is
    cheaper; with noise from a density matrix. They are the limit of many shots, so errors of readout are in them, and
    the gates that turn the measured qubits into their basis are as noisy as others. Shots are samples.

    Parameters
    ----------
    method : {"automatic", "statevector", "density_matrix", "matrix_product_state"}
        How Aer simulates. ``"automatic"`` takes the density matrix for exact values with noise, and for shots with
        noise where it has no more numbers than all shots have together; else the matrix product state where
        :func:`favours_product_state`; else the state vector.
    shots : int, optional
        For each row and each basis; exact if not given. Words that agree letter by letter share one basis.
    noise : NoiseModel, str or dict, optional
        A noise model of Aer; a device, ``"manila"``, whose qubits and couplings circuits are then fitted to; or
        ``{"depolarizing": 0.01, "readout": 0.02}``, in short ``"depolarizing:0.01+readout:0.02"``.
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

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Tensor | Estimate:
        """Return the readouts of every row; see :class:`backends.EvaluatingBackend`."""
        rows = angles.numpy()
        if self.shots is not None:
            return Estimate(*map(torch.from_numpy, self._sampled(circuit, rows, observables, self.shots)))
        exact = self._ideal if self._noise is None else self._noisy
        return torch.from_numpy(exact(circuit, rows, observables))

    def _ideal(self, circuit: Circuit, rows: np.ndarray, readout: Readout) -> np.ndarray:
        """Return exact values of a state."""
        if isinstance(readout, Probabilities):
            return self._probabilities(circuit, rows, readout)[0]
        saved = words(readout)
        found = self._run(_saving_words(circuit, saved), rows, 1)
        values = [[getattr(data, str(k)) for k in range(len(saved))] for each in found for data in each]
        return np.array(values).reshape(len(rows), -1) @ _coefficients(readout) + constants(readout)

    def _noisy(self, circuit: Circuit, rows: np.ndarray, readout: Readout) -> np.ndarray:
        """Return the limit of many shots, from the probabilities of all outcomes."""
        return expected(readout, self._probabilities(circuit, rows, readout), len(rows))

    def _probabilities(self, circuit: Circuit, rows: np.ndarray, readout: Readout) -> list[np.ndarray]:
        prepared, places = _measuring(circuit, bases(readout), self._noise, False)
        found = [np.array([data.probabilities for data in each]) for each in self._run(prepared, rows, 1)]
        if self._noise is None:
            return found
        return [self._noise.misread(each, qubits) for each, qubits in zip(found, places, strict=True)]

    def _sampled(self, circuit: Circuit, rows: np.ndarray, readout: Readout, shots: int) -> tuple[np.ndarray, ...]:
        """Return values and standard errors."""
        prepared, _ = _measuring(circuit, bases(readout), self._noise, True)
        found = self._run(prepared, rows, shots)
        samples = [_samples(each, len(basis)) for each, basis in zip(found, bases(readout), strict=True)]
        return estimate(readout, samples, len(rows), shots)

    def _run(self, prepared: Prepared, rows: np.ndarray, shots: int) -> list[list[Any]]:
        """Return Aer's data of every circuit and row, from one run."""
        circuits, parameters = prepared
        if not circuits:
            return []
        experiments = [pair for circuit in circuits for pair in _bound(circuit, parameters, rows)]
        n_qubits = max(map(_n_active, circuits))
        method = self._method(circuits[0], n_qubits)
        _check_size(method, n_qubits)
        simulator = AerSimulator(method=method, noise_model=self._noise and self._noise.model)
        threads = {"max_parallel_experiments": torch.get_num_threads(), "max_parallel_threads": torch.get_num_threads()}
        binds = [bind for _, bind in experiments]
        job = simulator.run(
            [c for c, _ in experiments], parameter_binds=binds, shots=shots, seed_simulator=self.seeds.next(), **threads
        )
        return _read(job.result(), len(rows))

    def _method(self, circuit: QuantumCircuit, n_qubits: int) -> str:
        """Return the method for a circuit, as the class says."""
        if self.method != "automatic":
            return self.method
        if self._noise and (self.shots is None or 2**n_qubits <= min(self.shots, 2 ** MOST_QUBITS["density_matrix"])):
            return "density_matrix"
        favours = not self._noise and favours_product_state(circuit, self.shots or 0)
        return "matrix_product_state" if favours else "statevector"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_noise"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _noise=as_noise(state["noise"]))

    def __repr__(self) -> str:
        noise = type(self.noise).__name__ if isinstance(self.noise, NoiseModel) else repr(self.noise)
        return f"Aer({self.method!r}, shots={self.shots}, noise={noise}, gradient={self.gradient.name!r})"


def favours_product_state(circuit: QuantumCircuit, shots: int = 0) -> bool:
    """Whether a matrix product state is cheaper than a state vector of the circuit, as measured.

    A gate costs 2**n of a state vector; of a matrix product state, 4 * 8**b, averaged over the cuts, b the bonds that
    the gates can make across a cut. A shot costs 2000 n there. Below 12 qubits both take no time: False.

    Parameters
    ----------
    circuit : QuantumCircuit
        Of gates on up to three qubits; on more than two, and those that swap, make two bonds, others one.
    shots : int
        0 where values are exact.
    """
    n_qubits, gates = circuit.num_qubits, [i for i in circuit.data if i.name != "measure" and "save" not in i.name]
    if n_qubits < 12:
        return False
    bonds = np.zeros(n_qubits - 1)
    for gate in gates:
        places = [circuit.find_bit(qubit).index for qubit in gate.qubits]
        bonds[min(places) : max(places)] += 1 if len(places) == 2 and gate.name not in ("swap", "unitary") else 2
    smaller_side = np.minimum(np.arange(1, n_qubits), np.arange(1, n_qubits)[::-1])
    effort = 4 * np.mean(8.0 ** np.minimum(bonds, smaller_side))
    return bool(len(gates) * effort + 2000 * n_qubits * shots <= len(gates) * 2.0**n_qubits)


def _checked_method(method: Any, shots: int | None, noise: Any) -> str:
    if method not in MOST_QUBITS:
        raise ValueError(f"got method={method!r}, expected one of {', '.join(map(repr, MOST_QUBITS))}")
    if noise is not None and shots is None and method not in ("automatic", "density_matrix"):
        raise ValueError(
            f"got method={method!r} with noise and without shots, expected 'density_matrix', which is exact: "
            "give shots, or leave the method out"
        )
    return method


@lru_cache(maxsize=256)
def _saving_words(circuit: Circuit, saved: tuple[Word, ...]) -> Prepared:
    """Return the circuit with its expectation values, labelled by their number."""
    made, parameters = parametrised(circuit)
    found = _translated(made, None)
    for k, word in enumerate(saved):
        _save_word(found, word, str(k))
    return (found,) if saved else (), tuple(parameters)


def _save_word(circuit: QuantumCircuit, word: Word, label: str) -> None:
    operator = observable_to_qiskit(Observable(((word, 1.0),)), circuit.num_qubits)
    circuit.save_expectation_value(operator, range(circuit.num_qubits), label)  # all: Aer errs where some are idle


@lru_cache(maxsize=256)
def _measuring(
    circuit: Circuit, measured: tuple[Word, ...], noise: Noise | None, sampled: bool
) -> tuple[Prepared, tuple[tuple[int, ...], ...]]:
    """Return the circuit measured in each basis, and where the measured qubits are."""
    made, parameters = parametrised(circuit)
    ends = [_measured(made, basis, noise, sampled) for basis in measured]
    return (tuple(end for end, _ in ends), tuple(parameters)), tuple(places for _, places in ends)


def _measured(
    made: QuantumCircuit, basis: Word, noise: Noise | None, sampled: bool
) -> tuple[QuantumCircuit, tuple[int, ...]]:
    turned = made.copy()
    for qubit, letter in basis:
        for gate in _TURNS[letter]:
            getattr(turned, gate)(qubit)
    found = _translated(turned, noise)
    layout = found.layout.final_index_layout() if found.layout else range(found.num_qubits)
    places = tuple(layout[qubit] for qubit, _ in basis)
    if sampled:
        found.add_register(ClassicalRegister(len(places)))
        found.measure(places, range(len(places)))
    else:
        found.save_probabilities(places[::-1])  # Aer's first qubit is the last bit
    return found, places


def _translated(circuit: QuantumCircuit, noise: Noise | None) -> QuantumCircuit:
    """Return the circuit in gates that Aer binds rightly and that the noise knows, fitted to its device."""
    if noise is None:
        found = circuit.decompose(list(DEFINED))
    elif noise.device is None:
        found = transpile(circuit, basis_gates=list(noise.gates), optimization_level=0)
    else:
        found = transpile(circuit, noise.device, optimization_level=1, seed_transpiler=_SEED_OF_ROUTING)
    return _without_phase(found)


def _without_phase(circuit: QuantumCircuit) -> QuantumCircuit:
    circuit.global_phase = 0  # no readout depends on it, and Aer does not bind its parameters
    return circuit


def _n_active(circuit: QuantumCircuit) -> int:
    """Return the number of qubits with a gate or a readout: Aer leaves the others out."""
    return len({qubit for instruction in circuit.data for qubit in instruction.qubits})


def _check_size(method: str, n_qubits: int) -> None:
    """Raise ValueError for a circuit that takes too much memory, fitted to a device or too entangled."""
    if n_qubits > MOST_QUBITS[method]:
        raise ValueError(
            f"got a circuit that needs {n_qubits} qubits, expected at most {MOST_QUBITS[method]} with the method "
            f"{method!r} ({_LIMITS[method]}): use fewer qubits, or another method or device"
        )


def _bound(circuit: QuantumCircuit, parameters: tuple[Parameter, ...], rows: np.ndarray) -> list[tuple[Any, Any]]:
    """Return the circuit with a column for each of its parameters; without any, as often as there are rows."""
    free = circuit.parameters
    bind = {p: rows[:, k].tolist() for k, p in enumerate(parameters) if p in free}
    return [(circuit, bind)] if bind else [(circuit, {})] * len(rows)


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
