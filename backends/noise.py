"""Noise for Aer: a noise model, a device by its name, or two probabilities."""

from __future__ import annotations

import difflib
import numbers
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

#: Gates that every method of Aer has and binds rows of parameters to rightly, by their number of qubits.
GATES = {
    1: ("id", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "p", "u", "u1", "u2", "u3"),
    2: ("cx", "cy", "cz", "swap", "ecr", "rxx", "ryy", "rzz", "rzx"),
    3: ("ccx",),
}
#: All of these.
RIGHT = (*GATES[1], *GATES[2], *GATES[3])

KINDS = ("depolarizing", "depolarizing_1q", "readout")
_EXPECTED = "expected a NoiseModel, a device such as 'manila', or 'depolarizing:0.01+readout:0.02'"


@dataclass(frozen=True, eq=False)
class Noise:
    """A noise model, and what circuits must be made of to feel it.

    Parameters
    ----------
    model : NoiseModel
    gates : tuple of str
        The gates that circuits are translated to.
    device : BackendV2, optional
        Whose qubits and couplings circuits are fitted to.
    """

    model: NoiseModel
    gates: tuple[str, ...]
    device: Any = None

    @cached_property
    def readout(self) -> dict[int | None, np.ndarray]:
        """What a measured qubit is read as, [true, read] -> probability, by qubit; None for the others."""
        errors = [error for error in self.model.to_dict()["errors"] if error["type"] == "roerror"]
        return {_only_qubit(error): np.array(error["probabilities"], dtype=float) for error in errors}

    def felt_by(self, qubits: Collection[int]) -> NoiseModel:
        """Return the part of a device's model that these qubits feel: the whole one takes a second for every run."""
        if self.device is None:
            return self.model
        part, own = NoiseModel(self.model.basis_gates), set(qubits)
        for name, errors in self.model._local_quantum_errors.items():
            for places, error in errors.items():
                if own.issuperset(places):
                    part.add_quantum_error(error, name, places)
        for places, error in self.model._local_readout_errors.items():
            if own.issuperset(places):
                part.add_readout_error(error, places)
        return part

    def misread(self, probabilities: np.ndarray, qubits: tuple[int, ...]) -> np.ndarray:
        """Return the probabilities of what is read, (rows, 2**k), from those of the true outcomes of the qubits."""
        found = probabilities.reshape(-1, *(2,) * len(qubits))
        for axis, qubit in enumerate(qubits, start=1):
            confusion = self.readout.get(qubit, self.readout.get(None, np.eye(2)))
            found = np.moveaxis(np.tensordot(found, confusion, (axis, 0)), -1, axis)
        return found.reshape(len(probabilities), -1)


def as_noise(noise: Any) -> Noise | None:
    """Return what a user may write for noise as a noise model with its gates.

    Parameters
    ----------
    noise : NoiseModel, str, dict or None
        A noise model of Aer, taken literally: qubit q is its qubit q, gates it does not name are perfect. Or the short
        name of an IBM device, ``"manila"``: its gate and readout errors, on its couplings. Or probabilities,
        ``{"depolarizing": 0.01, "readout": 0.02}`` or in short ``"depolarizing:0.01+readout:0.02"``: after every gate
        of one or two qubits, their state is replaced by the fully mixed one with the first; each measured bit is
        flipped with the second. ``"depolarizing_1q"`` is another one for gates of one qubit.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If a name is not known, naming near ones, a probability is not one, or a model has what is not simulated here.
    ModuleNotFoundError
        If a device is named and Qiskit's package of devices is not installed.
    """
    if noise is None:
        return None
    if isinstance(noise, NoiseModel):
        return _checked(Noise(noise, tuple(gate for gate in noise.basis_gates if gate in RIGHT)))
    if isinstance(noise, str):
        return _named(noise)
    if isinstance(noise, Mapping):
        return _specified(tuple(noise.items()))
    raise TypeError(f"got {type(noise).__name__} as noise, {_EXPECTED}")


@lru_cache(maxsize=32)
def _named(text: str) -> Noise:
    """Return the noise of a device, or of a specification, whose parts have a number."""
    parts = [re.split("[:=]", part.strip(), maxsplit=1) for part in re.split("[,+]", text)]
    if len(parts) > 1 or len(parts[0]) > 1:
        return _specified(tuple((part[0], _number(part)) for part in parts))
    return _of_device(text)


def _number(part: list[str]) -> Any:
    try:
        return float(part[1])
    except (IndexError, ValueError):
        return part[1] if len(part) > 1 else None


def _of_device(name: str) -> Noise:
    try:
        from backends.ibm_devices import fake, fakes
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"noise={name!r} needs {error.name}: pip install 'hybridqml[ibm]'", name=error.name
        ) from error
    try:
        device = fake(name)
    except ValueError as error:
        near = difflib.get_close_matches(name.lower(), (*fakes(), *KINDS)) or ["manila", *KINDS]
        raise ValueError(f"got noise={name!r}, {_EXPECTED}: near it are {', '.join(near)}") from error
    return Noise(NoiseModel.from_backend(device), tuple(device.operation_names), device)


def _specified(parts: tuple[tuple[Any, Any], ...]) -> Noise:
    for name, value in parts:
        _check_part(name, value)
    rates, gates = dict(parts), (*GATES[1], *GATES[2])
    if len(rates) < len(parts):
        raise ValueError(f"got {', '.join(name for name, _ in parts)} in the noise, expected each once")
    model = NoiseModel(list(gates))
    two = rates.get("depolarizing", 0.0)
    for n_qubits, rate in ((1, rates.get("depolarizing_1q", two)), (2, two)):
        if rate:
            model.add_all_qubit_quantum_error(depolarizing_error(rate, n_qubits), list(GATES[n_qubits]))
    if flip := rates.get("readout"):
        model.add_all_qubit_readout_error(ReadoutError([[1 - flip, flip], [flip, 1 - flip]]))
    return Noise(model, gates)


def _check_part(name: Any, value: Any) -> None:
    if name not in KINDS:
        near = difflib.get_close_matches(str(name), KINDS, 1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"got {name!r} in the noise, expected one of {', '.join(map(repr, KINDS))}{hint}")
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"got {name}={value!r} in the noise, expected a probability: a number from 0 to 1")


def _checked(noise: Noise) -> Noise:
    """Refuse errors that circuits would never meet: better no value than one without its noise."""
    errors = [error for error in noise.model.to_dict()["errors"] if error["type"] == "qerror"]
    unmet = {name for error in errors for name in error["operations"]} - {*RIGHT, "reset", "delay"}
    if unmet:
        raise ValueError(
            f"got a noise model with a quantum error of {sorted(unmet)[0]!r}, expected errors of {', '.join(RIGHT)}, "
            "which circuits are translated to, and of readout"
        )
    _ = noise.readout
    return noise


def _only_qubit(error: dict[str, Any]) -> int | None:
    places = tuple(error.get("gate_qubits", [[None]])[0])
    if len(places) > 1:
        raise ValueError(
            f"got a noise model with a readout error of the qubits {places} together, expected errors of one qubit each"
        )
    return places[0]
