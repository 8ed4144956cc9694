"""The program on plain torch operations: any device, any dtype, derivatives of any order."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from backends.identity import constants
from backends.statevector.program import Axes, Group, Program, arrange
from backends.statevector.readout import diagonals, off_diagonals
from backends.statevector.torch_kernels import apply, gather
from circuits import Observable, Probabilities
from circuits.observables import Readout

COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def step_matrices(program: Program, angles: Tensor) -> list[Tensor]:
    """Return the matrix of every step, (dim, dim) or (rows, dim, dim), for angles (rows, n_angles), rows >= 1."""
    groups = [_products(group, angles if group.per_sample else angles[:1]) for group in program.groups]
    stacks = [m if g.per_sample else m[0] for g, m in zip(program.groups, groups, strict=True)]
    unbound = [stack.unbind(-3) for stack in stacks]
    return [unbound[step.group][step.index] for step in program.steps]


def start_state(program: Program, angles: Tensor) -> Tensor:
    """Return the start state (rows, 2**n): normalised amplitudes of the registers, zeros elsewhere."""
    state = register_state(program, angles)
    rest = 2**program.n_qubits // state.shape[1]
    zeros = angles.new_zeros(*state.shape, rest - 1)
    return torch.cat([state[..., None], zeros], -1).flatten(1).to(COMPLEX[angles.dtype])


def register_state(program: Program, angles: Tensor) -> Tensor:
    """Return the normalised amplitudes of the registers, real (rows, 2**k)."""
    state = angles.new_ones(len(angles), 1)
    for columns in program.registers:
        values = angles[:, columns[0] : columns[-1] + 1]
        values = values / values.norm(dim=1, keepdim=True)
        state = (state[:, :, None] * values[:, None]).flatten(1)
    return state


def evolve(program: Program, start: Tensor, *matrices: Tensor) -> Tensor:
    """Return the final state; torch keeps every state for the backward pass."""
    for step, matrix in zip(program.steps, matrices, strict=True):
        start = apply(start, matrix, step.layout)
    return start


def read_out(program: Program, state: Tensor, observables: Readout) -> Tensor:
    """Return expectation values or probabilities, real (rows, len(observables)), of the final state."""
    density = state.real.square() + state.imag.square()
    if isinstance(observables, Probabilities):
        return gather(density, arrange(program.order, observables.qubits)[0]).sum(1)
    diagonal, terms = _vectors(observables, program.order, density.dtype, density.device)
    with torch.autocast(state.device.type, enabled=False):  # float32 in, float32 out
        values = density @ diagonal
    if terms:
        overlaps = [(state.conj() * mask * state[:, partner]).sum(1).real for _, partner, mask in terms]
        columns = torch.tensor([column for column, _, _ in terms], device=state.device)
        values = values.index_add(1, columns, torch.stack(overlaps, 1))
    return values


def to_qubit_order(program: Program, state: Tensor) -> Tensor:
    """Return the state with qubit 0 as the leading axis."""
    return gather(state, arrange(program.order, tuple(range(program.n_qubits)))[0]).flatten(1)


def _products(group: Group, angles: Tensor) -> Tensor:
    """Return the products of the factors of every block, (rows, blocks, dim, dim)."""
    columns, scales, terms = _constants(group, angles.dtype, angles.device)
    angles = angles if angles.shape[1] else angles.new_zeros(len(angles), 1)
    turn = (angles[:, columns] * scales)[..., None, None]
    chain = turn.cos() * terms[0] + turn.sin() * terms[1] + terms[2]
    while chain.shape[2] > 1:  # halves the chain: later factors stand left
        first, second = chain.unflatten(2, (-1, 2)).unbind(3)
        chain = second @ first
    return chain[:, :, 0]


@lru_cache(maxsize=1024)
@constants()
def _constants(group: Group, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.as_tensor(group.columns, device=device),
        torch.as_tensor(group.scales, dtype=dtype, device=device),
        torch.as_tensor(group.terms, dtype=COMPLEX[dtype], device=device),
    )


@lru_cache(maxsize=64)
@constants()
def _vectors(
    observables: tuple[Observable, ...], order: Axes, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, list[tuple[int, Tensor, Tensor]]]:
    terms = [
        (column, torch.as_tensor(partner, device=device), torch.as_tensor(mask, dtype=COMPLEX[dtype], device=device))
        for column, partner, mask in off_diagonals(observables, order)
    ]
    return torch.as_tensor(diagonals(observables, order), dtype=dtype, device=device), terms
