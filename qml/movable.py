"""Modules with quantum layers inside that move to another backend as one."""

from __future__ import annotations

from typing import Self

from torch import nn

from backends import Backend
from circuits import Circuit
from qml.layer import QuantumLayer


class Movable(nn.Module):
    """A module whose circuits move to another backend together."""

    def to_backend(self, backend: Backend) -> Self:
        """Run on another backend from now on, with the same weights; returns the module itself.

        Raises
        ------
        TypeError, ValueError
            As QuantumLayer.to_backend.
        """
        for layer in self.modules():
            if isinstance(layer, QuantumLayer):
                layer.to_backend(backend)
        return self


class OneCircuit(Movable):
    """A movable module around one quantum layer, ``quantum``."""

    quantum: QuantumLayer

    @property
    def circuit(self) -> Circuit:
        """The circuit of the quantum layer."""
        return self.quantum.circuit
