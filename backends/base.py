"""The seam: what a layer asks of a backend, and the small base class for those who write one.

A consumer sees :class:`Backend`. An implementer subclasses :class:`EvaluatingBackend`, writes ``evaluate`` and states
five capabilities; gradients come from a gradient object.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from backends.angles import angle_map, trainable_columns
from backends.gradients import Gradient, is_deferred
from circuits import Circuit, Probabilities
from circuits.observables import Readout


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do.

    Parameters
    ----------
    gradient : str
        Name of its gradient method, for example ``"adjoint"`` or ``"parameter-shift"``.
    exact : bool
        Whether expectation values are exact; False where shots are drawn.
    max_qubits : int
    devices : tuple of str
        Types of torch devices its tensors may live on, for example ``("cpu", "cuda")``.
    simulator_kinds : frozenset of str
        Operations beyond gates that it runs, for example ``{"amplitudes"}``.
    limit : str
        What sets ``max_qubits``, for the message that says so.
    """

    gradient: str
    exact: bool
    max_qubits: int
    devices: tuple[str, ...]
    simulator_kinds: frozenset[str] = frozenset()
    limit: str = ""


@runtime_checkable
class Backend(Protocol):
    """What a layer needs: differentiable readouts of a circuit for a batch of samples."""

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        ...

    def expectation(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor, observables: Readout) -> Tensor:
        """Return the readout of every sample, differentiable in inputs and weights.

        Parameters
        ----------
        circuit : Circuit
        inputs : Tensor, shape (*, n_inputs), or None for a circuit without inputs
        weights : Tensor, shape (n_weights,) or (*, n_weights), leading dimensions broadcast against those of inputs
        observables : tuple of Observable, or Probabilities

        Returns
        -------
        Tensor, shape (*, len(observables)), of the dtype and device of the inputs
        """
        ...


class Estimate(NamedTuple):
    """What a backend read, float64 on the CPU, (rows, n_readouts): values, and standard errors where it drew shots."""

    values: Tensor
    stderr: Tensor | None = None


class Bound(NamedTuple):
    """A checked call: one row of gate angles per sample."""

    angles: Tensor  # (rows, n_angles), radians
    shape: tuple[int, ...]  # of the result


class EvaluatingBackend(ABC):
    """Base of backends that can only evaluate: a simulator of another library, or a machine.

    Parameters
    ----------
    gradient : Gradient
        ``ParameterShift()``, ``Spsa()`` or ``FiniteDifference()``.
    together : bool
        Whether what a gradient needs is evaluated with the readouts, in one call of ``evaluate``, instead of in the
        backward pass: for machines where every call is a job that queues.

    Attributes
    ----------
    last_stderr : Tensor, shape (*, n_readouts), or None
        Standard errors of the last readouts; None where they are exact.
    """

    def __init__(self, gradient: Gradient, together: bool = False) -> None:
        self.gradient = gradient
        self.together = together
        self.last_stderr: Tensor | None = None

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the backend can do."""

    @abstractmethod
    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Tensor | Estimate:
        """Return the readouts of every row, with standard errors where shots are drawn.

        Parameters
        ----------
        circuit : Circuit
        angles : Tensor, shape (rows, n_angles), float64 on the CPU, finite, rows >= 1
            One value for each of ``circuit.angles``, in radians.
        observables : tuple of Observable, or Probabilities

        Returns
        -------
        Tensor, shape (rows, len(observables)), float64 on the CPU, or Estimate
        """

    def expectation(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor, observables: Readout) -> Tensor:
        """Return the readout of every sample; see :class:`Backend`."""
        check_not_mapped(self, inputs, weights)
        angles, shape = bind(self, circuit, inputs, weights, observables)
        check_finite(angles)
        x, w = inputs is not None and inputs.requires_grad, weights.requires_grad
        columns = trainable_columns(circuit, x, w) if torch.is_grad_enabled() else ()
        evaluate = _Evaluation(self, circuit, observables)
        together = self.together and not is_deferred()
        values = self.gradient(evaluate, circuit, angles.double(), columns, together)
        stderr = evaluate.first_stderr
        self.last_stderr = None if stderr is None else stderr[: len(angles)].to(angles).reshape(shape)
        return values.to(angles.dtype).reshape(shape)


def bind(backend: Backend, circuit: Circuit, inputs: Tensor | None, weights: Tensor, observables: Readout) -> Bound:
    """Check a call at the border and return its gate angles.

    Raises
    ------
    TypeError
        If a tensor is not float32 or float64, or the two differ.
    ValueError
        If a size, a device or the circuit does not fit the backend.
    """
    check_circuit(type(backend).__name__, backend.capabilities, circuit, observables)
    x, w, leading = rows(backend, circuit, inputs, weights)
    return Bound(angle_map(circuit)(x, w.expand(len(x), -1)), (*leading, len(observables)))


def rows(
    backend: Backend, circuit: Circuit, inputs: Tensor | None, weights: Tensor
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Check the tensors of a call and return them as rows: features, weights (one dimension if shared), and shape.

    Raises
    ------
    TypeError
        As :func:`bind`.
    ValueError
        As :func:`bind`.
    """
    x, w = check_tensors(backend, circuit, inputs, weights)
    if w.ndim == 1:
        return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), w, x.shape[:-1]
    leading = _leading_shape(x, w)
    x, w = (t.expand(*leading, t.shape[-1]).reshape(leading.numel(), t.shape[-1]) for t in (x, w))
    return x, w, leading


def check_tensors(backend: Backend, circuit: Circuit, inputs: Tensor | None, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Check features and weights against the circuit and the backend; no features are a tensor of none."""
    _check_tensor("weights", weights, circuit.n_weights)
    if inputs is None and circuit.n_inputs:
        raise ValueError(f"got no inputs, expected a tensor of shape (*, {circuit.n_inputs}): one row per sample")
    x = weights.new_zeros(*weights.shape[:-1], 0) if inputs is None else inputs
    _check_tensor("inputs", x, circuit.n_inputs)
    _check_pair(backend, x, weights)
    return x, weights


@lru_cache(maxsize=1024)
def check_circuit(name: str, capabilities: Capabilities, circuit: Circuit, observables: Readout) -> None:
    """Raise ValueError if a backend of these capabilities cannot run the circuit or its readout."""
    if circuit.n_qubits > capabilities.max_qubits:
        limit = f" ({capabilities.limit})" if capabilities.limit else ""
        raise ValueError(
            f"got a circuit of {circuit.n_qubits} qubits, expected at most {capabilities.max_qubits} on {name}{limit}: "
            "use fewer qubits or another backend"
        )
    parts = (observables,) if isinstance(observables, Probabilities) else observables
    needed = max((part.n_qubits for part in parts), default=0)
    if needed > circuit.n_qubits:
        raise ValueError(f"got a readout of qubit {needed - 1}, expected qubits 0 to {circuit.n_qubits - 1}")
    unknown = {op.gate.kind for op in circuit.ops} - {"fixed", "rotation"} - capabilities.simulator_kinds
    if unknown:
        raise ValueError(
            f"got the operation {sorted(unknown)[0]!r}, which {name} cannot run: use the Statevector backend, "
            "or an encoding by gates"
        )


def check_not_mapped(backend: Backend, *tensors: Tensor | None) -> None:
    """Raise TypeError inside ``torch.vmap``, for a backend that computes outside of torch."""
    if any(isinstance(t, Tensor) and torch._C._functorch.is_batchedtensor(t) for t in tensors):
        raise TypeError(
            f"got a call inside torch.vmap, expected plain tensors for {type(backend).__name__}: "
            "give the layer the whole batch, it takes any leading dimensions, or use backends.Statevector()"
        )


def check_finite(angles: Tensor) -> None:
    """Raise ValueError before anything is submitted if an angle is NaN or infinite."""
    if not torch.isfinite(angles).all():
        raise ValueError("got NaN or infinite angles, expected finite ones: check the inputs and the layers before")


def _check_tensor(name: str, tensor: Tensor, size: int) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"got {name} of type {type(tensor).__name__}, expected a tensor: torch.as_tensor(...)")
    if tensor.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"got {name} of dtype {tensor.dtype}, expected torch.float32 or torch.float64: call .float()")
    if tensor.ndim < 1 or tensor.shape[-1] != size:
        shape = tuple(tensor.shape)
        raise ValueError(f"got {name} of shape {shape}, expected (*, {size}): the last dimension is {size}")


def _check_pair(backend: Backend, x: Tensor, w: Tensor) -> None:
    if x.dtype != w.dtype or x.device != w.device:
        raise TypeError(
            f"got inputs {x.dtype} on {x.device} and weights {w.dtype} on {w.device}, expected equal ones: "
            "call inputs.to(weights) or layer.to(inputs)"
        )
    if x.device.type not in backend.capabilities.devices:
        raise ValueError(
            f"got tensors on {x.device}, expected one of {', '.join(backend.capabilities.devices)} "
            f"for {type(backend).__name__}: call .to()"
        )


def _leading_shape(x: Tensor, w: Tensor) -> torch.Size:
    try:
        return torch.broadcast_shapes(x.shape[:-1], w.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"got inputs of shape {tuple(x.shape)} and weights of shape {tuple(w.shape)}, expected leading dimensions "
            f"that broadcast: one row of weights per sample, or weights of shape ({w.shape[-1]},)"
        ) from None


@dataclass
class _Evaluation:
    """Evaluates rows on a backend; keeps the standard errors of the first call, which has the readouts themselves."""

    backend: EvaluatingBackend
    circuit: Circuit
    observables: Readout
    calls: int = 0
    first_stderr: Tensor | None = None

    def __call__(self, angles: Tensor) -> Tensor:
        if not len(angles):
            return angles.new_zeros(0, len(self.observables))
        found = self.backend.evaluate(self.circuit, angles.detach().to("cpu", torch.float64), self.observables)
        values, stderr = found if isinstance(found, Estimate) else (found, None)
        if not self.calls:
            self.first_stderr = stderr
        self.calls += 1
        return values.to(angles.device)
