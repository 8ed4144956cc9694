"""Adjoint differentiation (arXiv:2009.02823): the backward pass runs the program in reverse.

With the final state psi and the gradient lambda of the loss with respect to it, block by block from the end

    psi <- U† psi,    dL/dU = lambda psi†,    lambda <- U† lambda

so memory does not grow with depth. The pass is itself made of differentiable operations on the saved final state,
so second and higher derivatives are exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from backends.angles import angle_map
from backends.statevector.program import Program, compile_circuit
from backends.statevector.torch_kernels import apply, retreat
from backends.statevector.torch_ops import evolve, read_out, start_state, step_matrices
from circuits import Circuit
from circuits.observables import Readout


class Evolve(Function):
    """Final state of a program from the start state and the matrix of every step."""

    generate_vmap_rule = True

    @staticmethod
    def forward(program: Program, start: Tensor, *matrices: Tensor) -> Tensor:
        """Return the final state (rows, 2**n)."""
        state = start
        for step, matrix in zip(program.steps, matrices, strict=True):
            state = apply(state, matrix, step.layout)
        return state

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """Keep the final state and the matrices; the states between are recomputed."""
        ctx.program, _, *matrices = inputs
        ctx.save_for_backward(output, *matrices)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return the gradients of the start state and of every matrix."""
        state, *matrices = ctx.saved_tensors
        pair, gradients = torch.stack([state, grad]), []
        for step, matrix in zip(reversed(ctx.program.steps), reversed(matrices), strict=True):
            pair, gradient = retreat(pair, matrix, step.layout)
            gradients.append(gradient)
        return None, pair[1], *reversed(gradients)


def final_state(circuit: Circuit, gradient: str, x: Tensor, w: Tensor) -> tuple[Program, Tensor]:
    """Return the program of a circuit and its final state for features (rows, n) and weights (n,) or (rows, n)."""
    program = compile_circuit(circuit, w.ndim == 1)
    angles = angle_map(circuit)(x, w.expand(len(x), -1))
    start, matrices = start_state(program, angles), step_matrices(program, angles)
    run = Evolve.apply if gradient == "adjoint" and matrices else evolve
    return program, run(program, start, *matrices)


def readouts(circuit: Circuit, observables: Readout, gradient: str, x: Tensor, w: Tensor) -> Tensor:
    """Return the readouts (rows, len(observables)) on torch operations; derivatives of any order."""
    return read_out(*final_state(circuit, gradient, x, w), observables)
