"""Any unitary at once, the exponential of all Pauli words: a matrix, for simulation only.

``U(θ) = exp(i sum_k θ_k P_k)`` over the 4**n - 1 Pauli words P_k of n qubits but the identity, in lexicographic order
I, X, Y, Z. It is no circuit: a device would need it synthesised anew at every step, and its angles have no two-term
shift rule. So modules made of it are plain torch, have no backend, and run where their tensors are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from circuits.gates import PAULIS
from qml.checks import whole
from qml.layer import full_precision

#: 128 × 128 matrices of 16,383 angles each; the next size has 65,535 angles.
MAX_QUBITS = 7


def pauli_sum(coefficients: Tensor) -> Tensor:
    """Return ``sum_k c_k P_k`` over all Pauli words but the identity, lexicographically in I, X, Y, Z.

    Parameters
    ----------
    coefficients : Tensor, shape (*, 4**n - 1), real or complex

    Returns
    -------
    Tensor, shape (*, 2**n, 2**n), complex

    Raises
    ------
    ValueError
        If the last dimension is no 4**n - 1.
    """
    n_qubits, batch = _n_qubits(coefficients), coefficients.ndim - 1
    dtype = torch.promote_types(coefficients.dtype, torch.complex32)  # complex, of the same precision
    letters = torch.stack([torch.as_tensor(PAULIS[p]) for p in "IXYZ"]).to(coefficients.device, dtype)
    total = F.pad(coefficients, (1, 0)).to(dtype).unflatten(-1, [4] * n_qubits)
    for _ in range(n_qubits):  # a letter becomes a row and a column of one qubit, appended at the end
        total = torch.tensordot(total, letters, ([batch], [0]))
    rows = [batch + 2 * q for q in range(n_qubits)]
    total = total.permute(*range(batch), *rows, *[row + 1 for row in rows])
    return total.flatten(batch + n_qubits).flatten(batch, batch + n_qubits - 1)


class SpecialUnitary(nn.Module):
    """Trainable unitaries ``exp(i sum_k θ_k P_k)``, any of determinant 1; for simulation only.

    Parameters
    ----------
    n_qubits : int
        1 to 7.
    *shape : int
        How many, as leading dimensions; none for one.
    unitary : bool
        Whether the angles are real. Where False they are complex, start on the real axis and leave it in training, and
        the matrices are no longer unitary: nothing that a quantum computer could do, kept to reproduce what was
        published so.
    init : callable, optional
        Fills the angles in place; standard normal if not given.
    device : torch.device, optional
        Of the angles.
    dtype : torch.dtype, optional
        Of the angles, or of their real and imaginary parts; torch's default if not given.

    Attributes
    ----------
    angles : Parameter, shape (*shape, 4**n_qubits - 1), or (2, *shape, 4**n_qubits - 1) of real and imaginary parts
        In radians; there is no 1/2 in the exponent.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    def __init__(
        self,
        n_qubits: int,
        *shape: int,
        unitary: bool = True,
        init: Callable[[Tensor], Any] = nn.init.normal_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.n_qubits = whole("n_qubits", n_qubits, 1)
        if n_qubits > MAX_QUBITS:
            raise ValueError(f"got n_qubits={n_qubits}, expected 1 to {MAX_QUBITS}: use a circuit of smaller gates")
        self.shape, self.unitary, self.init = shape, unitary, init
        parts = () if unitary else (2,)
        self.angles = nn.Parameter(torch.zeros(*parts, *shape, 4**n_qubits - 1, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new angles with ``init``, from torch's generator; the imaginary parts, where there are any, are zero."""
        with torch.no_grad():
            self.init(self.angles if self.unitary else self.angles.zero_()[0])

    def forward(self) -> Tensor:
        """Return the matrices, complex, (*shape, 2**n_qubits, 2**n_qubits)."""
        angles = self.angles if self.unitary else torch.complex(*self.angles)
        return torch.matrix_exp(1j * pauli_sum(angles))

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows."""
        sizes = ", ".join(map(str, (self.n_qubits, *self.shape)))
        return sizes + ", unitary=False" * (not self.unitary)


def squared_moduli(state: Tensor) -> Tensor:
    """Return the probability of every basis state; unlike ``abs()**2`` it has a gradient where one is 0."""
    return torch.view_as_real(state).square().sum(-1)


def symmetric_part(matrix: Tensor) -> Tensor:
    """Return ``(M + M^T) / 2``: how a real matrix becomes an observable or a Hamiltonian."""
    return (matrix + matrix.mT) / 2


def like_parameters(name: str, x: Any, parameter: Tensor) -> Tensor:
    """Return features that fit a module's parameters, or raise TypeError; autocast's narrow ones are widened."""
    x = full_precision(x, parameter)
    if not isinstance(x, Tensor):
        raise TypeError(f"got {name} of type {type(x).__name__}, expected a tensor: torch.as_tensor(...)")
    if x.dtype != parameter.dtype or x.device != parameter.device:
        raise TypeError(
            f"got {name} {x.dtype} on {x.device}, expected {parameter.dtype} on {parameter.device} as the parameters: "
            "call .to() on one of the two"
        )
    return x


def _n_qubits(coefficients: Tensor) -> int:
    size = coefficients.shape[-1] + 1
    n_qubits = (size.bit_length() - 1) // 2
    if n_qubits < 1 or size != 4**n_qubits:
        raise ValueError(f"got {size - 1} coefficients, expected 4**n - 1, one per Pauli word but the identity")
    return n_qubits
