"""The simulator of pure states: exact, batched, differentiable; the default backend."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from backends.base import Backend, Capabilities, check_circuit, rows
from backends.identity import once
from backends.statevector.adjoint import final_state, readouts
from backends.statevector.torch_ops import COMPLEX, to_qubit_order
from circuits import Circuit
from circuits.observables import Readout

#: State vectors a step holds per sample: the final state and its gradient, which go back in place, and one in tiles and
#: readouts; or on torch operations: the first two, a copy of both that goes back, and two more of it at every block.
STATES_IN_FLIGHT, STATES_IN_TORCH = 3, 8


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
        return _capabilities(self.gradient)

    def expectation(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor, observables: Readout) -> Tensor:
        """Return the readout of every sample; see :class:`backends.Backend`.

        Raises
        ------
        MemoryError
            If the states do not fit into memory; before anything is allocated.
        """
        once(_check, self, circuit, observables)
        x, w, leading = rows(self, circuit, inputs, weights)
        shape = (*leading, len(observables))
        if not x.shape[0]:  # an empty batch, still connected to what it came from
            return (x.sum() + 0 * w.sum()).expand(shape)
        if self.gradient == "adjoint" and _plain(x, w):
            check_memory(STATES_IN_FLIGHT, circuit.n_qubits, x)
            y = once(_plan, circuit, observables, w.ndim == 1, x.dtype).run(x, w)
            return y if len(shape) == 2 else y.reshape(shape)
        check_memory(STATES_IN_TORCH, circuit.n_qubits, x)
        gradient = "backprop" if _transformed() else self.gradient
        return readouts(circuit, observables, gradient, x, w).reshape(shape)

    def state(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor) -> Tensor:
        """Return the final state of every sample, complex (*, 2**n_qubits), qubit 0 leading."""
        once(_check, self, circuit, ())
        x, w, leading = rows(self, circuit, inputs, weights)
        shape = *leading, 2**circuit.n_qubits
        if not len(x):
            return x.new_zeros(shape, dtype=COMPLEX[x.dtype])
        check_memory(STATES_IN_TORCH, circuit.n_qubits, x)
        return to_qubit_order(*final_state(circuit, self.gradient, x, w)).reshape(shape)


@cache
def _capabilities(gradient: str) -> Capabilities:
    return Capabilities(gradient, True, 30, ("cpu", "cuda"), frozenset({"amplitudes"}))


def _check(backend: Backend, circuit: Circuit, observables: Readout) -> None:
    check_circuit(type(backend).__name__, backend.capabilities, circuit, observables)


def _plan(*parts: Any) -> Any:
    from backends.statevector.engine import make_plan  # Numba, when it is first needed: it takes half a second

    return make_plan(*parts)


def _plain(*tensors: Tensor) -> bool:
    """Whether tensors are numbers in memory, not on a GPU and not wrapped by a transformation of torch."""
    return not _transformed() and all(t.is_cpu and type(t) in (Tensor, torch.nn.Parameter) for t in tensors)


def _transformed() -> bool:
    """Whether torch.func transforms (vmap, jacfwd, …) or forward-mode differentiation are at work."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def check_memory(n_states: int, n_qubits: int, x: Tensor) -> None:
    """Raise MemoryError if so many states of this many qubits per row need more than the machine's memory."""
    needed = n_states * x.shape[0] * 2**n_qubits * COMPLEX[x.dtype].itemsize
    if needed < 2**28:
        return
    total = (
        torch.cuda.get_device_properties(x.device).total_memory
        if x.is_cuda
        else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    if needed > total:
        raise MemoryError(
            f"got {len(x)} samples of {n_qubits} qubits, which need {needed:,} bytes, expected at most {total:,}: "
            "use a smaller batch, fewer qubits or float32"
        )
