"""Qubits that never interact: a circuit whose expectation values are rotations of vectors, by closed form."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from backends import Backend
from circuits.templates.single_qubit_reuploading import dealt, single_qubit_reuploading
from qml.init import uniform_
from qml.layer import QuantumLayer
from qml.movable import OneCircuit
from qml.special_unitary import like_parameters

Turn = tuple[int, int]

#: The two axes that a rotation turns into one another, the first towards the second.
_RX, _RY, _RZ = (1, 2), (2, 0), (0, 1)
_FEATURES = _RZ, _RY, _RZ


class SingleQubits(OneCircuit):
    """Unentangled qubits, (*, n_features) -> (*, n_qubits): ``<Z_q>`` of the SVQC of Hsiao et al. (arXiv:2203.14348).

    ``r_q = prod_l R_X(θ_lq) … R_Y(x_2) R_Z(x_1) (1, 0, 0)``, with R the rotations of space, is where qubit q of
    ``single_qubit_reuploading`` ends on the Bloch sphere, and ``<Z_q>`` its third component. The layer runs the
    circuit, on any backend; ``bloch_vectors`` computes the closed form, in plain torch, with derivatives of any order.
    On the exact simulator both are the same numbers at about the same speed; that so little is enough to know them says
    that nothing is left for a quantum computer to do.

    Parameters
    ----------
    n_qubits, n_layers, n_features : int
        As :func:`circuits.templates.single_qubit_reuploading`.
    backend, init, device, dtype
        As :class:`QuantumLayer`.

    Attributes
    ----------
    in_features, out_features : int
        n_features and n_qubits.
    quantum : QuantumLayer
        The circuit with Z on every qubit; ``quantum.weights`` are the angles, n_layers * n_qubits of them.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a count is less than 1, or the backend cannot run the circuit.

    Examples
    --------
    >>> layer = SingleQubits(4, n_layers=1)
    >>> layer(torch.zeros(32, layer.in_features)).shape
    torch.Size([32, 4])
    """

    def __init__(
        self,
        n_qubits: int,
        n_layers: int,
        n_features: int = 3,
        *,
        backend: Backend | None = None,
        init: Callable[[Tensor], Any] = uniform_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        circuit = single_qubit_reuploading(n_qubits, n_layers, n_features)
        self.quantum = QuantumLayer(circuit, backend=backend, init=init, device=device, dtype=dtype)
        self.n_layers = n_layers
        self.in_features, self.out_features = n_features, n_qubits

    def forward(self, x: Tensor) -> Tensor:
        """Return ``<Z>`` of every qubit.

        Parameters
        ----------
        x : Tensor, shape (*, in_features)
            In radians.

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
        return self.quantum(x)

    def bloch_vectors(self, x: Tensor) -> Tensor:
        """Return ``(<X>, <Y>, <Z>)`` of every qubit by closed form, whatever the backend.

        Parameters
        ----------
        x : Tensor, shape (*, in_features)
            In radians.

        Returns
        -------
        Tensor, shape (*, out_features, 3)

        Raises
        ------
        TypeError
            If dtypes or devices differ or are not supported.
        ValueError
            If the last dimension is wrong.
        """
        angles = self.quantum.weights
        x = like_parameters("features", x, angles)
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ValueError(
                f"got features of shape {tuple(x.shape)}, expected (*, {self.in_features}): one angle per feature"
            )
        turns = [(axes, each.cos(), each.sin()) for axes, each in zip(cycle(_FEATURES), self._dealt(x), strict=False)]
        start = torch.ones_like(turns[0][1])
        vectors = [start, 0 * start, 0 * start]
        for layer in angles.unflatten(0, (self.n_layers, self.out_features)):
            for axes, cos, sin in (*turns, (_RX, layer.cos(), layer.sin())):
                _turn(vectors, axes, cos, sin)
        return torch.stack(vectors, -1)

    def _dealt(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the angles of the first turn of all qubits, (*, n_qubits), of the second, …; 0 where there is none."""
        hands = dealt(self.out_features, self.in_features)
        columns = list(zip_longest(*hands, fillvalue=self.in_features))
        return nn.functional.pad(x, (0, 1))[..., torch.tensor(columns, device=x.device)].unbind(-2)

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows beside the circuit."""
        return f"{self.out_features}, n_layers={self.n_layers}, n_features={self.in_features}"


def _turn(vectors: list[Tensor], axes: Turn, cos: Tensor, sin: Tensor) -> None:
    """Rotate the vectors of all qubits: the list of their three components, (*, n_qubits) each, is changed."""
    i, j = axes
    vectors[i], vectors[j] = cos * vectors[i] - sin * vectors[j], sin * vectors[i] + cos * vectors[j]
