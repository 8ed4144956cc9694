"""Dressed circuits: a circuit between two linear layers, and the controls that say what the circuit adds.

    y = W2 q(π/2 · tanh(W1 x + b1)) + b2          (Mari et al., arXiv:1912.08278)

with q the readout of a circuit. The same network with another q is a control:

- ``removed``: q is the identity;
- ``linear``: q is a linear layer and tanh, of the circuit's width;
- ``separable``: the circuit without entangling gates; where a circuit reads out some of its qubits only, as a QCNN
  does, the features on the others no longer reach the output, so this control loses more than entanglement;
- ``frozen``: the circuit with its random weights untrained.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from backends import Backend
from circuits import Circuit
from qml import QuantumLayer

CONTROLS = ("removed", "linear", "separable", "frozen")


class Dressed(nn.Module):
    """Linear layer, tanh to angles in (-π/2, π/2), a core, linear layer: (*, n_features) -> (*, n_classes).

    Parameters
    ----------
    n_features, n_classes : int
        Width of the samples; number of logits.
    circuit : Circuit
        The circuit to dress; sets the width of the core.
    observables : sequence of Observable
        Its readout.
    control : {"removed", "linear", "separable", "frozen"}, optional
        What stands in the place of the trained circuit; the circuit itself if not given.
    backend : Backend, optional
        Where the circuit runs; the exact simulator if not given.

    Raises
    ------
    ValueError
        If the control has another name.
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        circuit: Circuit,
        observables: Any,
        control: str | None = None,
        backend: Backend | None = None,
    ) -> None:
        super().__init__()
        self.encoder = nn.Linear(n_features, circuit.n_inputs)  # first, so that every control starts from the same one
        self.core = _core(circuit, observables, control, backend)
        width = circuit.n_inputs if control == "removed" else len(observables)
        self.decoder = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every sample."""
        return self.decoder(self.core(math.pi / 2 * self.encoder(x).tanh()))


def _core(circuit: Circuit, observables: Any, control: str | None, backend: Backend | None) -> nn.Module:
    match control:
        case None:
            return QuantumLayer(circuit, observables, backend)
        case "removed":
            return nn.Identity()
        case "linear":
            return nn.Sequential(nn.Linear(circuit.n_inputs, len(observables)), nn.Tanh())
        case "separable":
            return QuantumLayer(circuit.separable(), observables, backend)
        case "frozen":
            return QuantumLayer(circuit, observables, backend).requires_grad_(False)
    raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")
