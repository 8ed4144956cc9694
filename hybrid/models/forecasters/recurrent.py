"""Recurrent layer and linear readout: QRNN, QLSTM, QGRU (Chen et al., arXiv:2211.02612), or torch's own of equal size.

The quantum layers have one qubit per entry of v = [x, h]: 4 with one input and the papers' three hidden entries.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from backends import Backend
from hybrid.baselines import recurrent
from qml import QGRU, QLSTM, QRNN, QuantumLayer

QUANTUM: dict[str, Any] = {"QRNN": QRNN, "QLSTM": QLSTM, "QGRU": QGRU}


class Forecaster(nn.Module):
    """A recurrent layer with a linear readout of its outputs; float64.

    Parameters
    ----------
    rnn : nn.Module
        Called as torch.nn.RNN, time first.
    size : int
        Numbers in an output of it.

    Attributes
    ----------
    rnn : nn.Module
    readout : torch.nn.Linear
    """

    def __init__(self, rnn: nn.Module, size: int) -> None:
        super().__init__()
        self.rnn = rnn.double()
        self.readout = nn.Linear(size, 1, dtype=torch.float64)

    def states(self, u: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return what the readout sees, (T, N, size), and the state to go on from."""
        return self.rnn(u, state)

    def forward(self, u: Tensor, state: Any = None, last_only: bool = False) -> tuple[Tensor, Any]:
        """Return forecasts (T, N, 1), or (N, 1) after the last step only, and the state to go on from."""
        outputs, state = self.states(u, state)
        return self.readout(outputs[-1] if last_only else outputs), state


def quantum(
    kind: str,
    *,
    hidden_size: int = 3,
    n_inputs: int = 1,
    frozen: bool = False,
    entangled: bool = True,
    backend: Backend | None = None,
) -> Forecaster:
    """Return a quantum recurrent network, or one of its controls with the same first weights.

    Parameters
    ----------
    kind : {"QRNN", "QLSTM", "QGRU"}
    hidden_size, n_inputs : int
        The circuits have n_inputs + hidden_size qubits.
    frozen : bool
        Whether the circuits keep the weights they are drawn with: the readout alone is trained.
    entangled : bool
        False for the control without entangling gates.
    backend : Backend, optional
        Where the circuits run.

    Raises
    ------
    ValueError
        If the kind is unknown, or a size is less than 1.
    """
    if kind not in QUANTUM:
        raise ValueError(f"got kind={kind!r}, expected one of {', '.join(QUANTUM)}: write the name as listed")
    rnn = QUANTUM[kind](n_inputs, hidden_size, frozen=frozen, backend=backend, dtype=torch.float64)
    return Forecaster(rnn if entangled else without_entanglers(rnn), rnn.output_size)


def classical(
    kind: str, *, n_parameters: int | None = None, hidden_size: int | None = None, frozen: bool = False
) -> Forecaster:
    """Return torch's RNN, LSTM or GRU of one input, of a size as :func:`hybrid.baselines.recurrent.build` takes it.

    Raises
    ------
    ValueError
        As there.
    """
    found = recurrent.build(kind, n_parameters=n_parameters, hidden_size=hidden_size, frozen=frozen)
    return Forecaster(found.rnn, found.rnn.hidden_size)


def without_entanglers(module: nn.Module) -> nn.Module:
    """Take the entangling gates out of all circuits of a module, in place; return the module itself.

    Weights and readouts stay. Without them <Z> of a qubit depends on its own entry of v alone: in a QRNN the first
    entry of h on x, the second on the first one of the step before, and so on, so that what is left is a line of
    delays with a function of one number at each.
    """
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, QuantumLayer):
                setattr(parent, name, _separable(layer))
    return module


def _separable(layer: QuantumLayer) -> QuantumLayer:
    found = QuantumLayer(layer.circuit.separable(), layer.observables, layer.backend, init=layer.init)
    found.weights = layer.weights
    return found
