"""Dressed circuits: a circuit between two linear layers, and the controls that say what the circuit adds.

    y = W2 q(π/2 · tanh(W1 x + b1)) + b2          (Mari et al., arXiv:1912.08278)

with q the readout of a circuit. The same network with another q is a control:

- ``removed``: q is the identity;
- ``linear``: q is a linear layer and tanh, of the circuit's width;
- ``separable``: the circuit without entangling gates; where the circuit reads out some of its qubits only, as a QCNN
  does, Z is read on the others too, so that no feature is lost with the entanglement (the last layer then has a few
  more parameters, which favours the control);
- ``frozen``: the circuit with its random weights untrained.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from backends import Backend
from circuits import Circuit, Probabilities, z_each
from circuits.observables import Readout, as_readout
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
    observables : Observable, str, Probabilities or sequence of observables
        Its readout, as :class:`qml.QuantumLayer` takes it.
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
        readout = as_readout(observables)
        if control == "separable":
            circuit, readout = circuit.separable(), every_qubit(circuit.n_qubits, readout)
        self.core = _core(circuit, readout, control, backend)
        width = circuit.n_inputs if control == "removed" else len(readout)
        self.decoder = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every sample."""
        return self.decoder(self.core(math.pi / 2 * self.encoder(x).tanh()))


def _core(circuit: Circuit, readout: Readout, control: str | None, backend: Backend | None) -> nn.Module:
    match control:
        case None | "separable":
            return QuantumLayer(circuit, readout, backend)
        case "removed":
            return nn.Identity()
        case "linear":
            return nn.Sequential(nn.Linear(circuit.n_inputs, len(readout)), nn.Tanh())
        case "frozen":
            return QuantumLayer(circuit, readout, backend).requires_grad_(False)
    raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")


def every_qubit(n_qubits: int, readout: Readout) -> Readout:
    """Return a readout that leaves no qubit out: the given one, with Z on each qubit that it does not read."""
    if isinstance(readout, Probabilities):
        return readout if len(readout.qubits) == n_qubits else z_each(n_qubits)
    read = {qubit for observable in readout for word, _ in observable.terms for qubit, _ in word}
    return (*readout, *(z for qubit, z in enumerate(z_each(n_qubits)) if qubit not in read))
