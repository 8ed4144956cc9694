"""Quantum fast weight programmer as a forecaster (QFWP; Chen, arXiv:2402.17760), and its controls.

The readout of the circuit is its last, linear layer; all parameters are classical, and are spent on programming angles.
"""

from __future__ import annotations

import torch
from torch import nn

from backends import Backend
from hybrid.models.forecasters.recurrent import without_entanglers
from qml import FastWeightProgrammer

CONTROLS = ("separable", "frozen", "linear")


def build(control: str | None = None, *, backend: Backend | None = None) -> FastWeightProgrammer:
    """Return the paper's network for one input, 8 qubits, 2 layers, 111 parameters; or one of its controls.

    Parameters
    ----------
    control : {"separable", "frozen", "linear"}, optional
        The circuit without entangling gates; the slow programmer untrained, the readout alone trained; or
        tanh of a linear layer of x and θ in place of the circuit.
    backend : Backend, optional
        Where the circuit runs.

    Raises
    ------
    ValueError
        If the control has another name.
    """
    found = FastWeightProgrammer(1, 1, backend=backend, dtype=torch.float64)
    if control == "separable":
        without_entanglers(found)
    elif control == "frozen":
        found.requires_grad_(False).readout.requires_grad_()
    elif control == "linear":
        found.fast_programmer = _linear(found)  # type: ignore[assignment]
    elif control is not None:
        raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")
    return found


def _linear(programmer: FastWeightProgrammer) -> nn.Module:
    circuit, size = programmer.fast_programmer.circuit, programmer.readout.in_features
    return nn.Sequential(nn.Linear(circuit.n_inputs, size, dtype=torch.float64), nn.Tanh())
