"""The quantum layer: a circuit, its readout and a backend as a torch module."""

from __future__ import annotations

import html
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backends import Backend, Statevector
from backends.base import check_circuit
from backends.gradients import deferred
from backends.planning import Plan, layer_cost, plan
from circuits import Circuit, Probabilities, z_each
from circuits.observables import Readout, as_readout
from qml.init import uniform_

AUTOCAST_DTYPES = (torch.bfloat16, torch.float16)


class QuantumLayer(nn.Module):
    """A parameterised circuit as a layer, (*, in_features) -> (*, out_features).

    Column o of the output is ``<psi(x, w)| O_o |psi(x, w)>`` (or an outcome probability), with
    ``|psi(x, w)> = U(x, w)|0...0>``, x the features of a sample and w the trainable weights, in radians. NaN features
    give NaN in their own row, as in every torch layer; backends of other libraries refuse them.

    Parameters
    ----------
    circuit : Circuit
        Of ``n_inputs`` features and ``n_weights`` weights; convert circuits of other libraries with
        ``backends.from_pennylane`` or ``backends.from_qiskit``.
    observables : Observable, str, Probabilities or sequence of observables, optional
        One output column each, for example ``[pauli("Z0 Z1"), "X2"]``; Z on every qubit if not given.
    backend : Backend, optional
        Where the circuit runs; the exact simulator if not given.
    readout : {"expectation", "probabilities"}
        ``"probabilities"`` reads the 2**n_qubits outcome probabilities of all qubits, qubit 0 leading; give
        ``observables=Probabilities((0, 2))`` to read some qubits only.
    init : callable, optional
        Fills the weights in place, as the functions of ``torch.nn.init``; uniform on [0, 2π) if not given.
    device : torch.device, optional
        Of the weights.
    dtype : torch.dtype, optional
        Of the weights: float32 or float64; torch's default if not given.

    Attributes
    ----------
    in_features, out_features : int
        Last dimensions of input and output.
    weights : Parameter, shape (n_weights,)
        In radians.
    last_stderr : Tensor, shape (*, out_features), or None
        Standard errors of the last output, where the backend draws shots.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the circuit or its readout does not fit the backend.

    Examples
    --------
    >>> layer = QuantumLayer(data_reuploading(2, n_layers=2), ["Z0", "Z1"])
    >>> layer(torch.zeros(32, layer.in_features)).shape
    torch.Size([32, 2])
    """

    def __init__(
        self,
        circuit: Circuit,
        observables: Any = None,
        backend: Backend | None = None,
        readout: Literal["expectation", "probabilities"] = "expectation",
        init: Callable[[Tensor], Any] = uniform_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.circuit = checked_circuit(circuit)
        self.observables = _checked_readout(circuit, observables, readout)
        self.init = init
        self.last_stderr: Tensor | None = None
        self.to_backend(Statevector() if backend is None else backend)
        self.in_features, self.out_features = circuit.n_inputs, len(self.observables)
        self.weights = nn.Parameter(torch.empty(circuit.n_weights, device=device, dtype=_checked_dtype(dtype)))
        self.reset_parameters()
        self.register_load_state_dict_pre_hook(_refuse_other_circuit)

    def reset_parameters(self) -> None:
        """Draw new weights with ``init``, from torch's generator.

        Raises
        ------
        ValueError
            If ``init`` leaves weights unset or NaN.
        """
        with torch.no_grad():
            self.init(self.weights.fill_(torch.nan))
        if not self.weights.is_meta and self.weights.isnan().any():
            raise ValueError("got an init that leaves weights unset, expected one that fills in place: nn.init.zeros_")

    def to_backend(self, backend: Backend) -> QuantumLayer:
        """Run on another backend from now on, with the same weights; returns the layer itself.

        Raises
        ------
        TypeError
            If ``backend`` is not a backend.
        ValueError
            If it cannot run the circuit.
        """
        if isinstance(backend, type) or not isinstance(backend, Backend):
            raise TypeError(
                f"got {type(backend).__name__} as a backend, expected one of the package backends, "
                "for example backends.Statevector() or backends.get('statevector')"
            )
        check_circuit(type(backend).__name__, backend.capabilities, self.circuit, self.observables)
        self.backend = backend
        return self

    def forward(self, x: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """Return the readout of every sample.

        Parameters
        ----------
        x : Tensor, shape (*, in_features)
            Features, float32 or float64 as the weights; None for a circuit without features.
        weights : Tensor, shape (n_weights,) or (*, n_weights), optional
            Weights to use instead of the layer's own, for example one row per sample from another network.

        Returns
        -------
        Tensor, shape (*, out_features), of the dtype and device of x

        Raises
        ------
        TypeError
            If dtypes or devices differ or are not supported.
        ValueError
            If the last dimension is wrong.
        """
        used = self.weights if weights is None else weights
        x = full_precision(x, used)
        with nullcontext() if self.training else deferred():  # what only predicts pays for no gradient
            y = self.backend.expectation(self.circuit, x, used, self.observables)
        self.__dict__["last_stderr"] = getattr(self.backend, "last_stderr", None)  # past the search of nn.Module
        return y

    def plan(
        self,
        batch_size: int,
        steps: int = 1,
        price_per_second: float | None = None,
        input_gradients: bool = False,
    ) -> Plan:
        """Return what training on the layer's device costs; nothing is sent.

        Parameters
        ----------
        batch_size : int
            Samples of a step.
        steps : int
            Training steps; in eval mode, steps that only predict.
        price_per_second : float, optional
            Of QPU time, in any currency.
        input_gradients : bool
            Whether layers before this one are trained, which needs the gradient of the inputs too.

        Returns
        -------
        Plan
            ``print(layer.plan(32, steps=100))`` shows circuits, rows, shots, jobs, estimated QPU seconds and price.

        Raises
        ------
        ValueError
            If the backend costs nothing, or a number is not positive.
        """
        trained = self.training and self.weights.requires_grad
        of_inputs = self.training and input_gradients
        step = layer_cost(self.backend, self.circuit, self.observables, batch_size, of_inputs, trained)
        return plan(self.backend, step, steps, price_per_second)

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, n_qubits={self.circuit.n_qubits}, n_weights={self.circuit.n_weights}, backend={self.backend}"

    def get_extra_state(self) -> Tensor:
        """Return the circuit's fingerprint, so that a checkpoint knows which circuit its weights belong to."""
        return torch.tensor(list(bytes.fromhex(self.circuit.fingerprint)), dtype=torch.uint8, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Do nothing: the fingerprint is compared before any weight is loaded."""

    def _repr_html_(self) -> str:
        from qml.draw import draw  # Qiskit's drawer, only where a notebook shows the layer

        try:
            drawing = str(draw(self.circuit, "text", fold=-1))
        except ModuleNotFoundError:
            drawing = ""
        return f'<pre style="line-height:1.1">{html.escape(f"{self}")}\n{html.escape(drawing)}</pre>'


def full_precision(x: Any, weights: Tensor) -> Any:
    """Return features that autocast made narrow in the weights' dtype: circuits are computed in full precision."""
    if isinstance(x, Tensor) and x.dtype in AUTOCAST_DTYPES and torch.is_autocast_enabled(x.device.type):
        return x.to(weights.dtype)
    return x


def _refuse_other_circuit(layer: QuantumLayer, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Raise ValueError for a checkpoint of another circuit, before any weight of the layer is touched.

    A checkpoint that names no circuit, as one written by hand, is taken as it is.
    """
    stored = state.setdefault(f"{prefix}_extra_state", layer.get_extra_state())
    found = bytes(stored.tolist()).hex() if isinstance(stored, Tensor) else repr(stored)
    if found != layer.circuit.fingerprint:
        raise ValueError(
            f"got a checkpoint of circuit {found[:8]}, expected one of circuit "
            f"{layer.circuit.fingerprint[:8]}: build the layer with the circuit it was saved with"
        )


def _checked_dtype(dtype: torch.dtype | None) -> torch.dtype:
    found = torch.get_default_dtype() if dtype is None else dtype
    if found not in (torch.float32, torch.float64):
        raise TypeError(f"got dtype={found} for a quantum layer, expected torch.float32 or torch.float64")
    return found


def checked_circuit(circuit: Any) -> Circuit:
    """Return a circuit, or raise TypeError for what is none."""
    if not isinstance(circuit, Circuit):
        raise TypeError(
            f"got {type(circuit).__name__} as a circuit, expected circuits.Circuit: "
            "convert with backends.from_qiskit or backends.from_pennylane"
        )
    return circuit


def _checked_readout(circuit: Circuit, observables: Any, readout: str) -> Readout:
    if readout not in ("expectation", "probabilities"):
        raise ValueError(f"got readout={readout!r}, expected 'expectation' or 'probabilities'")
    if readout == "probabilities" and observables is None:
        return Probabilities(tuple(range(circuit.n_qubits)))
    if readout == "probabilities" and not isinstance(observables, Probabilities):
        raise TypeError(f"got observables={observables!r} with readout='probabilities', expected Probabilities(qubits)")
    return as_readout(z_each(circuit.n_qubits) if observables is None else observables)
