"""Quantum fast weights: a slow, classical network programmes the angles of a circuit, step by step of a sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from backends import Backend
from circuits import z_each
from circuits.checks import whole
from circuits.templates import fast_weight_circuit
from qml.layer import QuantumLayer
from qml.movable import Movable


class FastWeightProgrammer(Movable):
    r"""Quantum fast weight programmer (Chen, arXiv:2402.17760), called as torch's recurrent layers.

    The slow programmer adds an outer product to the angles of the circuit, one angle per layer and qubit::

        θ_t = θ_{t-1} + L(h_t) ⊗ Q(h_t),   h_t = E(x_t),   y_t = P(<Z_0>, …, <Z_{n_readout-1}>)(x_t, θ_t)

    with E, L, Q and P linear layers and θ_0 = 0. No quantum state goes from one step to the next, so all steps of all
    sequences run in one call of the backend, and where the last output is all that is wanted, the last steps alone.
    The angles grow with the length of the sequence and wrap around.

    Parameters
    ----------
    input_size : int
        Features of a step, at most n_qubits: feature j enters on qubit j.
    output_size : int
        Entries of an output.
    n_qubits, n_layers : int
        Of the circuit, see :func:`circuits.templates.fast_weight_circuit`.
    latent_size : int
        Entries of h.
    n_readout : int, optional
        How many qubits are read, the first ones; 4, or all of fewer, if not given.
    batch_first : bool
        Whether sequences are (N, T, input_size) instead of (T, N, input_size).
    backend : Backend, optional
        Where the circuit runs; the exact simulator if not given.
    device : torch.device, optional
        Of the weights.
    dtype : torch.dtype, optional
        Of the weights: float32 or float64; torch's default if not given.

    Attributes
    ----------
    encoder, layer_programmer, qubit_programmer, readout : torch.nn.Linear
        E, L, Q and P.
    fast_programmer : QuantumLayer
        Takes x and θ together; it has no weights of its own.

    Raises
    ------
    ValueError
        If a size is out of range.

    Examples
    --------
    >>> programmer = FastWeightProgrammer(1, 1)
    >>> output, theta = programmer(torch.zeros(20, 32, 1))
    >>> output.shape, theta.shape
    (torch.Size([20, 32, 1]), torch.Size([32, 2, 8]))
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        n_qubits: int = 8,
        n_layers: int = 2,
        latent_size: int = 8,
        *,
        n_readout: int | None = None,
        batch_first: bool = False,
        backend: Backend | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        circuit = fast_weight_circuit(n_qubits, n_layers, input_size)
        n_readout = min(4, n_qubits) if n_readout is None else n_readout
        whole("n_readout", n_readout, most=n_qubits)
        whole("output_size", output_size)
        whole("latent_size", latent_size)
        self.input_size, self.output_size, self.batch_first = input_size, output_size, batch_first
        self.theta_shape = (n_layers, n_qubits)
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.encoder = nn.Linear(input_size, latent_size, **made)
        self.layer_programmer = nn.Linear(latent_size, n_layers, **made)
        self.qubit_programmer = nn.Linear(latent_size, n_qubits, **made)
        self.fast_programmer = QuantumLayer(circuit, z_each(n_qubits)[:n_readout], backend, **made)
        self.readout = nn.Linear(n_readout, output_size, **made)

    def forward(self, x: Tensor, theta: Tensor | None = None, last_only: bool = False) -> tuple[Tensor, Tensor]:
        """Return the outputs, and the angles after the last step.

        Parameters
        ----------
        x : Tensor, shape (T, N, input_size), (N, T, input_size) if batch_first, or (T, input_size)
        theta : Tensor, shape (N, n_layers, n_qubits) or (n_layers, n_qubits), optional
            The angles before the first step, as the last call returned them: a sequence given in parts is a sequence
            given at once. Zeros if not given.
        last_only : bool
            Whether the output after the last step is all that is wanted: one row of the circuit per sequence.

        Returns
        -------
        output : Tensor, of the shape of x with output_size in the end; without T if last_only
        theta : Tensor, shape (N, n_layers, n_qubits) or (n_layers, n_qubits)

        Raises
        ------
        ValueError
            If a shape is wrong or there is no step.
        """
        steps = self._steps(x)
        change = self.program(steps)
        angles = self._start(steps, theta) + (change.sum(0, keepdim=True) if last_only else change.cumsum(0))
        read = self.fast_programmer(torch.cat([steps[-len(angles) :], angles.flatten(-2)], -1))
        return self._arranged(self.readout(read), last_only), angles[-1]

    def program(self, x: Tensor) -> Tensor:
        """Return what steps add to the angles, (*, input_size) -> (*, n_layers, n_qubits), in radians."""
        h = self.encoder(x)
        return self.layer_programmer(h)[..., None] * self.qubit_programmer(h)[..., None, :]

    def _arranged(self, output: Tensor, last_only: bool) -> Tensor:
        if last_only:
            return output[0]
        return output.transpose(0, 1) if self.batch_first and output.ndim == 3 else output

    def _steps(self, x: Tensor) -> Tensor:
        """Return a checked sequence, time first."""
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            leading = "(N, T" if self.batch_first else "(T, N"
            expected = f"{leading}, {self.input_size}) or (T, {self.input_size})"
            raise ValueError(f"got a sequence of shape {tuple(x.shape)}, expected {expected}: features come last")
        steps = x.transpose(0, 1) if self.batch_first and x.ndim == 3 else x
        if len(steps) == 0:
            raise ValueError(f"got a sequence of shape {tuple(x.shape)}, expected one step or more: leave it out")
        return steps

    def _start(self, steps: Tensor, theta: Tensor | None) -> Tensor:
        """Return the checked angles before the first step."""
        shape = (*steps.shape[1:-1], *self.theta_shape)
        if theta is None:
            return steps.new_zeros(shape)
        if theta.shape != shape:
            raise ValueError(
                f"got theta of shape {tuple(theta.shape)}, expected {shape}: pass what the last call returned, or None"
            )
        return theta
