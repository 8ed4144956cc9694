r"""Classical surrogates of trained quantum layers: features that no circuit computes, with a readout fitted by ridge.

Where all angles are affine in the features x, an expectation value is a Fourier series

    f(x) = sum_ω a_ω cos(ω·x) + b_ω sin(ω·x),     ω = sum_g k_g γ_g s_g

with s_g the slope of the angle of gate g and γ_g a frequency of the gate (Schuld, Sweke and Meyer, arXiv:2008.08605;
as a surrogate of trained models Schreiber, Eisert and Meyer, arXiv:2206.11740). It is truncated to the frequencies of
the fewest gates. Elsewhere the ω are random, those of a Gaussian kernel (Rahimi and Recht, NIPS 2007).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybrid import controls
from qml import QuantumLayer
from qml.diagnostics.fourier import N_FREQUENCIES, spectrum, steps

N_SAMPLES = 2000
ALPHAS = np.logspace(-6, 2, 9)


class Waves(nn.Module):
    """Cosines and sines of fixed frequencies, read out linearly; computed in double precision.

    Parameters
    ----------
    frequencies : ndarray, shape (n_frequencies, n_inputs)
        In radians per unit of the feature.
    x, y : ndarray, shapes (n, n_inputs), (n, n_outputs)
        What to fit, by ridge regression whose penalty leave-one-out errors choose.
    """

    def __init__(self, frequencies: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        from sklearn.linear_model import RidgeCV

        super().__init__()
        self.register_buffer("frequencies", torch.as_tensor(frequencies, dtype=torch.float64))
        fitted = RidgeCV(ALPHAS).fit(self.features(torch.as_tensor(x)).numpy(), y)
        self.register_buffer("readout", torch.as_tensor(np.atleast_2d(fitted.coef_)))
        self.register_buffer("constant", torch.as_tensor(np.atleast_1d(fitted.intercept_)))

    @property
    def n_parameters(self) -> int:
        """Number of fitted coefficients."""
        return self.get_buffer("readout").numel() + self.get_buffer("constant").numel()

    def features(self, x: Tensor) -> Tensor:
        """Return cosines and sines, (*, 2 n_frequencies)."""
        phases = x.double() @ self.get_buffer("frequencies").mT
        return torch.cat([phases.cos(), phases.sin()], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the surrogate of the readout of every sample."""
        return nn.functional.linear(self.features(x), self.get_buffer("readout"), self.get_buffer("constant")).to(x)


def surrogate(model: nn.Module, X: np.ndarray, X_test: np.ndarray) -> tuple[nn.Module, dict[str, Any]]:
    """Return a copy of a trained model with a surrogate in the place of every quantum layer.

    Parameters
    ----------
    model
        The trained model; it stays as it is.
    X, X_test
        Samples as the model takes them: those to fit the surrogates on (at most 2,000, and as many calls of a layer),
        and those to say how well they reproduce the layers on.

    Returns
    -------
    Module
        The copy, in eval mode.
    dict
        ``kinds``, ``n_features`` and ``r2`` (of all outputs together, on the test samples; 1 is perfect) of every
        layer, and ``n_parameters``, the number of fitted coefficients.
    """
    from sklearn.metrics import r2_score

    copied = copy.deepcopy(model).eval()
    kept = np.random.default_rng(0).permutation(len(X))[:N_SAMPLES]
    seen, tested = calls(copied, X[kept]), calls(copied, X_test)
    fitted = {layer: _fit(layer, *pairs) for layer, pairs in seen.items()}
    report: dict[str, Any] = {"kinds": [], "n_features": [], "r2": [], "n_parameters": 0}
    for layer, body in fitted.items():
        waves = [part for part in body.modules() if isinstance(part, Waves)]
        x, y = tested[layer]
        report["kinds"].append("Fourier" if steps(layer) is not None else "random Fourier")
        report["n_features"].append(2 * len(waves[0].get_buffer("frequencies")))
        report["r2"].append(float(r2_score(*map(_flat, (y, _run(body, x))), multioutput="variance_weighted")))
        report["n_parameters"] += sum(part.n_parameters for part in waves)
    return controls.replaced(copied, lambda layer: _in_place(layer, fitted)), report


def predict(model: nn.Module, X: np.ndarray) -> np.ndarray:
    """Return the class of every sample, int64 ``(n,)``."""
    return _run(model, X).argmax(-1)


def _numbers(weights: Tensor) -> np.ndarray:
    return weights.detach().double().cpu().numpy()


def _in_place(layer: QuantumLayer, fitted: dict[QuantumLayer, nn.Module]) -> nn.Module:
    return controls.StandIn(layer, fitted[layer]) if layer in fitted else layer  # one that the model never calls stays


def _fit(layer: QuantumLayer, x: np.ndarray, y: np.ndarray) -> nn.Module:
    if layer.weights.ndim == 1:
        return _waves(layer, layer.weights, _flat(x), _flat(y))
    return controls.each_circuit(
        layer, lambda k: _waves(layer, layer.weights[k], _flat(x[..., k, :]), _flat(y[..., k, :]))
    )


def _waves(layer: QuantumLayer, weights: Tensor, x: np.ndarray, y: np.ndarray) -> Waves:
    kept = np.random.default_rng(0).permutation(len(x))[:N_SAMPLES]
    found = steps(layer, _numbers(weights))
    return Waves(_random(x) if found is None else spectrum(found), x[kept], y[kept])


def _random(x: np.ndarray) -> np.ndarray:
    """Draw the frequencies of a Gaussian kernel of scikit-learn's usual width."""
    gamma = 1 / (x.shape[1] * (x.var() or 1))
    return np.sqrt(2 * gamma) * np.random.default_rng(0).standard_normal((N_FREQUENCIES, x.shape[1]))


def calls(model: nn.Module, X: np.ndarray) -> dict[QuantumLayer, tuple[np.ndarray, np.ndarray]]:
    """Run a model and return what went into its quantum layers and came out of them, all calls together.

    Parameters
    ----------
    model, X
        The model, and samples as it takes them.

    Returns
    -------
    dict
        Inputs and outputs, samples first, of every layer that was called.
    """
    found: dict[QuantumLayer, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in controls.layers(model)}
    lists = iter(found.values())

    def alone(layer: QuantumLayer) -> nn.Module:  # those that share a call, as the gates of a cell do, have their own
        stand_in = controls.StandIn(layer, layer)
        stand_in.register_forward_hook(_keeping(next(lists)), with_kwargs=True)
        return stand_in

    _run(controls.replaced(copy.deepcopy(model), alone), X)
    return {layer: _stacked(layer, pairs) for layer, pairs in found.items() if pairs}


def _keeping(kept: list[tuple[Tensor, Tensor]]) -> Callable[..., None]:
    def keep(_: nn.Module, arguments: tuple[Tensor, ...], named: dict[str, Tensor], y: Tensor) -> None:
        kept.append(((*arguments, *named.values())[0].detach(), y.detach()))

    return keep


def _stacked(layer: QuantumLayer, pairs: list[tuple[Tensor, Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    inner = layer.weights.ndim  # of the dimensions of a call, those that do not number samples
    x, y = (torch.cat([t.flatten(0, -inner - 1) for t in ts]).double().cpu().numpy() for ts in zip(*pairs, strict=True))
    return x, y


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


@torch.no_grad()
def _run(model: nn.Module, X: np.ndarray) -> np.ndarray:
    return torch.cat([model(part) for part in torch.as_tensor(X).split(256)]).cpu().numpy()
