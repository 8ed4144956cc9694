r"""Which frequencies a circuit reaches, and which the data have (Schuld, Sweke and Meyer, arXiv:2008.08605).

Where all angles are affine in the features x, an expectation value is a Fourier series

    f(x) = sum_ω a_ω cos(ω·x) + b_ω sin(ω·x),     ω = sum_g k_g γ_g s_g

with s_g the slope of the angle of gate g, γ_g a frequency of the gate and k_g a whole number from -1 to 1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuits import Circuit
from circuits.angles import Angle
from circuits.observables import Readout
from qml.diagnostics import draws
from qml.diagnostics.draws import Array
from qml.layer import QuantumLayer

N_FREQUENCIES = 256

Steps = list[tuple[np.ndarray, int]]


N_LINES = 8  # lines through the samples, along which a feature is moved
FINEST = 250  # the largest frequency, in units of the smallest difference of two, that is resolved
SMALLEST = 1e-4  # a smaller amplitude is rounding, or no use
HIGHEST = 32  # waves over the range of a feature that are looked for in the data
SIGNIFICANT = 0.01  # probability of taking chance for a wave, over all waves of a feature
ROUNDING = 1e-20  # of the targets' variance
MOST = 0.9  # of what these waves explain: the smaller ones of the rest are left out


@dataclass(frozen=True, eq=False)
class Reach:
    """What a feature can do to the output, and what it would have to do.

    Attributes
    ----------
    span : float
        Largest minus smallest value of the feature in the data.
    frequencies, amplitudes : ndarray, shape (n,)
        Positive frequencies of the output in the feature, in radians per unit of it, and their root mean square
        amplitudes over samples, weights and readouts.
    needed, shares : ndarray, shape (m,)
        Frequencies in the targets as far as they are told from chance, the strongest that make up 90 % of them, and the
        shares of the targets' variance that they explain; 0 is a linear trend. Empty without targets.
    """

    span: float
    frequencies: Array
    amplitudes: Array
    needed: Array
    shares: Array

    @property
    def resolution(self) -> float:
        """How far apart two frequencies are that the span does not tell apart: half a wave over it."""
        return float(np.pi / max(self.span, 1e-300)) * (1 + 1e-9)

    @property
    def reached(self) -> np.ndarray:
        """Whether each of ``needed`` is reached, to the resolution; a trend always is, where there is a frequency."""
        if not len(self.frequencies):
            return np.zeros(len(self.needed), bool)
        near = np.abs(self.needed[:, None] - self.frequencies).min(1) <= self.resolution
        return near | (self.needed == 0)


def fourier_reach(layer: QuantumLayer, x: Tensor, y: Array | None = None, seed: int = 0) -> tuple[Reach, ...] | None:
    """Return for every feature which ω of ``Σ_ω c_ω exp(iωx)`` circuit and data have (arXiv:2008.08605).

    Those of the circuit have an amplitude: a feature is moved along lines through eight samples, weights even in
    [0, 2π), but weights that multiply features as the layer has them; at most 256 candidates. Those of the data are
    found by stepwise least squares among a trend and 32 waves over the feature's range, one feature at a time: what
    only several features together say is not seen. None where an angle is not affine in the features.

    Parameters
    ----------
    layer : QuantumLayer
    x : Tensor, shape (n, n_inputs), float64
    y : ndarray, shape (n, n_targets), optional
    seed : int
    """
    found = steps(layer)
    if found is None:
        return None
    w = _random_but_scales(layer, seed)
    return tuple(_reach(layer.circuit, layer.observables, found, i, x, y, w, seed) for i in range(x.shape[1]))


def steps(layer: QuantumLayer, weights: np.ndarray | None = None) -> Steps | None:
    """Return the slopes times frequencies of a layer's gates, and how often each comes.

    None if an angle is not affine in the features, or none depends on them.

    Parameters
    ----------
    layer
        The quantum layer.
    weights
        Those of one circuit, ``(n_weights,)``; of the first one if not given.
    """
    w = _own(layer).double().numpy() if weights is None else weights
    found: Counter[tuple[float, ...]] = Counter()
    for op in layer.circuit.ops:
        for angle in op.angles:
            slope = _slope(angle, w, layer.in_features)
            if slope is None or (op.gate.kind != "rotation" and slope.any()):
                return None
            found.update(_positive(slope * frequency) for frequency in _gaps(op.gate) if slope.any())
    return [(np.array(step), count) for step, count in found.items()] or None


def spectrum(steps: Steps, n: int = N_FREQUENCIES) -> np.ndarray:
    """Return at most `n` frequencies, those of the fewest gates first, without 0 and without -ω for any ω.

    Where the frequencies of as many gates do not all fit any more, some of them are drawn at random.
    """
    generator, found = np.random.default_rng(0), dict[tuple[float, ...], None]()
    level, slopes = {(0,) * len(steps)}, np.array([slope for slope, _ in steps])
    while level and len(found) < n:
        level = {k for old in level for k in _neighbours(old, steps)}
        new = sorted({_positive(np.array(ks) @ slopes) for ks in level})
        new = [frequency for frequency in new if any(frequency) and frequency not in found]
        found |= dict.fromkeys(new[i] for i in generator.permutation(len(new))[: n - len(found)])
        level = set(sorted(level)[:: max(1, len(level) // (4 * n))])
    return np.array(list(found))


def _reach(
    circuit: Circuit, readout: Readout, found: Steps, i: int, x: Tensor, y: Array | None, w: Tensor, seed: int
) -> Reach:
    column = x[:, i].numpy()
    along: Counter[tuple[float, ...]] = Counter()
    for step, count in found:
        along.update({_positive(step[i : i + 1]): count} if step[i] else {})
    known = np.sort(spectrum([(np.array(step), n) for step, n in along.items()])[:, 0]) if along else np.zeros(0)
    amplitudes = _amplitudes(circuit, readout, known, i, draws.samples(circuit, x, N_LINES, seed), w)
    needed = (np.zeros(0), np.zeros(0)) if y is None else _needed(column, y)
    live = amplitudes > SMALLEST
    return Reach(float(np.ptp(column)), known[live], amplitudes[live], *needed)


def _amplitudes(circuit: Circuit, readout: Readout, known: Array, i: int, x: Tensor, w: Tensor) -> Array:
    """Fit the series of known frequencies along lines through x; on a lattice of frequencies this is the DFT."""
    if not len(known):
        return np.zeros(0)
    gap = max(np.diff(known, prepend=0.0).min(), known[-1] / FINEST)
    n = 2 * int(np.ceil(known[-1] / gap)) + 3
    places = np.arange(n) * 2 * np.pi / (gap * n)
    rows = x.repeat_interleave(n, 0)
    rows[:, i] = torch.as_tensor(places).repeat(len(x))
    values = draws.values(circuit, readout, rows, w.repeat_interleave(n, 0)).unflatten(0, (len(x), n))
    design = np.concatenate([np.ones((n, 1)), np.cos(np.outer(places, known)), np.sin(np.outer(places, known))], 1)
    fitted = np.linalg.lstsq(design, values.movedim(1, 0).flatten(1).numpy(), rcond=1e-4)[0][1:]
    found: Array = np.sqrt(np.square(fitted).reshape(2, len(known), -1).sum(0).mean(1))
    return found


def _needed(column: Array, y: Array) -> tuple[Array, Array]:
    """Return the frequencies of the targets in a feature, and what they explain: always the next best, by F-tests."""
    span, n = np.ptp(column), len(column)
    n_waves = min(HIGHEST, n // 4 - 1, (len(np.unique(column)) - 2) // 2)
    if n_waves < 1:
        return np.zeros(0), np.zeros(0)
    places = (column - column.min()) / span
    phases = [2 * np.pi * k * places for k in range(1, n_waves + 1)]
    groups = [places[:, None], *(np.stack([np.cos(phase), np.sin(phase)], 1) for phase in phases)]
    shares = _stepwise([group - group.mean(0) for group in groups], y - y.mean(0))
    kept = np.array([share > 0 and shares[shares > share].sum() < MOST * shares.sum() for share in shares])
    return (np.arange(n_waves + 1) * 2 * np.pi / span)[kept], shares[kept]


def _stepwise(groups: list[Array], rest: Array) -> Array:
    """Return the share of the variance that each group of columns explains when it is chosen; 0 where it is not."""
    from scipy.stats import f  # slow to load

    shares, total, free = np.zeros(len(groups)), np.square(rest).sum(), len(rest) - 1
    while np.square(rest).sum() > ROUNDING * total and free > len(groups):
        bases = [_basis(group) for group in groups]
        gains = np.array([np.square(basis.T @ rest).sum() for basis in bases])
        best, free = int(gains.argmax()), free - bases[int(gains.argmax())].shape[1]
        chosen, n_columns = bases[best], bases[best].shape[1]
        rest = rest - chosen @ (chosen.T @ rest)
        if gains[best] < n_columns * np.square(rest).sum() / free * f.isf(SIGNIFICANT / len(groups), n_columns, free):
            break
        shares[best] = gains[best] / total
        groups = [group - chosen @ (chosen.T @ group) for group in groups]
    return shares


def _basis(group: Array) -> Array:
    """Orthonormal columns; none for directions that were chosen before."""
    left, s, _ = np.linalg.svd(group, full_matrices=False)
    found: Array = left[:, s > 1e-8 * np.sqrt(len(group))]
    return found


def _random_but_scales(layer: QuantumLayer, seed: int) -> Tensor:
    """Draw weights, but leave those that stand in one term with a feature: other ones would be other frequencies."""
    monomials = [monomial for angle in layer.circuit.angles for monomial, _ in angle.terms]
    slots = [Angle(((monomial, 1.0),)).slots for monomial in monomials]
    kept = sorted({j for found in slots if any(kind == "x" for kind, _ in found) for kind, j in found if kind == "w"})
    w = draws.weights(layer.circuit, N_LINES, seed)
    w[:, kept] = _own(layer).double()[kept]
    return w


def _own(layer: QuantumLayer) -> Tensor:
    return (layer.weights if layer.weights.ndim == 1 else layer.weights[0]).detach().cpu()


def _gaps(gate: Any) -> tuple[float, ...]:
    return gate.frequencies if gate.kind == "rotation" else ()


def _slope(angle: Angle, w: np.ndarray, n_inputs: int) -> np.ndarray | None:
    """Return the gradient of an angle with respect to the features, None where it depends on them."""
    slope = np.zeros(n_inputs)
    for monomial, coefficient in angle.terms:
        features = [argument for name, argument in monomial if name == "x"]
        others = Angle(((tuple(factor for factor in monomial if factor[0] != "x"), coefficient),))
        if len(features) > 1 or any(name == "x" for name, _ in others.slots):
            return None
        if features:
            slope[features[0]] += others.evaluate(None, w)
    return slope


def _positive(step: np.ndarray) -> tuple[float, ...]:
    """Return the one of ω and -ω whose first number that is not 0 is positive, rounded so that equal ones are equal."""
    rounded = np.round(step, 9) + 0.0
    leading = rounded[rounded != 0][:1]
    return tuple((rounded * (np.sign(leading[0]) if len(leading) else 1) + 0.0).tolist())


def _neighbours(ks: tuple[int, ...], steps: Steps) -> list[tuple[int, ...]]:
    """Count one gate more, away from 0."""
    return [
        (*ks[:i], k + sign, *ks[i + 1 :])
        for i, (k, (_, count)) in enumerate(zip(ks, steps, strict=True))
        for sign in (1, -1)
        if abs(k + sign) <= count and k * sign >= 0
    ]
