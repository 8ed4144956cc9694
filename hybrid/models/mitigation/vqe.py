"""A variational eigensolver: ``min_w <psi(w)| H |psi(w)>`` for two Hamiltonians of a few qubits.

The ansatz has RY and RZ on every qubit and a chain of CX, in two layers and once more: 18 angles and 4 CX on 3 qubits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backends import Backend
from circuits import Circuit, Observable, pauli
from circuits.templates import hardware_efficient
from qml import QuantumLayer

HAMILTONIANS = ("zzz", "tfim")


def ansatz(n_qubits: int = 3, n_layers: int = 2) -> Circuit:
    """Return the circuit, of which every angle is a weight."""
    return hardware_efficient(n_qubits, n_layers)


def hamiltonian(name: str, n_qubits: int = 3) -> Observable:
    """Return ``Z⊗…⊗Z``, or the transverse-field Ising chain ``-sum_i Z_i Z_{i+1} - sum_i X_i``.

    Raises
    ------
    ValueError
        If the name is neither ``"zzz"`` nor ``"tfim"``.
    """
    qubits = range(n_qubits)
    match name:
        case "zzz":
            return pauli(" ".join(f"Z{q}" for q in qubits))
        case "tfim":
            words = [*(f"Z{q} Z{q + 1}" for q in qubits[:-1]), *(f"X{q}" for q in qubits)]
            return sum((-pauli(word) for word in words), start=Observable(()))
    raise ValueError(f"got the Hamiltonian {name!r}, expected one of {', '.join(HAMILTONIANS)}")


def solve(energy: Observable, backend: Backend, seed: int, steps: int) -> Tensor:
    """Return weights of low energy, float64 ``(n_weights,)``, by L-BFGS with a line search.

    Parameters
    ----------
    energy : Observable
    backend : Backend
        Where energies are evaluated, with exact values.
    seed : int
        Of the first weights, uniform on [0, 2π).
    steps : int
        At most.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = QuantumLayer(ansatz(), energy, backend, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = layer().sum()
        value.backward()
        return value

    optimizer.step(closure)
    return layer.weights.detach()
