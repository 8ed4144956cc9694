"""The simulator of pure states: exact, batched, differentiable; the default backend."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from backends.base import Bound, Capabilities, bind
from backends.statevector.adjoint import Evolve
from backends.statevector.program import Program, compile_circuit
from backends.statevector.torch_ops import COMPLEX, evolve, read_out, start_state, step_matrices, to_qubit_order
from circuits import Circuit
from circuits.observables import Readout

#: State vectors a step holds per sample: the final state and its gradient, a copy of both that goes back through the
#: program, and two more of it at every block.
STATES_IN_FLIGHT = 8


@dataclass(frozen=True)
class Statevector:
    """Exact simulation of the state vector, the whole batch at once.

    float32 inputs are computed in complex64, float64 in complex128, on the device of the tensors.

    Parameters
    ----------
    gradient : {"adjoint", "backprop"}
        ``"adjoint"`` recomputes states on the way back, so memory does not grow with depth; ``"backprop"`` lets torch
        keep them, faster for short circuits. Both are exact to any order.

    Raises
    ------
    ValueError
        If the gradient method is another.
    """

    gradient: Literal["adjoint", "backprop"] = "adjoint"

    def __post_init__(self) -> None:
        if self.gradient not in ("adjoint", "backprop"):
            raise ValueError(f"got gradient={self.gradient!r}, expected 'adjoint' or 'backprop'")

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return Capabilities(self.gradient, True, 30, ("cpu", "cuda"), frozenset({"amplitudes"}))

    def expectation(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor, observables: Readout) -> Tensor:
        """Return the readout of every sample; see :class:`backends.Backend`.

        Raises
        ------
        MemoryError
            If the states do not fit into memory; before anything is allocated.
        """
        bound = bind(self, circuit, inputs, weights, observables)
        if not len(bound.angles):  # an empty batch, still connected to what it came from
            return (bound.angles @ bound.angles.new_zeros(bound.angles.shape[1], len(observables))).reshape(bound.shape)
        program, state = self._run(circuit, bound, weights.ndim == 1)
        return read_out(program, state, observables).reshape(bound.shape)

    def state(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor) -> Tensor:
        """Return the final state of every sample, complex (*, 2**n_qubits), qubit 0 leading."""
        bound = bind(self, circuit, inputs, weights, ())
        shape = *bound.shape[:-1], 2**circuit.n_qubits
        if not len(bound.angles):
            return bound.angles.new_zeros(shape, dtype=COMPLEX[bound.angles.dtype])
        program, state = self._run(circuit, bound, weights.ndim == 1)
        return to_qubit_order(program, state).reshape(shape)

    def _run(self, circuit: Circuit, bound: Bound, shared_weights: bool) -> tuple[Program, Tensor]:
        check_memory(circuit.n_qubits, bound.angles)
        program = compile_circuit(circuit, shared_weights)
        start, matrices = start_state(program, bound.angles), step_matrices(program, bound.angles)
        run = Evolve.apply if self.gradient == "adjoint" and matrices else evolve
        return program, run(program, start, *matrices)


def check_memory(n_qubits: int, angles: Tensor) -> None:
    """Raise MemoryError if a step of this many qubits and rows needs more than the machine's memory."""
    needed = STATES_IN_FLIGHT * len(angles) * 2**n_qubits * COMPLEX[angles.dtype].itemsize
    if needed < 2**28:
        return
    total = (
        torch.cuda.get_device_properties(angles.device).total_memory
        if angles.is_cuda
        else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    if needed > total:
        raise MemoryError(
            f"got {len(angles)} samples of {n_qubits} qubits, which need {needed:,} bytes, expected at most {total:,}: "
            "use a smaller batch, fewer qubits or float32"
        )
