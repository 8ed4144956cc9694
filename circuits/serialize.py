"""Operations to and from plain JSON data; floats keep every bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from circuits.angles import FUNCTIONS, Angle, as_angle
from circuits.gates import TABLE, Gate, Op, pauli_rotation_gate, unitary_gate

VERSION = 1


def encode_op(op: Op) -> dict[str, Any]:
    """Return an operation as JSON data."""
    data: dict[str, Any] = {"gate": op.gate.name, "qubits": list(op.qubits)}
    if op.angles:
        data["angles"] = [encode_angle(angle) for angle in op.angles]
    if op.gate.name == "PauliRot":
        data["word"] = op.gate.generator[0][1]
    if op.gate.name == "unitary":
        data["matrix"] = [[entry.real, entry.imag] for entry in op.gate.entries]
    return data


def decode_op(data: dict[str, Any]) -> Op:
    """Return the operation that :func:`encode_op` encoded.

    Raises
    ------
    ValueError
        If the gate is not in the table.
    TypeError
        If it has too few or too many angles or qubits.
    """
    return _decode_gate(data)(*map(decode_angle, data.get("angles", ())), *data["qubits"])


def encode_angle(angle: Angle) -> list[Any]:
    """Return an angle as JSON data: a list of [coefficient, factor, ...]."""
    return [[c, *([name, encode_angle(a) if isinstance(a, Angle) else a] for name, a in m)] for m, c in angle.terms]


def decode_angle(data: list[Any]) -> Angle:
    """Return the angle that :func:`encode_angle` encoded."""
    total = as_angle(0.0)
    for coefficient, *factors in data:
        total = total + math.prod((_decode_factor(*factor) for factor in factors), start=as_angle(coefficient))
    return total


def _decode_factor(name: str, argument: Any) -> Angle:
    if name in FUNCTIONS:
        return decode_angle(argument).apply(name)
    if name not in ("x", "w") or not isinstance(argument, int) or argument < 0:
        raise ValueError(
            f"got the factor {name}({argument}) in an angle, expected x[i], w[j] or {', '.join(FUNCTIONS)}"
        )
    return Angle(((((name, argument),), 1.0),))


def _decode_gate(data: dict[str, Any]) -> Gate:
    name, n_qubits = data["gate"], len(data["qubits"])
    if name == "PauliRot":
        return pauli_rotation_gate(data["word"])
    if name == "unitary":
        entries = [complex(*entry) for entry in data["matrix"]]
        return unitary_gate(np.reshape(entries, (2**n_qubits, 2**n_qubits)))
    if name == "amplitudes":
        return Gate("amplitudes", n_qubits, "amplitudes")
    if name not in TABLE:
        known = ", ".join([*TABLE, "PauliRot", "unitary", "amplitudes"])
        raise ValueError(f"got the gate {name!r}, expected one of {known}: the file is of a newer version or damaged")
    return TABLE[name]
