"""The matrix of a circuit in torch operations: differentiable to any order, on any device."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from backends.angles import angle_map
from backends.statevector.program import compile_circuit
from backends.statevector.torch_ops import COMPLEX, evolve, step_matrices, to_qubit_order
from circuits import Circuit


def circuit_matrix(circuit: Circuit, weights: Tensor) -> Tensor:
    """Return the unitary matrix of a circuit without features or start states.

    Parameters
    ----------
    circuit : Circuit
        Of few qubits: the matrix has 4**n_qubits entries.
    weights : Tensor, shape (*, n_weights), real
        Radians.

    Returns
    -------
    Tensor, shape (*, 2**n_qubits, 2**n_qubits), complex
    """
    batch, dim = weights.shape[:-1], 2**circuit.n_qubits
    rows = weights.reshape(prod(batch), circuit.n_weights)
    program = compile_circuit(circuit, False)
    angles = angle_map(circuit)(rows.new_empty(len(rows), 0), rows)
    start = torch.eye(dim, dtype=COMPLEX[rows.dtype], device=rows.device).repeat(len(rows), 1)
    matrices = [m.repeat_interleave(dim, 0) if m.ndim == 3 else m for m in step_matrices(program, angles)]
    columns = to_qubit_order(program, evolve(program, start, *matrices))
    return columns.reshape(*batch, dim, dim).mT
