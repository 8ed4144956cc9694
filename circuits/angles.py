"""Angles: real expressions over the features ``x[i]`` of a sample and the trainable weights ``w[j]``.

An angle is kept in normal form, a sum of coefficient times product of factors::

    angle = sum_t  c_t * prod_f factor_f,      factor = x[i] | w[j] | function(angle)

so equal expressions are equal objects, and what a gate depends on is known before anything runs. Angles live in
NumPy object arrays: slices, reshapes and NumPy functions work on them as on numbers.

>>> x, w = inputs(2), weights(3)
>>> 2 * x[0] + w[1] * np.sin(x[1])
w[1]*sin(x[1]) + 2*x[0]
"""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Functions an angle may contain; each has this name in NumPy and in torch.
FUNCTIONS = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "tanh", "exp", "log", "sqrt", "absolute")

Factor = tuple[str, Any]  # ("x", i), ("w", j) or (function name, Angle)
Monomial = tuple[Factor, ...]


@dataclass(frozen=True)
class Angle:
    """A real expression over features and weights, in radians where a gate uses it.

    Parameters
    ----------
    terms : tuple of (monomial, coefficient)
        The normal form. Build angles with :func:`inputs`, :func:`weights` and arithmetic, not with this constructor.
    """

    terms: tuple[tuple[Monomial, float], ...]

    def __add__(self, other: Any) -> Angle:
        if not _is_scalar(other):
            return NotImplemented
        return _collect(itertools.chain(self.terms, as_angle(other).terms))

    def __mul__(self, other: Any) -> Angle:
        if not _is_scalar(other):
            return NotImplemented
        pairs = itertools.product(self.terms, as_angle(other).terms)
        return _collect((tuple(sorted(a + b, key=_order)), c * d) for (a, c), (b, d) in pairs)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Angle:
        return self * -1.0

    def __pos__(self) -> Angle:
        return self

    def __sub__(self, other: Any) -> Angle:
        return self + -other if _is_scalar(other) else NotImplemented

    def __rsub__(self, other: Any) -> Angle:
        return -self + other

    def __truediv__(self, other: Any) -> Angle:
        divisor = as_angle(other)
        if divisor.constant is None:
            raise TypeError(f"got a division by the expression {divisor}, expected a number: divide by numbers only")
        return _collect((monomial, c / divisor.constant) for monomial, c in self.terms)

    def __rtruediv__(self, other: Any) -> Angle:
        return as_angle(other) / self

    def __pow__(self, power: Any) -> Angle:
        if not isinstance(power, numbers.Real) or not float(power).is_integer() or power < 0:
            raise TypeError(f"got the power {power!r}, expected a whole number >= 0: use np.sqrt, np.exp or np.log")
        return _power(self, int(float(power)))

    def __abs__(self) -> Angle:
        return self.apply("absolute")

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, Angle):
            return self.terms == other.terms
        if isinstance(other, numbers.Real) and self.constant is None:
            raise TypeError(
                f"got the comparison {self} == {other}, which has no value while a circuit is built: "
                "a circuit cannot branch on features or weights"
            )
        return NotImplemented

    def __bool__(self) -> bool:
        raise TypeError(
            f"got the truth value of {self}, which has no value while a circuit is built: "
            "a circuit cannot branch on features or weights"
        )

    def __float__(self) -> float:
        if self.constant is None:
            raise TypeError(f"got {self} where a number is expected: write it as an angle of a gate instead")
        return self.constant

    def apply(self, function: str) -> Angle:
        """Return ``function(self)``, a number where the angle is one.

        Parameters
        ----------
        function : str
            One of :data:`FUNCTIONS`.
        """
        if self.constant is not None:
            return as_angle(float(getattr(np, function)(self.constant)))
        return Angle(((((function, self),), 1.0),))

    # NumPy calls these for object arrays: np.sin(x) works elementwise.
    def sin(self) -> Angle:
        """Sine."""
        return self.apply("sin")

    def cos(self) -> Angle:
        """Cosine."""
        return self.apply("cos")

    def tan(self) -> Angle:
        """Tangent."""
        return self.apply("tan")

    def arcsin(self) -> Angle:
        """Inverse sine, for arguments in [-1, 1]."""
        return self.apply("arcsin")

    def arccos(self) -> Angle:
        """Inverse cosine, for arguments in [-1, 1]."""
        return self.apply("arccos")

    def arctan(self) -> Angle:
        """Inverse tangent."""
        return self.apply("arctan")

    def tanh(self) -> Angle:
        """Hyperbolic tangent."""
        return self.apply("tanh")

    def exp(self) -> Angle:
        """Exponential."""
        return self.apply("exp")

    def log(self) -> Angle:
        """Natural logarithm, for arguments > 0."""
        return self.apply("log")

    def sqrt(self) -> Angle:
        """Square root, for arguments >= 0."""
        return self.apply("sqrt")

    @property
    def constant(self) -> float | None:
        """The number this angle is, or None when it depends on features or weights."""
        if not self.terms:
            return 0.0
        return self.terms[0][1] if len(self.terms) == 1 and not self.terms[0][0] else None

    @property
    def slots(self) -> frozenset[tuple[str, int]]:
        """The features ``("x", i)`` and weights ``("w", j)`` the angle depends on."""
        return frozenset(_slots(self))

    @property
    def is_affine(self) -> bool:
        """Whether the angle is a constant plus a linear combination of features and weights."""
        return all(len(m) <= 1 and all(name in "xw" for name, _ in m) for m, _ in self.terms)

    def evaluate(self, x: Any, w: Any) -> Any:
        """Return the value for NumPy features ``x`` (..., n_inputs) and weights ``w`` (..., n_weights), radians."""
        total: Any = 0.0
        for monomial, coefficient in self.terms:
            value: Any = coefficient
            for name, argument in monomial:
                value = value * _factor_value(name, argument, x, w)
            total = total + value
        return total

    def __str__(self) -> str:
        return " + ".join(_term_text(m, c) for m, c in self.terms) or "0"

    __repr__ = __str__


def inputs(n: int) -> np.ndarray:
    """Return the features ``x[0] … x[n-1]`` as an object array of angles, shape (n,)."""
    return _slot_array("x", (n,))


def weights(*shape: int) -> np.ndarray:
    """Return ``prod(shape)`` trainable weights as an object array of angles of that shape, numbered row by row."""
    return _slot_array("w", shape)


def as_angle(value: Any) -> Angle:
    """Return a number or an angle as an :class:`Angle`.

    Raises
    ------
    TypeError
        If ``value`` is neither a finite real number nor an angle.
    """
    if isinstance(value, Angle):
        return value
    if _is_scalar(value) and np.isfinite(float(value)):
        return _collect([((), float(value))])
    raise TypeError(
        f"got {type(value).__name__} {value!r} as an angle, expected a finite real number or an expression "
        "of inputs(n) and weights(*shape): pass values to the layer, not to the gate"
    )


def _is_scalar(value: Any) -> bool:
    return isinstance(value, Angle | numbers.Real)


def _slot_array(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype=object)
    for number, index in enumerate(np.ndindex(*shape)):
        array[index] = Angle(((((kind, number),), 1.0),))
    return array


def _collect(terms: Any) -> Angle:
    """Add up equal monomials and drop zeros: the normal form."""
    total: dict[Monomial, float] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0.0) + coefficient
    kept = [(m, c) for m, c in total.items() if c != 0.0]
    return Angle(tuple(sorted(kept, key=lambda term: tuple(map(_order, term[0])))))


def _order(factor: Factor) -> tuple[Any, ...]:
    """Sorting key; angles themselves have no order, or ``max(x[0], x[1])`` would pick one silently."""
    name, argument = factor
    if isinstance(argument, Angle):
        return True, name, tuple((tuple(map(_order, m)), c) for m, c in argument.terms)
    return False, name, argument


def _power(base: Angle, power: int) -> Angle:
    result = as_angle(1.0)
    for _ in range(power):
        result = result * base
    return result


def _slots(angle: Angle) -> Iterator[tuple[str, int]]:
    for monomial, _ in angle.terms:
        for name, argument in monomial:
            if isinstance(argument, Angle):
                yield from _slots(argument)
            else:
                yield name, argument


def _factor_value(name: str, argument: Any, x: Any, w: Any) -> Any:
    if isinstance(argument, Angle):
        return getattr(np, name)(argument.evaluate(x, w))
    return (x if name == "x" else w)[..., argument]


def _term_text(monomial: Monomial, coefficient: float) -> str:
    factors = [f"{name}({a})" if isinstance(a, Angle) else f"{name}[{a}]" for name, a in monomial]
    number = [] if coefficient == 1.0 and factors else [f"{coefficient:.6g}"]
    return "*".join(number + factors)
