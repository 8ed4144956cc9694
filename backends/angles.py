"""Features and weights to gate angles, in torch: one gather, one product, one sum per level of nesting.

With v = (1, x, w) every angle is ``sum_t c_t * prod_f v[index(t, f)]``; a function such as sin(angle) is one more
entry of v, computed after its argument: before w where it takes features only. Differentiable to any order, on any
device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from backends.identity import constants
from circuits import Angle, Circuit
from circuits.angles import Factor


@dataclass(frozen=True, eq=False)
class _Sums:
    """The angles ``sum_t c_t prod_f v[index]``: rows names the angle of each term."""

    rows: Tensor  # (terms,)
    coefficients: Tensor  # (terms,)
    factors: Tensor  # (max factors, terms), indices into v; 0 is the constant 1
    n_angles: int
    one_term_each: bool
    ones: bool  # all coefficients

    def __call__(self, values: Tensor) -> Tensor:
        rows, coefficients, factors = _on(self, values.device, values.dtype)
        product = values.index_select(1, factors[0])
        for index in factors[1:]:
            product = product * values.index_select(1, index)
        product = product if self.ones else product * coefficients
        if self.one_term_each:
            return product
        return product.new_zeros(len(product), self.n_angles).index_add(1, rows, product)


_Calls = tuple[tuple[str, _Sums], ...]  # a function, of all arguments that are known by then


@dataclass(frozen=True)
class AngleMap:
    """All angles of a circuit as a function of features and weights."""

    of_features: _Calls
    of_weights: _Calls  # and of features
    angles: _Sums
    position: Mapping[Factor, int]  # of every factor in v

    def __call__(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the angles (rows, n_angles) for features (rows, n_inputs) and weights (rows, n_weights)."""
        return self.angles(self.values(x, w))

    def values(self, x: Tensor, w: Tensor) -> Tensor:
        """Return v: 1, the features and their functions, the weights and functions of those, (rows, n_values)."""
        return _append(torch.cat([self.features(x), w], 1), self.of_weights)

    def features(self, x: Tensor) -> Tensor:
        """Return the entries of v before the weights."""
        return _append(torch.cat([x.new_ones(len(x), 1), x], 1), self.of_features)


def _append(values: Tensor, calls: _Calls) -> Tensor:
    for function, arguments in calls:
        values = torch.cat([values, getattr(torch, function)(arguments(values))], 1)
    return values


@lru_cache(maxsize=512)
@constants()
def angle_map(circuit: Circuit) -> AngleMap:
    """Return the compiled angles of a circuit."""
    position: dict[Factor, int] = {("x", i): 1 + i for i in range(circuit.n_inputs)}
    of_features = _place(_levels(circuit.angles, "x"), position)
    position |= {("w", j): 1 + len(position) + j for j in range(circuit.n_weights)}
    of_weights = _place(_levels(circuit.angles, "w"), position)
    return AngleMap(of_features, of_weights, _sums(circuit.angles, position), position)


@lru_cache(maxsize=512)
def trainable_columns(circuit: Circuit, x: bool, w: bool) -> tuple[int, ...]:
    """Return the angles that depend on features (where ``x``) or on weights (where ``w``)."""
    kinds = {kind for kind, wanted in (("x", x), ("w", w)) if wanted}
    return tuple(k for k, angle in enumerate(circuit.angles) if kinds & {kind for kind, _ in angle.slots})


def _place(levels: Iterator[tuple[str, tuple[Angle, ...]]], position: dict[Factor, int]) -> _Calls:
    """Compile the functions of every level and give them the next places in v."""
    calls = []
    for function, arguments in levels:
        calls.append((function, _sums(arguments, position)))
        position |= {(function, argument): 1 + len(position) + k for k, argument in enumerate(arguments)}
    return tuple(calls)


def _levels(angles: tuple[Angle, ...], kind: str) -> Iterator[tuple[str, tuple[Angle, ...]]]:
    """Yield functions that take features only ("x") or weights too ("w"), with all arguments of one depth."""
    depth: dict[Factor, int] = {}
    for name, argument in _calls(angles):
        depth[name, argument] = 1 + max((depth[call] for call in _calls((argument,))), default=0)
    found = [call for call in depth if ("w" in {kind for kind, _ in call[1].slots}) == (kind == "w")]
    for level, function in sorted({(depth[call], call[0]) for call in found}):
        yield function, tuple(call[1] for call in found if (depth[call], call[0]) == (level, function))


def _calls(angles: tuple[Angle, ...]) -> Iterator[Factor]:
    """Every function call, arguments before their callers."""
    for angle in angles:
        for name, argument in (factor for monomial, _ in angle.terms for factor in monomial):
            if isinstance(argument, Angle):
                yield from _calls((argument,))
                yield name, argument


def _sums(angles: tuple[Angle, ...], position: dict[Factor, int]) -> _Sums:
    # An angle of no terms is the number 0; it keeps a term so that one-term circuits need no sum.
    terms = [(k, c, m) for k, angle in enumerate(angles) for m, c in angle.terms or (((), 0.0),)]
    width = max((len(m) for _, _, m in terms), default=1) or 1
    factors = [[position[f] for f in m] + [0] * (width - len(m)) for _, _, m in terms]
    rows = [k for k, _, _ in terms]
    return _Sums(
        torch.tensor(rows, dtype=torch.long, device="cpu"),
        torch.tensor([c for _, c, _ in terms], dtype=torch.float64, device="cpu"),
        torch.tensor(factors, dtype=torch.long, device="cpu").reshape(-1, width).T.contiguous(),
        len(angles),
        rows == list(range(len(angles))),
        all(c == 1.0 for _, c, _ in terms),
    )


@lru_cache(maxsize=2048)
@constants()
def _on(sums: _Sums, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    return sums.rows.to(device), sums.coefficients.to(device, dtype), sums.factors.to(device)
