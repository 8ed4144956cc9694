"""Gates: one table row each; nothing else in the project knows gates.

A gate is a fixed matrix, or a rotation ``U(t) = exp(-i t G)`` with a generator ``G = sum_k c_k P_k`` of commuting
Pauli words. From G follow the matrix, the derivative ``-i G U`` and the parameter-shift rule. Qubit 0 of a gate is the
leftmost factor of its matrix. A gate is called like a function, angle first::

    RX(x[0], 2)          # exp(-i x0 X / 2) on qubit 2
    CX(0, 1)             # control 0, target 1
    PauliRot(w[0], "XYZ", 0, 1, 2)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Literal

import numpy as np

from circuits.angles import Angle, as_angle

PAULIS = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.array([[1, 0], [0, -1]], dtype=complex),
}

Generator = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Gate:
    """A row of the gate table.

    Parameters
    ----------
    name : str
        The gate's name in this project, for example ``"CRX"``.
    n_qubits : int
        Number of qubits it acts on.
    kind : {"fixed", "rotation", "amplitudes"}
        A fixed matrix; ``exp(-i t G)``; or, on simulators only, a start state with 2**n_qubits real amplitudes.
    entries : tuple of complex
        Row-major matrix of a fixed gate.
    generator : tuple of (float, str)
        Coefficients and commuting Pauli words of G, in radians per radian.
    """

    name: str
    n_qubits: int
    kind: Literal["fixed", "rotation", "amplitudes"]
    entries: tuple[complex, ...] = ()
    generator: Generator = ()

    @property
    def n_angles(self) -> int:
        """Number of angles the gate takes before its qubits."""
        return {"fixed": 0, "rotation": 1, "amplitudes": 2**self.n_qubits}[self.kind]

    def __call__(self, *arguments: Any) -> Op:
        """Return the operation ``gate(angle..., *qubits)``.

        Raises
        ------
        TypeError
            If the number of arguments is wrong, an angle is not an angle, or a qubit is not an integer.
        """
        if len(arguments) != self.n_angles + self.n_qubits:
            raise TypeError(f"got {len(arguments)} arguments for {self.name}, expected {self._usage()}")
        return Op(self, arguments[self.n_angles :], tuple(map(as_angle, arguments[: self.n_angles])))

    def matrix(self, angle: float | None = None) -> np.ndarray:
        """Return the matrix, complex128 of shape (2**n_qubits, 2**n_qubits), for a rotation at ``angle`` radians."""
        if self.kind == "fixed":
            return np.array(self.entries).reshape(2**self.n_qubits, -1)
        factors = [_word_rotation(c * float(angle), word) for c, word in self.generator]  # type: ignore[arg-type]
        return reduce(np.matmul, factors)

    @cached_property
    def frequencies(self) -> tuple[float, ...]:
        """Positive differences of the eigenvalues of G: the frequencies of an expectation value in the angle."""
        if len(self.generator) == 1:
            return (2 * abs(self.generator[0][0]),)
        values = np.linalg.eigvalsh(sum(c * pauli_matrix(word) for c, word in self.generator))
        gaps = {round(float(abs(a - b)), 12) for a, b in itertools.combinations(values, 2)}
        return tuple(sorted(gap for gap in gaps if gap > 0))

    @cached_property
    def shift_rule(self) -> tuple[tuple[float, float], ...]:
        """Pairs (coefficient, shift): ``f'(t) = sum_k coefficient_k * f(t + shift_k)``, exact (arXiv:2107.12390)."""
        omega = np.array(self.frequencies)
        shifts = (2 * np.arange(1, len(omega) + 1) - 1) * math.pi / (2 * len(omega) * omega.min())
        half = np.linalg.solve(2 * np.sin(np.outer(omega, shifts)), omega)
        return tuple((sign * float(c), sign * float(s)) for c, s in zip(half, shifts, strict=True) for sign in (1, -1))

    def inverse(self) -> Gate:
        """Return the inverse of a fixed gate: a row of the table where there is one, else a general unitary."""
        adjoint = self.matrix().conj().T
        rows = [gate for gate in TABLE.values() if gate.kind == "fixed" and gate.n_qubits == self.n_qubits]
        for gate in rows:
            if np.allclose(gate.matrix(), adjoint, rtol=0, atol=1e-15):
                return gate
        return unitary_gate(adjoint)

    def _usage(self) -> str:
        qubits = ", ".join(f"qubit{i}" for i in range(self.n_qubits))
        angles = {0: "", 1: "angle, "}.get(self.n_angles, f"{self.n_angles} values, ")
        return f"{self.name}({angles}{qubits})"

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Op:
    """A gate on given qubits with given angles; made by calling the gate.

    Parameters
    ----------
    gate : Gate
    qubits : tuple of int
        One index per qubit of the gate, all different.
    angles : tuple of Angle
        One for a rotation, none for a fixed gate, 2**n_qubits for a start state.
    """

    gate: Gate
    qubits: tuple[int, ...]
    angles: tuple[Angle, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "qubits", tuple(_qubit(q, self.gate) for q in self.qubits))
        if len(set(self.qubits)) != len(self.qubits):
            raise ValueError(f"got qubits {self.qubits} for {self.gate.name}, expected different ones")

    @property
    def angle(self) -> Angle:
        """The angle of a rotation, in radians."""
        return self.angles[0]

    def inverse(self) -> Op:
        """Return the inverse operation.

        Raises
        ------
        ValueError
            For a start state, which is not a unitary and has no inverse.
        """
        if self.gate.kind == "amplitudes":
            raise ValueError("got the inverse of a start state (amplitudes), which has none: invert the rest alone")
        if self.gate.kind == "fixed":
            return Op(self.gate.inverse(), self.qubits)
        return Op(self.gate, self.qubits, (-self.angle,))

    def __repr__(self) -> str:
        word = [repr(self.gate.generator[0][1])] if self.gate.name == "PauliRot" else []
        return f"{self.gate.name}({', '.join(map(str, (*self.angles, *word, *self.qubits)))})"


def pauli_matrix(word: str) -> np.ndarray:
    """Return the matrix of a Pauli word such as ``"XIZ"``, first letter leftmost."""
    return reduce(np.kron, [PAULIS[letter] for letter in word])


def _word_rotation(angle: float, word: str) -> np.ndarray:
    return math.cos(angle) * np.eye(2 ** len(word)) - 1j * math.sin(angle) * pauli_matrix(word)


def _qubit(value: Any, gate: Gate) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"got {value!r} as a qubit of {gate.name}, expected an integer: angles come first, {gate._usage()}"
        )
    return int(value)


def _fixed(name: str, matrix: Any) -> Gate:
    array = np.asarray(matrix, dtype=complex) + 0.0  # + 0.0 turns -0.0 into 0.0, so equal gates compare equal
    return Gate(name, int(array.shape[0]).bit_length() - 1, "fixed", tuple(array.ravel().tolist()))


def _rotation(name: str, *generator: tuple[float, str]) -> Gate:
    return Gate(name, len(generator[0][1]), "rotation", (), generator)


def _controlled(matrix: Any) -> np.ndarray:
    dim = len(matrix)
    return np.block([[np.eye(dim), np.zeros((dim, dim))], [np.zeros((dim, dim)), np.asarray(matrix)]])


_X, _Y, _Z = PAULIS["X"], PAULIS["Y"], PAULIS["Z"]
_H = np.array([[1, 1], [1, -1]]) / math.sqrt(2)
_SX = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
_SWAP = np.eye(4)[[0, 2, 1, 3]]
_T = np.diag([1, complex(math.sqrt(0.5), math.sqrt(0.5))])

I, X, Y, Z = (_fixed(name, PAULIS[name]) for name in "IXYZ")  # noqa: E741
H = _fixed("H", _H)
S, Sdg = _fixed("S", np.diag([1, 1j])), _fixed("Sdg", np.diag([1, -1j]))
T, Tdg = _fixed("T", _T), _fixed("Tdg", _T.conj())
SX, SXdg = _fixed("SX", _SX), _fixed("SXdg", _SX.conj().T)
CX, CY, CZ, CH = (_fixed(f"C{name}", _controlled(m)) for name, m in zip("XYZH", (_X, _Y, _Z, _H), strict=True))
SWAP = _fixed("SWAP", _SWAP)
ISWAP = _fixed("ISWAP", _SWAP @ np.diag([1, 1j, 1j, 1]))
CCX, CCZ = _fixed("CCX", _controlled(_controlled(_X))), _fixed("CCZ", _controlled(_controlled(_Z)))
CSWAP = _fixed("CSWAP", _controlled(_SWAP))

RX, RY, RZ = (_rotation(f"R{p}", (0.5, p)) for p in "XYZ")
P = _rotation("P", (-0.5, "I"), (0.5, "Z"))  # diag(1, exp(i t))
CRX, CRY, CRZ = (_rotation(f"CR{p}", (0.25, f"I{p}"), (-0.25, f"Z{p}")) for p in "XYZ")
CP = _rotation("CP", (-0.25, "II"), (0.25, "ZI"), (0.25, "IZ"), (-0.25, "ZZ"))
RXX, RYY, RZZ, RZX = (_rotation(f"R{word}", (0.5, word)) for word in ("XX", "YY", "ZZ", "ZX"))

#: Every named gate by its name.
TABLE: dict[str, Gate] = {
    gate.name: gate
    for gate in (
        *(I, X, Y, Z, H, S, Sdg, T, Tdg, SX, SXdg, CX, CY, CZ, CH, SWAP, ISWAP, CCX, CCZ, CSWAP),
        *(RX, RY, RZ, P, CRX, CRY, CRZ, CP, RXX, RYY, RZZ, RZX),
    )
}


def PauliRot(angle: Any, word: str, *qubits: int) -> Op:
    """Return ``exp(-i angle/2 P)`` for a Pauli word ``P`` such as ``"XIZ"``, one letter per qubit.

    Raises
    ------
    ValueError
        If the word has other letters than I, X, Y, Z, only I, or not one letter per qubit.
    """
    return pauli_rotation_gate(word)(angle, *qubits)


def pauli_rotation_gate(word: str) -> Gate:
    """Return the gate ``exp(-i t/2 P)`` of the Pauli word ``P``."""
    if not word or set(word) - set("IXYZ") or set(word) == {"I"}:
        raise ValueError(f"got the Pauli word {word!r}, expected letters IXYZ, not only I: PauliRot(t, 'XZ', 0, 1)")
    return Gate("PauliRot", len(word), "rotation", (), ((0.5, word),))


def unitary(matrix: Any, *qubits: int) -> Op:
    """Return a general fixed unitary as an operation.

    Parameters
    ----------
    matrix : array_like of complex, shape (2**k, 2**k)
        First qubit leftmost.
    *qubits : int
        k qubits.

    Raises
    ------
    ValueError
        If the matrix is not unitary (to 1e-8) or not of size 2**k.
    """
    return unitary_gate(matrix)(*qubits)


def unitary_gate(matrix: Any) -> Gate:
    """Return the fixed gate of a unitary matrix, complex of shape (2**k, 2**k)."""
    array = np.asarray(matrix, dtype=complex)
    dim = len(array) if array.ndim else 0
    if array.shape != (dim, dim) or dim < 2 or dim & (dim - 1):
        raise ValueError(f"got a matrix of shape {array.shape}, expected (2**k, 2**k): pad it to a power of two")
    error = np.abs(array @ array.conj().T - np.eye(dim)).max()
    if not error < 1e-8:
        raise ValueError(f"got a matrix with |U U† - 1| = {error:.1e}, expected a unitary: orthonormalise it first")
    return _fixed("unitary", array)


def amplitudes(values: Sequence[Any], *qubits: int) -> Op:
    """Return a start state: ``values``, divided by their norm, as real amplitudes of ``qubits`` (simulators only).

    Parameters
    ----------
    values : sequence of angles or numbers, length 2**k
        The amplitude of basis state b at position b, first qubit most significant. A row of zeros gives NaN.
    *qubits : int
        k qubits that no earlier operation touches.
    """
    return Gate("amplitudes", len(qubits), "amplitudes")(*values, *qubits)


def Rot(alpha: Any, beta: Any, gamma: Any, qubit: int) -> tuple[Op, Op, Op]:
    """Return ``RZ(gamma) RY(beta) RZ(alpha)``: alpha acts first, as PennyLane's Rot."""
    return RZ(alpha, qubit), RY(beta, qubit), RZ(gamma, qubit)


def U3(theta: Any, phi: Any, lam: Any, qubit: int) -> tuple[Op, Op, Op]:
    """Return ``P(phi) RY(theta) P(lam)``: Qiskit's U gate, exactly."""
    return P(lam, qubit), RY(theta, qubit), P(phi, qubit)
