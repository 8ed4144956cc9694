"""The controls of any torch model with quantum layers: what else can stand in the place of its circuits.

All quantum layers of a model are replaced alike, those of recurrent cells too, step by step; widths stay, so that the
rest of the model stays as it is:

- ``removed``: nothing, or where the widths differ a fixed random projection with orthonormal rows or columns;
- ``linear``: a linear layer and tanh;
- ``separable``: the circuit without entangling gates; where it reads out some of its qubits only, Z is read on the
  others too, and a trained linear layer, which starts as the circuit's own readout, brings all to the old width (a few
  more parameters, which favours the control);
- ``frozen``: the circuit with its random weights untrained.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hybrid.dressed import CONTROLS, every_qubit
from qml import QuantumLayer

Source = nn.Module | Callable[[], nn.Module]


class StandIn(nn.Module):
    """A module in the place of a quantum layer, called as one.

    Parameters
    ----------
    layer : QuantumLayer
        Whose place it takes; it is not kept.
    body : Module
        What stands there.
    """

    def __init__(self, layer: QuantumLayer, body: nn.Module) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.body = body
        self.register_buffer("like", layer.weights.new_empty(0), persistent=False)  # dtype and device, for who asks

    def forward(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return what the body makes of the features.

        Raises
        ------
        ValueError
            If weights are given.
        """
        refuse_weights(weights)
        return self.body(x)


class EachCircuit(nn.Module):
    """One module for each of several circuits side by side: (*, n_circuits, n) -> (*, n_circuits, m)."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the k-th module to the k-th row of every sample."""
        return torch.stack([part(row) for part, row in zip(self.parts, x.unbind(-2), strict=True)], -2)


class Projection(nn.Module):
    """A fixed random projection with orthonormal rows or columns: (*, n) -> (*, m)."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.register_buffer("matrix", nn.init.orthogonal_(torch.empty(m, n)))

    def forward(self, x: Tensor) -> Tensor:
        """Project every sample."""
        return nn.functional.linear(x, self.get_buffer("matrix"))


def model(source: Source, control: str | None = None) -> nn.Module:
    """Build a model anew, or one of its controls; the rest of it starts from the same weights in all of them.

    Parameters
    ----------
    source
        The function that builds the model, or a model, which is copied and initialised anew: the weights that are
        frozen (pretrained ones, as a rule) stay. Weights are drawn from torch's generator.
    control
        One of ``removed``, ``linear``, ``separable``, ``frozen``; the model itself if None.

    Raises
    ------
    TypeError
        If the source is neither, or builds no torch model.
    ValueError
        If the model has no quantum layer, or one that cannot be replaced, or cannot be initialised anew.
    """
    found = _initialised(copy.deepcopy(source)) if isinstance(source, nn.Module) else _built(source)
    check(layers(found))
    return found if control is None else replaced(found, lambda layer: _stand_in(layer, control))


def layers(model: nn.Module) -> list[QuantumLayer]:
    """Return the quantum layers of a model, each once."""
    return [module for module in model.modules() if isinstance(module, QuantumLayer)]


def check(layers: list[QuantumLayer]) -> None:
    """Refuse what has no controls."""
    if not layers:
        raise ValueError(
            "got a model without a qml.QuantumLayer, expected one or more, alone or in ParallelCircuits, "
            "Quanvolution2d, QRNN, QLSTM or QGRU: an audit asks what these contribute"
        )
    for layer in layers:
        if not layer.in_features:
            raise ValueError(f"got a circuit without features, {layer.circuit}, expected n_inputs > 0: encode samples")
        if layer.weights.ndim > 2:
            raise ValueError(
                f"got a QuantumLayer with weights of shape {tuple(layer.weights.shape)}, expected (n_weights,) or "
                "(n_circuits, n_weights): split it into several layers"
            )


def replaced(model: nn.Module, stand_in: Callable[[QuantumLayer], nn.Module]) -> nn.Module:
    """Put something else in the place of every quantum layer, in place; what is shared stays shared.

    Parameters
    ----------
    model
        Changed and returned, unless it is a quantum layer itself.
    stand_in
        Called once for each layer.
    """
    new: dict[QuantumLayer, nn.Module] = {layer: stand_in(layer) for layer in layers(model)}
    if isinstance(model, QuantumLayer):
        return new[model]
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, QuantumLayer):
                parent._modules[name] = new[child]
    return model


def refuse_weights(weights: Any) -> None:
    """Refuse the weights that a call of a quantum layer gives."""
    if weights is not None:
        raise ValueError(
            "got a QuantumLayer called with weights from elsewhere, expected its own: such a model has no stand-in "
            "of its circuits, so compare it with hybrid.compare and a build of its own"
        )


def _built(source: Any) -> nn.Module:
    found = source() if callable(source) else source
    if not isinstance(found, nn.Module):
        what = "a function that returns " if callable(source) else ""
        raise TypeError(
            f"got {what}{type(found).__name__} as a model, expected a torch model or a function that builds one: "
            "audit(lambda: Sequential(...), X, y)"
        )
    return found


def _initialised(model: nn.Module) -> nn.Module:
    """Draw the weights of every module anew, those of the inner ones first, as constructors do."""
    for name, module in sorted(model.named_modules(), key=lambda pair: -len(pair[0].split(".")) if pair[0] else 0):
        own = dict(module.named_parameters(recurse=False))
        if (
            own
            and not any(parameter.requires_grad for parameter in own.values())
            and not isinstance(module, QuantumLayer)
        ):
            continue
        reset = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))
        if reset is not None:
            reset()
        elif own:
            raise ValueError(
                f"got a model whose parameter {'.'.join(filter(None, (name, next(iter(own)))))!r} cannot be drawn "
                f"anew for every seed, expected {type(module).__name__}.reset_parameters: give the function that "
                "builds the model instead"
            )
    return model


def _stand_in(layer: QuantumLayer, control: str) -> nn.Module:
    match control:
        case "removed":
            return StandIn(layer, _nothing(layer.in_features, layer.out_features).to(layer.weights))
        case "linear":
            return StandIn(layer, each_circuit(layer, lambda _: _linear(layer)))
        case "separable":
            return StandIn(layer, _separable(layer))
        case "frozen":
            return layer.requires_grad_(False)
    raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")


def each_circuit(layer: QuantumLayer, make: Callable[[int], nn.Module]) -> nn.Module:
    """Make one module for a layer, or one for each of its circuits side by side, from their numbers."""
    return make(0) if layer.weights.ndim == 1 else EachCircuit(map(make, range(len(layer.weights))))


def _nothing(n: int, m: int) -> nn.Module:
    return nn.Identity() if n == m else Projection(n, m)


def _linear(layer: QuantumLayer) -> nn.Module:
    return nn.Sequential(nn.Linear(layer.in_features, layer.out_features), nn.Tanh()).to(layer.weights)


def _separable(layer: QuantumLayer) -> nn.Module:
    readout = every_qubit(layer.circuit.n_qubits, layer.observables)
    circuit = QuantumLayer(layer.circuit.separable(), readout, layer.backend, init=layer.init)
    circuit.weights = layer.weights
    if readout == layer.observables:
        return circuit
    narrow = nn.Linear(len(readout), layer.out_features)
    nn.init.zeros_(narrow.bias)
    nn.init.eye_(narrow.weight)
    return nn.Sequential(circuit, narrow.to(layer.weights))
