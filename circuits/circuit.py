"""Circuits: immutable, hashable descriptions of operations on qubits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from circuits.angles import Angle, Factor, as_angle
from circuits.gates import SWAP, TABLE, Gate, Op
from circuits.serialize import VERSION, decode_op, encode_op


@dataclass(frozen=True, eq=False, init=False)
class Circuit:
    """Operations on ``n_qubits`` qubits, starting from all zeros; qubit 0 is the leftmost factor.

    Parameters
    ----------
    n_qubits : int
    ops : iterable of Op
        What the gate functions return; nested lists and tuples are flattened.
    n_inputs, n_weights : int
        Lengths of the feature and the weight vector; stated, since a circuit may ignore its last feature.

    Raises
    ------
    TypeError
        If something among ``ops`` is not an operation.
    ValueError
        If a size is not an integer or too small; if an operation uses a qubit, a feature or a weight that is out of
        range; or if a start state comes late.
    """

    n_qubits: int
    ops: tuple[Op, ...]
    n_inputs: int
    n_weights: int

    def __init__(self, n_qubits: int, ops: Iterable[Any], n_inputs: int = 0, n_weights: int = 0) -> None:
        sizes = {"n_inputs": _size("n_inputs", n_inputs, 0), "n_weights": _size("n_weights", n_weights, 0)}
        vars(self).update(n_qubits=_size("n_qubits", n_qubits, 1), ops=tuple(_flatten([ops])), **sizes)
        for op in self.ops:
            self._check_op(op)
        self._check_start_states()

    @cached_property
    def angles(self) -> tuple[Angle, ...]:
        """Every angle, in the order of the operations: the columns a backend is given."""
        return tuple(angle for op in self.ops for angle in op.angles)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, the same in every process and on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return int(self.fingerprint[:15], 16)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Circuit) and self.fingerprint == other.fingerprint

    def __add__(self, other: Circuit) -> Circuit:
        """Return this circuit followed by ``other``; both read the same features and weights.

        Use ``a + b.shift(weights=a.n_weights)`` to give ``b`` weights of its own.
        """
        if not isinstance(other, Circuit):
            return NotImplemented
        if other.n_qubits != self.n_qubits:
            raise ValueError(
                f"got circuits on {self.n_qubits} and {other.n_qubits} qubits, expected equal numbers: "
                "place one with shift(qubits=..., n_qubits=...)"
            )
        sizes = max(self.n_inputs, other.n_inputs), max(self.n_weights, other.n_weights)
        return Circuit(self.n_qubits, self.ops + other.ops, *sizes)

    def inverse(self) -> Circuit:
        """Return the inverse circuit, of the same features and weights.

        Raises
        ------
        ValueError
            If the circuit prepares a start state, which has no inverse.
        """
        return replace(self, ops=tuple(op.inverse() for op in reversed(self.ops)))

    def shift(self, qubits: int = 0, inputs: int = 0, weights: int = 0, n_qubits: int | None = None) -> Circuit:
        """Return the circuit moved along: qubit q becomes q + qubits, x[i] becomes x[i + inputs], and so on.

        Parameters
        ----------
        qubits, inputs, weights : int
            How far each index moves; the counts grow with them.
        n_qubits : int, optional
            Number of qubits of the result; ``self.n_qubits + qubits`` if not given.
        """
        offsets = {"x": inputs, "w": weights}
        ops = [
            Op(op.gate, tuple(q + qubits for q in op.qubits), tuple(_shift_angle(a, offsets) for a in op.angles))
            for op in self.ops
        ]
        size = self.n_qubits + qubits if n_qubits is None else n_qubits
        return Circuit(size, tuple(ops), self.n_inputs + inputs, self.n_weights + weights)

    def separable(self) -> Circuit:
        """Return the circuit without entanglement: the control that asks whether entanglement matters.

        Fixed gates on several qubits go (a SWAP stays, it does not entangle); a rotation on several qubits keeps its
        angle and turns only its last qubit, so the numbers of features and weights stay.
        """
        return replace(self, ops=tuple(local for op in self.ops for local in _localise(op)))

    def to_json(self) -> str:
        """Return the circuit as one line of JSON; ``Circuit.from_json`` gives an equal circuit back."""
        data = {
            "circuit": VERSION,
            "n_qubits": self.n_qubits,
            "n_inputs": self.n_inputs,
            "n_weights": self.n_weights,
            "ops": [encode_op(op) for op in self.ops],
        }
        return json.dumps(data, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Circuit:
        """Return the circuit that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not a circuit of this version, or damaged.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"got a text that is not JSON ({error}), expected what Circuit.to_json wrote") from error
        if not isinstance(data, dict) or data.get("circuit") != VERSION:
            found = data.get("circuit") if isinstance(data, dict) else type(data).__name__
            raise ValueError(f"got circuit format {found!r}, expected {VERSION}: write it again with Circuit.to_json()")
        try:
            ops = tuple(map(decode_op, data["ops"]))
            return Circuit(data["n_qubits"], ops, data["n_inputs"], data["n_weights"])
        except KeyError as error:
            raise ValueError(f"got a circuit without {error}, expected all its fields: the text is damaged") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"got a circuit that cannot be read: the text is damaged; {error}") from error

    def __repr__(self) -> str:
        sizes = f"n_inputs={self.n_inputs}, n_weights={self.n_weights}"
        return f"Circuit(n_qubits={self.n_qubits}, {len(self.ops)} ops, {sizes}, {self.fingerprint[:8]})"

    def _check_op(self, op: Op) -> None:
        if not all(0 <= qubit < self.n_qubits for qubit in op.qubits):
            raise ValueError(f"got {op} on {self.n_qubits} qubits, expected qubits 0 to {self.n_qubits - 1}")
        sizes = {"x": ("n_inputs", self.n_inputs), "w": ("n_weights", self.n_weights)}
        for kind, index in (slot for angle in op.angles for slot in angle.slots):
            name, size = sizes[kind]
            if not 0 <= index < size:
                raise ValueError(f"got {kind}[{index}] in {op} with {name}={size}, expected {name} > {index}: state it")

    def _check_start_states(self) -> None:
        touched: set[int] = set()
        for op in self.ops:
            if op.gate.kind == "amplitudes" and touched & set(op.qubits):
                raise ValueError(f"got a start state on qubits {op.qubits} after other gates, expected it before them")
            touched |= set(op.qubits)


def _size(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"got {name}={value!r}, expected an integer of at least {least}: for a shape, its product")
    return int(value)


def _flatten(ops: Any) -> Iterator[Op]:
    for op in ops:
        if isinstance(op, Op):
            yield op
        elif isinstance(op, Iterable) and not isinstance(op, str):
            yield from _flatten(op)
        else:
            hint = f"; {op.name} is a gate: call it, {op._usage()}" if isinstance(op, Gate) else ""
            raise TypeError(f"got {type(op).__name__} {op!r} among the operations, expected gate(angle, *qubits){hint}")


def _shift_angle(angle: Angle, offsets: dict[str, int]) -> Angle:
    total = as_angle(0.0)
    for monomial, coefficient in angle.terms:
        total = total + Angle(((tuple(_shift_factor(f, offsets) for f in monomial), coefficient),))
    return total


def _shift_factor(factor: Factor, offsets: dict[str, int]) -> Factor:
    name, argument = factor
    if isinstance(argument, Angle):
        return name, _shift_angle(argument, offsets)
    return name, argument + offsets[name]


def _localise(op: Op) -> Iterator[Op]:
    if op.gate.n_qubits == 1 or op.gate == SWAP:
        yield op
    elif op.gate.kind == "rotation":
        letters = ((i, letter) for _, word in op.gate.generator for i, letter in enumerate(word) if letter != "I")
        last, letter = max(letters)
        yield TABLE[f"R{letter}"](op.angle, op.qubits[last])
    elif op.gate.kind == "amplitudes":
        yield op
