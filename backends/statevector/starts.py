"""Start states of plain features, ``v / |v|`` with ``v_b = c_b x_i(b) + d_b``: on NumPy, forward and back.

With s = v / |v| and the gradient g of s, that of v is ``(g - (g.s) s) / |v|``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuits import Angle, Circuit


@dataclass(frozen=True, eq=False)
class Start:
    """How the amplitudes of a register follow from the features.

    Parameters
    ----------
    places, columns : ndarray of int64, shape (n_used,)
        Amplitude ``places[k]`` has the feature ``columns[k]``; no feature is used twice.
    coefficients : ndarray, shape (n_used,)
        Its factor.
    constants : ndarray, shape (2**k,)
        What does not depend on features.
    """

    places: np.ndarray
    columns: np.ndarray
    coefficients: np.ndarray
    constants: np.ndarray

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return amplitudes (rows, 2**k) and the norms they were divided by, (rows, 1); NaN where that is 0."""
        values = np.repeat(self.constants[None], len(x), 0)
        values[:, self.places] += self.coefficients * x[:, self.columns]
        norms = np.sqrt(np.einsum("rb,rb->r", values, values))[:, None]
        with np.errstate(invalid="ignore"):
            return values / norms, norms

    def add_gradients(self, amplitudes: np.ndarray, norms: np.ndarray, g: np.ndarray, gx: np.ndarray) -> None:
        """Add to the features' gradients those that come through the amplitudes, g (rows, 2**k)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (g - np.einsum("rb,rb->r", g, amplitudes)[:, None] * amplitudes) / norms
        gx[:, self.columns] += found[:, self.places] * self.coefficients


def plain_start(circuit: Circuit, dtype: np.dtype) -> Start | None:
    """Return the start of a circuit with one register of plain features, None for any other circuit."""
    registers = [op.angles for op in circuit.ops if op.gate.kind == "amplitudes"]
    if len(registers) != 1 or not all(map(_is_plain, registers[0])):
        return None
    terms = [(b, *term) for b, angle in enumerate(registers[0]) for term in angle.terms]
    used = [(b, monomial[0][1], c) for b, monomial, c in terms if monomial]
    places, columns, coefficients = ([entry[k] for entry in used] for k in range(3))
    if len(set(columns)) < len(columns):
        return None
    constants = np.zeros(len(registers[0]), dtype)
    for b, _, c in (term for term in terms if not term[1]):
        constants[b] = c
    return Start(np.array(places, np.int64), np.array(columns, np.int64), np.array(coefficients, dtype), constants)


def _is_plain(angle: Angle) -> bool:
    """Whether an angle is a number plus at most one feature times a number."""
    monomials = [monomial for monomial, _ in angle.terms if monomial]
    return len(monomials) < 2 and all(len(m) == 1 and m[0][0] == "x" for m in monomials)
