"""Unitaries without entanglement, the control of modules that are made of :class:`qml.SpecialUnitary`.

exp(i Σ_q Σ_p θ_qp P_p on qubit q) = ⊗_q exp(i Σ_p θ_qp P_p),    p = X, Y, Z
"""

from __future__ import annotations

from functools import reduce

from torch import Tensor, nn

from qml import SpecialUnitary


class LocalUnitaries(nn.Module):
    """Trainable unitaries, each a product of any unitaries of its qubits.

    Parameters
    ----------
    n_qubits : int
    *shape : int
        How many, as leading dimensions.
    """

    def __init__(self, n_qubits: int, *shape: int) -> None:
        super().__init__()
        self.unitaries = SpecialUnitary(1, *shape, n_qubits)

    def forward(self) -> Tensor:
        """Return the matrices, complex, (*shape, 2**n_qubits, 2**n_qubits)."""
        return reduce(_kron, self.unitaries().unbind(-3))


def localised(model: nn.Module) -> nn.Module:
    """Put local unitaries in the place of all that a model has, in place, and return it."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, SpecialUnitary):
                parent._modules[name] = LocalUnitaries(child.n_qubits, *child.shape)
    return model


def _kron(a: Tensor, b: Tensor) -> Tensor:
    return (a[..., :, None, :, None] * b[..., None, :, None, :]).flatten(-2).flatten(-3, -2)
