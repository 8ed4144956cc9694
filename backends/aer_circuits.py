"""What Aer is given to run: circuits in gates it binds rightly, with what is read at their end.

Aer gives wrong values without an error in three cases; each has its cure here. Rows of parameters of controlled
rotations are bound wrongly (qiskit-aer issues 2391, 2323, 2403): such gates are translated first. Expectation values
of some qubits are wrong where an idle qubit comes before them (issue 2442): words are saved on all qubits. A global
phase that depends on parameters is not bound, or stops a batch of rows: it is dropped, no readout depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.transpiler.exceptions import TranspilerError
from qiskit_aer.noise import NoiseModel

from backends.noise import Noise
from backends.qiskit_convert import defined, observable_to_qiskit, parametrised
from backends.qiskit_fold import folded
from circuits import Circuit, Observable
from circuits.observables import Word

_TURNS: dict[str, tuple[str, ...]] = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}  # into the basis that is measured
_SEED_OF_ROUTING = 0


@dataclass(frozen=True, eq=False)
class Prepared:
    """Circuits that are run together.

    Parameters
    ----------
    circuits : tuple of QuantumCircuit
    parameters : tuple of Parameter
        One for each angle.
    places : tuple of tuple of int
        The qubits that each circuit reads.
    model : NoiseModel, optional
    """

    circuits: tuple[QuantumCircuit, ...]
    parameters: tuple[Parameter, ...]
    places: tuple[tuple[int, ...], ...] = ()
    model: NoiseModel | None = None

    @cached_property
    def n_qubits(self) -> int:
        """Most qubits of a circuit with a gate or a readout: Aer leaves the others out."""
        return max((len(_used(circuit)) for circuit in self.circuits), default=0)

    def bound(self, rows: np.ndarray) -> list[tuple[QuantumCircuit, dict[Parameter, list[float]]]]:
        """Return circuits with a list of values for each parameter; one without any, as often as there are rows."""
        found = []
        for circuit in self.circuits:
            free = circuit.parameters
            bind = {p: rows[:, k].tolist() for k, p in enumerate(self.parameters) if p in free}
            found += [(circuit, bind)] if bind else [(circuit, {})] * len(rows)
        return found


@lru_cache(maxsize=256)
def saving_words(circuit: Circuit, saved: tuple[Word, ...]) -> Prepared:
    """Return the circuit with the expectation values of words, labelled by their number."""
    made, parameters = parametrised(circuit)
    found = _translated(made, None)
    for k, word in enumerate(saved):
        _save_word(found, word, str(k))
    return Prepared((found,) if saved else (), tuple(parameters))


@lru_cache(maxsize=256)
def saving_probabilities(
    circuit: Circuit, measured: tuple[Word, ...], noise: Noise | None, factor: int = 1
) -> Prepared:
    """Return the circuit with the probabilities of all outcomes, in each basis, the basis' first qubit leading."""
    turned = _turned(circuit, measured, noise, factor)
    ends = tuple(found.copy() for found in turned.circuits)
    for end, places in zip(ends, turned.places, strict=True):
        end.save_probabilities(places[::-1])  # Aer's first qubit is the last bit
    return Prepared(ends, turned.parameters, turned.places, turned.model)


@lru_cache(maxsize=256)
def measuring(circuit: Circuit, measured: tuple[Word, ...], noise: Noise | None, factor: int = 1) -> Prepared:
    """Return the circuit measured in each basis; bit k of an outcome is that of the basis' k-th qubit."""
    turned = _turned(circuit, measured, noise, factor)
    ends = tuple(found.copy() for found in turned.circuits)
    for end, places in zip(ends, turned.places, strict=True):
        end.add_register(ClassicalRegister(len(places)))
        end.measure(places, range(len(places)))
    return Prepared(ends, turned.parameters, turned.places, turned.model)


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


def _save_word(circuit: QuantumCircuit, word: Word, label: str) -> None:
    operator = observable_to_qiskit(Observable(((word, 1.0),)), circuit.num_qubits)
    circuit.save_expectation_value(operator, range(circuit.num_qubits), label)  # all: Aer errs where some are idle


@lru_cache(maxsize=256)
def _turned(circuit: Circuit, measured: tuple[Word, ...], noise: Noise | None, factor: int) -> Prepared:
    """Return the circuit turned into each basis, translated and folded, with the places of the qubits to read."""
    made, parameters = parametrised(circuit)
    circuits = tuple(_translated(_into(made, basis), noise) for basis in measured)
    layouts = [found.layout.final_index_layout() if found.layout else range(found.num_qubits) for found in circuits]
    places = tuple(tuple(layout[q] for q, _ in basis) for layout, basis in zip(layouts, measured, strict=True))
    used = {*(q for each in places for q in each), *(q for found in circuits for q in _used(found))}
    repeated = tuple(folded(found, factor) for found in circuits)
    return Prepared(repeated, tuple(parameters), places, noise and noise.felt_by(used))


def _into(made: QuantumCircuit, basis: Word) -> QuantumCircuit:
    found = made.copy()
    for qubit, letter in basis:
        for gate in _TURNS[letter]:
            getattr(found, gate)(qubit)
    return found


def _translated(circuit: QuantumCircuit, noise: Noise | None) -> QuantumCircuit:
    """Return the circuit in gates that Aer binds rightly and that the noise knows, fitted to its device."""
    if noise is None:
        found = defined(circuit)
    elif noise.device is None:
        found = _in_gates(circuit, noise.gates)
    else:
        found = transpile(circuit, noise.device, optimization_level=1, seed_transpiler=_SEED_OF_ROUTING)
    return _without_phase(found)


def _in_gates(circuit: QuantumCircuit, gates: tuple[str, ...]) -> QuantumCircuit:
    try:
        return transpile(circuit, basis_gates=list(gates), optimization_level=0)
    except TranspilerError as error:
        raise ValueError(
            f"got a noise model of the gates {', '.join(gates)}, expected some that all others can be made of: "
            "NoiseModel(basis_gates=['rz', 'sx', 'cx'])"
        ) from error


def _without_phase(circuit: QuantumCircuit) -> QuantumCircuit:
    circuit.global_phase = 0  # no readout depends on it, and Aer does not bind its parameters
    return circuit


def _used(circuit: Any) -> set[int]:
    return {circuit.find_bit(qubit).index for instruction in circuit.data for qubit in instruction.qubits}
