"""How large gradients are, and how they shrink with width and depth: barren plateaus (McClean, arXiv:1803.11173)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from circuits import Circuit
from qml.diagnostics import draws
from qml.diagnostics.draws import Array
from qml.layer import QuantumLayer

#: A variance below it is rounding: the readout does not depend on the weight, or all draws are alike.
NOTHING = 1e-20

Template = Callable[[int, int], Any]


class Slope(NamedTuple):
    """How log2 of the variance grows per qubit, by least squares, with its 95 % interval: -1 is a half per qubit."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Plateau:
    """Gradient variance on a grid of widths and depths.

    Attributes
    ----------
    widths, depths : tuple of int
        Numbers of qubits and layers.
    variances : ndarray, shape (n_depths, n_widths)
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    variances: Array

    @property
    def slopes(self) -> tuple[Slope, ...]:
        """The slope at each depth; without an interval (NaN) from two widths."""
        return tuple(_slope(self.widths, variances) for variances in self.variances)


def gradient_variance(layer: QuantumLayer, x: Tensor | None = None, n_draws: int = 100, seed: int = 0) -> float:
    """Return ``Var[∂<O>/∂w_k]`` over first weights and samples (McClean et al., arXiv:1803.11173).

    It is the mean over all pairs of a readout O and a weight that O depends on; 0 where there is none. A variance v
    means gradients of about sqrt(v).

    Parameters
    ----------
    layer : QuantumLayer
        Weights are drawn by its ``init``.
    x : Tensor, shape (n, n_inputs), float64, optional
        Samples to draw from; even in [-π, π) if not given.
    n_draws, seed : int
    """
    circuit = layer.circuit
    w = draws.weights(circuit, n_draws, seed, layer.init)
    slopes = draws.jacobian(circuit, layer.observables, draws.samples(circuit, x, n_draws, seed), w)
    variances = slopes.var(0)
    live = variances[variances > NOTHING]
    return float(live.mean()) if len(live) else 0.0


def barren_plateau(
    template: Template, widths: Sequence[int] = (2, 4, 6, 8), depths: Sequence[int] = (1, 4, 16), **options: Any
) -> Plateau:
    """Return the gradient variance of a circuit built wider and deeper (McClean et al., arXiv:1803.11173).

    Parameters
    ----------
    template : callable
        ``template(n_qubits, n_layers)`` returns a QuantumLayer, or a Circuit that is read by Z on every qubit.
    widths, depths : sequence of int
        Numbers of qubits, two at least, and of layers.
    **options
        Those of :func:`gradient_variance`. Features are drawn, as data have one width only.
    """
    found = [[gradient_variance(as_layer(template(n, depth)), **options) for n in widths] for depth in depths]
    return Plateau(tuple(widths), tuple(depths), np.array(found))


def as_layer(built: Any) -> QuantumLayer:
    """Return what a template has built as a layer; raise TypeError for another thing."""
    if not isinstance(built, QuantumLayer | Circuit):
        raise TypeError(
            f"got {type(built).__name__} from the template, expected a QuantumLayer or a Circuit: "
            "template=lambda n_qubits, n_layers: QuantumLayer(strongly_entangling(n_qubits, n_layers))"
        )
    return QuantumLayer(built) if isinstance(built, Circuit) else built


def _slope(widths: tuple[int, ...], variances: Array) -> Slope:
    from scipy.stats import linregress, t  # slow to load

    if not (variances > 0).all():
        return Slope(np.nan, np.nan, np.nan)
    fitted = linregress(widths, np.log2(variances))
    half = fitted.stderr * t.isf(0.025, len(widths) - 2) if len(widths) > 2 else np.nan
    return Slope(float(fitted.slope), float(fitted.slope - half), float(fitted.slope + half))
