"""Parallel circuits: the features in chunks, and a circuit with weights of its own for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backends import Backend
from circuits import Circuit
from qml.checks import whole
from qml.init import uniform_
from qml.layer import QuantumLayer
from qml.movable import OneCircuit


class ParallelCircuits(OneCircuit):
    """Small circuits side by side, (*, n_circuits * n_inputs) -> (*, n_circuits * n_readouts).

    The k-th chunk of the features goes to the k-th circuit; their readouts are concatenated. The circuits have one form
    and weights of their own, and all run in one call of the backend. The quantum part of the HQNN-Parallel of
    Senokosov et al. (arXiv:2304.09224) is ``ParallelCircuits(angle_encoding(5) + strongly_entangling(5, 3), 4,
    ["Y0", "Y1", "Y2", "Y3", "Y4"])``.

    Parameters
    ----------
    circuit : Circuit
        Of each chunk.
    n_circuits : int
        Number of chunks.
    observables, backend, readout, init, device, dtype
        As :class:`QuantumLayer`.

    Attributes
    ----------
    in_features, out_features : int
        Last dimensions of input and output.
    quantum : QuantumLayer
        From a chunk to its readouts; ``quantum.weights`` has shape (n_circuits, n_weights).

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If ``n_circuits`` is less than 1, or the circuit or its readout does not fit the backend.

    Examples
    --------
    >>> layer = ParallelCircuits(data_reuploading(5, n_layers=2), n_circuits=4)
    >>> layer(torch.zeros(32, layer.in_features)).shape
    torch.Size([32, 20])
    """

    def __init__(
        self,
        circuit: Circuit,
        n_circuits: int,
        observables: Any = None,
        backend: Backend | None = None,
        readout: Literal["expectation", "probabilities"] = "expectation",
        init: Callable[[Tensor], Any] = uniform_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.n_circuits = whole("n_circuits", n_circuits, 1)
        self.quantum = QuantumLayer(circuit, observables, backend, readout, init, device, dtype)
        self.quantum.weights = nn.Parameter(self.quantum.weights.new_empty(n_circuits, circuit.n_weights))
        self.quantum.reset_parameters()
        self.in_features = n_circuits * self.quantum.in_features
        self.out_features = n_circuits * self.quantum.out_features

    def forward(self, x: Tensor) -> Tensor:
        """Return the readouts of every sample, those of the first circuit first.

        Parameters
        ----------
        x : Tensor, shape (*, in_features)

        Returns
        -------
        Tensor, shape (*, out_features)

        Raises
        ------
        TypeError
            If dtypes or devices differ or are not supported.
        ValueError
            If the last dimension is wrong.
        """
        if not isinstance(x, Tensor):
            raise TypeError(f"got features of type {type(x).__name__}, expected a tensor: torch.as_tensor(...)")
        if not x.ndim or x.shape[-1] != self.in_features:
            sizes = f"{self.n_circuits} circuits of {self.quantum.in_features} features"
            raise ValueError(
                f"got features of shape {tuple(x.shape)}, expected (*, {self.in_features}): there are {sizes}"
            )
        chunks = x.unflatten(-1, (self.n_circuits, self.quantum.in_features))
        return self.quantum(chunks).flatten(-2)

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows beside the circuit."""
        return f"in_features={self.in_features}, out_features={self.out_features}, n_circuits={self.n_circuits}"
