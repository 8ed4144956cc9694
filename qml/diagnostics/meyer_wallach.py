"""How entangled states are: Meyer and Wallach's measure (arXiv:quant-ph/0108104)."""

from __future__ import annotations

import torch
from torch import Tensor


def meyer_wallach(states: Tensor) -> Tensor:
    """Return ``Q = 2 (1 - mean_q Tr ρ_q^2)``, ρ_q the state of qubit q alone (Meyer and Wallach, quant-ph/0108104).

    0 for products of one-qubit states, 1 where every qubit is entangled with the rest as much as it can be. In the
    form of Brennen (quant-ph/0305094). Haar-random states have (N-2)/(N+1) on average, N = 2**n_qubits.

    Parameters
    ----------
    states : Tensor, complex, shape (*, 2**n_qubits)
        Of norm 1.

    Returns
    -------
    Tensor, shape (*), real
    """
    n_qubits = states.shape[-1].bit_length() - 1
    return 2 * (1 - torch.stack([_purity(states, 2**q) for q in range(n_qubits)]).mean(0))


def _purity(states: Tensor, before: int) -> Tensor:
    """Tr ρ² of the qubit that ``before`` values come before: from its Gram matrix."""
    halves = states.unflatten(-1, (before, 2, -1)).movedim(-2, -3).flatten(-2)
    return (halves @ halves.mH).abs().square().sum((-1, -2))
