"""How far gradients stand out from the noise of shots, by the parameter-shift rule (arXiv:1811.11184)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backends.angles import angle_map
from circuits import Circuit, Op, Probabilities, inputs
from circuits.observables import Observable, Readout
from qml.diagnostics import draws
from qml.diagnostics.draws import Array
from qml.layer import QuantumLayer

N_ROWS = 16


@dataclass(frozen=True, eq=False)
class ShotNoise:
    """Gradients and their standard errors.

    Attributes
    ----------
    signal, noise : ndarray, shape (n_readouts, n_weights)
        Root mean squares over samples and first weights: of the derivative, and of its standard error from ``shots``.
    shots : int
        Per circuit and basis.
    """

    signal: Array
    noise: Array
    shots: int

    @property
    def ratio(self) -> Array:
        """Signal to noise of every weight, in the readout where it is best; NaN where a weight is dead."""
        live = self.signal > 1e-8
        ratios = (self.signal / self.noise.clip(1e-9)).max(0, where=live, initial=0.0)
        ratios[~live.any(0)] = float("nan")
        return ratios


def shot_noise(layer: QuantumLayer, x: Tensor | None, shots: int, seed: int = 0) -> ShotNoise:
    """Return what ``shots`` leave of gradients: ``f' = Σ_k c_k f(t + s_k)``, so ``Var = Σ_k c_k^2 σ_k^2 / shots``.

    Each of 16 rows has a sample and first weights of its own. The parameter-shift rule is arXiv:1811.11184's, in the
    general form of arXiv:2107.12390. σ is exact for Pauli words and probabilities; for sums of words it is the largest
    that their mean allows.

    Parameters
    ----------
    layer : QuantumLayer
        Weights are drawn by its ``init``; its backend is not used.
    x : Tensor, shape (n, n_inputs), float64, optional
        Samples to draw from.
    shots, seed : int
    """
    circuit, readout = layer.circuit, layer.observables
    w = draws.weights(circuit, N_ROWS, seed, layer.init)
    rows = draws.samples(circuit, x, N_ROWS, seed)
    angles, slopes = _angles(circuit, rows, w)
    gradient, variance = _shifted(_of_angles(circuit), readout, angles, slopes.abs().amax((0, 2)) > 0)
    signal = torch.einsum("rao,raw->row", gradient, slopes).square().mean(0)
    noise = torch.einsum("rao,raw->row", variance, slopes.square()).mean(0) / shots
    return ShotNoise(signal.sqrt().numpy(), noise.sqrt().numpy(), shots)


def _angles(circuit: Circuit, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gate angles of every row (rows, n_angles), and their derivatives by the weights of that row."""
    own = w.clone().requires_grad_()
    with torch.enable_grad():
        angles = angle_map(circuit)(x, own)
        slopes = [
            torch.autograd.grad(column.sum(), own, retain_graph=True, materialize_grads=True)[0]
            if column.requires_grad
            else torch.zeros_like(own)
            for column in angles.unbind(1)
        ]
    return angles.detach(), torch.stack(slopes, 1)


def _of_angles(circuit: Circuit) -> Circuit:
    """Return the circuit whose features are the angles of the gates."""
    angles = iter(inputs(len(circuit.angles)))
    ops = [Op(op.gate, op.qubits, tuple(next(angles) for _ in op.angles)) for op in circuit.ops]
    return Circuit(circuit.n_qubits, ops, len(circuit.angles))


def _shifted(circuit: Circuit, readout: Readout, angles: Tensor, needed: Tensor) -> tuple[Tensor, Tensor]:
    """Return derivatives by angles, and their variances for one shot, (rows, n_angles, n_readouts)."""
    gradient = angles.new_zeros(*angles.shape, len(readout))
    variance = torch.zeros_like(gradient)
    gates = [op.gate for op in circuit.ops for _ in op.angles]
    for k in needed.nonzero()[:, 0].tolist():
        for coefficient, shift in gates[k].shift_rule:
            moved = angles.clone()
            moved[:, k] += shift
            found = draws.values(circuit, readout, moved, moved.new_zeros(len(moved), 0))
            gradient[:, k] += coefficient * found
            variance[:, k] += coefficient**2 * _spread(readout, found)
    return gradient, variance


def _spread(readout: Readout, means: Tensor) -> Tensor:
    """Return the variance of one shot from the mean: of a sum of words, the most that it can be."""
    if isinstance(readout, Probabilities):
        return means * (1 - means)
    constant, scale = means.new_tensor([_constant_and_scale(each) for each in readout]).T
    return (scale.square() - (means - constant).square()).clamp(min=0)


def _constant_and_scale(observable: Observable) -> tuple[float, float]:
    terms = dict(observable.terms)
    constant = terms.pop((), 0.0)
    return constant, sum(map(abs, terms.values()))
